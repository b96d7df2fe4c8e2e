"""`EdgeAdder`: the raw contract, single answers, sharing, what it says of itself."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from edge_adder import EdgeAdder, InputError
from edge_adder.contract import CONTRACT, IMPOSSIBLE_LOG_PROBABILITY
from edge_adder.predictor import BUNDLED_MODEL

EXAMPLES = Path(__file__).parents[2] / "examples"
SAMPLES = {"seven.png": 7, "three.png": 3, "four.png": 4, "five.jpg": 5}
ONE, TWO = (np.zeros((count, 1, 28, 28), np.uint8) for count in (1, 2))


class TestRun:
    def test_outputs_are_named_float32_log_probabilities(
        self, adder: EdgeAdder, vectors: dict
    ) -> None:
        outputs = adder.run(vectors["image"], vectors["number"])
        assert outputs._fields == ("digit", "sum")
        assert [output.shape for output in outputs] == [(300, 10), (300, 19)]
        for output in outputs:
            assert output.dtype == np.float32
            assert np.isfinite(output).all()
            assert np.exp(output.astype(np.float64)).sum(1) == pytest.approx(1, abs=1e-5)
        for digit, total, number in zip(*outputs, vectors["number"], strict=True):
            moved = np.full(19, IMPOSSIBLE_LOG_PROBABILITY, np.float32)
            moved[number : number + 10] = digit
            assert np.array_equal(total, moved)

    def test_no_image_gives_no_answer(self, adder: EdgeAdder) -> None:
        outputs = adder.run(np.empty((0, 1, 28, 28), np.uint8), np.empty(0, np.int64))
        assert (outputs.digit.shape, outputs.sum.shape) == ((0, 10), (0, 19))

    @pytest.mark.parametrize(
        ("images", "numbers", "message"),
        [
            (ONE.astype(np.float32), np.array([0]), "images must be uint8"),
            (ONE[0], np.array([0]), r"\(batch, 1, 28, 28\), got"),
            (ONE[:, :, :, 1:], np.array([0]), r"got uint8 \(1, 1, 28"),
            (ONE, np.zeros(1, np.int32), "numbers must be int64"),
            (ONE, np.array([[0]]), r"int64 \(batch\)"),
            (ONE, np.array([0, 0]), "got 2 for 1"),
            (ONE, np.array([10]), "from 0 to 9, got 10"),
            (ONE, np.array([-1]), "from 0 to 9, got -1"),
            (TWO, np.array([3, 12]), "from 0 to 9, got 12"),
            (TWO, np.array([3, -4]), "from 0 to 9, got -4"),
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

    def test_any_integer_type_is_a_number(self, adder: EdgeAdder, seven: np.ndarray) -> None:
        for kind in (int, np.int64, np.uint8):
            prediction = adder.predict(seven, kind(7))
            assert (prediction.sum, type(prediction.number)) == (14, int)

    def test_anything_else_is_none(self, adder: EdgeAdder, seven: np.ndarray) -> None:
        for number in (-1, 10, 3.0, "3", None, True, np.bool_(1), [3], 10**30, float("nan")):
            with pytest.raises(InputError, match="number must be an integer from 0 to 9, got "):
                adder.predict(seven, number)


class TestSharing:
    def test_16_threads_get_the_serial_answers_bit_for_bit(
        self, adder: EdgeAdder, vectors: dict
    ) -> None:
        def ask(row: int) -> list[bytes]:
            inputs = (vectors[name][row : row + 1] for name in ("image", "number"))
            return [output.tobytes() for output in adder.run(*inputs)]

        rows = [row % 300 for row in range(3200)]
        serial = [ask(row) for row in rows]
        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(ask, rows)) == serial

    def test_it_is_immutable(self, adder: EdgeAdder) -> None:
        for name in ("provider", "anything"):
            with pytest.raises(AttributeError):
                setattr(adder, name, "cuda")
        with pytest.raises(AttributeError):
            del adder.threads

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
        assert facts["provider"] == {"requested": "cpu", "active": "cpu"}
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

    def test_several_threads_give_the_same_answers(self, adder: EdgeAdder, vectors: dict) -> None:
        two = EdgeAdder(threads=2)
        one, other = (a.run(vectors["image"], vectors["number"]) for a in (adder, two))
        assert np.abs(one.digit - other.digit).max() < 1e-4
