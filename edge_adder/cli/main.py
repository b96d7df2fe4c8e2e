"""The command line: parse, call the library, print. No logic of its own.

Results go to stdout, everything else to stderr. An error is one line there, and an exit code of
`edge_adder.errors.ExitCode`.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import signal
import sys
import traceback
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, NoReturn

import typer

from edge_adder import __version__
from edge_adder.contract import DIGITS
from edge_adder.errors import EdgeAdderError, ExitCode, InputError

if TYPE_CHECKING:
    from edge_adder.predictor import EdgeAdder, Prediction

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells have it."""

_UsageError = typer.BadParameter.__mro__[1]  # click's, from wherever this typer has its click

app = typer.Typer(
    name="edge-adder",
    help="Reads a handwritten digit, adds a number, says both.",
    epilog="Example: edge-adder predict examples/seven.png 5",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ModelOption = Annotated[
    Path | None,
    typer.Option("--model", metavar="FILE", help="The ONNX file (default: the bundled one)."),
]
ProviderOption = Annotated[
    str,
    typer.Option(metavar="auto|cpu|cuda", help="Where to compute; only auto chooses by itself."),
]


def _threads(text: object) -> Any:
    """A number where it is one; of anything else the library says what it expected."""
    return int(str(text)) if str(text).isdecimal() else text


ThreadsOption = Annotated[
    Any,
    typer.Option(
        parser=_threads,
        metavar="N|auto",
        help="Threads for each run; 1 is fastest for single images, auto takes all allowed cores.",
    ),
]
SpinningOption = Annotated[
    bool, typer.Option("--spinning", help="Threads wait for work in a busy loop.")
]
Sha256Option = Annotated[
    str | None,
    typer.Option("--sha256", metavar="HEX", help="Refuse a model file with another SHA-256."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"edge-adder {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Print a traceback with an error; goes anywhere.")
    ] = False,
) -> None:
    """Options of every command; `main` handles --debug, wherever it stands."""


@app.command(epilog="Example: edge-adder predict examples/seven.png examples/five.jpg 5 --top 3")
def predict(
    context: typer.Context,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="IMAGE... NUMBER",
            help="Pictures of one digit each (- is standard input), then the number to add, 0-9.",
            show_default=False,
        ),
    ] = None,
    model: ModelOption = None,
    provider: ProviderOption = "cpu",
    threads: ThreadsOption = 1,
    spinning: SpinningOption = False,
    sha256: Sha256Option = None,
    ink: Annotated[
        str,
        typer.Option(metavar="auto|light|dark", help="Is the ink light or dark on its paper?"),
    ] = "auto",
    top: Annotated[
        int, typer.Option(metavar="K", help="Also print the K most probable digits and sums.")
    ] = 0,
    min_probability: Annotated[
        float | None,
        typer.Option(metavar="P", help="Below it the answer is `uncertain` (default: 0.6)."),
    ] = None,
    max_megapixels: Annotated[
        float | None,
        typer.Option(metavar="M", help="Largest picture that is decoded, up to 89 (default: 50)."),
    ] = None,
    many: Annotated[
        bool, typer.Option("--each", help="Read every digit in a picture, in the order of reading.")
    ] = False,
    save_input: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Write the 28x28 image that the network saw."),
    ] = None,
    explain: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw picture, found ink, input, both outputs."),
    ] = None,
    preview: Annotated[
        bool, typer.Option("--preview", help="Print what the network saw, in blocks.")
    ] = False,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line for each image.")
    ] = False,
) -> int:
    """Read the digit in each image and add NUMBER to it.

    Prints `IMAGE: DIGIT + NUMBER = SUM  (PROBABILITY)` for each image in order, and
    `IMAGE: uncertain  (DIGIT + NUMBER = SUM with PROBABILITY)` where digit or sum is less probable
    than --min-probability. Exits with 6 where some images could not be read or an answer was
    uncertain, with 2 where none could be read. A picture of several digits is refused unless --each
    is given. Of a file with several frames or pages the first is used, and stderr says so.
    """
    images, number = _split_arguments(arguments or [])
    shown = _Shown(save_input, explain, preview)
    _check_predict(min_probability, top, shown, len(images), many=many, json_lines=json_lines)
    reading: dict[str, Any] = {"ink": ink}
    if max_megapixels is not None:
        reading["max_pixels"] = _pixels_of(max_megapixels)

    from edge_adder.predictor import MIN_CONFIDENCE, EdgeAdder

    adder = EdgeAdder(model, provider=provider, threads=threads, spinning=spinning, sha256=sha256)  # type: ignore[arg-type]
    if provider == "auto":
        _say(f"provider auto: {adder.provider}")
    sources: list[Any] = [_standard_input() if image == "-" else image for image in images]
    least = MIN_CONFIDENCE if min_probability is None else min_probability
    asked = _Asked(number, many, shown, reading)

    failures, uncertain = [], False
    for image, outcome in zip(images, _answers(adder, sources, asked), strict=True):
        if isinstance(outcome, EdgeAdderError):
            failures.append(outcome)
            _tell_failure(image, outcome, json_lines=json_lines, debug=bool(context.obj))
            continue
        if outcome[0].preparation.is_multi_frame:
            _say(f"{image}: has several frames or pages, the first was used")
        for index, prediction in enumerate(outcome, start=1):
            sure = prediction.probability >= least
            uncertain = uncertain or not sure
            if json_lines:
                found = _prediction_to_dict(image, prediction, adder, top)
                _print_json(found | {"uncertain": not sure} | ({"index": index} if many else {}))
            else:
                name = f"{image} #{index}" if many else image
                _print_prediction(name, prediction, top, sure=sure)
    if not failures:
        return ExitCode.ATTENTION if uncertain else ExitCode.DONE
    return failures[0].exit_code if len(failures) == len(images) else ExitCode.ATTENTION


