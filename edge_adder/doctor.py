"""`edge-adder doctor`: what this machine has, and whether a model works on it.

Each `Check` passes, fails, or is for information only; the first that fails decides the exit code.
No check needs a network.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_adder.environment import cores_by_affinity, cpu_quota, fingerprint, thread_count
from edge_adder.errors import EdgeAdderError, ExitCode, ModelError, ProviderError, one_line
from edge_adder.model_file import read_bundled
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
"""Version of the JSON's form."""

TELEMETRY_SWITCH = "ORT_DISABLE_TELEMETRY"
TELEMETRY_OFF = ("1", "true", "yes", "on")
"""Values, in any case, that turn onnxruntime's uploader of usage data off, as of version 1.31.1.
With any other value, or without the variable, it is on."""

NEWER_IR = b"\x08\x7f" + b"B\x04\x0a\x00\x10\x01" + b":\x03\x12\x01g"
NEWER_OPSET = b"\x08\x07" + b"B\x04\x0a\x00\x10\x7f" + b":\x03\x12\x01g"
"""Models of IR version 127 and of opset 127: ir_version, opset_import and an empty graph of a
ModelProto (onnx.proto). onnxruntime refuses each with the newest version that it can load."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked.

    Attributes:
        name: What was checked.
        good: Whether it is as it should be; None for information only.
        text: One line: what was found and, where it is bad, how to fix it.
        facts: What was found, in JSON's types.
        exit_code: Exit code where it is bad.
    """

    name: str
    good: bool | None
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    exit_code: ExitCode = ExitCode.PROVIDER


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All checks and what follows from them.

    Attributes:
        requested: The provider that has to work.
        active: The provider that runs the model; None where none does.
        checks: All checks, in the order of the report.
    """

    requested: Provider
    active: str | None
    checks: Sequence[Check]

    @property
    def exit_code(self) -> ExitCode:
        """Exit code of the first bad check; 0 where none is bad."""
        bad = (check.exit_code for check in self.checks if check.good is False)
        return next(bad, ExitCode.DONE)

    def to_dict(self) -> dict[str, Any]:
        """Return the diagnosis in JSON's types.

        Returns:
            ``schema``; ``version`` of this form; ``exit_code``; ``provider``: ``requested`` and
            ``active``, null where none works; ``checks``: ``name``, ``good`` (null for information
            only), ``text`` and ``facts`` of each, in the order of the report.
        """
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "exit_code": int(self.exit_code),
            "provider": {"requested": self.requested, "active": self.active},
            "checks": [
                {"name": each.name, "good": each.good, "text": each.text, "facts": {**each.facts}}
                for each in self.checks
            ],
        }


def run_checks(provider: Provider = "cpu", model: Path | None = None) -> Diagnosis:
    """Check the machine, onnxruntime, every provider and a model.

    Args:
        provider: The provider that has to work. Any other that is compiled in has to work too.
        model: The model file; None for the bundled one.

    Raises:
        InputError: `provider` is unknown.
    """
    order = candidates(provider, tuple(EXECUTION_PROVIDERS.values()))  # of all, compiled in or not
    checks = [*_check_machine(), _check_cores(), _check_telemetry()]
    try:
        from edge_adder import session  # noqa: PLC0415  a failure is a bad check
    except ProviderError as error:
        failed = Check("onnxruntime", good=False, text=str(error))
        return Diagnosis(provider, None, [*checks, failed])
    version = session.ONNXRUNTIME_VERSION
    results = {name: _load(name, model) for name in EXECUTION_PROVIDERS}
    loaded = {
        name: result for name, result in results.items() if not isinstance(result, EdgeAdderError)
    }
    checks += [
        _check_onnxruntime(version),
        *(_check_provider(name, result, name == provider) for name, result in results.items()),
        *_check_model([*results.values()], version),
        *([_check_bundled_hash()] if model is None else _show_hash(loaded.values())),
        *(_check_answers(name, adder) for name, adder in loaded.items()),
        _check_ink_model(),
    ]
    return Diagnosis(provider, next((name for name in order if name in loaded), None), checks)


def report(diagnosis: Diagnosis) -> list[tuple[bool | None, str]]:
    """Return a line for each check, with whether it is good.

    Args:
        diagnosis: What `run_checks` returned.
    """
    marks = {True: "ok", False: "BAD", None: "-"}
    return [
        (each.good, f"{marks[each.good]:<4}{each.name:<13}{each.text}") for each in diagnosis.checks
    ]


def _check_machine() -> Iterator[Check]:
    machine = fingerprint()
    facts = {key: machine[key] for key in ("python", "system", "cpu")}
    yield Check("python", good=True, text=", ".join(facts.values()), facts=facts)
    packages = machine["packages"]
    text = ", ".join(f"{name} {version}" for name, version in packages.items())
    yield Check("packages", good=True, text=text, facts=packages)


def _check_cores() -> Check:
    affinity, quota, auto = cores_by_affinity(), cpu_quota(), thread_count("auto")
    limit = "no quota" if quota is None else f"a quota of {quota:g}"
    text = f"{affinity} by affinity, {limit}; --threads auto uses {auto}"
    facts = {"affinity": affinity, "quota": quota, "auto_threads": auto}
    return Check("cores", good=True, text=text, facts=facts)


def _check_telemetry() -> Check:
    value = os.environ.get(TELEMETRY_SWITCH, "")
    off = value.lower() in TELEMETRY_OFF
    text = f"{'off' if off else 'on'}, {TELEMETRY_SWITCH}={value}"
    return Check("telemetry", good=True if off else None, text=text, facts={"off": off})


def _check_onnxruntime(version: str) -> Check:
    """Check which distributions of onnxruntime are installed, and that it is only one."""
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


def _load(provider: str, model: Path | None) -> EdgeAdder | EdgeAdderError:
    """Return a model on a provider, or why it does not load there."""
    from edge_adder.predictor import EdgeAdder  # noqa: PLC0415  needs onnxruntime

    try:
        return EdgeAdder(model, provider=provider)  # type: ignore[arg-type]
    except EdgeAdderError as error:
        return error


def _check_provider(name: str, result: EdgeAdder | EdgeAdderError, requested: bool) -> Check:
    """Check that a provider loads, where it is compiled in or requested.

    Args:
        name: Name of the provider.
        result: What `_load` returned for it.
        requested: Whether it has to work.
    """
    from edge_adder.session import available_providers  # noqa: PLC0415  needs onnxruntime

    compiled = EXECUTION_PROVIDERS[name] in available_providers()
    facts = {"compiled": compiled, "loads": not isinstance(result, EdgeAdderError)}
    if facts["loads"]:
        return Check(name, good=True, text="compiled in, loads", facts=facts)
    if not isinstance(result, ProviderError):
        text = "compiled in, but has no model to run"
        return Check(name, good=None, text=text, facts=facts)
    if compiled or requested:
        return Check(name, good=False, text=str(result), facts=facts)
    text = f"not compiled in; for a GPU: {install_command(CUDA_WHEEL, installed_runtimes())}"
    return Check(name, good=None, text=text, facts=facts)


def _check_model(results: Sequence[EdgeAdder | EdgeAdderError], version: str) -> Iterator[Check]:
    """Check that the model is accepted, and compare its versions with onnxruntime's."""
    errors = [result for result in results if isinstance(result, EdgeAdderError)]
    refusal = next((error for error in errors if not isinstance(error, ProviderError)), None)
    if refusal is not None:
        yield Check("model", good=False, text=str(refusal), exit_code=ExitCode.MODEL)
    adder = next((result for result in results if not isinstance(result, EdgeAdderError)), None)
    if adder is not None:
        facts = {key: adder.provenance.get(key) for key in ("ir_version", "opset")}
        name = "" if adder.model == "default" else f"{adder.model} keeps the contract; "
        newest = {
            "ir_version": _newest(NEWER_IR, "IR version"),
            "opset": _newest(NEWER_OPSET, "opset"),
        }
        text = (
            f"{name}IR version {facts['ir_version']} and opset {facts['opset']}; "
            f"onnxruntime {version} loads up to {newest['ir_version'] or 'unknown'} "
            f"and {newest['opset'] or 'unknown'}"
        )
        facts |= {"name": adder.model, "newest": newest}
        yield Check("model", good=True, text=text, facts=facts)


