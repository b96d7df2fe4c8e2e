"""`predict_many`: order, errors in their places, threads, arrays as slices."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edge_adder import EdgeAdder, ImageError, InputError, prepare_image
from edge_adder.batching import LARGE_BATCH, LARGE_FILE_BYTES, SLICE_SIZE

EXAMPLES = Path(__file__).parents[2] / "examples"
SEVEN = EXAMPLES / "seven.png"
SAMPLES = {"seven.png": 7, "three.png": 3, "four.png": 4, "five.jpg": 5}

each_workers = pytest.mark.parametrize("workers", [1, 3])
each_form = pytest.mark.parametrize("form", [list, np.copy])
"""An array uint8 (count, 28, 28) is cut into slices; anything else goes image by image."""


def digits(answers: Iterable[Any]) -> list[int]:
    return [answer.digit for answer in answers]


def sums(answers: Iterable[Any], count: int | None = None) -> list[int]:
    """The sums of the first `count` answers, or of all."""
    return [answer.sum for answer in itertools.islice(answers, count)]


def kinds(answers: Iterable[object]) -> list[str]:
    return [type(answer).__name__ for answer in answers]


def then_fail(values: Iterable[object]) -> Iterator[object]:
    yield from values
    raise KeyError("the caller's")


class TestAnswers:
    @pytest.mark.parametrize("workers", [1, 2, 5, None])
    def test_they_are_those_of_predict_and_of_pytorch(
        self, adder: EdgeAdder, vectors: dict, workers: int | None
    ) -> None:
        images, numbers = vectors["image"][:, 0], vectors["number"]
        many = list(adder.predict_many(images, numbers, batch_size=7, workers=workers))
        for image, number, found in zip(images, numbers, many, strict=True):
            alone = adder.predict(image, number)
            assert (found.digit, found.sum, found.number) == (alone.digit, alone.sum, number)
            assert found.digit_probability == pytest.approx(alone.digit_probability, abs=1e-4)
        assert digits(many) == vectors["digit"].argmax(1).tolist()
        assert sums(many) == vectors["sum"].argmax(1).tolist()

    def test_an_array_gives_the_same_as_its_images(self, adder: EdgeAdder, vectors: dict) -> None:
        images, numbers = vectors["image"][:, 0], vectors["number"]
        fast = list(adder.predict_many(images, numbers, batch_size=7))
        slow = list(adder.predict_many(iter(images), iter(numbers), batch_size=7))
        with_axis = list(adder.predict_many(vectors["image"], numbers, batch_size=7))
        assert fast == slow == with_axis

    @each_form
    def test_images_in_another_format_are_prepared(
        self, adder: EdgeAdder, seven: np.ndarray, form: Callable
    ) -> None:
        images = np.stack([seven, 255 - seven, np.roll(seven, 5, axis=0), seven])
        answers = list(adder.predict_many(form(images), 1))
        assert [a.preparation.unchanged for a in answers] == [True, False, False, True]
        for image, answer in zip(images, answers, strict=True):
            alone = adder.predict(image, 1)
            assert (answer.sum, answer.preparation) == (8, alone.preparation)
            assert answer.digit_probability == pytest.approx(alone.digit_probability, abs=1e-4)
        assert sums(adder.predict_many(form(255 - images[:1]), 1, ink="dark")) == [8]

    @pytest.mark.parametrize(("workers", "most"), [(1, 16), (3, 8 * 5)])
    def test_images_are_read_as_answers_are_consumed(
        self, adder: EdgeAdder, seven: np.ndarray, workers: int, most: int
    ) -> None:
        endless = itertools.count()
        images, numbers = (seven for _ in endless), itertools.cycle([1, 2])
        answers = adder.predict_many(images, numbers, batch_size=8, workers=workers)
        assert next(endless) == 0
        assert sums(answers, 10) == [8, 9] * 5
        assert 16 < next(endless) <= most + 1

    @each_workers
    def test_a_buffer_that_the_caller_uses_again_is_read_in_time(
        self, adder: EdgeAdder, vectors: dict, workers: int
    ) -> None:
        buffer = np.empty((28, 28), np.uint8)

        def frames() -> Iterator[np.ndarray]:
            for image in vectors["image"][:60, 0]:
                buffer[:] = image
                yield buffer

        answers = adder.predict_many(frames(), 0, batch_size=4, workers=workers)
        assert digits(answers) == vectors["digit"][:60].argmax(1).tolist()

    @each_form
    def test_no_image_gives_no_answer(self, adder: EdgeAdder, form: Callable) -> None:
        for numbers in ([], 3):
            assert list(adder.predict_many(form(np.zeros((0, 28, 28), np.uint8)), numbers)) == []


class TestErrors:
    @each_workers
    @pytest.mark.parametrize("batch_size", [1, 2, 64])
    def test_one_is_raised_where_it_occurs_or_takes_the_place_of_its_answer(
        self, adder: EdgeAdder, seven: np.ndarray, workers: int, batch_size: int
    ) -> None:
        images = [seven, SEVEN, b"", seven, "nowhere.png", seven]
        numbers = [1, 1, 1, 30, 1, 1]
        options = {"workers": workers, "batch_size": batch_size}
        answers = adder.predict_many(images, numbers, **options)
        assert sums(answers, 2) == [8, 8]
        with pytest.raises(ImageError, match="the file is empty"):
            next(answers)
        answers = list(adder.predict_many(images, numbers, on_error="return", **options))
        errors = "ImageError", "InputError", "ImageError"
        assert kinds(answers) == ["Prediction", "Prediction", *errors, "Prediction"]
        assert answers[5].sum == 8

    def test_so_it_is_in_an_array(self, adder: EdgeAdder, seven: np.ndarray) -> None:
        images = np.stack([seven, np.zeros_like(seven), seven, seven, seven])
        numbers = [1, 1, 10, True, np.int64(2)]
        answers = list(adder.predict_many(images, numbers, on_error="return"))
        assert kinds(answers) == ["Prediction", "ImageError", *["InputError"] * 2, "Prediction"]
        answers = adder.predict_many(images, 1)
        assert sums(answers, 1) == [8]
        with pytest.raises(ImageError, match="no ink found"):
            next(answers)

    @each_form
    @pytest.mark.parametrize(
        ("numbers", "more"),
        [([1] * 3, "images"), *(([1] * 5 + rest, "numbers") for rest in ([1], [None], [1] * 4))],
    )
    def test_too_few_of_either(
        self, adder: EdgeAdder, seven: np.ndarray, form: Callable, numbers: list, more: str
    ) -> None:
        for images in (form([seven] * 5), form(np.zeros((0, 28, 28), np.uint8))):
            answers = adder.predict_many(images, numbers, batch_size=2)
            pairs = min(len(images), len(numbers))
            assert sums(answers, pairs) == [8] * pairs
            with pytest.raises(InputError, match=f"got more {more if pairs else 'numbers'} than"):
                next(answers)

    @each_workers
    def test_the_callers_own_come_after_the_answers(
        self, adder: EdgeAdder, seven: np.ndarray, workers: int
    ) -> None:
        many = np.stack([seven] * 11)
        for images, numbers in ((then_fail(many[:9]), 1), (many, then_fail([1] * 9))):
            answers = adder.predict_many(images, numbers, batch_size=4, workers=workers)
            assert sums(answers, 9) == [8] * 9
            with pytest.raises(KeyError, match="the caller's"):
                next(answers)

    def test_those_of_a_run_come_after_the_answers_before_it(
        self, adder: EdgeAdder, seven: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = EdgeAdder.run

        def failing(self: EdgeAdder, images: np.ndarray, numbers: np.ndarray) -> object:
            if numbers[0] == 9:
                raise RuntimeError("onnxruntime's")
            return run(self, images, numbers)

        monkeypatch.setattr(EdgeAdder, "run", failing)
        images = np.stack([seven] * 6 * LARGE_BATCH)
        numbers = np.repeat([1, 2, 3, 9, 4, 5], LARGE_BATCH)
        answers = adder.predict_many(images, numbers, workers=3, batch_size=LARGE_BATCH)
        assert sums(answers, 3 * LARGE_BATCH) == (7 + numbers[: 3 * LARGE_BATCH]).tolist()
        with pytest.raises(RuntimeError, match="onnxruntime's"):
            next(answers)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"on_error": "skip"}, "on_error must be 'raise' or 'return', got 'skip'"),
            ({"ink": "pale"}, "ink must be one of auto, light, dark, got 'pale'"),
            ({"batch_size": 0}, "batch_size must be an integer from 1, or None, got 0"),
            ({"workers": 2.5}, r"workers must be an integer from 1, or None, got 2\.5"),
            ({"images": "seven.png"}, r"for one use predict\(\)"),
            ({"images": b"bytes"}, r"for one use predict\(\)"),
            ({"images": np.zeros((28, 28), np.uint8)}, r"for one use predict\(\)"),
        ],
    )
    def test_wrong_arguments_are_refused_at_once(
        self, adder: EdgeAdder, arguments: dict, message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            adder.predict_many(**{"images": [], "numbers": 1} | arguments)

    @each_form
    def test_a_wrong_number_for_all_is_refused(self, adder: EdgeAdder, form: Callable) -> None:
        with pytest.raises(InputError, match="got 12"):
            list(adder.predict_many(form(np.zeros((1, 28, 28), np.uint8)), 12))


class TestThreads:
    @pytest.fixture(autouse=True)
    def no_thread_is_left(self) -> Iterator[None]:
        """The library's threads end within a moment; those of other tests may run on."""
        yield
        deadline = time.monotonic() + 20
        while own_threads() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert own_threads() == []

    def test_an_abandoned_run_ends_them(self, adder: EdgeAdder, tmp_path: Path) -> None:
        large = tmp_path / "large.png"
        noisy = Image.effect_noise((400, 400), 20)
        ImageDraw.Draw(noisy).line([(120, 100), (280, 100), (180, 300)], fill=0, width=24)
        noisy.save(large)
        assert large.stat().st_size > LARGE_FILE_BYTES
        answers = adder.predict_many([large] * 50, 1, batch_size=2, workers=3)
        next(answers)
        assert own_threads()
        answers.close()

    @pytest.mark.parametrize("workers", [2, 8])
    def test_a_raised_error_ends_them(
        self, adder: EdgeAdder, seven: np.ndarray, workers: int
    ) -> None:
        images = np.stack([seven] * 8 * LARGE_BATCH)
        numbers = [1] * (len(images) - 1) + [10]
        answers = adder.predict_many(images, numbers, workers=workers, batch_size=LARGE_BATCH)
        with pytest.raises(InputError) as raised:  # which holds all that its traceback refers to
            list(answers)
        assert raised

    def test_small_images_start_none(
        self, adder: EdgeAdder, seven: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(threading.Thread, "start", None)
        images = [seven, SEVEN, SEVEN.read_bytes()] * 50
        answers = adder.predict_many(images, 1, workers=4, batch_size=LARGE_BATCH - 1)
        assert {*digits(answers)} == {7}
        few = np.stack([seven] * (SLICE_SIZE - 1))
        assert {*digits(adder.predict_many(few, 1, workers=4))} == {7}

    def test_whole_batches_run_on_them_while_answers_are_consumed(
        self, adder: EdgeAdder, vectors: dict, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        threads = set()
        run = EdgeAdder.run

        def watched(self: EdgeAdder, *arrays: np.ndarray) -> object:
            threads.add(threading.current_thread())
            return run(self, *arrays)

        monkeypatch.setattr(EdgeAdder, "run", watched)
        images = np.resize(vectors["image"][:, 0], (3000, 28, 28))
        numbers = np.arange(3000) % 10
        ahead = list(adder.predict_many(images, numbers, workers=3))
        assert 1 <= len(threads - {threading.current_thread()}) <= 2
        threads.clear()
        assert list(adder.predict_many(images, numbers, workers=1)) == ahead
        assert len(list(EdgeAdder(threads=2).predict_many(images, numbers, workers=2))) == 3000
        assert threads == {threading.current_thread()}

    @pytest.mark.parametrize(("workers", "batch_size"), [(1, 1), (1, 3), (2, 2), (5, 3), (5, 64)])
    def test_large_and_small_files_keep_their_order(
        self, adder: EdgeAdder, tmp_path: Path, workers: int, batch_size: int
    ) -> None:
        images = []
        for index, name in enumerate([*SAMPLES] * 4):
            path = tmp_path / f"{index}.bmp"  # uncompressed
            side = (28, 400)[index % 3 == 0]
            Image.fromarray(prepare_image(EXAMPLES / name)).resize((side, side)).save(path)
            images.append(path if index % 2 else path.read_bytes())
        answers = adder.predict_many(images, 4, batch_size=batch_size, workers=workers)
        assert sums(answers) == [digit + 4 for digit in SAMPLES.values()] * 4


def own_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name.startswith("edge-adder")]


class TestColumns:
    """`predict_columns`: the answers of `predict_many`, as arrays."""

    @each_form
    @pytest.mark.parametrize("workers", [1, 3])
    def test_they_are_the_answers_of_predict_many(
        self, adder: EdgeAdder, vectors: dict, form: Callable, workers: int
    ) -> None:
        images, numbers = form(vectors["image"][:, 0]), vectors["number"]
        found = adder.predict_columns(images, numbers, batch_size=33, workers=workers)
        wanted = list(adder.predict_many(images, numbers, batch_size=33, workers=workers))
        assert len(found) == len(wanted) > 33
        names = "number", "digit", "sum", "digit_probability", "sum_probability"
        for name in (*names, "probability", "uncertain"):
            assert getattr(found, name).tolist() == [getattr(each, name) for each in wanted], name
        assert (found.preparations, found.errors, found.provider) == ({}, {}, "cpu")

    @each_form
    def test_the_format_is_checked_and_errors_keep_their_places(
        self, adder: EdgeAdder, seven: np.ndarray, form: Callable
    ) -> None:
        blank = np.zeros_like(seven)
        images = form(np.stack([seven, blank, 255 - seven, seven, seven]))
        numbers = [1, 1, 2, 10, 3]
        found = adder.predict_columns(images, numbers, batch_size=2, on_error="return")
        assert found.digit.tolist() == [7, -1, 7, -1, 7]
        assert found.sum.tolist() == [8, -1, 9, -1, 10]
        assert np.isnan(found.probability).tolist() == [False, True, False, True, False]
        assert found.uncertain.tolist() == [False] * 5
        assert found.preparations == {2: adder.predict(255 - seven, 2).preparation}
        assert {place: kinds([error]) for place, error in found.errors.items()} == {
            1: ["ImageError"],
            3: ["InputError"],
        }
        with pytest.raises(ImageError, match="no ink found"):
            adder.predict_columns(images, numbers)

    def test_files_are_read_and_an_unsure_answer_is_uncertain(self, adder: EdgeAdder) -> None:
        noise = np.zeros((28, 28), np.uint8)
        noise[4:24, 4:24:3] = 255
        found = adder.predict_columns([SEVEN, noise, EXAMPLES / "five.jpg"], 5)
        alone = [adder.predict(each, 5).uncertain for each in (SEVEN, noise)]
        assert found.digit[[0, 2]].tolist() == [7, 5]
        assert found.uncertain[:2].tolist() == alone == [False, True]

    @each_form
    def test_too_few_numbers_and_no_images(
        self, adder: EdgeAdder, seven: np.ndarray, form: Callable
    ) -> None:
        with pytest.raises(InputError, match="got more images than numbers"):
            adder.predict_columns(form(np.stack([seven] * 3)), [1, 2], on_error="return")
        for numbers in ([], 3):
            found = adder.predict_columns(form(np.zeros((0, 28, 28), np.uint8)), numbers)
            assert (len(found), found.digit.dtype) == (0, np.int64)

    def test_a_failing_iterable_is_the_callers(self, adder: EdgeAdder, seven: np.ndarray) -> None:
        with pytest.raises(KeyError, match="the caller's"):
            adder.predict_columns(then_fail([seven]), 1)
