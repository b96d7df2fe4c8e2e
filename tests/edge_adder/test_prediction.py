"""`Prediction`: an immutable value, as an object and as JSON."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_adder import EdgeAdder, ModelError, Prediction
from edge_adder.evaluation.datasets import LabelledPictures
from edge_adder.evaluation.evaluate import evaluate
from edge_adder.limits import MIN_CONFIDENCE
from edge_adder.prediction import make_prediction, make_predictions
from edge_adder.preprocessing.prepare import UNCHANGED


@pytest.fixture
def prediction(adder: EdgeAdder, seven: np.ndarray) -> Prediction:
    return adder.predict(seven, 5)


def outputs(probability: float) -> np.ndarray:
    """Outputs for an image whose digit is 3 with a probability, and its sum 5."""
    found = np.full(29, -50, np.float32)
    found[3], found[10 + 5] = np.log(probability), -1e-3
    return found


@pytest.mark.parametrize("name", ["digit", "preparation", "probability", "anything"])
def test_it_is_immutable(prediction: Prediction, name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(prediction, name, 1)


def test_it_is_compared_and_hashed_by_value(
    adder: EdgeAdder, seven: np.ndarray, prediction: Prediction
) -> None:
    same, other = adder.predict(seven, 5), adder.predict(seven, 6)
    assert prediction == same
    assert prediction != other
    assert prediction != "7 + 5 = 12"
    assert len({prediction, same, other}) == 2
    assert pickle.loads(pickle.dumps(prediction)) == prediction  # noqa: S301
    assert "digit=7, sum=12" in repr(prediction)


def test_it_keeps_nothing_of_its_batch(adder: EdgeAdder, vectors: dict) -> None:
    first = next(adder.predict_many(vectors["image"][:, 0], vectors["number"]))
    assert isinstance(first._outputs, bytes)
    assert sys.getsizeof(first._outputs) < 200
    assert first.digit_log_probabilities == pytest.approx(vectors["digit"][0], abs=1e-4)
    assert first.sum_log_probabilities == pytest.approx(vectors["sum"][0], abs=1e-4)


def test_its_dict_is_json(prediction: Prediction) -> None:
    found = prediction.to_dict()
    assert json.loads(json.dumps(found)) == found == dict(prediction)
    names = "number digit sum digit_probability sum_probability uncertain provider preparation"
    assert " ".join(found) == names
    assert [found[name] for name in ("number", "digit", "sum", "uncertain")] == [5, 7, 12, False]
    assert found["provider"] == {"requested": "cpu", "active": "cpu"}
    assert prediction.preparation == UNCHANGED


def test_its_dict_has_both_distributions_on_request(prediction: Prediction) -> None:
    found = prediction.to_dict(distributions=True)
    assert {**found, **prediction.to_dict()} == found
    digits, sums = found["digit_probabilities"], found["sum_probabilities"]
    assert (len(digits), len(sums)) == (10, 19)
    assert sum(digits) == pytest.approx(1, abs=1e-5)
    assert digits[7] == prediction.digit_probability
    assert sums[12] == prediction.sum_probability
    assert json.loads(json.dumps(found)) == found


def test_top_lists_are_ordered_and_start_with_the_answer(prediction: Prediction) -> None:
    digits, sums = prediction.top_digits(3), prediction.top_sums(19)
    assert digits[0] == (7, prediction.digit_probability)
    assert sums[0] == (12, prediction.sum_probability)
    assert len(digits) == 3
    assert sorted(total for total, _ in sums) == list(range(19))
    assert sums == sorted(sums, key=lambda pair: -pair[1])


@pytest.mark.parametrize(
    ("probability", "uncertain"), [(MIN_CONFIDENCE + 0.01, False), (MIN_CONFIDENCE - 0.01, True)]
)
def test_it_is_uncertain_below_a_probability(probability: float, uncertain: bool) -> None:
    prediction = make_prediction(2, outputs(probability), "cpu", "auto")
    assert prediction.probability == pytest.approx(probability, abs=1e-5)
    assert prediction.uncertain is uncertain


def test_a_batch_gives_the_same_as_each_row(adder: EdgeAdder, vectors: dict) -> None:
    whole, numbers = adder.run(vectors["image"], vectors["number"]), vectors["number"].tolist()
    many = make_predictions(numbers, whole, "cpu", "auto", [UNCHANGED] * len(numbers))
    for row, (number, found) in enumerate(zip(numbers, many, strict=True)):
        one = np.concatenate([output[row] for output in whole])
        alone = make_prediction(number, one, "cpu", "auto")
        assert found.digit_probability == pytest.approx(alone.digit_probability, rel=1e-12)
        assert (found.digit, found.sum, found.number) == (alone.digit, alone.sum, number)
        assert found._outputs == alone._outputs


NOT_LOG_PROBABILITIES = [float("nan"), float("inf"), -float("inf"), 0.7]


class TestBrokenModels:
    @pytest.fixture
    def broken(self, request: pytest.FixtureRequest) -> EdgeAdder:
        """A model that answers `request.param` to everything but a blank image."""
        adder = EdgeAdder()
        run = adder._session.run

        def answer(names: list[str], feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
            digit, total = run(names, feeds)
            shown = feeds["image"].any(axis=(1, 2, 3))
            digit[shown] = total[shown] = request.param
            return [digit, total]

        adder._session.run = answer
        adder._session.run_one = adder._session._run_one_unbound
        return adder

    @pytest.mark.parametrize("broken", NOT_LOG_PROBABILITIES, indirect=True)
    def test_no_answer_is_made_of_its_outputs(self, broken: EdgeAdder, seven: np.ndarray) -> None:
        ask = (
            lambda: broken.predict(seven, 5),
            lambda: list(broken.predict_many(np.stack([seven, seven]), 5)),
            lambda: list(broken.predict_many([seven], 5, on_error="return")),
            lambda: evaluate(broken, LabelledPictures(Path(), ["7"], [seven], np.array([7]))),
        )
        for each in ask:
            with pytest.raises(ModelError, match=r"the model answered .*, expected log-prob"):
                each()

    @pytest.mark.parametrize("broken", [float("nan")], indirect=True)
    def test_raw_outputs_are_not_checked(self, broken: EdgeAdder, seven: np.ndarray) -> None:
        digit, _ = broken.run(seven[None, None], np.array([5]))
        assert np.isnan(digit).all()

    def test_rounding_is_not_an_error(self) -> None:
        assert make_prediction(2, outputs(1 + 1e-6), "cpu", "cpu").digit_probability == 1