@app.command(epilog="Example: edge-adder info model.onnx")
def info(
    model: Annotated[
        Path | None,
        typer.Argument(metavar="[MODEL]", help="The ONNX file (default: the bundled one)."),
    ] = None,
    provider: ProviderOption = "cpu",
    threads: ThreadsOption = 1,
    spinning: SpinningOption = False,
    sha256: Sha256Option = None,
    as_json: JsonOption = False,
) -> None:
    """Show a model's contract, where it comes from, its size, its operators and its provider."""
    from edge_adder.predictor import EdgeAdder

    adder = EdgeAdder(model, provider=provider, threads=threads, spinning=spinning, sha256=sha256)  # type: ignore[arg-type]
    facts = adder.describe()
    if as_json:
        _print_json(facts)
    else:
        _print_facts(facts)


@app.command(epilog="Example: edge-adder evaluate --model model.onnx --data-dir my-digits")
def evaluate(
    model: ModelOption = None,
    network: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Export this network's checkpoint and take that."),
    ] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder with IDX files or pictures named by label (default: EDGE_ADDER_DATA).",
        ),
    ] = None,
    provider: ProviderOption = "cpu",
    threads: ThreadsOption = 1,
    spinning: SpinningOption = False,
    sha256: Sha256Option = None,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for confusion.png and wrong.png.")
    ] = Path("evaluation"),
    as_json: JsonOption = False,
) -> int:
    """Ask for every image with all ten numbers: accuracy, calibration, confusion, what is wrong.

    Exits with 6 where some images could not be read; they count as wrong.
    """
    if model is not None and network is not None:
        raise InputError("expected --model or --network, got both")

    from edge_adder.evaluation import datasets
    from edge_adder.evaluation import evaluate as evaluation
    from edge_adder.predictor import EdgeAdder

    pictures = datasets.load(data_dir)
    chosen: Path | bytes | None = model
    if network is not None:
        chosen = _workshop("evaluate --network", "export.commands").committed_onnx(network)
    adder = EdgeAdder(chosen, provider=provider, threads=threads, spinning=spinning, sha256=sha256)  # type: ignore[arg-type]
    with contextlib.ExitStack() as stack:
        progress: dict[str, Any] = {}
        if _is_terminal():
            bar = typer.progressbar(length=len(pictures), label="images", file=sys.stderr)
            progress["progress"] = stack.enter_context(bar).update
        found = evaluation.evaluate(adder, pictures, out=out, **progress)
    if as_json:
        _print_json(found.to_dict())
    else:
        print(evaluation.report(found))
    for failure in found.unreadable:
        _say(f"error: {failure['image']}: {failure['error']}")
    for file in (evaluation.CONFUSION_FILE, evaluation.WRONG_FILE):
        _say(f"written: {out / file}")
    return ExitCode.ATTENTION if found.unreadable else ExitCode.DONE