def _newest(model: bytes, what: str) -> int | None:
    """Return the newest version that onnxruntime loads; None where its refusal does not say."""
    from edge_adder.session import open_session  # noqa: PLC0415  needs onnxruntime

    try:
        open_session(model)
    except ModelError as error:
        said = re.search(rf"max supported {what}: (\d+)|till {what} (\d+)", str(error.__cause__))
        return int(said[1] or said[2]) if said else None
    return None


def _check_bundled_hash() -> Check:
    """Check that the bundled model file is the one that was shipped."""
    from edge_adder.predictor import BUNDLED_MODEL  # noqa: PLC0415  needs onnxruntime

    return _check_hash(BUNDLED_MODEL)


def _check_hash(model: Path) -> Check:
    """Compare a file of the package with the SHA-256 that is stored beside it."""
    stored = model.with_name(model.name + ".sha256")
    try:
        expected = read_bundled(stored).decode().split()[0]
        found = hashlib.sha256(read_bundled(model)).hexdigest()
    except (EdgeAdderError, UnicodeDecodeError, IndexError) as error:
        text = f"cannot be compared: {one_line(error)}"
        return Check("hash", good=False, text=text, exit_code=ExitCode.MODEL)
    same = found == expected
    text = f"SHA-256 {found}" if same else f"SHA-256 {found}, expected {expected}: install again"
    return Check("hash", same, text, {"sha256": found, "expected": expected}, ExitCode.MODEL)


