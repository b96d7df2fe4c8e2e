"""Which execution provider runs a model, the proof that it does, and what to do where it does not.

`onnxruntime` itself is imported by `predictor` alone; what it knows comes in as arguments.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from edge_adder.errors import InputError, ProviderError

Provider = Literal["auto", "cpu", "cuda"]
PROVIDERS: tuple[Provider, ...] = ("auto", "cpu", "cuda")
"""What can be asked for. Only ``auto`` chooses: CUDA where it works, else the CPU."""

EXECUTION_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""Our name → onnxruntime's."""

CPU_WHEEL, CUDA_WHEEL = "onnxruntime", "onnxruntime-gpu[cuda,cudnn]"
"""What pip installs. The extras bring CUDA's libraries; the driver comes with the system."""


def installed_runtimes() -> dict[str, str]:
    """Version by name of the installed distributions that bring the package `onnxruntime`.

    More than one lie over each other: pip lets one overwrite the files of another.
    """
    from importlib.metadata import distributions  # noqa: PLC0415  10 ms that no prediction needs

    found = {}
    for each in distributions():
        name = (each.metadata["Name"] or "").lower().replace("_", "-")
        if not name.startswith(("onnxruntime", "ort-")):
            continue
        if any(file.as_posix() == "onnxruntime/__init__.py" for file in each.files or ()):
            found[name] = each.version  # not of the extensions, which bring packages of their own
    return dict(sorted(found.items()))


def install_command(wheel: str, found: Collection[str] = ()) -> str:
    """The command that puts one wheel of onnxruntime in the place of all others.

    All are uninstalled, the wanted one too: the first that goes takes the files that they share.

    Args:
        wheel: `CPU_WHEEL` or `CUDA_WHEEL`.
        found: Names of the installed ones.
    """
    others = sorted({CPU_WHEEL, "onnxruntime-gpu", *found})
    return f"pip uninstall -y {' '.join(others)} && pip install {_quoted(wheel)}"


def candidates(
    asked: Provider, available: Sequence[str], runtimes: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """The providers to try, best first, each on its own.

    Args:
        asked: What the user asked for.
        available: `onnxruntime.get_available_providers()`: what the build was compiled with.
        runtimes: As `installed_runtimes` gives them, which is None's meaning.

    Returns:
        Names of ours, ``cpu`` or ``cuda``.

    Raises:
        InputError: `asked` is none of `PROVIDERS`.
        ProviderError: It was asked for and the build lacks it.
    """
    if asked not in PROVIDERS:
        raise InputError(f"provider must be one of {', '.join(PROVIDERS)}, got {asked!r}")
    has_cuda = EXECUTION_PROVIDERS["cuda"] in available
    if asked == "cuda" and not has_cuda:
        runtimes = installed_runtimes() if runtimes is None else runtimes
        why = conflict(runtimes) or f"this {_named(runtimes) or 'onnxruntime'} was built without it"
        raise _refused(why, install_command(CUDA_WHEEL, runtimes))
    if asked == "auto":
        return ("cuda", "cpu") if has_cuda else ("cpu",)
    return (asked,)


def conflict(runtimes: Mapping[str, str]) -> str | None:
    """What is wrong with the installed distributions; None where they do not lie over each other.

    Args:
        runtimes: As `installed_runtimes` gives them.
    """
    return f"{_named(runtimes)} are installed over each other" if len(runtimes) > 1 else None


def cuda_failure(
    name: str, reason: str, load_error: str | None, runtimes: Mapping[str, str]
) -> ProviderError:
    """The error for a session on CUDA that could not be made: what failed, and what fixes it.

    Args:
        name: Of the model.
        reason: What onnxruntime said. Where a library did not load it only says that the CPU would
            have to run the nodes.
        load_error: What the loader said, as `edge_adder.cuda.load_error` gives it.
        runtimes: As `installed_runtimes` gives them.
    """
    look = "see that `nvidia-smi` lists a GPU and that CUDA_VISIBLE_DEVICES does not hide it"
    overlap = conflict(runtimes)
    if overlap is not None:
        return _refused(overlap, install_command(CUDA_WHEEL, runtimes))
    if load_error is not None and re.search(r"\b(libcuda\.so|nvcuda\.dll)", load_error):
        return _refused(f"the NVIDIA driver is missing ({load_error})", f"install it, and {look}")
    if load_error is not None:
        upgrade = f"pip install --upgrade {_quoted(CUDA_WHEEL)}"
        return _refused(f"CUDA's libraries do not load ({load_error})", upgrade)
    failure = re.search(r"CUDA failure \d+: [^;]*[^; ]", reason)  # the rest is onnxruntime's source
    if failure is not None:
        return _refused(failure[0], look)
    return ProviderError(f"provider cuda cannot run {name}: {reason}; or use provider cpu")


def missing_runtime(reason: object, runtimes: Mapping[str, str] | None = None) -> ProviderError:
    """The error for an onnxruntime that cannot be imported, or is empty.

    Empty is the package where one of two wheels was uninstalled and took the files of the other.

    Args:
        reason: What the import raised.
        runtimes: As in `candidates`.
    """
    runtimes = installed_runtimes() if runtimes is None else runtimes
    wheel = CUDA_WHEEL if "onnxruntime-gpu" in runtimes else CPU_WHEEL
    found = conflict(runtimes) or _named(runtimes) or "no distribution of it is installed"
    remedy = install_command(wheel, runtimes)
    said = " ".join(str(reason).split())
    return ProviderError(f"onnxruntime cannot be imported ({said}; {found}): {remedy}")


def check_delivered(wanted: str, delivered: Sequence[str]) -> None:
    """Refuse a session that runs elsewhere than where it was sent.

    Args:
        wanted: ``cpu`` or ``cuda``.
        delivered: `InferenceSession.get_providers()`: what the session really got, first choice
            first.

    Raises:
        ProviderError: The first choice is another one.
    """
    if not delivered or delivered[0] != EXECUTION_PROVIDERS[wanted]:
        raise ProviderError(
            f"provider {wanted} was asked for and onnxruntime delivered "
            f"{', '.join(delivered) or 'none'}"
        )


def _refused(why: str, remedy: str) -> ProviderError:
    return ProviderError(f"provider cuda was asked for: {why}: {remedy}; or use provider cpu")


def _named(runtimes: Mapping[str, str]) -> str:
    """Such as ``onnxruntime 1.31.1 and onnxruntime-gpu 1.31.1``."""
    return " and ".join(f"{name} {version}" for name, version in runtimes.items())


def _quoted(wheel: str) -> str:
    return f"'{wheel}'" if "[" in wheel else wheel