@app.command(epilog='Example: edge-adder bench --baseline last.json --fail-if "p90>1.10x"')
def bench(
    model: ModelOption = None,
    provider: ProviderOption = "cpu",
    threads: ThreadsOption = 1,
    spinning: SpinningOption = False,
    sha256: Sha256Option = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer calls, under 10 seconds.")] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Also write the result as JSON.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(metavar="FILE", help="An earlier result to compare with.")
    ] = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIGURE>Nx", help="Exit with 6 where it holds, such as p90>1.10x; repeatable."
        ),
    ] = None,
    suite: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Instead measure the bundled model in every way of the workshop, into a folder.",
        ),
    ] = None,
) -> int:
    """Measure latency, throughput, cold start and parity of a model on this device.

    FIGURE is p50, p90, p99, p99.9 or max of predict_array, or of another call as CALL.p90;
    throughput, cold_start or peak_memory. Exits with 6 where a condition holds or cannot be
    decided, or where parity failed.
    """
    if suite is not None:
        others = model, sha256, json_file, baseline, fail_if
        settings = provider, threads, spinning
        if any(option is not None for option in others) or settings != ("cpu", 1, False):
            raise InputError("--suite measures the bundled model; it takes only --quick beside it")
        measure = _workshop("bench --suite", "benchmarks.suite", "bench").run_suite
        passed = measure(suite, quick=quick, progress=_say)["passed"]
        print(suite / "report.md")
        return ExitCode.DONE if passed else ExitCode.ATTENTION

    from edge_adder.bench import baseline as comparison
    from edge_adder.bench import run as measuring
    from edge_adder.bench.report import report
    from edge_adder.files import check_writable, write_atomically
    from edge_adder.predictor import EdgeAdder

    conditions = [comparison.parse(text) for text in fail_if or ()]
    if conditions and baseline is None:
        raise InputError("--fail-if compares with an earlier result: name it with --baseline")
    before = None if baseline is None else comparison.load(baseline)
    adder = EdgeAdder(model, provider=provider, threads=threads, spinning=spinning, sha256=sha256)  # type: ignore[arg-type]
    effort = measuring.QUICK if quick else measuring.FULL
    if before is not None:
        comparison.check(before, conditions, effort.calls)
    if json_file is not None:
        check_writable(json_file)
    result = measuring.bench(adder, effort=effort, progress=_say_progress)
    print(report(result), flush=True)
    if json_file is not None:
        write_atomically(json_file, (json.dumps(result, indent=2) + "\n").encode())
    failed = result["parity"] is not None and not result["parity"]["passed"]
    if before is not None:
        lines, regressed = comparison.compare(result, before, conditions)
        print("\n".join(["", *lines]))
        failed = failed or regressed
    return ExitCode.ATTENTION if failed else ExitCode.DONE


@app.command(epilog="Example: edge-adder doctor --provider cuda")
def doctor(
    provider: ProviderOption = "cpu",
    threads: ThreadsOption = 1,
    spinning: SpinningOption = False,
    as_json: JsonOption = False,
) -> int:
    """Look at what this machine has, and test the bundled model on it; needs no network.

    Exits with 4 where onnxruntime or a provider is at fault, with 3 where the model is.
    """
    from edge_adder import doctor as examining

    found = examining.run_checks(provider, threads, spinning=spinning)  # type: ignore[arg-type]
    if as_json:
        _print_json(found.to_dict())
    else:
        for good, line in examining.report(found):
            colour = {True: typer.colors.GREEN, False: typer.colors.RED, None: None}[good]
            typer.secho(line, fg=colour)  # plain where this is no terminal
    return found.exit_code


@app.command(epilog="Example: edge-adder networks --json")
def networks(as_json: JsonOption = False) -> None:
    """List the networks: what each costs, how good its checkpoint is, where it comes from."""
    commands = _workshop("networks", "export.commands")
    if as_json:
        _print_json(commands.networks_facts())
    else:
        typer.echo(commands.networks_table())


