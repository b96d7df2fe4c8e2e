"""EdgeAdder: the raw contract, single answers, many answers, refusals."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from edge_adder import (
    ContractError,
    EdgeAdder,
    EdgeAdderError,
    ImageError,
    InputError,
    Prediction,
    predictor,
    prepare_image,
)
from edge_adder.contract import CONTRACT, IMPOSSIBLE_LOG_PROBABILITY
from edge_adder.predictor import (
    BUNDLED_MODEL,
    LARGE_BATCH,
    LARGE_FILE_BYTES,
    SLICE_SIZE,
    check_number,
)

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLES = {"seven.png": 7, "three.png": 3, "four.png": 4, "five.jpg": 5}


class TestStoredParity:
    """PyTorch's own answers, replayed through every entrance."""

    @pytest.mark.parametrize("batch", [1, 2, 257])
    def test_run_computes_what_pytorch_computed(
        self, adder: EdgeAdder, vectors: dict[str, np.ndarray], batch: int
    ) -> None:
        for start in range(0, len(vectors["number"]), batch):
            part = slice(start, start + batch)
            got = adder.run(vectors["image"][part], vectors["number"][part])
            for name in ("digit", "sum"):
                wanted = vectors[name][part]
                compared = wanted > -20
                found = getattr(got, name)
                assert np.abs(wanted - found)[compared].max() < 1e-4
                assert np.array_equal(wanted.argmax(1), found.argmax(1))

    def test_predict_and_predict_many_answer_the_same(
        self, adder: EdgeAdder, vectors: dict[str, np.ndarray]
    ) -> None:
        images, numbers = vectors["image"][:60, 0], vectors["number"][:60].tolist()
        many = list(adder.predict_many(images, numbers, batch_size=7))
        assert [p.digit for p in many] == vectors["digit"][:60].argmax(1).tolist()
        assert [p.sum for p in many] == vectors["sum"][:60].argmax(1).tolist()
        for one, image, number in zip(many, images, numbers, strict=True):
            single = adder.predict(image, number)
            assert (single.digit, single.sum, single.number) == (one.digit, one.sum, number)
            assert single.digit_probability == pytest.approx(one.digit_probability, abs=1e-5)
            assert one.digit_probability == pytest.approx(one.top_digits(1)[0][1], rel=1e-14)

    def test_the_vectors_belong_to_the_bundled_model(
        self, adder: EdgeAdder, vectors: dict[str, np.ndarray]
    ) -> None:
        assert str(vectors["weights_sha256"]) == adder.provenance["weights_sha256"]


class TestRun:
    def test_outputs_are_named_float32_log_probabilities(
        self, adder: EdgeAdder, vectors: dict[str, np.ndarray]
    ) -> None:
        outputs = adder.run(vectors["image"], vectors["number"])
        assert outputs._fields == ("digit", "sum")
        assert outputs.digit.shape == (300, 10)
        assert outputs.sum.shape == (300, 19)
        for output in outputs:
            assert output.dtype == np.float32
            assert np.isfinite(output).all()
            assert np.exp(output.astype(np.float64)).sum(1) == pytest.approx(1, abs=1e-5)

    def test_the_sum_is_the_digits_distribution_moved_by_the_number(
        self, adder: EdgeAdder, vectors: dict[str, np.ndarray]
    ) -> None:
        digit, total = adder.run(vectors["image"], vectors["number"])
        for row, number in enumerate(vectors["number"]):
            assert np.array_equal(total[row, number : number + 10], digit[row])
            outside = np.delete(total[row], np.s_[number : number + 10])
            assert (outside == IMPOSSIBLE_LOG_PROBABILITY).all()

    def test_no_image_gives_no_answer(self, adder: EdgeAdder) -> None:
        outputs = adder.run(np.empty((0, 1, 28, 28), np.uint8), np.empty(0, np.int64))
        assert (outputs.digit.shape, outputs.sum.shape) == ((0, 10), (0, 19))

    @pytest.mark.parametrize(
        ("images", "numbers", "message"),
        [
            (np.zeros((1, 1, 28, 28), np.float32), np.zeros(1, np.int64), "images must be uint8"),
            (np.zeros((1, 28, 28), np.uint8), np.zeros(1, np.int64), r"\(batch, 1, 28, 28\), got"),
            (np.zeros((1, 1, 28, 27), np.uint8), np.zeros(1, np.int64), r"got uint8 \(1, 1, 28"),
            (np.zeros((1, 1, 28, 28), np.uint8), np.zeros(1, np.int32), "numbers must be int64"),
            (np.zeros((1, 1, 28, 28), np.uint8), np.zeros((1, 1), np.int64), r"int64 \(batch\)"),
            (np.zeros((1, 1, 28, 28), np.uint8), np.zeros(2, np.int64), "got 2 for 1"),
            (np.zeros((1, 1, 28, 28), np.uint8), np.array([10]), "from 0 to 9, got 10"),
            (np.zeros((1, 1, 28, 28), np.uint8), np.array([-1]), "from 0 to 9, got -1"),
            (np.zeros((2, 1, 28, 28), np.uint8), np.array([3, 12]), "from 0 to 9, got 12"),
            (np.zeros((2, 1, 28, 28), np.uint8), np.array([3, -4]), "from 0 to 9, got -4"),
            ([[0]], np.array([3]), "images must be a numpy array, got list"),
        ],
    )
    def test_other_arrays_are_refused(
        self, adder: EdgeAdder, images: object, numbers: object, message: str
    ) -> None:
        with pytest.raises(InputError, match=message):
            adder.run(images, numbers)


