"""`edge-adder bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edge_adder.cli.development import load_tools
from edge_adder.cli.options import (
    ModelOption,
    ProviderOption,
    Sha256Option,
    SpinningOption,
    ThreadsOption,
)
from edge_adder.cli.output import check_folder, say, say_progress
from edge_adder.errors import ExitCode, InputError

if TYPE_CHECKING:
    from edge_adder.bench.baseline import RegressionLimit
    from edge_adder.bench.run import BenchConfig
    from edge_adder.predictor import EdgeAdder

EXAMPLE = 'edge-adder bench --baseline last.json --fail-if "p90>1.10x"'

QuickOption = Annotated[bool, typer.Option("--quick", help="Measure less, in under 10 seconds.")]
JsonFileOption = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", help="Also write the result as JSON.")
]
BaselineOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Earlier result to compare with.")
]
FailIfOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FIGURE>Nx",
        help="Exit with 6 if FIGURE has regressed to more than N times the baseline's; repeatable.",
    ),
]
SuiteOption = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Run the benchmark suite on the bundled model instead, and write its report to DIR.",
    ),
]


def bench(
    context: typer.Context,
    model: ModelOption = None,
    provider: ProviderOption = "cpu",
    threads: ThreadsOption = 1,
    spinning: SpinningOption = False,
    sha256: Sha256Option = None,
    quick: QuickOption = False,
    json_file: JsonFileOption = None,
    baseline: BaselineOption = None,
    fail_if: FailIfOption = None,
    suite: SuiteOption = None,
) -> int:
    """Measure latency, throughput, cold start and parity on this device.

    --fail-if takes limits such as `p90>1.10x` or `throughput<0.9x`. FIGURE is p50, p90, p99, p99.9
    or max of predict_array, or of another kind of call as in session_run.p50; or it is throughput,
    cold_start or peak_memory. Exits with 6 if a figure has regressed beyond its limit or cannot be
    compared, or if parity failed.
    """
    if suite is not None:
        return _run_suite(context, suite, quick=quick)

    from edge_adder.bench.baseline import check, load, parse
    from edge_adder.bench.run import FULL, QUICK
    from edge_adder.files import check_writable
    from edge_adder.predictor import EdgeAdder

    limits = [parse(text) for text in fail_if or ()]
    if limits and baseline is None:
        raise InputError("--fail-if compares with an earlier result: name it with --baseline")
    before = None if baseline is None else load(baseline)
    adder = EdgeAdder(model, provider=provider, threads=threads, spinning=spinning, sha256=sha256)  # type: ignore[arg-type]
    config = QUICK if quick else FULL
    if before is not None:
        check(before, limits, config.calls)
    if json_file is not None:
        check_writable(json_file)
    return _measure(adder, config, json_file, before, limits)


def _measure(
    adder: EdgeAdder,
    config: BenchConfig,
    json_file: Path | None,
    before: dict[str, Any] | None,
    limits: list[RegressionLimit],
) -> ExitCode:
    """Measure, print the result and its comparison with an earlier one, and write the JSON."""
    from edge_adder.bench.baseline import compare
    from edge_adder.bench.report import report
    from edge_adder.bench.run import bench
    from edge_adder.files import write_atomically

    result = bench(adder, config=config, progress=say_progress)
    print(report(result), flush=True)
    if json_file is not None:
        write_atomically(json_file, (json.dumps(result.to_dict(), indent=2) + "\n").encode())
    regressed = False
    if before is not None:
        lines, regressed = compare(result.to_dict(), before, limits)
        print("\n".join(["", *lines]))
    return ExitCode.DONE if result.passed and not regressed else ExitCode.ATTENTION


def _run_suite(context: typer.Context, folder: Path, *, quick: bool) -> ExitCode:
    """Run the benchmark suite and print the path of its report."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, source in sources.items() if source and source.name != "DEFAULT"}
    if given - {"suite", "quick"}:
        raise InputError("--suite measures the bundled model; it takes only --quick beside it")
    check_folder(folder)
    suite = load_tools("bench --suite", "benchmarks.suite", "bench")
    passed = suite.run_suite(folder, quick=quick, progress=say)["passed"]
    print(folder / "report.md")
    return ExitCode.DONE if passed else ExitCode.ATTENTION
