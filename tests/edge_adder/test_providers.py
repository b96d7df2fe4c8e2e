"""What is asked for runs, or an error says why not."""

from __future__ import annotations

import pytest

from edge_adder import EdgeAdder, InputError, ProviderError
from edge_adder import predictor as predictor_module
from edge_adder.providers import candidates, check_delivered

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


@pytest.mark.parametrize(
    ("asked", "available", "tried"),
    [
        ("cpu", [CPU], ("cpu",)),
        ("cpu", [CUDA, CPU], ("cpu",)),
        ("cuda", [CUDA, CPU], ("cuda",)),
        ("auto", [CUDA, CPU], ("cuda", "cpu")),
        ("auto", ["AzureExecutionProvider", CPU], ("cpu",)),
    ],
)
def test_only_auto_has_a_second_choice(
    asked: str, available: list[str], tried: tuple[str, ...]
) -> None:
    assert candidates(asked, available) == tried


def test_cuda_without_cuda_names_the_remedy() -> None:
    with pytest.raises(ProviderError, match=r"built without it: pip uninstall -y onnxruntime && "):
        candidates("cuda", [CPU])


def test_an_unknown_provider_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="must be one of auto, cpu, cuda, got 'gpu'"):
        candidates("gpu", [CPU])


def test_a_session_elsewhere_is_refused() -> None:
    check_delivered("cuda", [CUDA, CPU])
    with pytest.raises(ProviderError, match=f"cuda was asked for and onnxruntime delivered {CPU}"):
        check_delivered("cuda", [CPU])
    with pytest.raises(ProviderError, match="delivered none"):
        check_delivered("cpu", [])


class FakeSession:
    """What onnxruntime gives when CUDA is compiled in and its libraries are missing: the CPU."""

    def __init__(self, data: bytes, **_: object) -> None:
        self.real = ORIGINAL(data, providers=[CPU])

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


ORIGINAL = predictor_module.ort.InferenceSession


@pytest.fixture
def broken_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    ort = predictor_module.ort
    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(ort, "preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr(ort, "InferenceSession", FakeSession)


@pytest.mark.usefixtures("broken_cuda")
def test_cuda_that_silently_becomes_cpu_is_an_error() -> None:
    with pytest.raises(ProviderError, match="provider cuda was asked for"):
        EdgeAdder(provider="cuda")


@pytest.mark.usefixtures("broken_cuda")
def test_auto_goes_on_to_the_cpu_and_says_so() -> None:
    assert EdgeAdder(provider="auto").provider == "cpu"


def test_explicit_cuda_forbids_the_fallback(monkeypatch: pytest.MonkeyPatch) -> None:
    ort = predictor_module.ort
    seen = {}

    def session(_: bytes, *, sess_options: object, providers: list[str], **__: object) -> object:
        key = "session.disable_cpu_ep_fallback"
        seen["fallback"] = sess_options.get_session_config_entry(key)
        seen["providers"] = providers
        raise RuntimeError("libcublas.so.12:\ncannot open shared object file")

    monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(ort, "preload_dlls", lambda: seen.setdefault("preloaded", 1), raising=False)
    monkeypatch.setattr(ort, "InferenceSession", session)
    with pytest.raises(ProviderError, match=r"libcublas\.so\.12: cannot open shared object file"):
        EdgeAdder(provider="cuda")
    assert seen == {"fallback": "1", "providers": [CUDA], "preloaded": 1}