class TestPredict:
    @pytest.mark.parametrize(("name", "digit"), SAMPLES.items())
    def test_the_samples_are_read(self, adder: EdgeAdder, name: str, digit: int) -> None:
        for number in range(10):
            prediction = adder.predict(EXAMPLES / name, number)
            assert (prediction.digit, prediction.sum) == (digit, digit + number)
            assert 0.9 < prediction.digit_probability <= 1
            assert prediction.sum_probability == prediction.digit_probability

    def test_a_prediction_says_what_was_asked_and_who_answered(
        self, adder: EdgeAdder, seven: np.ndarray
    ) -> None:
        prediction = adder.predict(seven, 5)
        assert (prediction.number, prediction.provider) == (5, "cpu")
        assert prediction.requested_provider == "cpu"
        assert prediction == adder.predict(seven, 5)
        assert prediction != adder.predict(seven, 6)
        with pytest.raises(AttributeError):
            prediction.answer = 1

    def test_top_lists_are_ordered_and_start_with_the_answer(
        self, adder: EdgeAdder, seven: np.ndarray
    ) -> None:
        prediction = adder.predict(seven, 5)
        digits, sums = prediction.top_digits(3), prediction.top_sums(19)
        assert digits[0] == (7, prediction.digit_probability)
        assert sums[0] == (12, prediction.sum_probability)
        assert len(digits) == 3
        assert sorted(sum_ for sum_, _ in sums) == list(range(19))
        assert [p for _, p in sums] == sorted((p for _, p in sums), reverse=True)

    @pytest.mark.parametrize("number", [7, np.int64(7), np.uint8(7)])
    def test_any_integer_type_is_a_number(
        self, adder: EdgeAdder, seven: np.ndarray, number: int
    ) -> None:
        prediction = adder.predict(seven, number)
        assert prediction.sum == 14
        assert type(prediction.number) is int

    @pytest.mark.parametrize(
        "number", [-1, 10, 3.0, "3", None, True, np.bool_(1), [3], 10**30, float("nan")]
    )
    def test_anything_else_is_none(
        self, adder: EdgeAdder, seven: np.ndarray, number: object
    ) -> None:
        with pytest.raises(InputError, match="number must be an integer from 0 to 9, got "):
            adder.predict(seven, number)
        with pytest.raises(InputError):
            check_number(number)


