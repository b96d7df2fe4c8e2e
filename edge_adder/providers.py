"""Which execution provider runs a model, the check that it does, and what to do if it cannot.

Only `session` imports onnxruntime; what onnxruntime knows comes in as arguments.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, get_args

from edge_adder.errors import InputError, ProviderError, one_line

Provider = Literal["auto", "cpu", "cuda"]
"""A provider to request. Only ``auto`` chooses: CUDA if it works, else the CPU."""

PROVIDERS: tuple[Provider, ...] = get_args(Provider)
"""All providers that can be requested."""

EXECUTION_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""Our name → onnxruntime's."""

CPU_WHEEL, CUDA_WHEEL = "onnxruntime", "onnxruntime-gpu[cuda,cudnn]"
"""What pip installs. The extras bring CUDA's libraries; the driver comes with the system."""

_CHECK_GPU = "check that `nvidia-smi` lists a GPU and that CUDA_VISIBLE_DEVICES does not hide it"


def installed_runtimes() -> dict[str, str]:
    """Return the installed distributions of the package `onnxruntime`: version by name.

    If there are several, one has overwritten files of another, which pip permits.
    """
    from importlib.metadata import distributions  # noqa: PLC0415  10 ms that no prediction needs

    found = {}
    for each in distributions():
        name = (each.metadata["Name"] or "").lower().replace("_", "-")
        if not name.startswith(("onnxruntime", "ort-")):
            continue
        if any(file.as_posix() == "onnxruntime/__init__.py" for file in each.files or ()):
            found[name] = each.version  # not onnxruntime-extensions: it has a package of its own
    return dict(sorted(found.items()))


def install_command(wheel: str, found: Collection[str] = ()) -> str:
    """Return the command that installs one wheel of onnxruntime in place of all others.

    It uninstalls all of them, the wanted one too: whichever goes first takes the files they share.

    Args:
        wheel: `CPU_WHEEL` or `CUDA_WHEEL`.
        found: Names of the installed distributions.
    """
    installed = sorted({CPU_WHEEL, "onnxruntime-gpu", *found})
    return f"pip uninstall -y {' '.join(installed)} && pip install {_quoted(wheel)}"


def candidates(
    requested: Provider, available: Sequence[str], runtimes: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Return the providers to try one after the other, best first.

    Args:
        requested: The provider that the user named.
        available: `onnxruntime.get_available_providers()`: those that it was compiled with.
        runtimes: The installed distributions; `installed_runtimes` if None.

    Returns:
        Our names, ``cpu`` or ``cuda``.

    Raises:
        InputError: `requested` is none of `PROVIDERS`.
        ProviderError: onnxruntime was built without it.
    """
    if requested not in PROVIDERS:
        raise InputError(f"provider must be one of {', '.join(PROVIDERS)}, got {requested!r}")
    has_cuda = EXECUTION_PROVIDERS["cuda"] in available
    if requested == "cuda" and not has_cuda:
        runtimes = installed_runtimes() if runtimes is None else runtimes
        why = conflict(runtimes) or f"this {_named(runtimes) or 'onnxruntime'} was built without it"
        raise _cuda_error(why, _run(install_command(CUDA_WHEEL, runtimes)))
    if requested == "auto":
        return ("cuda", "cpu") if has_cuda else ("cpu",)
    return (requested,)


def conflict(runtimes: Mapping[str, str]) -> str | None:
    """Return what is wrong if several distributions are installed over each other, else None.

    Args:
        runtimes: The installed distributions, from `installed_runtimes`.
    """
    return f"{_named(runtimes)} are installed over each other" if len(runtimes) > 1 else None


def cuda_failure(
    name: str, reason: str, load_error: str | None, runtimes: Mapping[str, str]
) -> ProviderError:
    """Return the error for a session that CUDA cannot run: what failed, and what fixes it.

    Args:
        name: Name of the model.
        reason: Message of onnxruntime. If a library does not load, it only says that the CPU would
            have to run the nodes.
        load_error: Message of the system's loader, from `edge_adder.cuda.load_error`.
        runtimes: The installed distributions, from `installed_runtimes`.
    """
    overlap = conflict(runtimes)
    if overlap is not None:
        return _cuda_error(overlap, _run(install_command(CUDA_WHEEL, runtimes)))
    if load_error is not None and re.search(r"\b(libcuda\.so|nvcuda\.dll)", load_error):
        why = f"the NVIDIA driver is missing ({load_error})"
        return _cuda_error(why, f"install it, and {_CHECK_GPU}")
    if load_error is not None:
        upgrade = f"pip install --upgrade {_quoted(CUDA_WHEEL)}"
        return _cuda_error(f"CUDA's libraries do not load ({load_error})", _run(upgrade))
    failure = re.search(r"CUDA failure \d+: [^;]*[^; ]", reason)  # the rest is onnxruntime's source
    if failure is not None:
        return _cuda_error(f"onnxruntime reports {failure[0]}", _CHECK_GPU)
    return ProviderError(f"provider cuda cannot run {name}: {reason}; or use provider cpu")


def missing_runtime(error: Exception, runtimes: Mapping[str, str] | None = None) -> ProviderError:
    """Return the error for an onnxruntime that cannot be imported, or is an empty package.

    It is empty after one of two wheels was uninstalled and took the files of the other.

    Args:
        error: What the import raised.
        runtimes: The installed distributions; `installed_runtimes` if None.
    """
    runtimes = installed_runtimes() if runtimes is None else runtimes
    wheel = CUDA_WHEEL if "onnxruntime-gpu" in runtimes else CPU_WHEEL
    found = conflict(runtimes) or _named(runtimes) or "no distribution of it is installed"
    remedy = _run(install_command(wheel, runtimes))
    reason = one_line(error, limit=1000)
    return ProviderError(f"onnxruntime cannot be imported ({reason}; {found}): {remedy}")


def check_active(requested: str, active: Sequence[str]) -> None:
    """Refuse a session that runs on another provider than the requested one.

    Args:
        requested: ``cpu`` or ``cuda``.
        active: `InferenceSession.get_providers()`: the session's providers, first choice first.

    Raises:
        ProviderError: The first choice is another one.
    """
    if not active or active[0] != EXECUTION_PROVIDERS[requested]:
        raise ProviderError(
            f"provider {requested} was requested, but onnxruntime runs on "
            f"{', '.join(active) or 'no provider'}"
        )


def _cuda_error(why: str, remedy: str) -> ProviderError:
    return ProviderError(f"provider cuda cannot run, since {why}: {remedy}, or use provider cpu")


def _run(command: str) -> str:
    return f"run `{command}`"


def _named(runtimes: Mapping[str, str]) -> str:
    """Return such as ``onnxruntime 1.31.1 and onnxruntime-gpu 1.31.1``."""
    return " and ".join(f"{name} {version}" for name, version in runtimes.items())


def _quoted(wheel: str) -> str:
    return f"'{wheel}'" if "[" in wheel else wheel
