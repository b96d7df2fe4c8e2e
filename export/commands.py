"""The commands of export as the command line calls them: options in, a report as text out."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path
from typing import Any

from edge_adder.errors import CheckpointError, InputError
from edge_adder.files import is_same_file

from . import adopt as adoption
from . import checkpoint as checkpoints
from . import networks, own_digits, report, to_onnx, triton
from . import train as training
from .catalogue import catalogue
from .checkpoint import Checkpoint
from .config import TrainConfig
from .handwriting import sets
from .handwriting.download import download, missing_parts
from .resume import RESUME_FILE, read_header


def train(
    given: dict[str, Any],
    *,
    recipe: str | None,
    device: str,
    data_dir: Path | None,
    out: Path | None,
    resume: bool,
    test: bool,
) -> str:
    """Train, show progress on stderr, and report.

    Args:
        given: The fields of `TrainConfig.recipe` that the user named. A resumed run takes the
            others from its file, a new one from `recipe`.
        recipe: As in `TrainConfig.for_network`; None for ``ours``, or for that of a resumed run.
        device: As in `TrainConfig`.
        data_dir: As in `TrainConfig`.
        out: Folder of the run; None for ``runs/NETWORK``, or ``runs/NETWORK-published``.
        resume: Continue the run in `out`.
        test: As in `export.train.train`.

    Raises:
        EdgeAdderError: As `export.train.train`.
    """
    network = given.get("network", networks.DEFAULT)
    name = network.rpartition(":")[2]  # of a class of the user's own
    out = out or Path("runs") / (f"{name}-published" if recipe == "published" else name)
    places: dict[str, Any] = {"device": device, "data_dir": data_dir, "out": out}
    if resume:
        config = _resumed_config(given, recipe, places)
    else:
        config = TrainConfig.for_network(
            recipe=recipe or "ours", **given | {"network": network} | places
        )
    with report.ProgressBar() as observer:
        try:
            result = training.train(config, resume=resume, test=test, observer=observer)
        except KeyboardInterrupt:
            observer.interrupted(config)
            raise
    return report.train_report(config, result)


def continue_training(
    start: str,
    given: dict[str, Any],
    *,
    device: str,
    data_dir: Path | None,
    out: Path | None,
) -> str:
    """Train a checkpoint further on pictures of the user's own, and report.

    Args:
        start: A network with a committed checkpoint, or the path of a checkpoint.
        given: The fields of `TrainConfig` that the user named.
        device: As in `TrainConfig`.
        data_dir: The folder of labelled pictures.
        out: Folder of the run; None for ``runs/NETWORK-own``.

    Raises:
        EdgeAdderError: As `export.own_digits.continue_training`.
    """
    if data_dir is None:
        raise InputError("--from needs your labelled pictures: name their --data-dir")
    if start in networks.NETWORKS:
        loaded = _load(None, given.get("network", start))
        if loaded.network != start:
            raise InputError(f"the checkpoint of {start} is not of network {loaded.network}")
    else:
        loaded = _load(Path(start), given.get("network"))
    name = loaded.network.rpartition(":")[2]
    config = TrainConfig(
        **own_digits.SETTINGS
        | given
        | {"network": loaded.network, "device": device, "out": out or Path("runs") / f"{name}-own"}
    )
    own = own_digits.load(data_dir, config.seed)
    for line in own.left_out:
        print(f"edge-adder: left out: {line}", file=sys.stderr)
    with report.ProgressBar() as observer:
        result = own_digits.continue_training(config, loaded, own, observer)
    return report.continue_report(result, own)


def _resumed_config(
    given: dict[str, Any], recipe: str | None, places: dict[str, Any]
) -> TrainConfig:
    """Return the settings of the run in ``places["out"]``, with what the user named over them."""
    stored = read_header(places["out"] / RESUME_FILE)["recipe"]
    network = str(stored.get("network"))
    if networks.own.is_own(network) and "network" not in given:
        raise InputError(
            f"the run in {places['out']} is of a network that is not in edge-adder: pass "
            f"--network {shlex.quote(network)}, which runs that file"
        )
    if recipe is not None:
        network = given.get("network", stored["network"])
        given = TrainConfig.for_network(recipe=recipe, **given | {"network": network}).recipe()
    try:
        return TrainConfig(**{**stored, **given, **places})
    except TypeError as error:
        raise CheckpointError(
            f"the run in {places['out']} is of another version: {error}"
        ) from error


def export(
    checkpoint: Path | None,
    network: str | None,
    out: Path,
    *,
    opset: int | None,
    batch: str,
    data_dir: Path | None,
    precision: str,
    max_changed: float | None,
    parity_json: Path | None,
) -> str:
    """Export through the gate, and report what it measured.

    Args:
        checkpoint: The file; None for the committed checkpoint of `network`.
        network: A network's name or class; None for the default, or for that of `checkpoint`.
        out: The file to write.
        opset: None for the default.
        batch: ``dynamic`` or a number.
        data_dir: As in `export.to_onnx.export`.
        precision: As in `export.to_onnx.export`.
        max_changed: As in `export.to_onnx.export`, in percent; None for the default.
        parity_json: As in `export.to_onnx.export`.

    Raises:
        EdgeAdderError: As `export.to_onnx.export`.
    """
    if parity_json is not None and checkpoint is not None and is_same_file(parity_json, checkpoint):
        raise InputError(f"--parity-json must name a file of its own, got {checkpoint}")
    loaded = _load(checkpoint, network)
    if batch != "dynamic" and not (batch.isascii() and batch.isdigit()):
        raise InputError(f"batch must be 'dynamic' or 1 to {to_onnx.MAX_BATCH}, got {batch!r}")
    result = to_onnx.export(
        loaded,
        out,
        opset=to_onnx.OPSET if opset is None else opset,
        batch=None if batch == "dynamic" else int(batch),
        data_dir=data_dir,
        precision=precision,
        max_changed=to_onnx.MAX_CHANGED if max_changed is None else max_changed / 100,
        parity_json=parity_json,
    )
    return report.export_report(result)


def export_triton(
    checkpoint: Path | None,
    network: str | None,
    repository: Path,
    **options: Any,
) -> str:
    """Export through the gate into a model repository, and report what it measured.

    Args:
        checkpoint: As in `export`.
        network: As in `export`.
        repository: Folder of the repository.
        **options: As in `export`.

    Raises:
        EdgeAdderError: As `export.to_onnx.export`.
    """
    with triton.version_folder(repository) as folder:
        said = export(checkpoint, network, folder / "model.onnx", batch="dynamic", **options)
    return f"{said}\n{triton.write_config(repository)}: settings for Triton"


def adopt(
    model: Path,
    out: Path,
    *,
    network: str | None,
    checkpoint: Path | None,
    data_dir: Path | None,
) -> str:
    """Take over a model file that another program made, and report.

    Args:
        model: The ONNX file.
        out: The file to write.
        network: The reference, with `checkpoint`, as in `export`; None for both without one.
        checkpoint: Its weights.
        data_dir: As in `export.to_onnx.export`.

    Raises:
        EdgeAdderError: As `export.adopt.adopt`.
    """
    named = network is not None or checkpoint is not None
    reference = _load(checkpoint, network) if named else None
    return report.adopt_report(adoption.adopt(model, out, reference=reference, data_dir=data_dir))


def _load(checkpoint: Path | None, network: str | None) -> Checkpoint:
    """Return a checkpoint; without a path, the committed one of a network."""
    if checkpoint is not None:
        return checkpoints.load(checkpoint, network)
    return checkpoints.load(checkpoints.committed(network or networks.DEFAULT), network)


def as_onnx(checkpoint: Path | None, network: str | None) -> bytes:
    """Return the ONNX file of a checkpoint, without the gate.

    Args:
        checkpoint: As in `export`.
        network: As in `export`.

    Raises:
        InputError: No network has this name.
        CheckpointError: The checkpoint is refused, or none is committed.
    """
    loaded = _load(checkpoint, network)
    built = loaded.build()
    networks.probe.check(built, loaded.network)
    return to_onnx.to_onnx(built, loaded)


def networks_facts() -> list[dict[str, Any]]:
    """Return the facts of every network, in JSON's types."""
    return [dataclasses.asdict(facts) for facts in catalogue()]


def networks_table() -> str:
    """Return the facts of every network as a table."""
    return report.networks_table(catalogue())


def download_handwriting(folder: Path | None) -> None:
    """Download the parts of all sets of handwriting that are missing, and say so on stderr.

    Raises:
        EdgeAdderError: As `export.handwriting.download.download`.
    """
    place = sets.find_folder(folder)
    for each in sets.SETS:
        if missing_parts(each, place):
            print(f"edge-adder: downloading {each.name} from {each.url}", file=sys.stderr)
            download(each, place)


def handwriting_facts(folder: Path | None) -> list[dict[str, Any]]:
    """Return where each set of handwriting comes from and where it is, in JSON's types."""
    place = sets.find_folder(folder)
    return [
        dataclasses.asdict(each)
        | {"folder": str(place / each.name), "missing": missing_parts(each, place)}
        for each in sets.SETS
    ]


def handwriting_table(folder: Path | None) -> str:
    """Return where each set of handwriting comes from and where it is, as text."""
    return report.handwriting_table(handwriting_facts(folder))