class TestPredictMany:
    def test_answers_come_in_order_and_one_number_serves_all(self, adder: EdgeAdder) -> None:
        paths = [EXAMPLES / name for name in SAMPLES]
        for batch_size in (1, 2, 3, 64):
            answers = list(adder.predict_many(paths, 4, batch_size=batch_size))
            assert [a.digit for a in answers] == list(SAMPLES.values())
            assert [a.sum for a in answers] == [digit + 4 for digit in SAMPLES.values()]

    @pytest.mark.parametrize(("workers", "most"), [(1, 16), (3, 8 * 5)])
    def test_images_are_read_as_answers_are_taken(
        self, adder: EdgeAdder, seven: np.ndarray, workers: int, most: int
    ) -> None:
        read = 0

        def endless() -> Iterator[np.ndarray]:
            nonlocal read
            while True:
                read += 1
                yield seven

        answers = adder.predict_many(
            endless(), itertools.cycle([1, 2]), batch_size=8, workers=workers
        )
        assert read == 0
        assert [a.sum for a in itertools.islice(answers, 10)] == [8, 9] * 5
        assert 16 <= read <= most

    def test_an_array_of_images_is_an_iterable_of_them(
        self, adder: EdgeAdder, vectors: dict[str, np.ndarray]
    ) -> None:
        answers = adder.predict_many(vectors["image"][:, 0], vectors["number"])
        assert [a.digit for a in answers] == vectors["digit"].argmax(1).tolist()

    def test_an_error_is_raised_where_it_occurs(self, adder: EdgeAdder, seven: np.ndarray) -> None:
        for batch_size in (1, 2, 64):
            answers = adder.predict_many([seven, seven, b"", seven], 1, batch_size=batch_size)
            assert [next(answers).digit, next(answers).digit] == [7, 7]
            with pytest.raises(ImageError, match="the file is empty"):
                next(answers)

    def test_answers_before_the_callers_own_error_are_not_lost(
        self, adder: EdgeAdder, seven: np.ndarray
    ) -> None:
        def images() -> Iterator[np.ndarray]:
            yield seven
            raise KeyError("the caller's")

        answers = adder.predict_many(images(), 1, on_error="return")
        assert next(answers).sum == 8
        with pytest.raises(KeyError, match="the caller's"):
            next(answers)

    def test_an_error_can_take_the_place_of_an_answer(
        self, adder: EdgeAdder, seven: np.ndarray
    ) -> None:
        images = [b"", seven, b"x", seven, seven, b""]
        for batch_size in (1, 2, 6):
            answers = adder.predict_many(
                images, [0, 1, 2, 30, 4, 5], on_error="return", batch_size=batch_size
            )
            kinds = [type(a).__name__ for a in answers]
            assert kinds == [
                "ImageError",
                "Prediction",
                "ImageError",
                "InputError",
                "Prediction",
                "ImageError",
            ]

    def test_too_few_of_either_is_an_error(self, adder: EdgeAdder, seven: np.ndarray) -> None:
        with pytest.raises(InputError, match="got more images than numbers"):
            list(adder.predict_many([seven, seven], [1]))
        with pytest.raises(InputError, match="got more numbers than images"):
            list(adder.predict_many([seven], [1, 2]))

    def test_nothing_in_nothing_out(self, adder: EdgeAdder) -> None:
        assert list(adder.predict_many([], [])) == []
        assert list(adder.predict_many([], 3)) == []

    @pytest.mark.parametrize("single", ["seven.png", b"bytes", np.zeros((28, 28), np.uint8)])
    def test_a_single_image_is_pointed_to_predict(self, adder: EdgeAdder, single: object) -> None:
        with pytest.raises(InputError, match=r"for one use predict\(\)"):
            adder.predict_many(single, 1)

    def test_wrong_options_are_refused_at_once(self, adder: EdgeAdder) -> None:
        with pytest.raises(InputError, match="on_error must be 'raise' or 'return', got 'skip'"):
            adder.predict_many([], 1, on_error="skip")
        with pytest.raises(
            InputError, match="batch_size must be an integer from 1, or None, got 0"
        ):
            adder.predict_many([], 1, batch_size=0)
        with pytest.raises(InputError, match="workers must be an integer from 1, or None, got 0"):
            adder.predict_many([], 1, workers=0)
        with pytest.raises(
            InputError, match=r"workers must be an integer from 1, or None, got 2\.5"
        ):
            adder.predict_many([], 1, workers=2.5)
        with pytest.raises(InputError, match=r"batch_size must be an integer from 1.*got 'x'"):
            adder.predict_many([], 1, batch_size="x")


