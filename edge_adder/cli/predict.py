"""`edge-adder predict`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from edge_adder.cli.options import (
    ModelOption,
    ProviderOption,
    Sha256Option,
    SpinningOption,
    ThreadsOption,
)
from edge_adder.cli.output import print_json, printable, say, say_traceback
from edge_adder.contract import DIGITS
from edge_adder.errors import EdgeAdderError, ExitCode, InputError
from edge_adder.files import check_writable, is_same_file
from edge_adder.limits import DEFAULT_MAX_PIXELS, LARGEST_MAX_PIXELS, MIN_CONFIDENCE

if TYPE_CHECKING:
    from edge_adder.prediction import Prediction
    from edge_adder.predictor import EdgeAdder
    from edge_adder.preprocessing.prepare import Unread

EXAMPLE = "edge-adder predict examples/seven.png examples/five.jpg 5 --top 3"

DEFAULT_MEGAPIXELS, LARGEST_MEGAPIXELS = DEFAULT_MAX_PIXELS // 10**6, LARGEST_MAX_PIXELS // 10**6
STANDARD_INPUT = "-"

ImagesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="IMAGE... NUMBER",
        help="Pictures of one digit each, or - for standard input; then the number to add, 0 to "
        f"{DIGITS - 1}.",
        show_default=False,
    ),
]
InkOption = Annotated[
    str,
    typer.Option(
        metavar="auto|light|dark", help="Whether the ink is lighter or darker than its background."
    ),
]
MegapixelsOption = Annotated[
    float,
    typer.Option(
        metavar="M",
        help=f"Size of the largest picture that is decoded, up to {LARGEST_MEGAPIXELS}.",
    ),
]
EachOption = Annotated[
    bool, typer.Option("--each", help="Read every digit in a picture, in reading order.")
]
MinProbabilityOption = Annotated[
    float, typer.Option(metavar="P", help="An answer below this probability is uncertain.")
]
TopOption = Annotated[
    int, typer.Option(metavar="K", help="Also print the K most probable digits and sums.")
]
DistributionsOption = Annotated[
    bool,
    typer.Option(
        "--distributions", help="Add the probability of every digit and every sum to the JSON."
    ),
]
SaveInputOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE.png", help="Write the 28x28 image that the network saw."),
]
ExplainOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE.png", help="Draw how the picture was read, and both outputs."),
]
JsonLinesOption = Annotated[
    bool, typer.Option("--json", help="Print a JSON object for each answer, one per line.")
]


def predict(
    context: typer.Context,
    arguments: ImagesArgument = None,
    model: ModelOption = None,
    provider: ProviderOption = "cpu",
    threads: ThreadsOption = 1,
    spinning: SpinningOption = False,
    sha256: Sha256Option = None,
    ink: InkOption = "auto",
    max_megapixels: MegapixelsOption = DEFAULT_MEGAPIXELS,
    each: EachOption = False,
    min_probability: MinProbabilityOption = MIN_CONFIDENCE,
    top: TopOption = 0,
    distributions: DistributionsOption = False,
    save_input: SaveInputOption = None,
    explain: ExplainOption = None,
    as_json: JsonLinesOption = False,
) -> int:
    """Read the digit in each image and add NUMBER to it.

    Prints `IMAGE: DIGIT + NUMBER = SUM  (PROBABILITY)` for each image, in order, or that the answer
    is uncertain. Exits with 6 if one is, or if some images could not be read; with 2 or 5 if none
    could. A picture of several digits is refused unless --each is given. If a file has several
    frames or pages, the first is used, and stderr says so.
    """
    images, number = _split_arguments(arguments or [])
    options = _Options(
        ink=ink,
        max_megapixels=max_megapixels,
        each=each,
        min_probability=min_probability,
        top=top,
        distributions=distributions,
        save_input=save_input,
        explain=explain,
        as_json=as_json,
        debug=bool(context.obj),
    )
    options.check(len(images))
    options.check_outputs(inputs=[*images, *([] if model is None else [model])])

    from edge_adder.predictor import EdgeAdder

    adder = EdgeAdder(model, provider=provider, threads=threads, spinning=spinning, sha256=sha256)  # type: ignore[arg-type]
    return _print_all(adder, images, number, options)


class _Options(NamedTuple):
    """The options for each image."""

    ink: str
    max_megapixels: float
    each: bool
    min_probability: float
    top: int
    distributions: bool
    save_input: Path | None
    explain: Path | None
    as_json: bool
    debug: bool

    def check(self, images: int) -> None:
        """Refuse values out of range, and options that exclude each other.

        Args:
            images: Number of images.
        """
        least = self.min_probability
        check_megapixels(self.max_megapixels)
        if not 0 <= least <= 1:  # nor NaN
            raise InputError(f"--min-probability must be 0 to 1, got {least}")
        if not 0 <= self.top <= DIGITS:
            raise InputError(f"--top must be 0 to {DIGITS}, got {self.top}")
        for option in self.outputs:
            if images != 1:
                raise InputError(f"{option} takes one image, got {images}")
        if self.each and self.save_input is not None:
            raise InputError("--each does not take --save-input")
        if self.distributions and not self.as_json:
            raise InputError("--distributions needs --json")

    def check_outputs(self, inputs: Sequence[str | Path]) -> None:
        """Refuse what cannot be written, to write over an input, and names of other formats.

        Args:
            inputs: Files that are read: the images and the model.
        """
        inputs = ["/dev/stdin" if each == STANDARD_INPUT else each for each in inputs]
        for option, file in self.outputs.items():
            if any(is_same_file(file, each) for each in inputs):
                raise InputError(f"{option} would overwrite {file}: name another file")
            if file.suffix.lower() != ".png":
                raise InputError(f"{option} writes PNG: name a file that ends in .png, got {file}")
            check_writable(file)
        if len(self.outputs) > 1 and is_same_file(*self.outputs.values()):
            raise InputError(f"{' and '.join(self.outputs)} name the same file: name two")

    @property
    def outputs(self) -> dict[str, Path]:
        """Files to write beside the answer, by option."""
        files = {"--save-input": self.save_input, "--explain": self.explain}
        return {option: file for option, file in files.items() if file is not None}

    @property
    def reading(self) -> dict[str, Any]:
        """Keyword arguments of the functions that read a picture."""
        return {"ink": self.ink, "max_pixels": to_pixels(self.max_megapixels)}

    @property
    def writes_files(self) -> bool:
        """Whether something is written beside the answer."""
        return bool(self.outputs)


def check_megapixels(limit: float) -> None:
    """Refuse a size that no picture may have."""
    if not 0 < limit <= LARGEST_MEGAPIXELS:  # nor NaN
        raise InputError(
            f"--max-megapixels must be above 0 and at most {LARGEST_MEGAPIXELS}, got {limit}"
        )


def to_pixels(megapixels: float) -> int:
    """Return a checked number of megapixels in pixels, at least one."""
    return max(1, round(megapixels * 10**6))


def _split_arguments(arguments: list[str]) -> tuple[list[str], int]:
    """Return the images and the number of ``IMAGE... NUMBER``."""
    if not arguments:
        raise InputError("expected an image and a number: edge-adder predict IMAGE NUMBER")
    *images, number = arguments
    if not re.fullmatch(r"[0-9]", number):
        raise InputError(describe_wrong_number(number))
    if not images:
        raise InputError(f"expected an image before the number: edge-adder predict IMAGE {number}")
    return images, int(number)


def describe_wrong_number(text: str) -> str:
    """Return the message for a last argument that is not a number from 0 to 9."""
    return f"the last argument must be the number to add, 0 to {DIGITS - 1}, got {text!r}"


def _print_all(adder: EdgeAdder, images: list[str], number: int, options: _Options) -> ExitCode:
    """Print the answers for all images as they come, and return the command's exit code."""
    if adder.requested_provider == "auto":
        say(f"provider auto: {adder.provider}")
    model = {"name": adder.model, "sha256": adder.model_sha256} if options.as_json else {}
    codes = []
    for image, answer in zip(images, _answers(adder, images, number, options), strict=True):
        if isinstance(answer, EdgeAdderError):
            _print_error(image, answer, options)
            codes.append(answer.exit_code)
        else:
            sure = _print_answers(image, answer, options, model)
            codes.append(ExitCode.DONE if sure else ExitCode.ATTENTION)
    if not {ExitCode.DONE, ExitCode.ATTENTION} & set(codes):  # no image could be read
        return codes[0]
    return ExitCode.DONE if set(codes) == {ExitCode.DONE} else ExitCode.ATTENTION