@app.command(epilog="Example: edge-adder train --epochs 12 --out runs/short")
def train(
    network: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="One of `edge-adder networks`, or teacher.  [default: edge]"
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            metavar="ours|published",
            help="Where the options below have their defaults.  [default: ours]",
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", help="Passes over the images; edge: 240.")
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", help="Images for each step; edge: 128.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(metavar="X", help="Highest learning rate; edge: 0.006.")
    ] = None,
    augment: Annotated[
        bool | None,
        typer.Option("--augment/--no-augment", help="Move, turn, bend images; edge: augment."),
    ] = None,
    teacher: Annotated[
        bool,
        typer.Option(
            "--teacher/--no-teacher", help="Learn from the finished runs that the recipe names."
        ),
    ] = True,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="fixed|random-80-20", help="Images held out for validation; edge: fixed."
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            metavar="float32|bfloat16", help="bfloat16 is for CPUs with AMX; edge: float32."
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Of everything that is random.  [default: 0]")
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="auto|cpu|cuda", help="Where to compute; auto takes CUDA if any.")
    ] = "auto",
    data_dir: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Folder with MNIST/raw (default: EDGE_ADDER_DATA, or a download into the cache).",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for the results.  [default: runs/NETWORK]"),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --out after its last epoch.")
    ] = False,
    test: Annotated[
        bool,
        typer.Option(
            "--test/--no-test", help="Measure once on the test images; not while choosing."
        ),
    ] = True,
) -> None:
    """Train a network on MNIST; leave a checkpoint, its history and two plots."""
    commands = _workshop("train", "export.commands")
    settings = {
        "network": network,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "augment": augment,
        "split": split,
        "precision": precision,
        "seed": seed,
    }
    given: dict[str, Any] = {k: value for k, value in settings.items() if value is not None}
    if not teacher:
        given |= {"teachers": (), "distillation": 0.0}
    places = {"device": device, "data_dir": data_dir, "out": out}
    typer.echo(commands.train(given, recipe=recipe, resume=resume, test=test, **places))


@app.command(epilog="Example: edge-adder export --checkpoint runs/edge/checkpoint.safetensors")
def export(
    checkpoint: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="What to export (default: the network's committed one)."),
    ] = None,
    network: Annotated[
        str | None, typer.Option(metavar="NAME", help="The network.  [default: edge]")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write.")] = Path(
        "model.onnx"
    ),
    opset: Annotated[
        int | None, typer.Option(metavar="N", help="ONNX operator set.  [default: 18]")
    ] = None,
    batch: Annotated[
        str, typer.Option(metavar="dynamic|N", help="Any batch size, or always N.")
    ] = "dynamic",
    data_dir: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with MNIST/raw, for test images in the gate."),
    ] = None,
) -> None:
    """Write a checkpoint as one ONNX file, if it computes what PyTorch computes.

    The file is compared with PyTorch before it appears; a difference exits with 3 and keeps the old
    file. Drawn digits with PyTorch's answers are stored beside it, as NAME.parity.npz.
    """
    commands = _workshop("export", "export.commands")
    typer.echo(
        commands.export(checkpoint, network, out, opset=opset, batch=batch, data_dir=data_dir)
    )


