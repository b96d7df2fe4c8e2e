"""`EdgeAdder`: the raw contract, single answers, sharing, what it says of itself."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edge_adder import EdgeAdder, InputError
from edge_adder.checks import check_number
from edge_adder.contract import CONTRACT, IMPOSSIBLE_LOG_PROBABILITY
from edge_adder.predictor import BUNDLED_MODEL

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLES = {"seven.png": 7, "three.png": 3, "four.png": 4, "five.jpg": 5}


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
            lambda: setattr(adder, "provider", "cuda"),
            lambda: delattr(adder, "threads"),
            lambda: setattr(adder, "anything", 1),
        ):
            with pytest.raises(AttributeError):
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

    def test_several_threads_give_the_same_answers(
        self, adder: EdgeAdder, vectors: dict[str, np.ndarray]
    ) -> None:
        two = EdgeAdder(threads=2)
        one, other = (a.run(vectors["image"], vectors["number"]) for a in (adder, two))
        assert np.abs(one.digit - other.digit).max() < 1e-4