def _answers(
    adder: EdgeAdder, images: list[str], number: int, options: _Options
) -> Iterator[Sequence[Prediction | Unread] | EdgeAdderError]:
    """Yield the answers for each image, one unless each digit is read, or its error."""
    sources = [_standard_input() if image == STANDARD_INPUT else image for image in images]
    if not options.each and not options.writes_files:
        many = adder.predict_many(sources, number, **options.reading, on_error="return")
        for answer in many:
            yield answer if isinstance(answer, EdgeAdderError) else [answer]
        return
    for source in sources:
        try:
            if options.each and not options.writes_files:
                yield adder.predict_each(source, number, **options.reading)
            else:
                yield _predict_and_write(adder, source, number, options)
        except EdgeAdderError as error:
            yield error


def _standard_input() -> Any:
    if sys.stdin is None:
        raise InputError("standard input is closed: expected an image on it for -")
    return sys.stdin.buffer


def _predict_and_write(
    adder: EdgeAdder, source: Any, number: int, options: _Options
) -> Sequence[Prediction | Unread]:
    """Prepare an image, predict, and write the files that `options` name.

    A picture that is refused is explained too, before the error is raised.
    """
    from edge_adder.explain import explanation
    from edge_adder.files import write_atomically
    from edge_adder.preprocessing.decode import encode_png
    from edge_adder.preprocessing.prepare import inspect

    inspection = inspect(source, each=options.each, **options.reading)
    answers: list[Prediction | Unread] = []
    if inspection.refusal is None and options.each:
        answers = adder.predict_inspected(inspection, number)
    elif inspection.refusal is None:
        answers = [adder.predict_prepared(*inspection.digits[0], number)]
    if options.save_input is not None and answers:
        write_atomically(options.save_input, encode_png(inspection.digits[0][0]))
    if options.explain is not None:
        write_atomically(options.explain, explanation(inspection, answers))
    inspection.check(source)
    return answers


