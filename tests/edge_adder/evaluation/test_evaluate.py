"""Evaluation: every figure against one that is counted here, pair by pair."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_adder import EdgeAdder, Outputs
from edge_adder.evaluation.datasets import LabelledPictures
from edge_adder.evaluation.evaluate import evaluate
from edge_adder.evaluation.metrics import Evaluation
from edge_adder.evaluation.report import percent, report

from .idx import write_pair

EXAMPLES = Path(__file__).parents[3] / "examples"
DRAWINGS = {"confusion.png", "wrong.png"}
NEVER = 99


class FakeAdder:
    """Answers from two pixels in the middle of an image: its digit, and what it adds wrongly.

    The sum is digit + number, one too many if the number is the second pixel. The digit's
    probability is 0.9, the sum's 0.6.
    """

    model, model_sha256, provenance = "fake", "0" * 64, {}
    provider = requested_provider = "cpu"

    def __init__(self, batch: int | None = None) -> None:
        self.batch = batch
        self.sizes: list[int] = []

    def run(self, images: np.ndarray, numbers: np.ndarray) -> Outputs:
        assert images.dtype == np.uint8
        assert images.shape == (len(numbers), 1, 28, 28)
        self.sizes.append(len(numbers))
        rows = np.arange(len(numbers))
        digits, bad = images[:, 0, 14, 14], images[:, 0, 14, 15]
        digit = np.full((len(rows), 10), np.log(0.1 / 9), np.float32)
        digit[rows, digits] = np.log(0.9)
        total = np.full((len(rows), 19), np.log(0.4 / 18), np.float32)
        total[rows, digits + numbers + (bad == numbers)] = np.log(0.6)
        return Outputs(digit, total)


def labelled(images: dict[str, object], labels: list[int]) -> LabelledPictures:
    return LabelledPictures(Path("fake"), list(images), list(images.values()), np.array(labels))


def pictures(*images: tuple[int, int, int]) -> LabelledPictures:
    """Images that `FakeAdder` reads, from (label, digit to answer, number to add wrongly).

    They are frames in MNIST's format, so that preparation leaves them as they are.
    """
    arrays = {}
    for index, (_, digit, bad) in enumerate(images):
        array = np.zeros((28, 28), np.uint8)
        array[4:24, 4:24] = 255
        array[6:22, 6:22] = 0
        array[14, 14:16] = digit, bad
        arrays[f"image {index}"] = array
    return labelled(arrays, [label for label, _, _ in images])


class TestFigures:
    @pytest.fixture
    def found(self) -> Evaluation:
        """All three images with ten numbers: 10 wrong digits, with their sums, and one more sum."""
        return evaluate(FakeAdder(), pictures((5, 5, 2), (3, 3, NEVER), (4, 9, 7)))

    def test_accuracies_and_agreement(self, found: Evaluation) -> None:
        assert (found.images, found.pairs) == (3, 30)
        accuracies = (found.digit, found.sum, found.agreement)
        assert accuracies == pytest.approx((20 / 30, 19 / 30, 28 / 30))

    def test_by_digit_number_and_sum(self, found: Evaluation) -> None:
        by_digit = {r.value: (r.pairs, r.digit, r.sum) for r in found.by_digit if r.pairs}
        assert by_digit == {3: (10, 1, 1), 4: (10, 0, 0), 5: (10, 1, 0.9)}
        assert [r.value for r in found.by_digit] == list(range(10))
        assert found.by_digit[0].digit is None
        assert found.by_number[2].sum == pytest.approx(1 / 3)
        assert [r.sum for r in found.by_number if r.value != 2] == pytest.approx([2 / 3] * 9)
        assert [r.digit for r in found.by_number] == pytest.approx([2 / 3] * 10)
        by_sum = {r.value: (r.pairs, r.sum) for r in found.by_sum}
        assert by_sum[3] == (1, 1)  # 3 + 0
        assert by_sum[7] == (3, pytest.approx(1 / 3))  # 3 + 4 correct; 4 + 3 and 5 + 2 wrong
        assert by_sum[14] == (1, 1)  # 5 + 9
        assert by_sum[18] == (0, None)
        assert found.confusion[5][5] == found.confusion[3][3] == found.confusion[4][9] == 10
        assert np.sum(found.confusion) == 30

    def test_wrong_images_the_most_confident_first(self, found: Evaluation) -> None:
        first, second = found.wrong
        assert (first.name, first.label, first.example) == ("image 2", 4, "4 as 9")
        assert (second.name, second.label, second.example) == ("image 0", 5, "5 + 2 = 8")
        assert (first.wrong_digits, first.wrong_sums) == (list(range(10)), list(range(10)))
        assert (second.wrong_digits, second.wrong_sums) == ([], [2])
        assert [first.probability, second.probability] == pytest.approx([0.9, 0.6])

    def test_calibration_and_coverage(self, found: Evaluation) -> None:
        assert found.digit_calibration_error == pytest.approx(0.9 - 20 / 30)
        assert found.sum_calibration_error == pytest.approx(19 / 30 - 0.6, abs=1e-6)
        by_minimum = {each.min_probability: each for each in found.coverage}
        assert (by_minimum[0.5].answered, by_minimum[0.5].correct) == (1, 19 / 30)
        assert (by_minimum[0.75].answered, by_minimum[0.75].correct) == (0, None)  # the sum has 0.6

    def test_they_are_reported_in_percent(self, found: Evaluation) -> None:
        text = re.sub(" +", " ", report(found))
        for line in (
            " on fake: 3 pictures x 10 numbers\n",
            "\n2 pictures were answered wrongly for at least one number",
            "\ndigit 66.67 % calibration error 23.33 %\n",
            "--min-probability 0 0.5 0.6 0.75 ",
            "of these correct 63.33 % 63.33 % - - ",
            "\n 4 0.00 % 0.00 % 66.67 % 66.67 % 50.00 % 50.00 % 2\n",
        ):
            assert line in text


def test_percentages() -> None:
    shown = [percent(0.99567), percent(0.5, 0), percent(1, 1), percent(None)]
    assert shown == ["99.57 %", "50 %", "100.0 %", ""]


@pytest.mark.parametrize(("batch", "sizes"), [(None, {64, 6}), (4, {4})])
def test_batches(batch: int | None, sizes: set[int]) -> None:
    adder, done = FakeAdder(batch), []
    many = pictures(*[(n % 10, n % 10, NEVER) for n in range(70)])
    found = evaluate(adder, many, progress=done.append)
    assert found.digit == found.sum == 1
    assert set(adder.sizes) == sizes
    assert sum(done) == 70
    assert len(done) > 2


def test_what_cannot_be_read_counts_as_wrong(tmp_path: Path) -> None:
    blank = np.full((40, 40), 255, np.uint8)
    good = pictures((3, 3, NEVER))
    found = evaluate(FakeAdder(), labelled({"blank": blank, "good": good.images[0]}, [8, 3]))
    assert (found.digit, found.sum, found.agreement) == (0.5, 0.5, 1.0)
    assert found.unreadable == [{"image": "blank", "error": "no ink found"}]
    assert found.by_digit[8].digit == 0
    assert np.sum(found.confusion) == 10
    assert found.coverage[0].answered == 0.5
    assert found.wrong == []
    assert "\n1 picture could not be read; it counts as wrong" in report(found)
    found = evaluate(FakeAdder(), labelled({"blank": blank}, [8]), out=tmp_path / "out")
    assert (found.digit, found.sum, found.agreement, found.wrong) == (0, 0, 0, [])
    assert report(found)


def test_the_contact_sheet_shows_the_wrong_images(tmp_path: Path) -> None:
    some, out = pictures((4, 4, NEVER), (4, 9, NEVER)), tmp_path / "new" / "folder"
    evaluate(FakeAdder(), some, out=out)
    assert {path.name for path in out.iterdir()} == DRAWINGS
    sheet = np.asarray(Image.open(io.BytesIO((out / "wrong.png").read_bytes())).convert("L"))
    tile = sheet[48 : 48 + 84, 24 : 24 + 84]  # the image, three times as large
    assert np.array_equal(tile, some.images[1].repeat(3, axis=0).repeat(3, axis=1))


def test_images_are_prepared_as_predict_prepares_them(adder: EdgeAdder, seven: np.ndarray) -> None:
    inverted = 255 - np.roll(seven, 3, axis=1)
    assert adder.predict(inverted, 0).digit == 7
    images = {"array": inverted, "path": EXAMPLES / "five.jpg"}
    assert evaluate(adder, labelled(images, [7, 5])).digit == 1


def test_the_bundled_model_reads_its_own_vectors(adder: EdgeAdder, vectors: dict) -> None:
    images = {str(index): image for index, image in enumerate(vectors["image"][:, 0])}
    found = evaluate(adder, labelled(images, vectors["digit"].argmax(1)))
    assert found.digit == found.sum == found.agreement == 1
    assert found.model_sha256 == adder.model_sha256


@pytest.mark.mnist
def test_the_bundled_model_is_as_good_as_it_says(edge_adder: Callable, adder: EdgeAdder) -> None:
    done = edge_adder("evaluate", "--json")
    assert done.returncode == 0
    found = json.loads(done.stdout)
    stated = adder.provenance["metrics"]["test"]
    assert found["pairs"] == stated["pairs"]
    for name in ("digit", "sum"):
        assert found[name] == pytest.approx(stated[name], abs=1e-4)


class TestCommandLine:
    @pytest.fixture
    def folder(self, tmp_path: Path, vectors: dict) -> Path:
        """IDX files of 20 drawn digits, of which the first has a wrong label."""
        labels = vectors["digit"][:20].argmax(1)
        labels[0] = (labels[0] + 1) % 10
        write_pair(tmp_path / "data", vectors["image"][:20, 0], labels)
        return tmp_path / "data"

    def test_text(self, edge_adder: Callable, folder: Path, tmp_path: Path) -> None:
        done = edge_adder("evaluate", "--data-dir", folder)
        assert done.returncode == 0
        source = folder / "t10k-images-idx3-ubyte"
        assert done.stdout.startswith(f"default (edge) on {source}: 20 pictures x 10 numbers\n")
        assert "digit   95.00 %   calibration error " in done.stdout
        assert "\n1 picture was answered wrongly for at least one number\n" in done.stdout
        written = [line.removeprefix("edge-adder: written: ") for line in done.stderr.splitlines()]
        assert written == [f"evaluation/{name}" for name in sorted(DRAWINGS)]
        assert {path.name for path in (tmp_path / "evaluation").iterdir()} == DRAWINGS

    def test_json(self, edge_adder: Callable, folder: Path, tmp_path: Path) -> None:
        done = edge_adder("evaluate", "--data-dir", folder, "--json", "--out", "here")
        found = json.loads(done.stdout)
        assert found["digit"] == found["sum"] == 0.95
        assert found["wrong"][0]["name"] == "t10k-images-idx3-ubyte[0]"
        assert set(found) == set(Evaluation.__dataclass_fields__)
        assert (tmp_path / "here" / "wrong.png").is_file()

    def test_an_unreadable_picture_exits_with_6(self, edge_adder: Callable, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "7.png").write_bytes((EXAMPLES / "seven.png").read_bytes())
        for name in ("3.png", "other.png"):
            (tmp_path / "mine" / name).write_bytes(b"nonsense")
        done = edge_adder("evaluate", "--data-dir", "mine")
        assert done.returncode == 6
        assert "digit   50.00 %" in done.stdout
        assert "\n1 picture has no label and was skipped\n" in done.stdout
        assert done.stderr.startswith("edge-adder: error: 3.png: not an image in")

    @pytest.mark.parametrize(
        ("options", "code", "message"),
        [
            (["--data-dir", "none"], 2, "no folder none: expected MNIST's IDX files"),
            (["--data-dir", "data", "--model", "none.onnx"], 3, "none.onnx: no such file"),
            (["--model", "a.onnx", "--network", "edge"], 2, "expected --model or --network, got b"),
            (["--data-dir", "data", "--out", "data/t10k-images-idx3-ubyte"], 5, "cannot make fol"),
        ],
    )
    def test_errors_are_one_line(
        self, edge_adder: Callable, folder: Path, options: list[str], code: int, message: str
    ) -> None:
        done = edge_adder("evaluate", *options)
        assert (done.returncode, done.stdout) == (code, "")
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"edge-adder: error: {message}")
        assert not (folder.parent / "evaluation").exists()


def test_accuracy_by_the_columns_of_the_table() -> None:
    three = pictures((5, 5, 2), (3, 3, NEVER), (4, 9, 7))
    grouped = replace(three, groups={"writer": ["b", "a", "b"], "source": ["", "", "pen"]})
    found = evaluate(FakeAdder(), grouped)
    rows = {
        key: [(r.value, r.images, r.digit, r.sum) for r in found.by_group[key]]
        for key in grouped.groups
    }
    assert rows == {
        "writer": [("a", 1, 1, 1), ("b", 2, 0.5, 9 / 20)],
        "source": [("", 2, 1, 19 / 20), ("pen", 1, 0, 0)],
    }
    assert re.search(r"^writer +digit +sum +pictures$", report(found), re.MULTILINE)
    assert re.search(r"^b +50.00 % +45.00 % +2$", report(found), re.MULTILINE)
    assert evaluate(FakeAdder(), three).by_group == {}
