"""The pictures of the bundled model in docs, and the figures that they show."""

from __future__ import annotations

import runpy
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import plots
from benchmarks.robustness import conditions, uncertain, writers
from edge_adder import EdgeAdder
from edge_adder.evaluation.datasets import MNIST_FILES, LabelledPictures, cache_dir, find_data_dir
from edge_adder.evaluation.evaluate import CONFUSION_FILE, WRONG_FILE, evaluate
from edge_adder.explain import explanation
from edge_adder.files import make_folder, write_atomically
from edge_adder.preprocessing.prepare import inspect
from export import networks
from export.data import LabelledImages

EXAMPLES = Path(__file__).parent.parent / "examples"

CONFUSION, WRONG, COVERAGE = (
    f"docs/{networks.DEFAULT}-{name}.png" for name in ("confusion", "wrong", "coverage")
)
SAMPLES, EXPLAIN, PHONE, CONDITIONS, WRITERS = (
    f"docs/{name}.png" for name in ("samples", "explain", "phone", "conditions", "writers")
)
PICTURES = (CONFUSION, WRONG, COVERAGE, SAMPLES, EXPLAIN, PHONE, CONDITIONS, WRITERS)
"""Paths in the checkout."""

MIN_PROBABILITY = 0.9
"""The minimum probability whose coverage is among the figures."""

NUMBER = 5
"""Number that is added to each sample in the pictures."""

EXPLAINED = EXAMPLES / "nine.jpg"
"""The sample in the picture of an explanation."""

EXPLAINED_PAGE = EXAMPLES / "phone.jpg"
"""The sample in the picture of a page of which each digit is read."""

SAMPLES_SCRIPT = EXAMPLES / "picture.py"


def draw_pictures(
    model: Path,
    folder: Path,
    images: LabelledImages,
    data_dir: Path | None,
    written: Sequence[writers.WrittenDigit],
) -> dict[str, Any]:
    """Draw `PICTURES`.

    Args:
        model: The model file.
        folder: Stands for the checkout.
        images: The test images.
        data_dir: The folder that they were read from, as `load_mnist` takes it.
        written: The digits of the validation writers.

    Returns:
        The figures that the pictures show.

    Raises:
        FileAccessError: A file cannot be written.
    """
    adder = EdgeAdder(model)
    make_folder(folder / "docs")
    accuracy = _draw_evaluation(adder, folder, as_pictures(images, data_dir))
    runpy.run_path(str(SAMPLES_SCRIPT))["draw"](NUMBER, model, folder / SAMPLES)
    inspection = inspect(EXPLAINED)
    prediction = adder.predict_prepared(*inspection.digits[0], NUMBER)
    write_atomically(folder / EXPLAIN, explanation(inspection, [prediction]))
    page = inspect(EXPLAINED_PAGE, each=True)
    entries = adder.predict_inspected(page, NUMBER)
    write_atomically(folder / PHONE, explanation(page, entries))
    non_digits = uncertain.measure(adder, uncertain.COUNT)
    scenes = conditions.measure_all(adder, conditions.COUNT)
    write_atomically(folder / CONDITIONS, conditions.draw_examples(scenes, conditions.COUNT))
    answers = writers.answer(adder, written)
    write_atomically(folder / WRITERS, writers.draw_wrong(written, answers))
    return {
        **accuracy,
        "writers": [asdict(each) for each in writers.figures(written, answers)],
        "non_digits_of_each_kind": uncertain.COUNT,
        "not_answered": {each.kind: each.not_answered for each in non_digits},
        "digits_in_each_scene": conditions.COUNT,
        "scenes": {name: each.read / conditions.COUNT for name, each in scenes.items()},
    }


def _draw_evaluation(adder: EdgeAdder, folder: Path, pictures: LabelledPictures) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as drawn:
        found = evaluate(adder, pictures, out=Path(drawn))
        for name, file in ((CONFUSION, CONFUSION_FILE), (WRONG, WRONG_FILE)):
            write_atomically(folder / name, (Path(drawn) / file).read_bytes())
    write_atomically(folder / COVERAGE, plots.coverage(found.coverage))
    return {
        "calibration_error": {
            "digit": found.digit_calibration_error,
            "sum": found.sum_calibration_error,
        },
        "coverage": next(
            asdict(each) for each in found.coverage if each.min_probability == MIN_PROBABILITY
        ),
    }


def as_pictures(images: LabelledImages, data_dir: Path | None) -> LabelledPictures:
    """Return test images in the form that `edge_adder.evaluation.evaluate` takes.

    Args:
        images: The images and their digits.
        data_dir: The folder that they were read from, as `load_mnist` takes it.
    """
    return LabelledPictures(
        source=find_data_dir(data_dir) or cache_dir(),
        names=[f"{MNIST_FILES[2]}[{index}]" for index in range(len(images))],
        images=list(images.images[:, 0].numpy()),
        labels=images.labels.numpy(),
    )
