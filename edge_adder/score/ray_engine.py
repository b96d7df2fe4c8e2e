"""The engine on a Ray cluster: Ray Data reads, schedules, retries and keeps the order.

A row of its dataset is a batch, so that the network runs on the same batches as on one machine. The
reading is one task, whose batches stream to the actors.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import logging
import os
import pickle
import socket
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from edge_adder.errors import EdgeAdderError, FileAccessError, InputError, one_line
from edge_adder.predictor import EdgeAdder
from edge_adder.score.answers import Batch, Options, answer
from edge_adder.tables import load_pyarrow

RETRIES = 3
"""How often a batch is given to another actor after its own has died."""

CONNECT_SECONDS = 10.0
"""How long the cluster's address may take to answer."""


def run(
    adder: EdgeAdder,
    batches: Iterable[Batch],
    options: Options,
    *,
    processes: int,
    address: str | None = None,
) -> Iterator[Any]:
    """Answer batches on a cluster.

    Args:
        adder: The model; each actor loads a copy.
        batches: Can be pickled, and are read on the cluster.
        options: As in `answer`.
        processes: Number of actors.
        address: The cluster's; None starts one on this machine, which ends with the answers.

    Yields:
        The table of each batch, in order.

    Raises:
        InputError: Ray is not installed.
        FileAccessError: The cluster cannot be reached, or gives up on a batch.
    """
    ray = load_ray()
    # Ray tells of actors that die on stdout, and warns of what its next versions will change.
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _connect(ray, processes, address)
        try:
            yield from _tables(ray, _dataset(ray, adder, batches, options, processes))
        finally:
            ray.shutdown()


def load_ray() -> Any:
    """Import Ray, whose report of its use is off unless the user has turned it on.

    Raises:
        InputError: It is not installed.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # errors are raised, in one line
    try:
        importlib.import_module("ray.data")
        return importlib.import_module("ray")
    except ImportError as error:
        raise InputError(
            f"--engine ray needs Ray: run `pip install 'edge-adder[ray]'` ({one_line(error)})"
        ) from error


def _connect(ray: Any, processes: int, address: str | None) -> None:
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    try:
        if address is None:
            ray.init("local", num_cpus=processes, include_dashboard=False, **quiet)
        else:
            _check_address(address)
            ray.init(address, **quiet)
    except (OSError, RuntimeError, ValueError) as error:
        where = address or "a local cluster"
        raise FileAccessError(f"Ray at {where} cannot be reached: {one_line(error)}") from error
    logging.getLogger("ray.data").setLevel(logging.ERROR)


def _check_address(address: str) -> None:
    """Refuse a host and port that nothing listens at, which Ray would try for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()


def _dataset(
    ray: Any, adder: EdgeAdder, batches: Iterable[Batch], options: Options, processes: int
) -> Any:
    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    context.target_max_block_size = 1  # a block for each batch, so that every actor gets some
    read = functools.partial(_read, batches, str(Path.cwd()))
    found = ray.data.read_datasource(
        _source(ray, read),
        override_num_blocks=1,
        num_cpus=0,  # else it would be part of an actor's work
    )
    return found.map(
        _Actor,
        fn_constructor_args=(adder, options, str(Path.cwd())),
        compute=ray.data.ActorPoolStrategy(size=processes),
        max_restarts=-1,
        max_task_retries=RETRIES,
    )


def _source(ray: Any, read: Any) -> Any:
    """Return a source of one task, which yields a table of one row for each batch."""
    block = importlib.import_module("ray.data.block")

    class Source(ray.data.Datasource):  # type: ignore[misc]  # Ray has no types
        """The batches."""

        def estimate_inmemory_data_size(self) -> int | None:
            """Return that the size is not known."""
            return None

        def get_read_tasks(self, *_: Any, **__: Any) -> list[Any]:
            """Return the task that reads everything, however many are wanted."""
            facts = block.BlockMetadata(
                num_rows=None, size_bytes=None, input_files=None, exec_stats=None
            )
            return [ray.data.ReadTask(read, facts)]

    return Source()


def _read(batches: Iterable[Batch], folder: str) -> Iterator[Any]:
    os.chdir(folder)
    pa = load_pyarrow("--engine ray")
    for batch in batches:
        yield pa.table({"place": [batch.place], "rows": [pickle.dumps(batch.rows)]})


class _Actor:
    """A loaded model on the cluster.

    Args:
        adder: The model.
        options: As in `answer`.
        folder: Where relative paths begin.
    """

    def __init__(self, adder: EdgeAdder, options: Options, folder: str) -> None:
        self._adder, self._options = adder, options
        os.chdir(folder)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Answer a batch; both are pickled."""
        try:
            found: Any = answer(self._adder, pickle.loads(row["rows"]), self._options)  # noqa: S301
        except EdgeAdderError as error:
            found = error
        return {"place": row["place"], "answers": pickle.dumps(found)}


def _tables(ray: Any, dataset: Any) -> Iterator[Any]:
    try:
        for place, row in enumerate(dataset.iter_rows()):
            found = pickle.loads(row["answers"])  # noqa: S301  of our own actors
            if isinstance(found, EdgeAdderError):
                raise found
            if row["place"] != place:
                raise EdgeAdderError(f"Ray answered batch {row['place']} in place of {place}")
            yield found
    except ray.exceptions.RayError as error:
        raise FileAccessError(f"Ray gave up: {one_line(error)}") from error
