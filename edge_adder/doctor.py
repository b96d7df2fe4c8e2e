"""`edge-adder doctor`: what this machine has, and whether the bundled model is right on it.

A `Check` is good, bad, or for information only; the first bad one decides the exit code. All is
found out here and now, without a network. What onnxruntime can load it says itself, when it is
asked to load a model from the future.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge_adder.environment import (
    Threads,
    allowed_cores,
    cores_by_affinity,
    cpu_quota,
    fingerprint,
    thread_count,
)
from edge_adder.errors import EdgeAdderError, ExitCode, ModelError, ProviderError
from edge_adder.providers import (
    CPU_WHEEL,
    CUDA_WHEEL,
    EXECUTION_PROVIDERS,
    Provider,
    candidates,
    conflict,
    install_command,
    installed_runtimes,
)

if TYPE_CHECKING:
    from edge_adder.predictor import EdgeAdder

SCHEMA = "edge_adder.doctor"
VERSION = 1
"""Of the result's form."""

TELEMETRY_SWITCH = "ORT_DISABLE_TELEMETRY"
TELEMETRY_OFF = ("1", "true", "yes", "on")
"""What onnxruntime 1.31.1 takes for off, in any case of letters. With anything else, or without it,
its uploader is on."""

NEWER_IR = b"\x08\x7f" + b"B\x04\x0a\x00\x10\x01" + b":\x03\x12\x01g"
NEWER_OPSET = b"\x08\x07" + b"B\x04\x0a\x00\x10\x7f" + b":\x03\x12\x01g"
"""Models of IR version 127 and of opset 127: ir_version, opset_import and an empty graph of a
ModelProto (onnx.proto). onnxruntime refuses each with the newest version that it can load."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: What it was.
        good: Whether it is as it should be; None for information only.
        text: What was found and, where it is bad, what fixes it; one line.
        facts: The same in JSON's types.
        exit_code: Where it is bad.
    """

    name: str
    good: bool | None
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    exit_code: ExitCode = ExitCode.PROVIDER


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that was found.

    Attributes:
        requested: The provider that has to work.
        active: The one that runs; None where none does.
        findings: In the order of the report.
    """

    requested: Provider
    active: str | None
    findings: Sequence[Check]

    @property
    def exit_code(self) -> ExitCode:
        """Of the first bad finding; 0 where none is bad."""
        bad = (finding.exit_code for finding in self.findings if finding.good is False)
        return next(bad, ExitCode.DONE)

    def to_dict(self) -> dict[str, Any]:
        """The same in JSON's types."""
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "exit_code": int(self.exit_code),
            "provider": {"requested": self.requested, "active": self.active},
            "findings": [
                {"name": each.name, "good": each.good, "text": each.text, "facts": {**each.facts}}
                for each in self.findings
            ],
        }


def run_checks(
    provider: Provider = "cpu", threads: Threads = 1, *, spinning: bool = False
) -> Diagnosis:
    """Look at everything.

    Args:
        provider: Has to work; beside it every one that is compiled in.
        threads: As in `EdgeAdder`.
        spinning: As in `EdgeAdder`.

    Raises:
        InputError: `provider` or `threads` is none of their values.
    """
    count = thread_count(threads)
    candidates(provider, tuple(EXECUTION_PROVIDERS.values()))  # refuses an unknown one
    findings = [*_machine(), _cores(), _threads(count, spinning=spinning), _telemetry()]
    try:
        from edge_adder import predictor  # noqa: PLC0415  where it fails, that is a finding
    except ProviderError as error:
        return Diagnosis(provider, None, [*findings, Check("onnxruntime", False, str(error))])
    findings.append(_distributions(predictor.ONNXRUNTIME_VERSION))
    loaded: dict[str, EdgeAdder] = {}
    refusal: EdgeAdderError | None = None
    for name, theirs in EXECUTION_PROVIDERS.items():
        compiled = theirs in predictor.available_providers()
        failure: EdgeAdderError | None = None
        try:
            loaded[name] = predictor.EdgeAdder(provider=name, threads=count, spinning=spinning)  # type: ignore[arg-type]
        except EdgeAdderError as error:
            failure = error
        if failure is not None and not isinstance(failure, ProviderError):
            refusal = failure
        findings.append(_provider(name, failure, compiled=compiled, asked=provider == name))
    findings += _model(loaded, refusal, predictor.ONNXRUNTIME_VERSION)
    order = {"auto": ("cuda", "cpu")}.get(provider, (provider,))
    return Diagnosis(provider, next((name for name in order if name in loaded), None), findings)


def report(diagnosis: Diagnosis) -> list[tuple[bool | None, str]]:
    """A line for each finding, with whether it is good.

    Args:
        diagnosis: What `run_checks` returned.
    """
    marks = {True: "ok", False: "BAD", None: "-"}
    return [
        (each.good, f"{marks[each.good]:<4}{each.name:<13}{each.text}")
        for each in diagnosis.findings
    ]


def _machine() -> Iterator[Check]:
    machine = fingerprint()
    yield Check(
        "python",
        good=True,
        text=f"{machine['python']}, {machine['system']}, {machine['cpu']}",
        facts={key: machine[key] for key in ("python", "system", "cpu")},
    )
    packages = machine["packages"]
    text = ", ".join(f"{name} {version}" for name, version in packages.items())
    yield Check("packages", good=True, text=text, facts=packages)


