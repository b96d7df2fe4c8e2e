"""Which execution provider runs a model, and the proof that it does.

`onnxruntime` itself is imported by `predictor` alone; what it knows comes in as arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from edge_adder.errors import InputError, ProviderError

Provider = Literal["auto", "cpu", "cuda"]
PROVIDERS: tuple[Provider, ...] = ("auto", "cpu", "cuda")
"""What can be asked for. Only ``auto`` chooses: CUDA where it works, else the CPU."""

EXECUTION_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
"""Our name → onnxruntime's."""

CUDA_REMEDY = "pip uninstall -y onnxruntime && pip install 'onnxruntime-gpu[cuda,cudnn]'"
"""The command that puts the CUDA build in the place of the CPU build."""


def candidates(asked: Provider, available: Sequence[str]) -> tuple[str, ...]:
    """The providers to try, best first, each on its own.

    Args:
        asked: What the user asked for.
        available: `onnxruntime.get_available_providers()`: what the build was compiled with.

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
        raise ProviderError(
            "provider cuda was asked for and this onnxruntime was built without it: "
            f"{CUDA_REMEDY}; or use provider cpu"
        )
    if asked == "auto":
        return ("cuda", "cpu") if has_cuda else ("cpu",)
    return (asked,)


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
            f"{', '.join(delivered) or 'none'}: {CUDA_REMEDY}; or use provider cpu"
        )