def own_threads() -> list[threading.Thread]:
    """The library's threads that run; those of other tests may end at any time."""
    return [each for each in threading.enumerate() if each.name.startswith("edge-adder")]


def wait_until_threads_end() -> None:
    """Threads that were told to end do so within a moment; those that were not never."""
    deadline = time.monotonic() + 20
    while own_threads() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert own_threads() == []


class TestWorkers:
    @pytest.mark.parametrize("workers", [1, 2, 5, None])
    def test_answers_are_those_of_predict_in_order(
        self, adder: EdgeAdder, vectors: dict[str, np.ndarray], workers: int | None
    ) -> None:
        images, numbers = vectors["image"][:, 0], vectors["number"]
        many = list(adder.predict_many(images, numbers, batch_size=7, workers=workers))
        for image, number, found in zip(images, numbers, many, strict=True):
            alone = adder.predict(image, number)
            assert (found.digit, found.sum, found.number) == (alone.digit, alone.sum, number)
            assert found.digit_probability == pytest.approx(alone.digit_probability, abs=1e-4)
            assert found.sum_probability == pytest.approx(alone.sum_probability, abs=1e-4)
            assert found.digit_log_probabilities.shape == (10,)

    @pytest.mark.parametrize("workers", [1, 3])
    def test_errors_keep_their_places(self, adder: EdgeAdder, workers: int) -> None:
        images = [EXAMPLES / "seven.png", b"", "nowhere.png"] * 5
        answers = list(
            adder.predict_many(images, 1, batch_size=2, workers=workers, on_error="return")
        )
        assert [isinstance(a, EdgeAdderError) for a in answers] == [False, True, True] * 5
        first = adder.predict_many(images, 1, batch_size=2, workers=workers)
        assert next(first).sum == 8
        with pytest.raises(ImageError, match="the file is empty"):
            next(first)

    @pytest.mark.parametrize("workers", [1, 3])
    def test_a_buffer_that_the_caller_uses_again_is_read_in_time(
        self, adder: EdgeAdder, vectors: dict[str, np.ndarray], workers: int
    ) -> None:
        buffer = np.empty((28, 28), np.uint8)

        def frames() -> Iterator[np.ndarray]:
            for image in vectors["image"][:60, 0]:
                buffer[:] = image
                yield buffer

        answers = adder.predict_many(frames(), 0, batch_size=4, workers=workers)
        assert [a.digit for a in answers] == vectors["digit"][:60].argmax(1).tolist()

    @pytest.mark.parametrize("workers", [1, 3])
    def test_the_callers_own_error_comes_after_the_answers(
        self, adder: EdgeAdder, seven: np.ndarray, workers: int
    ) -> None:
        def images() -> Iterator[np.ndarray]:
            yield from [seven] * 9
            raise KeyError("the caller's")

        answers = adder.predict_many(images(), 1, batch_size=4, workers=workers)
        assert [a.sum for a in itertools.islice(answers, 9)] == [8] * 9
        with pytest.raises(KeyError, match="the caller's"):
            next(answers)

    def test_an_abandoned_run_leaves_no_thread(self, adder: EdgeAdder, tmp_path: Path) -> None:
        large = tmp_path / "large.png"
        noisy = Image.effect_noise((400, 400), 20)
        ImageDraw.Draw(noisy).line([(120, 100), (280, 100), (180, 300)], fill=0, width=24)
        noisy.save(large)
        assert large.stat().st_size > LARGE_FILE_BYTES
        wait_until_threads_end()
        answers = adder.predict_many([large] * 50, 1, batch_size=2, workers=3)
        next(answers)
        assert own_threads()
        answers.close()
        wait_until_threads_end()

    def test_small_images_start_no_thread(
        self, adder: EdgeAdder, seven: np.ndarray, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(threading.Thread, "start", None)
        images = [seven, EXAMPLES / "seven.png", (EXAMPLES / "seven.png").read_bytes()] * 50
        answers = adder.predict_many(images, 1, workers=4, batch_size=LARGE_BATCH - 1)
        assert {a.digit for a in answers} == {7}
        few = np.stack([seven] * (SLICE_SIZE - 1))
        assert {a.digit for a in adder.predict_many(few, 1, workers=4)} == {7}

    def test_whole_batches_run_on_threads_while_answers_are_taken(
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
        assert len(threads - {threading.current_thread()}) == 2
        threads.clear()
        assert list(adder.predict_many(images, numbers, workers=1)) == ahead
        assert threads == {threading.current_thread()}
        two = EdgeAdder(threads=2)
        assert len(list(two.predict_many(images, numbers, workers=2))) == 3000
        assert threads == {threading.current_thread()}

    @pytest.mark.parametrize("workers", [2, 8])
    def test_a_raised_error_leaves_no_thread(
        self, adder: EdgeAdder, seven: np.ndarray, workers: int
    ) -> None:
        images = np.stack([seven] * 8 * LARGE_BATCH)
        numbers = [1] * (len(images) - 1) + [10]
        raised = []
        for _ in range(5):
            answers = adder.predict_many(images, numbers, workers=workers, batch_size=LARGE_BATCH)
            try:
                list(answers)
            except InputError as error:
                raised.append(error)  # and with it all that its traceback refers to
        assert len(raised) == 5
        wait_until_threads_end()

    def test_what_a_run_raises_comes_after_the_answers_before_it(
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
        assert len(list(itertools.islice(answers, 3 * LARGE_BATCH))) == 3 * LARGE_BATCH
        with pytest.raises(RuntimeError, match="onnxruntime's"):
            next(answers)

    @pytest.mark.parametrize("workers", [1, 2, 5])
    def test_large_and_small_files_keep_their_order(
        self, adder: EdgeAdder, tmp_path: Path, workers: int
    ) -> None:
        images, digits = [], []
        for index, (name, digit) in enumerate([*SAMPLES.items()] * 4):
            path = tmp_path / f"{index}.bmp"  # uncompressed
            side = (28, 400)[index % 3 == 0]
            Image.fromarray(prepare_image(EXAMPLES / name)).resize((side, side)).save(path)
            images.append(path if index % 2 else path.read_bytes())
            digits.append(digit)
        answers = adder.predict_many(images, 0, batch_size=3, workers=workers)
        assert [a.digit for a in answers] == digits


class TestArrays:
    """An array uint8 (count, 28, 28) is cut into slices; all else goes image by image."""

    def test_both_ways_answer_the_same(self, adder: EdgeAdder, vectors: dict) -> None:
        images, numbers = vectors["image"][:, 0], vectors["number"]
        fast = list(adder.predict_many(images, numbers, batch_size=7))
        slow = list(adder.predict_many(iter(images), iter(numbers), batch_size=7))
        assert fast == slow
        assert len(fast) == 300

    def test_what_is_not_ready_is_prepared(self, adder: EdgeAdder, seven: np.ndarray) -> None:
        images = np.stack([seven, 255 - seven, np.roll(seven, 5, axis=0), seven])
        answers = list(adder.predict_many(images, 1))
        assert [a.sum for a in answers] == [8] * 4
        for image, answer in zip(images, answers, strict=True):
            assert adder.predict(image, 1).digit_probability == pytest.approx(
                answer.digit_probability, abs=1e-4
            )
        inverted = list(adder.predict_many(255 - images[:1], 1, ink="dark"))
        assert inverted[0].sum == 8

    def test_a_blank_among_them(self, adder: EdgeAdder, seven: np.ndarray) -> None:
        images = np.stack([seven, np.zeros_like(seven), seven])
        kinds = [type(a).__name__ for a in adder.predict_many(images, 1, on_error="return")]
        assert kinds == ["Prediction", "ImageError", "Prediction"]
        answers = adder.predict_many(images, 1)
        assert next(answers).sum == 8
        with pytest.raises(ImageError, match="no ink found"):
            next(answers)

    @pytest.mark.parametrize(("count", "more"), [(3, "images"), (6, "numbers"), (9, "numbers")])
    def test_too_few_of_either(
        self, adder: EdgeAdder, seven: np.ndarray, count: int, more: str
    ) -> None:
        answers = adder.predict_many(np.stack([seven] * 5), [1] * count, batch_size=2)
        assert [a.sum for a in itertools.islice(answers, min(count, 5))] == [8] * min(count, 5)
        with pytest.raises(InputError, match=f"got more {more} than"):
            next(answers)

    def test_a_wrong_number_is_refused_in_its_place(
        self, adder: EdgeAdder, seven: np.ndarray
    ) -> None:
        images = np.stack([seven] * 4)
        answers = list(adder.predict_many(images, [1, 10, True, np.int64(2)], on_error="return"))
        kinds = [type(a).__name__ for a in answers]
        assert kinds == ["Prediction", "InputError", "InputError", "Prediction"]
        with pytest.raises(InputError, match="got 12"):
            list(adder.predict_many(images, 12))

    def test_none_of_them(self, adder: EdgeAdder) -> None:
        assert list(adder.predict_many(np.zeros((0, 28, 28), np.uint8), 1)) == []
        assert list(adder.predict_many(np.zeros((0, 28, 28), np.uint8), [])) == []
        with pytest.raises(InputError, match="got more numbers"):
            list(adder.predict_many(np.zeros((0, 28, 28), np.uint8), [1]))

    def test_numbers_that_fail_do_so_after_the_answers(
        self, adder: EdgeAdder, seven: np.ndarray
    ) -> None:
        def numbers() -> Iterator[int]:
            yield from [1, 1, 1]
            raise KeyError("the caller's")

        answers = adder.predict_many(np.stack([seven] * 5), numbers(), batch_size=2)
        assert [a.sum for a in itertools.islice(answers, 3)] == [8] * 3
        with pytest.raises(KeyError, match="the caller's"):
            next(answers)

    def test_numbers_may_end_with_none(self, adder: EdgeAdder, seven: np.ndarray) -> None:
        with pytest.raises(InputError, match="got more numbers"):
            list(adder.predict_many(seven[None], [1, None]))


class TestSharing:
    def test_16_threads_get_the_serial_answers_bit_for_bit(
        self, adder: EdgeAdder, vectors: dict[str, np.ndarray]
    ) -> None:
        images, numbers = vectors["image"], vectors["number"]

        def ask(row: int) -> tuple[bytes, bytes]:
            digit, total = adder.run(images[row : row + 1], numbers[row : row + 1])
            return digit.tobytes(), total.tobytes()

        rows = [row % len(numbers) for row in range(3200)]
        serial = [ask(row) for row in rows]
        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(ask, rows)) == serial

    def test_it_is_immutable(self, adder: EdgeAdder) -> None:
        for change in (
            lambda: setattr(adder, "_session", None),
            lambda: setattr(adder, "provider", "cuda"),
            lambda: delattr(adder, "_session"),
            lambda: setattr(adder, "anything", 1),
        ):
            with pytest.raises((AttributeError, TypeError)):
                change()
        assert adder.predict(EXAMPLES / "seven.png", 1).digit == 7

    def test_what_it_hands_out_is_a_copy(self, adder: EdgeAdder) -> None:
        adder.contract["version"] = 9
        adder.provenance.clear()
        assert adder.contract == CONTRACT.to_dict()
        assert adder.provenance["network"] == "edge"


class TestLoading:
    def test_it_says_what_it_is(self, adder: EdgeAdder) -> None:
        facts = adder.describe()
        assert facts["model"] == adder.model == "default"
        assert facts["size_bytes"] == len(adder.model_bytes) == BUNDLED_MODEL.stat().st_size
        assert facts["provider"] == {
            "requested": adder.requested_provider,
            "active": adder.provider,
        }
        assert (adder.requested_provider, adder.provider) == ("cpu", "cpu")
        assert facts["threads"] == adder.threads == 1
        assert facts["contract"] == CONTRACT.to_dict()
        assert adder.batch is None
        assert repr(adder) == "EdgeAdder('default', provider='cpu', threads=1)"
        assert json.loads(json.dumps(facts)) == facts

    def test_a_path_and_bytes_load_the_same(
        self, adder: EdgeAdder, tmp_path: Path, seven: np.ndarray
    ) -> None:
        path = tmp_path / "model.onnx"
        path.write_bytes(adder.model_bytes)
        for other in (EdgeAdder(path), EdgeAdder(str(path)), EdgeAdder(adder.model_bytes)):
            assert other.model_sha256 == adder.model_sha256
            assert other.predict(seven, 5) == adder.predict(seven, 5)
        assert EdgeAdder(path).model == str(path)

    def test_one_thread_that_does_not_spin_is_the_default(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = []
        real = predictor.ort.InferenceSession

        def session(data: bytes, *, sess_options: object, **others: object) -> object:
            spinning = sess_options.get_session_config_entry("session.intra_op.allow_spinning")
            seen.append((sess_options.intra_op_num_threads, spinning))
            return real(data, sess_options=sess_options, **others)

        monkeypatch.setattr(predictor.ort, "InferenceSession", session)
        EdgeAdder()
        EdgeAdder(threads=2)
        EdgeAdder(threads=2, spinning=True)
        assert seen == [(1, "0"), (2, "0"), (2, "1")]

    def test_several_threads_give_the_same_answers(
        self, adder: EdgeAdder, vectors: dict[str, np.ndarray]
    ) -> None:
        two = EdgeAdder(threads=2)
        one, other = (a.run(vectors["image"], vectors["number"]) for a in (adder, two))
        assert np.abs(one.digit - other.digit).max() < 1e-4


class TestContractInTheFile:
    """Bytes of the same length are swapped, so that the file stays a valid one."""

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            (b'"dtype": "uint8"', b'"dtype": "int16"', "dtype: expected 'uint8', got 'int16'"),
            (b'"shape": ["batch", 19]', b'"shape": ["batch", 18]', "expected 19, got 18"),
            (b'{"version": 1', b'{"version": 2', "contract.version: expected 1, got 2"),
            (b"log-probability of each digit", b"the probability of each digit", "meaning"),
            (b"edge_adder.contract", b"edge_adder.kontrakt", "has no 'edge_adder.contract' in"),
            (b"edge_adder.prov", b"edge_adder.brow", "has no 'edge_adder.provenance' in"),
            (b"handwritten", b"handwr\xfftten", "metadata is not UTF-8"),
            (b'{"version": 1', b'{"version"; 1', "metadata is not JSON"),
        ],
    )
    def test_another_contract_is_refused(
        self, adder: EdgeAdder, old: bytes, new: bytes, message: str
    ) -> None:
        assert adder.model_bytes.count(old) >= 1
        with pytest.raises(ContractError, match=message.replace("(", r"\(")):
            EdgeAdder(adder.model_bytes.replace(old, new, 1))

    @pytest.mark.parametrize("provenance", [b"[]", b"5", b"null", b"[" * 3000])
    def test_a_provenance_that_is_no_object_is_refused(
        self, adder: EdgeAdder, provenance: bytes
    ) -> None:
        stated = adder.model_bytes.partition(b"edge_adder.provenance")[2]
        stated = stated[stated.index(b"{") :]
        stated = stated[: json.JSONDecoder().raw_decode(stated.decode("latin-1"))[1]]
        other = provenance[: len(stated)].ljust(len(stated))
        with pytest.raises(ContractError, match=r"no JSON object|is not JSON"):
            EdgeAdder(adder.model_bytes.replace(stated, other))

    def test_tensors_must_be_those_that_the_contract_names(self, adder: EdgeAdder) -> None:
        renamed = adder.model_bytes.replace(b"\x0a\x05digit", b"\x0a\x05dight")
        renamed = renamed.replace(b"\x12\x05digit", b"\x12\x05dight")
        assert renamed != adder.model_bytes
        with pytest.raises(EdgeAdderError) as caught:
            EdgeAdder(renamed)
        assert caught.value.exit_code == 3

    def test_errors_are_values_that_a_caller_can_tell_apart(self, adder: EdgeAdder) -> None:
        answers = list(adder.predict_many([EXAMPLES / "seven.png", b""], 1, on_error="return"))
        assert isinstance(answers[0], Prediction)
        assert isinstance(answers[1], EdgeAdderError)