def _cores() -> Check:
    affinity, quota = cores_by_affinity(), cpu_quota()
    limit = "no quota" if quota is None else f"a quota of {quota:g}"
    facts = {"affinity": affinity, "quota": quota}
    return Check("cores", good=True, text=f"{affinity} by affinity, {limit}", facts=facts)


def _threads(count: int, *, spinning: bool) -> Check:
    auto = allowed_cores()
    busy = "spinning" if spinning else "not spinning"
    facts = {"threads": count, "auto": auto, "spinning": spinning}
    return Check("threads", good=True, text=f"{count} in use, auto is {auto}; {busy}", facts=facts)


def _telemetry() -> Check:
    value = os.environ.get(TELEMETRY_SWITCH, "")
    off = value.lower() in TELEMETRY_OFF
    text = f"{'off' if off else 'on'}, {TELEMETRY_SWITCH}={value}"
    return Check("telemetry", good=True if off else None, text=text, facts={"off": off})


def _distributions(version: str) -> Check:
    """Which wheels of onnxruntime are installed, and whether over each other."""
    runtimes = installed_runtimes()
    facts = {"version": version, "distributions": runtimes}
    overlap = conflict(runtimes)
    if overlap is not None:
        cpu, cuda = (install_command(wheel, runtimes) for wheel in (CPU_WHEEL, CUDA_WHEEL))
        text = f"{overlap}; for the CPU: {cpu}; for a GPU: {cuda}"
        return Check("onnxruntime", good=False, text=text, facts=facts)
    (found,) = runtimes.items() or [("no distribution that pip knows", "")]
    text = f"{version}, installed as {' '.join(found).strip()}"
    return Check("onnxruntime", good=True, text=text, facts=facts)


def _provider(name: str, failure: EdgeAdderError | None, *, compiled: bool, asked: bool) -> Check:
    """Whether a provider that is compiled in also loads; `failure` is what loading it raised."""
    facts = {"compiled": compiled, "loads": failure is None}
    if failure is None:
        return Check(name, good=True, text="compiled in, loads", facts=facts)
    if not isinstance(failure, ProviderError):
        return Check(name, good=None, text="compiled in, has no model to run", facts=facts)
    if compiled or asked:
        return Check(name, good=False, text=str(failure), facts=facts)
    text = f"not compiled in; for a GPU: {install_command(CUDA_WHEEL, installed_runtimes())}"
    return Check(name, good=None, text=text, facts=facts)


def _model(
    loaded: Mapping[str, EdgeAdder], refusal: EdgeAdderError | None, version: str
) -> Iterator[Check]:
    """Whether the bundled model is the one that was shipped, loads, and answers as PyTorch did."""
    from edge_adder.bench.report import parity_lines  # noqa: PLC0415
    from edge_adder.bench.run import bundled_vectors, parity  # noqa: PLC0415  needs onnxruntime
    from edge_adder.predictor import BUNDLED_MODEL  # noqa: PLC0415

    bad = ExitCode.MODEL
    if refusal is not None:
        yield Check("model", good=False, text=str(refusal), exit_code=bad)
    for adder in list(loaded.values())[:1]:
        facts = {key: adder.provenance.get(key) for key in ("ir_version", "opset")}
        most = {
            "ir_version": _newest(NEWER_IR, "IR version"),
            "opset": _newest(NEWER_OPSET, "opset"),
        }
        text = (
            f"IR version {facts['ir_version']} and opset {facts['opset']}; onnxruntime {version} "
            f"loads up to {most['ir_version'] or 'unknown'} and {most['opset'] or 'unknown'}"
        )
        yield Check("model", good=True, text=text, facts=facts | {"newest": most})
    stored = BUNDLED_MODEL.with_name(BUNDLED_MODEL.name + ".sha256")
    try:
        wanted = stored.read_text().split()[0]
        found = hashlib.sha256(BUNDLED_MODEL.read_bytes()).hexdigest()
    except (OSError, IndexError) as error:
        yield Check("hash", good=False, text=f"cannot be compared: {error}", exit_code=bad)
    else:
        same = found == wanted
        text = f"SHA-256 {found}" if same else f"SHA-256 {found}, expected {wanted}: install again"
        yield Check("hash", same, text, {"sha256": found, "expected": wanted}, bad)
    for name, adder in loaded.items():
        facts = {"provider": name}
        try:
            result = parity(adder, bundled_vectors())
        except Exception as error:  # noqa: BLE001  numpy and onnxruntime raise nearly anything
            text = f"on {name}: {' '.join(str(error).split())}"
            yield Check("self-test", good=False, text=text, facts=facts, exit_code=bad)
        else:
            text = f"on {name}, {'; '.join(parity_lines(result))}"
            yield Check("self-test", result["passed"], text, facts | result, bad)


def _newest(model: bytes, what: str) -> int | None:
    """The newest version that onnxruntime can load, from its refusal; None where it says none."""
    from edge_adder.predictor import open_session  # noqa: PLC0415

    try:
        open_session(model)
    except ModelError as error:
        said = re.search(rf"max supported {what}: (\d+)|till {what} (\d+)", str(error.__cause__))
        return int(said[1] or said[2]) if said else None
    return None