def _show_hash(loaded: Iterable[EdgeAdder]) -> Iterator[Check]:
    """Show the hash of a model file of one's own, of which none is stored to compare it with."""
    for adder in itertools.islice(loaded, 1):
        text = f"SHA-256 {adder.model_sha256}; --sha256 of the other commands compares it"
        yield Check("hash", good=None, text=text, facts={"sha256": adder.model_sha256})


def _check_answers(name: str, adder: EdgeAdder) -> Check:
    """Check that the answers on a provider are PyTorch's."""
    from edge_adder import parity  # noqa: PLC0415  needs onnxruntime

    facts = {"provider": name}
    try:
        vectors = parity.load_vectors(adder)
        if vectors is None:
            text = (
                f"on {name}: no .parity.npz with PyTorch's answers beside {adder.model}, "
                "as `edge-adder export` writes it"
            )
            return Check("self-test", good=None, text=text, facts=facts)
        result = parity.check_parity(adder, vectors)
    except Exception as error:  # noqa: BLE001  numpy and onnxruntime raise nearly anything
        text = f"on {name}: {one_line(error)}"
        return Check("self-test", good=False, text=text, facts=facts, exit_code=ExitCode.MODEL)
    text = f"on {name}, {'; '.join(result.describe())}"
    return Check("self-test", result.passed, text, facts | result.to_dict(), ExitCode.MODEL)


def _check_ink_model() -> Check:
    """Check that the bundled ink model is as shipped, and finds here what it found in PyTorch."""
    from edge_adder import ink_model  # noqa: PLC0415  needs onnxruntime

    shipped = _check_hash(ink_model.INK_MODEL)
    if not shipped.good:
        return replace(shipped, name="ink-model")
    try:
        found = ink_model.check_parity()
    except Exception as error:  # noqa: BLE001  numpy and onnxruntime raise nearly anything
        text = one_line(error)
        return Check("ink-model", good=False, text=text, exit_code=ExitCode.MODEL)
    verdict = "passed" if found.passed else "FAILED"
    text = (
        f"parity with PyTorch, bound {ink_model.PARITY_BOUND:g}: {verdict}; log-odds "
        f"{found.largest_difference:.1e}, {found.changed_pixels} pixels changed"
    )
    facts = {
        "largest_difference": found.largest_difference,
        "changed_pixels": found.changed_pixels,
        "bound": ink_model.PARITY_BOUND,
    }
    return Check("ink-model", found.passed, text, facts, ExitCode.MODEL)