def _print_error(image: str, error: EdgeAdderError, options: _Options) -> None:
    """Say why an image has no answer."""
    from edge_adder.preprocessing.prepare import CROP_TO_ONE

    if options.debug:
        say_traceback(error)
    message = str(error)
    if message.endswith(CROP_TO_ONE):
        message += ", or read all with --each"
    say(f"error: {message}")
    if options.as_json:
        print_json({"image": image, "error": message})


def _print_answers(
    image: str, answers: Sequence[Prediction | Unread], options: _Options, model: dict[str, str]
) -> bool:
    """Print the answers for an image, and return whether all is read and none is uncertain.

    Args:
        image: The image as it was named.
        answers: One for each digit, and for what is not read.
        options: How they are printed.
        model: Name and SHA-256 of the model, for JSON.
    """
    from edge_adder.preprocessing.prepare import Unread

    predictions = [each for each in answers if not isinstance(each, Unread)]
    if predictions and predictions[0].preparation.is_multi_frame:
        name = "standard input" if image == STANDARD_INPUT else image
        say(f"{name}: has several frames or pages, the first was used")
    for index, answer in enumerate(answers, start=1):
        name = f"{image} #{index}" if options.each else image
        if options.as_json:
            place = {"index": index} if options.each else {}
            if isinstance(answer, Unread):
                found = answer.to_dict()
            else:
                found = _to_dict(answer, options) | {"model": model}
            print_json({"image": image} | found | place)
        elif isinstance(answer, Unread):
            print(f"{printable(name)}: not read  ({answer.reason})")
        else:
            _print_text(name, answer, options)
    return len(predictions) == len(answers) and all(
        each.probability >= options.min_probability for each in predictions
    )


def _to_dict(prediction: Prediction, options: _Options) -> dict[str, Any]:
    """Return the prediction in JSON's types, by the options' meaning of ``uncertain``."""
    result = prediction.to_dict(distributions=options.distributions)
    result["uncertain"] = prediction.probability < options.min_probability
    if options.top:
        result["top_digits"] = prediction.top_digits(options.top)
        result["top_sums"] = prediction.top_sums(options.top)
    return result


def _print_text(name: str, prediction: Prediction, options: _Options) -> None:
    from edge_adder.evaluation.report import percent

    answer = f"{prediction.digit} + {prediction.number} = {prediction.sum}"
    probability = percent(prediction.probability)
    if prediction.probability < options.min_probability:
        print(f"{printable(name)}: uncertain  ({answer} with {probability})")
    else:
        print(f"{printable(name)}: {answer}  ({probability})")
    top = zip(prediction.top_digits(options.top), prediction.top_sums(options.top), strict=True)
    for (digit, of_digit), (total, of_sum) in top:
        print(f"    digit {digit} {percent(of_digit):>8}    sum {total:2} {percent(of_sum):>8}")