def main(argv: list[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        argv: The arguments after the program's name; None for this process's own.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    end = arguments.index("--") if "--" in arguments else len(arguments)
    debug = "--debug" in arguments[:end]
    arguments = [a for a in arguments[:end] if a != "--debug"] + arguments[end:] or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not where it was closed
            stream.reconfigure(errors="backslashreplace")
    warnings.filterwarnings("ignore", module="PIL")  # of files that load all the same
    if hasattr(signal, "SIGPIPE"):  # end quietly when the reader, such as head, has enough
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        with _only(arguments[0]):
            code = app(args=arguments, prog_name="edge-adder", standalone_mode=False, obj=debug)
        if sys.stdout is not None:
            sys.stdout.flush()  # a full disk shows here, not in a traceback at the end
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except Exception as error:  # noqa: BLE001  one line, whatever happened
        code = _report(error, arguments, debug)
    sys.exit(int(code or 0))


@contextlib.contextmanager
def _only(name: str) -> Iterator[None]:
    """Leave out all commands but the one of this name: building all takes 10 ms."""
    every = app.registered_commands
    named = [info for info in every if info.callback and info.callback.__name__ == name]
    app.registered_commands = named or every
    try:
        yield
    finally:
        app.registered_commands = every


def _report(error: Exception, arguments: list[str], debug: bool) -> int:
    if debug:
        traceback.print_exc()
    if isinstance(error, EdgeAdderError):
        _say(f"error: {error}")
        return error.exit_code
    if isinstance(error, _UsageError):
        _say(f"error: {_usage_message(error, arguments)}")
        return ExitCode.USAGE
    if isinstance(error, OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is still in the buffer stays unwritten
        where = error.filename or "standard output"
        _say(f"error: cannot read or write {where}: {error.strerror or error}")
        return ExitCode.FILE
    hint = "" if debug else "; --debug prints the traceback"
    _say(f"error: internal fault: {type(error).__name__}: {error}{hint}")
    return ExitCode.INTERNAL


def _usage_message(error: Any, arguments: list[str]) -> str:
    """Click's message; for a negative number, which click takes for an option, ours."""
    option = str(getattr(error, "option_name", ""))
    if re.match(r"-[0-9]", option):
        return _wrong_number(next(a for a in arguments if a.startswith(option)))
    return str(error.format_message())


class _Shown(NamedTuple):
    """What a user asked to see of an image beside the answer."""

    save_input: Path | None
    explain: Path | None
    preview: bool


class _Asked(NamedTuple):
    """What `predict` does with each picture."""

    number: int
    many: bool
    shown: _Shown
    reading: dict[str, Any]


def _answers(
    adder: EdgeAdder, sources: list[Any], asked: _Asked
) -> Iterator[list[Prediction] | EdgeAdderError]:
    """For each picture the answers, one unless every digit was asked for, or its error."""
    if asked.many or any(asked.shown):
        answer = _answer_each if asked.many else _answer_and_show
        for source in sources:
            try:
                yield answer(adder, source, asked)
            except EdgeAdderError as error:
                yield error
    else:
        found = adder.predict_many(sources, asked.number, **asked.reading, on_error="return")
        for outcome in found:
            yield outcome if isinstance(outcome, EdgeAdderError) else [outcome]


def _answer_each(adder: EdgeAdder, source: Any, asked: _Asked) -> list[Prediction]:
    return adder.predict_each(source, asked.number, **asked.reading)


def _answer_and_show(adder: EdgeAdder, source: Any, asked: _Asked) -> list[Prediction]:
    """The answer; what was asked for is written or printed before it."""
    from edge_adder import explain
    from edge_adder.files import write_atomically
    from edge_adder.preprocessing.decode import encode_png
    from edge_adder.preprocessing.prepare import prepare

    image, preparation = prepare(source, **asked.reading)
    prediction = adder.predict_prepared(image, preparation, asked.number)
    shown = asked.shown
    if shown.save_input is not None:
        write_atomically(shown.save_input, encode_png(image))
    if shown.explain is not None:
        write_atomically(shown.explain, explain.explanation(source, image, prediction))
    if shown.preview:
        typer.echo(explain.preview(image, getattr(sys.stdout, "encoding", None)))
    return [prediction]


def _split_arguments(arguments: list[str]) -> tuple[list[str], int]:
    """``IMAGE... NUMBER`` → the images and the number."""
    if not arguments:
        raise InputError("expected an image and a number: edge-adder predict IMAGE NUMBER")
    *images, number = arguments
    if not re.fullmatch(r"[0-9]", number):
        raise InputError(_wrong_number(number))
    if not images:
        raise InputError(f"expected an image before the number: edge-adder predict IMAGE {number}")
    return images, int(number)


def _wrong_number(text: str) -> str:
    return f"number must be an integer from 0 to {DIGITS - 1}, after the images, got {text!r}"


def _workshop(command: str, module: str, extra: str = "export") -> Any:
    """A module of the workshop, or one line that says how to get it."""
    remedy = f"run `pip install -e '.[{extra}]'` in a checkout of edge-adder"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(f"{command} needs {error.name}, which is not here: {remedy}") from error
    except (ImportError, OSError, RuntimeError) as error:  # PyTorch and its libraries do not fit
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{command} cannot load its packages ({reason}): {remedy}") from error


def _prediction_to_dict(
    image: str, prediction: Prediction, adder: EdgeAdder, top: int
) -> dict[str, Any]:
    result = {
        "image": image,
        "number": prediction.number,
        "digit": prediction.digit,
        "sum": prediction.sum,
        "digit_probability": prediction.digit_probability,
        "sum_probability": prediction.sum_probability,
        "provider": {"requested": prediction.requested_provider, "active": prediction.provider},
        "model": adder.model,
        "preparation": asdict(prediction.preparation),
    }
    if top:
        result["top_digits"] = prediction.top_digits(top)
        result["top_sums"] = prediction.top_sums(top)
    return result


def _pixels_of(megapixels: float) -> int:
    most = 89  # Pillow takes more for an attack
    if not 0 < megapixels <= most:  # NaN is neither
        raise InputError(f"--max-megapixels must be above 0 and at most {most}, got {megapixels}")
    return max(1, round(megapixels * 10**6))


def _check_predict(
    min_probability: float | None,
    top: int,
    shown: _Shown,
    images: int,
    *,
    many: bool,
    json_lines: bool,
) -> None:
    """Refuse options of `predict` that cannot be kept."""
    if min_probability is not None and not 0 <= min_probability <= 1:  # NaN is neither
        raise InputError(f"--min-probability must be 0 to 1, got {min_probability}")
    if not 0 <= top <= DIGITS:
        raise InputError(f"--top must be 0 to {DIGITS}, got {top}")
    for option, wanted in (("--save-input", shown.save_input), ("--explain", shown.explain)):
        if wanted is not None and images != 1:
            raise InputError(f"{option} takes one image, got {images}")
    if many and any(shown):
        raise InputError("--each takes none of --save-input, --explain, --preview")
    if shown.preview and json_lines:
        raise InputError("expected --preview or --json, got both")


def _print_prediction(image: str, prediction: Prediction, top: int, *, sure: bool) -> None:
    answer = f"{prediction.digit} + {prediction.number} = {prediction.sum}"
    probability = f"{100 * prediction.probability:.2f} %"
    shown = f"{answer}  ({probability})" if sure else f"uncertain  ({answer} with {probability})"
    print(f"{_printable(image)}: {shown}")
    ranked = zip(prediction.top_digits(top), prediction.top_sums(top), strict=True)
    for (digit, digit_probability), (total, sum_probability) in ranked:
        print(
            f"    digit {digit} {100 * digit_probability:6.2f} %"
            f"    sum {total:2} {100 * sum_probability:6.2f} %"
        )


def _print_facts(facts: dict[str, Any]) -> None:
    """The facts as lines of name and value; those of a part are indented."""
    for name, value in facts.items():
        if name == "contract":
            print(f"contract: version {value['version']}")
            for side in ("inputs", "outputs"):
                for spec in value[side]:
                    shape = ", ".join(map(str, spec["shape"]))
                    print(f"  {side[:-1]} {spec['name']}: {spec['dtype']} ({shape})")
                    print(f"    {spec['meaning']}")
        elif isinstance(value, dict):
            print(f"{name}:")
            for inner, part in value.items():
                print(f"  {inner}: {_compact(part)}")
        else:
            print(f"{name}: {value}")


def _compact(value: object) -> str:
    """A value on one line, without JSON's marks."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_compact(part)}" for name, part in value.items())
    return str(value)


def _tell_failure(image: str, error: EdgeAdderError, *, json_lines: bool, debug: bool) -> None:
    """Say why an image has no answer."""
    if debug:
        traceback.print_exception(error)
    _say(f"error: {error}")
    if json_lines:
        _print_json({"image": image, "error": str(error)})


def _print_json(value: object) -> None:
    print(json.dumps(value))


def _say(line: str) -> None:
    """One line to stderr, whatever is in it."""
    if sys.stderr is not None:
        print(f"edge-adder: {_printable(line)}", file=sys.stderr)


def _say_progress(part: str) -> None:
    """What is measured now, where a person may be waiting."""
    if _is_terminal():
        _say(f"measuring {part}")


def _printable(text: str) -> str:
    """Text with line ends, escapes and the like written out, so that it stays one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _standard_input() -> Any:
    if sys.stdin is None:
        raise InputError("standard input is closed: expected an image on it for -")
    return sys.stdin.buffer
