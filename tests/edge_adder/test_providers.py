"""What is asked for runs, or an error says why not and what fixes it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_adder import EdgeAdder, InputError, ModelError, ProviderError
from edge_adder import predictor as predictor_module
from edge_adder.providers import (
    CPU_WHEEL,
    CUDA_WHEEL,
    candidates,
    check_delivered,
    cuda_failure,
    install_command,
    installed_runtimes,
    missing_runtime,
)

ROOT = Path(__file__).parents[2]
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
SWAP = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'onnxruntime-gpu[cuda,cudnn]'"
"""The CUDA wheel in the place of the CPU wheel, and of both."""

ONE = {"onnxruntime-gpu": "1.31.1"}
BOTH = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"}
HIDDEN = (
    "[ONNXRuntimeError] : 1 : FAIL : This session contains graph nodes that are assigned to the "
    "default CPU EP, but fallback to CPU EP has been explicitly disabled by the user."
)
"""All that onnxruntime raises where CUDA's libraries are missing."""

NO_DEVICE = (
    "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:146 [with ERRTYPE = cudaError; "
    "bool THRW = true] CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=h "
    "; file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_execution_provider.cc ; line=355"
)
"""What it raises where they load and find no GPU."""


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


@pytest.mark.parametrize(
    ("runtimes", "why"),
    [
        ({"onnxruntime": "1.31.1"}, "this onnxruntime 1.31.1 was built without it"),
        (BOTH, "onnxruntime 1.32.0 and onnxruntime-gpu 1.31.1 are installed over each other"),
        ({}, "this onnxruntime was built without it"),
    ],
)
def test_cuda_without_cuda_names_the_wheel_and_the_remedy(
    runtimes: dict[str, str], why: str
) -> None:
    with pytest.raises(ProviderError) as caught:
        candidates("cuda", [CPU], runtimes)
    wanted = f"provider cuda was asked for: {why}: {SWAP}; or use provider cpu"
    assert str(caught.value) == wanted


@pytest.mark.parametrize(
    ("reason", "load_error", "runtimes", "why"),
    [
        (
            HIDDEN,
            "libcublasLt.so.13: cannot open shared object file: No such file or directory",
            ONE,
            "CUDA's libraries do not load (libcublasLt.so.13: cannot open shared object file: No "
            "such file or directory): pip install --upgrade 'onnxruntime-gpu[cuda,cudnn]'",
        ),
        (
            HIDDEN,
            "libcuda.so.1: cannot open shared object file: No such file or directory",
            ONE,
            "the NVIDIA driver is missing (libcuda.so.1: cannot open shared object file: No such "
            "file or directory): install it, and see that `nvidia-smi` lists a GPU and that "
            "CUDA_VISIBLE_DEVICES does not hide it",
        ),
        (
            NO_DEVICE,
            None,
            ONE,
            "CUDA failure 100: no CUDA-capable device is detected: see that `nvidia-smi` lists a "
            "GPU and that CUDA_VISIBLE_DEVICES does not hide it",
        ),
        (
            HIDDEN,
            "libcublasLt.so.13: cannot open shared object file: No such file or directory",
            BOTH,
            "onnxruntime 1.32.0 and onnxruntime-gpu 1.31.1 are installed over each other: " + SWAP,
        ),
    ],
    ids=["libraries", "driver", "device", "both wheels"],
)
def test_a_failure_on_cuda_says_what_failed_and_what_mends_it(
    reason: str, load_error: str | None, runtimes: dict[str, str], why: str
) -> None:
    error = cuda_failure("default", reason, load_error, runtimes)
    assert str(error) == f"provider cuda was asked for: {why}; or use provider cpu"


def test_any_other_failure_on_cuda_is_told_as_it_is() -> None:
    error = cuda_failure("my.onnx", HIDDEN, None, ONE)
    assert str(error) == f"provider cuda cannot run my.onnx: {HIDDEN}; or use provider cpu"


def test_an_unknown_provider_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="must be one of auto, cpu, cuda, got 'gpu'"):
        candidates("gpu", [CPU])


def test_a_session_elsewhere_is_refused() -> None:
    check_delivered("cuda", [CUDA, CPU])
    with pytest.raises(ProviderError, match=f"cuda was asked for and onnxruntime delivered {CPU}"):
        check_delivered("cuda", [CPU])
    with pytest.raises(ProviderError, match="delivered none"):
        check_delivered("cpu", [])


def test_the_readme_has_the_command_that_the_errors_name() -> None:
    assert install_command(CUDA_WHEEL) == SWAP
    assert f"\n{SWAP}\n" in (ROOT / "README.md").read_text()


class FakeSession:
    """What onnxruntime gives when CUDA is compiled in and its libraries are missing: the CPU."""

    def __init__(self, data: bytes, **_: object) -> None:
        self.real = ORIGINAL(data, providers=[CPU])

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


ORIGINAL = predictor_module.ort.InferenceSession


