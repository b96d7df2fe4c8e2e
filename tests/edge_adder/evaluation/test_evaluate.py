"""Evaluation: every figure against one that is counted here, pair by pair."""

from __future__ import annotations

import io
import json
import re
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_adder import EdgeAdder, Outputs
from edge_adder.evaluation import evaluate as evaluation
from edge_adder.evaluation.datasets import LabelledPictures
from edge_adder.evaluation.evaluate import calibration_error, coverage, evaluate, report

Run = Callable[..., "subprocess.CompletedProcess[str]"]
ROOT = Path(__file__).parents[3]


class FakeAdder:
    """Answers from two pixels in the middle of an image: its digit, and what it adds wrongly.

    The sum is digit + number, one too many where the number is the second pixel. The digit's
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


def pictures(*images: tuple[int, int, int]) -> LabelledPictures:
    """Images that `FakeAdder` reads, from (label, digit to answer, number to add wrongly).

    They are frames in MNIST's form, so that they come to it as they are.
    """
    arrays = []
    for _, digit, bad in images:
        array = np.zeros((28, 28), np.uint8)
        array[4:24, 4:24] = 255
        array[6:22, 6:22] = 0
        array[14, 14:16] = digit, bad
        arrays.append(array)
    names = [f"image {index}" for index in range(len(images))]
    return LabelledPictures(Path("fake"), names, arrays, np.array([i[0] for i in images]))


NEVER = 99


class TestFigures:
    def test_accuracies_and_agreement(self) -> None:
        found = evaluate(FakeAdder(), pictures((3, 3, NEVER), (4, 9, NEVER), (5, 5, 2)))
        assert (found.images, found.pairs) == (3, 30)
        assert found.digit == pytest.approx(20 / 30)
        assert found.sum == pytest.approx(19 / 30)
        assert found.agreement == pytest.approx(29 / 30)

    def test_by_digit_number_and_sum(self) -> None:
        found = evaluate(FakeAdder(), pictures((3, 3, NEVER), (4, 9, NEVER), (5, 5, 2)))
        by_digit = {r.value: (r.pairs, r.digit, r.sum) for r in found.by_digit if r.pairs}
        assert by_digit == {3: (10, 1, 1), 4: (10, 0, 0), 5: (10, 1, 0.9)}
        assert [r.value for r in found.by_digit] == list(range(10))
        assert found.by_digit[0].digit is None
        assert found.by_number[2].sum == pytest.approx(1 / 3)
        assert [r.sum for r in found.by_number if r.value != 2] == pytest.approx([2 / 3] * 9)
        assert [r.digit for r in found.by_number] == pytest.approx([2 / 3] * 10)
        by_sum = {r.value: (r.pairs, r.sum) for r in found.by_sum}
        assert by_sum[3] == (1, 1)  # 3 + 0
        assert by_sum[7] == (3, pytest.approx(1 / 3))  # 3 + 4 right; 4 + 3 and 5 + 2 wrong
        assert by_sum[14] == (1, 1)  # 5 + 9
        assert by_sum[18] == (0, None)

    def test_confusion(self) -> None:
        found = evaluate(FakeAdder(), pictures((4, 9, NEVER), (4, 4, NEVER), (0, 0, NEVER)))
        assert found.confusion[4][9] == found.confusion[4][4] == found.confusion[0][0] == 10
        assert np.sum(found.confusion) == 30

    def test_wrong_images_the_most_confident_first(self) -> None:
        found = evaluate(FakeAdder(), pictures((5, 5, 2), (3, 3, NEVER), (4, 9, 7)))
        assert [(w.name, w.example, w.label) for w in found.wrong] == [
            ("image 2", "4 as 9", 4),
            ("image 0", "5 + 2 = 8", 5),
        ]
        assert [w.probability for w in found.wrong] == pytest.approx([0.9, 0.6])
        assert found.wrong[0].wrong_digits == list(range(10))
        assert found.wrong[1].wrong_digits == []
        assert found.wrong[1].wrong_sums == [2]

    def test_calibration(self) -> None:
        found = evaluate(FakeAdder(), pictures((3, 3, NEVER), (4, 9, NEVER)))
        assert found.digit_calibration_error == pytest.approx(0.4)  # 0.9 sure, half right
        assert found.sum_calibration_error == pytest.approx(0.1)  # 0.6 sure, half right

    @pytest.mark.parametrize("batch", [None, 4])
    def test_batches(self, batch: int | None) -> None:
        adder = FakeAdder(batch)
        many = pictures(*[(n % 10, n % 10, NEVER) for n in range(70)])
        assert evaluate(adder, many).digit == evaluate(adder, many).sum == 1
        assert set(adder.sizes) == ({64, 6} if batch is None else {4})

    def test_progress_counts_every_image(self) -> None:
        seen: list[int] = []
        evaluate(FakeAdder(), pictures(*[(1, 1, NEVER)] * 130), progress=seen.append)
        assert sum(seen) == 130
        assert len(seen) > 2


class TestCoverage:
    def test_what_is_left_and_how_good_it_is(self) -> None:
        probabilities = np.array([[0.3, 0.75], [0.9, 0.999]])
        right = np.array([[False, True], [False, True]])
        found = {each.min_probability: each for each in coverage(probabilities, right, pairs=8)}
        assert (found[0.0].answered, found[0.0].right) == (0.5, 0.5)
        assert (found[0.5].answered, found[0.5].right) == (3 / 8, 2 / 3)
        assert (found[0.9].answered, found[0.9].right) == (2 / 8, 0.5)  # a probability itself stays
        assert (found[0.999].answered, found[0.999].right) == (1 / 8, 1)

    def test_no_answers(self) -> None:
        (first, *_) = coverage(np.zeros((0, 10)), np.zeros((0, 10), bool), pairs=0)
        assert (first.answered, first.right) == (0, None)

    def test_it_is_of_digit_and_sum_together(self) -> None:
        found = evaluate(FakeAdder(), pictures((3, 3, NEVER), (5, 5, 2)))
        by_least = {each.min_probability: each for each in found.coverage}
        assert (by_least[0.5].answered, by_least[0.5].right) == (1, 19 / 20)
        assert (by_least[0.7].answered, by_least[0.7].right) == (0, None)  # 0.6 sure of the sum
        text = report(found)
        assert re.search(r"--min-probability +0 +0.5 +0.6 +0.7", text)
        assert re.search(r"of them right +95.00% +95.00% +- +- ", text)


class TestCalibrationError:
    def test_a_model_that_is_as_sure_as_it_is_right(self) -> None:
        right = np.array([True] * 9 + [False])
        assert calibration_error(np.full(10, 0.9), right) == pytest.approx(0)

    def test_over_and_under_confidence_do_not_cancel_across_bins(self) -> None:
        probabilities = np.array([1.0, 1.0, 0.5, 0.5])
        right = np.array([True, False, True, True])
        assert calibration_error(probabilities, right) == pytest.approx(0.5)

    def test_within_a_bin_they_do(self) -> None:
        probabilities = np.array([0.94, 0.94, 0.96, 0.96])  # both in the last of 15 bins
        right = np.array([True, True, True, False])
        assert calibration_error(probabilities, right) == pytest.approx(0.2)

    def test_no_answers(self) -> None:
        assert calibration_error(np.zeros((0, 10)), np.zeros((0, 10), bool)) == 0


class TestFiles:
    def test_what_cannot_be_read_counts_as_wrong(self, tmp_path: Path) -> None:
        Image.new("L", (40, 40), 255).save(tmp_path / "blank.png")
        good = pictures((3, 3, NEVER))
        both = LabelledPictures(
            Path("x"),
            ["blank", *good.names],
            [tmp_path / "blank.png", *good.images],
            np.array([8, 3]),
        )
        found = evaluate(FakeAdder(), both)
        assert (found.digit, found.sum, found.agreement) == (0.5, 0.5, 1.0)
        assert [u["image"] for u in found.unreadable] == ["blank"]
        assert found.unreadable[0]["error"] == "no ink found"
        assert found.by_digit[8].digit == 0
        assert np.sum(found.confusion) == 10
        assert "1 images could not be read; they count as wrong" in report(found)

    def test_nothing_can_be_read(self, tmp_path: Path) -> None:
        Image.new("L", (40, 40), 255).save(tmp_path / "blank.png")
        only = LabelledPictures(Path("x"), ["blank"], [tmp_path / "blank.png"], np.array([8]))
        found = evaluate(FakeAdder(), only, out=tmp_path / "out")
        assert (found.digit, found.sum, found.agreement, found.wrong) == (0, 0, 0, [])
        assert report(found)

    def test_the_pictures(self, tmp_path: Path) -> None:
        some = pictures((4, 9, NEVER), (4, 4, NEVER))
        evaluate(FakeAdder(), some, out=tmp_path / "new" / "folder")
        assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == [
            "confusion.png",
            "wrong.png",
        ]

    def test_an_array_is_prepared_as_predict_does(
        self, adder: EdgeAdder, seven: np.ndarray
    ) -> None:
        turned = 255 - np.roll(seven, 3, axis=1)
        found = evaluate(adder, LabelledPictures(Path("x"), ["turned"], [turned], np.array([7])))
        assert adder.predict(turned, 0).digit == 7
        assert found.digit == 1

    def test_a_path_goes_through_the_preparation(self, adder: EdgeAdder) -> None:
        sample = LabelledPictures(
            Path("x"), ["five"], [ROOT / "examples" / "five.jpg"], np.array([5])
        )
        assert evaluate(adder, sample).digit == 1


class TestTheBundledModel:
    def test_it_reads_its_own_vectors(
        self, adder: EdgeAdder, vectors: dict[str, np.ndarray]
    ) -> None:
        answered = vectors["digit"].argmax(1)
        stored = LabelledPictures(
            Path("vectors"), [str(i) for i in range(300)], list(vectors["image"][:, 0]), answered
        )
        found = evaluate(adder, stored)
        assert found.digit == found.sum == found.agreement == 1
        assert found.model_sha256 == adder.model_sha256

    @pytest.mark.mnist
    def test_it_is_as_good_as_it_says(self, edge_adder: Run, adder: EdgeAdder) -> None:
        done = edge_adder("evaluate", "--json")
        assert done.returncode == 0
        found = json.loads(done.stdout)
        stated = adder.provenance["metrics"]["test"]
        assert found["pairs"] == stated["pairs"]
        assert found["digit"] == pytest.approx(stated["digit"], abs=1e-4)
        assert found["sum"] == pytest.approx(stated["sum"], abs=1e-4)


class TestCommandLine:
    @pytest.fixture
    def folder(self, tmp_path: Path, vectors: dict[str, np.ndarray]) -> Path:
        """IDX files of 20 drawn digits, of which the first has a wrong label."""
        images, labels = vectors["image"][:20], vectors["digit"][:20].argmax(1)
        labels[0] = (labels[0] + 1) % 10
        place = tmp_path / "data"
        place.mkdir()
        header = struct.pack(">4I", 0x0803, 20, 28, 28)
        (place / "t10k-images-idx3-ubyte").write_bytes(header + images.tobytes())
        header = struct.pack(">2I", 0x0801, 20)
        (place / "t10k-labels-idx1-ubyte").write_bytes(header + labels.astype(np.uint8).tobytes())
        return place

    def test_text(self, edge_adder: Run, folder: Path, tmp_path: Path) -> None:
        done = edge_adder("evaluate", "--data-dir", folder)
        assert done.returncode == 0
        assert done.stdout.startswith(
            f"default (edge) on {folder / 't10k-images-idx3-ubyte'}: 20 images"
        )
        assert "digit    95.00%   calibration error " in done.stdout
        assert "1 images were answered wrongly for at least one number" in done.stdout
        assert done.stderr.splitlines() == [
            "edge-adder: written: evaluation/confusion.png",
            "edge-adder: written: evaluation/wrong.png",
        ]
        assert {p.name for p in (tmp_path / "evaluation").iterdir()} == {
            "confusion.png",
            "wrong.png",
        }

    def test_json(self, edge_adder: Run, folder: Path, tmp_path: Path) -> None:
        done = edge_adder("evaluate", "--data-dir", folder, "--json", "--out", "here")
        found = json.loads(done.stdout)
        assert found["digit"] == found["sum"] == 0.95
        assert found["wrong"][0]["name"] == "t10k-images-idx3-ubyte[0]"
        assert set(found) == set(evaluation.Evaluation.__dataclass_fields__)
        assert (tmp_path / "here" / "wrong.png").is_file()

    def test_an_unreadable_picture_exits_with_6(self, edge_adder: Run, tmp_path: Path) -> None:
        (tmp_path / "mine").mkdir()
        Image.open(ROOT / "examples" / "seven.png").save(tmp_path / "mine" / "7.png")
        (tmp_path / "mine" / "3.png").write_bytes(b"nonsense")
        (tmp_path / "mine" / "other.png").write_bytes(b"nonsense")
        done = edge_adder("evaluate", "--data-dir", "mine")
        assert done.returncode == 6
        assert "digit    50.00%" in done.stdout
        assert "1 pictures have no label and were left out" in done.stdout
        assert done.stderr.startswith("edge-adder: error: 3.png: not an image in")

    @pytest.mark.parametrize(
        ("options", "code", "message"),
        [
            (["--data-dir", "none"], 2, "no folder none: expected MNIST's IDX files"),
            (["--data-dir", "data", "--model", "none.onnx"], 3, "no model none.onnx"),
            (["--model", "a.onnx", "--network", "edge"], 2, "expected --model or --network, got b"),
            (["--data-dir", "data", "--out", "data/t10k-images-idx3-ubyte"], 5, "cannot make fol"),
            (["--data-dir", "data", "--provider", "tpu"], 2, "provider must be one of"),
        ],
    )
    def test_errors_are_one_line(
        self, edge_adder: Run, folder: Path, options: list[str], code: int, message: str
    ) -> None:
        done = edge_adder("evaluate", *options)
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr.startswith(f"edge-adder: error: {message}")
        assert len(done.stderr.splitlines()) == 1
        assert not (folder.parent / "evaluation").exists()


def test_a_contact_sheet_shows_the_wrong_images(tmp_path: Path) -> None:
    some = pictures((4, 9, NEVER))
    evaluate(FakeAdder(), some, out=tmp_path)
    sheet = np.asarray(Image.open(io.BytesIO((tmp_path / "wrong.png").read_bytes())).convert("L"))
    tile = sheet[48 : 48 + 84, 24 : 24 + 84]  # the image, three times as large
    assert np.array_equal(tile, some.images[0].repeat(3, axis=0).repeat(3, axis=1))
    assert tile[3 * 14, 3 * 14] == 9
