"""The whole suite: python -m benchmarks."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.suite import REPORT_FILE, publish, run_suite


def main(
    out: Annotated[Path, typer.Option(help="Folder for results, report and plots.")] = Path(
        "runs/bench"
    ),
    quick: Annotated[bool, typer.Option("--quick", help="Fewer calls, fewer images.")] = False,
    data_dir: Annotated[Path | None, typer.Option(help="Folder with MNIST/raw.")] = None,
    publish_results: Annotated[
        bool,
        typer.Option(
            "--publish", help="Also update benchmarks/RESULTS.md and docs/performance.md."
        ),
    ] = False,
) -> None:
    """Measure everything; leave results.json, report.md and plots."""
    if publish_results and quick:
        raise typer.BadParameter("--publish needs the whole suite, without --quick")
    if publish_results:
        shutil.rmtree(out / "parity", ignore_errors=True)  # no rows of earlier runs
    passed = run_suite(out, quick=quick, data_dir=data_dir)["passed"]
    if publish_results:
        publish(out)
    print(f"report: {out / REPORT_FILE}")
    raise typer.Exit(0 if passed else 6)


if __name__ == "__main__":
    typer.run(main)