@pytest.fixture
def cuda_build(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """onnxruntime as if it were built with CUDA; takes what stands for its sessions."""

    def pretend(session: object) -> None:
        ort = predictor_module.ort
        monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
        monkeypatch.setattr(ort, "preload_dlls", lambda: print("chatter"), raising=False)
        monkeypatch.setattr(ort, "InferenceSession", session)

    return pretend


def test_cuda_that_silently_becomes_cpu_is_an_error(cuda_build: Callable[[object], None]) -> None:
    cuda_build(FakeSession)
    with pytest.raises(ProviderError, match=f"cuda was asked for and onnxruntime delivered {CPU}"):
        EdgeAdder(provider="cuda")


def test_auto_goes_on_to_the_cpu_and_says_so(
    cuda_build: Callable[[object], None], adder: EdgeAdder
) -> None:
    cuda_build(FakeSession)
    auto = EdgeAdder(provider="auto")
    assert (auto.requested_provider, auto.provider) == ("auto", "cpu")
    image = ROOT / "examples" / "seven.png"
    for answer in (auto.predict(image, 1), *auto.predict_many([image], 1)):
        assert (answer.requested_provider, answer.provider) == ("auto", "cpu")
    assert auto.describe()["provider"] == {"requested": "auto", "active": "cpu"}
    assert adder.describe()["provider"] == {"requested": "cpu", "active": "cpu"}


class FakeCudaSession(FakeSession):
    """A session that says it is on CUDA, and keeps what it was made with."""

    made: list[dict[str, object]] = []

    def __init__(self, data: bytes, **settings: object) -> None:
        super().__init__(data)
        self.made.append(settings)

    def get_providers(self) -> list[str]:
        return [CUDA, CPU]


def test_an_explicit_cuda_lists_cuda_alone_and_forbids_every_fallback(
    cuda_build: Callable[[object], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(FakeCudaSession, "made", [])
    cuda_build(FakeCudaSession)
    ort = predictor_module.ort
    preload = ort.preload_dlls
    monkeypatch.setattr(
        ort, "preload_dlls", lambda: FakeCudaSession.made.append({"libraries": preload()})
    )
    assert EdgeAdder(provider="cuda").provider == "cuda"
    libraries, made = FakeCudaSession.made
    assert libraries == {"libraries": None}
    options = made.pop("sess_options")
    assert options.get_session_config_entry("session.disable_cpu_ep_fallback") == "1"
    ((name, chosen),) = made.pop("providers")
    assert (name, chosen["cudnn_conv_algo_search"]) == (CUDA, "HEURISTIC")
    assert made == {"enable_fallback": 0}
    assert capsys.readouterr() == ("", "")


def test_a_broken_model_is_not_blamed_on_cuda(cuda_build: Callable[[object], None]) -> None:
    cuda_build(ORIGINAL)
    broken = EdgeAdder().model_bytes.replace(b"LogSoftmax", b"LogSoftmaz")
    with pytest.raises(ModelError, match="cannot load bytes"):
        EdgeAdder(broken, provider="cuda")


def test_what_fails_on_cuda_reaches_the_user(
    cuda_build: Callable[[object], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def session(data: bytes, *, providers: list[object], **_: object) -> object:
        if providers == [CPU]:
            return ORIGINAL(data, providers=providers)
        raise RuntimeError("CUDA failure 35:\ntoo old ; GPU=-1")

    cuda_build(session)
    monkeypatch.setattr(predictor_module, "installed_runtimes", lambda: ONE)
    with pytest.raises(ProviderError, match=r"asked for: CUDA failure 35: too old: see that"):
        EdgeAdder(provider="cuda")


def test_the_distributions_of_onnxruntime_are_found(
    site_packages: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-extensions", "numpy")
    monkeypatch.setattr(sys, "path", [str(site_packages(*names))])
    assert installed_runtimes() == {"onnxruntime": "9.9", "onnxruntime-gpu": "9.9"}


@pytest.mark.parametrize(
    ("names", "package", "why"),
    [
        (
            ["onnxruntime-gpu"],
            "",
            "(module 'onnxruntime' has no attribute 'InferenceSession'; ",
        ),
        (["onnxruntime"], "raise ImportError('no\\nsymbol')", "(no symbol; onnxruntime 9.9)"),
        (
            ["onnxruntime", "onnxruntime-gpu"],
            "raise ImportError('no symbol')",
            "(no symbol; onnxruntime 9.9 and onnxruntime-gpu 9.9 are installed over each other)",
        ),
    ],
)
def test_an_onnxruntime_that_cannot_be_imported_exits_with_4(
    edge_adder_with: Callable[..., Any], names: list[str], package: str, why: str
) -> None:
    """As it is where one wheel was uninstalled from over another."""
    done = edge_adder_with(names, package, "predict", ROOT / "examples" / "seven.png", "5")
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"edge-adder: error: onnxruntime cannot be imported {why}")
    wheel = CUDA_WHEEL if "onnxruntime-gpu" in names else CPU_WHEEL
    assert line.endswith(install_command(wheel))


def test_nothing_of_it_installed_names_the_cpu_wheel() -> None:
    error = missing_runtime("No module named 'onnxruntime'", {})
    assert str(error).endswith("is installed): " + install_command(CPU_WHEEL))
