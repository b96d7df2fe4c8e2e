"""The requested provider runs, or an error says why not and what fixes it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edge_adder import EdgeAdder, InputError, ModelError, ProviderError
from edge_adder import session as session_module
from edge_adder.providers import (
    CPU_WHEEL,
    CUDA_WHEEL,
    candidates,
    check_active,
    cuda_failure,
    install_command,
    installed_runtimes,
    missing_runtime,
)

ROOT = Path(__file__).parents[2]
SEVEN = ROOT / "examples" / "seven.png"
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
SWAP = "pip uninstall -y onnxruntime onnxruntime-gpu && pip install 'onnxruntime-gpu[cuda,cudnn]'"
"""Installs the CUDA wheel in place of the CPU wheel, or of both."""

RUN_SWAP = f"run `{SWAP}`"

ONE = {"onnxruntime-gpu": "1.31.1"}
BOTH = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"}
OVERLAP = "onnxruntime 1.32.0 and onnxruntime-gpu 1.31.1 are installed over each other"
HIDDEN = (
    "[ONNXRuntimeError] : 1 : FAIL : This session contains graph nodes that are assigned to the "
    "default CPU EP, but fallback to CPU EP has been explicitly disabled by the user."
)
"""All that onnxruntime raises if CUDA's libraries are missing."""

NO_DEVICE = (
    "/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:146 [with ERRTYPE = cudaError; "
    "bool THRW = true] CUDA failure 100: no CUDA-capable device is detected ; GPU=-1 ; hostname=h "
    "; file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_execution_provider.cc ; line=355"
)
"""What it raises if they load and find no GPU."""

DEVICE_FAILURE = "CUDA failure 100: no CUDA-capable device is detected"

NO_LIBRARY = "libcublasLt.so.13: cannot open shared object file: No such file or directory"
NO_DRIVER = "libcuda.so.1: cannot open shared object file: No such file or directory"
CHECK = "check that `nvidia-smi` lists a GPU and that CUDA_VISIBLE_DEVICES does not hide it"
DRIVER = f"install it, and {CHECK}"
UPGRADE = "run `pip install --upgrade 'onnxruntime-gpu[cuda,cudnn]'`"


def test_only_auto_has_a_second_choice() -> None:
    for available in ([CPU], [CUDA, CPU]):
        assert candidates("cpu", available) == ("cpu",)
    assert candidates("cuda", [CUDA, CPU]) == ("cuda",)
    assert candidates("auto", [CUDA, CPU]) == ("cuda", "cpu")
    assert candidates("auto", ["AzureExecutionProvider", CPU]) == ("cpu",)


@pytest.mark.parametrize(
    ("runtimes", "why"),
    [
        ({"onnxruntime": "1.31.1"}, "this onnxruntime 1.31.1 was built without it"),
        (BOTH, OVERLAP),
        ({}, "this onnxruntime was built without it"),
    ],
)
def test_cuda_without_cuda_names_the_wheel_and_the_remedy(runtimes: dict, why: str) -> None:
    with pytest.raises(ProviderError) as caught:
        candidates("cuda", [CPU], runtimes)
    message = f"provider cuda cannot run, since {why}: {RUN_SWAP}, or use provider cpu"
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("reason", "load_error", "runtimes", "why"),
    [
        (
            HIDDEN,
            NO_LIBRARY,
            ONE,
            f", since CUDA's libraries do not load ({NO_LIBRARY}): {UPGRADE},",
        ),
        (HIDDEN, NO_DRIVER, ONE, f", since the NVIDIA driver is missing ({NO_DRIVER}): {DRIVER},"),
        (NO_DEVICE, None, ONE, f", since onnxruntime reports {DEVICE_FAILURE}: {CHECK},"),
        (HIDDEN, NO_LIBRARY, BOTH, f", since {OVERLAP}: {RUN_SWAP},"),
        (HIDDEN, None, ONE, f" my.onnx: {HIDDEN};"),
    ],
    ids=["libraries", "driver", "device", "both wheels", "any other"],
)
def test_a_failure_on_cuda_says_what_failed_and_what_fixes_it(
    reason: str, load_error: str | None, runtimes: dict, why: str
) -> None:
    error = cuda_failure("my.onnx", reason, load_error, runtimes)
    assert str(error) == f"provider cuda cannot run{why} or use provider cpu"


def test_an_unknown_provider_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match="must be one of auto, cpu, cuda, got 'gpu'"):
        candidates("gpu", [CPU])


def test_a_session_on_another_provider_is_refused() -> None:
    check_active("cuda", [CUDA, CPU])
    with pytest.raises(ProviderError, match=f"cuda was requested, but onnxruntime runs on {CPU}"):
        check_active("cuda", [CPU])
    with pytest.raises(ProviderError, match="runs on no provider"):
        check_active("cpu", [])


def test_the_documents_have_the_command_that_the_errors_name() -> None:
    assert install_command(CUDA_WHEEL) == SWAP
    assert f"\n{SWAP}\n" in (ROOT / "docs" / "providers.md").read_text()


ORIGINAL = session_module.ort.InferenceSession


def cpu_session(data: bytes, **_: object) -> object:
    """What onnxruntime gives if CUDA is compiled in and its libraries are missing."""
    return ORIGINAL(data, providers=[CPU])


@pytest.fixture
def cuda_build(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], None]:
    """onnxruntime as if it were built with CUDA; takes what stands for its sessions."""

    def pretend(session: object) -> None:
        ort = session_module.ort
        monkeypatch.setattr(ort, "get_available_providers", lambda: [CUDA, CPU])
        monkeypatch.setattr(ort, "preload_dlls", lambda: print("chatter"), raising=False)
        monkeypatch.setattr(ort, "InferenceSession", session)

    return pretend


def test_cuda_that_silently_becomes_cpu_is_an_error_and_auto_says_so(cuda_build: Callable) -> None:
    cuda_build(cpu_session)
    with pytest.raises(ProviderError, match=f"cuda was requested, but onnxruntime runs on {CPU}"):
        EdgeAdder(provider="cuda")
    auto = EdgeAdder(provider="auto")
    for answer in (auto, auto.predict(SEVEN, 1), *auto.predict_many([SEVEN], 1)):
        assert (answer.requested_provider, answer.provider) == ("auto", "cpu")
    assert auto.describe()["provider"] == {"requested": "auto", "active": "cpu"}


def test_a_requested_cuda_lists_cuda_alone_and_forbids_every_fallback(
    cuda_build: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    settings: dict[str, object] = {}

    def cuda_session(data: bytes, **given: object) -> object:
        settings.update(given)
        session = cpu_session(data)
        session.get_providers = lambda: [CUDA, CPU]
        return session

    cuda_build(cuda_session)
    assert EdgeAdder(provider="cuda").provider == "cuda"
    options = settings.pop("sess_options")
    assert options.get_session_config_entry("session.disable_cpu_ep_fallback") == "1"
    ((name, chosen),) = settings.pop("providers")
    assert (name, chosen["cudnn_conv_algo_search"]) == (CUDA, "HEURISTIC")
    assert settings == {"enable_fallback": 0}
    assert capsys.readouterr() == ("", "")


def test_a_broken_model_is_not_blamed_on_cuda(cuda_build: Callable, adder: EdgeAdder) -> None:
    cuda_build(ORIGINAL)
    broken = adder.model_bytes.replace(b"LogSoftmax", b"LogSoftmaz")
    with pytest.raises(ModelError, match="cannot load bytes"):
        EdgeAdder(broken, provider="cuda")


def test_what_fails_on_cuda_reaches_the_user(
    cuda_build: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def session(data: bytes, *, providers: list[object], **_: object) -> object:
        if providers == [CPU]:
            return cpu_session(data)
        raise RuntimeError("CUDA failure 35:\ntoo old ; GPU=-1")

    cuda_build(session)
    monkeypatch.setattr(session_module, "installed_runtimes", lambda: ONE)
    with pytest.raises(ProviderError, match=r"reports CUDA failure 35: too old: check that"):
        EdgeAdder(provider="cuda")


def test_the_distributions_of_onnxruntime_are_found(
    site_packages: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-extensions", "numpy")
    monkeypatch.setattr(sys, "path", [str(site_packages(*names))])
    assert installed_runtimes() == {"onnxruntime": "9.9", "onnxruntime-gpu": "9.9"}


@pytest.mark.parametrize(
    ("runtimes", "found", "wheel"),
    [
        ({}, "no distribution of it is installed", CPU_WHEEL),
        ({"onnxruntime": "9.9"}, "onnxruntime 9.9", CPU_WHEEL),
        (BOTH, OVERLAP, CUDA_WHEEL),
    ],
)
def test_an_onnxruntime_that_cannot_be_imported(runtimes: dict, found: str, wheel: str) -> None:
    error = missing_runtime(ImportError("no\nsymbol"), runtimes)
    remedy = install_command(wheel, runtimes)
    assert str(error) == f"onnxruntime cannot be imported (no symbol; {found}): run `{remedy}`"


@pytest.mark.parametrize("package", ["", "raise ImportError('no symbol')"])
def test_it_exits_with_4(edge_adder_with: Callable, package: str) -> None:
    """As it is after one of two wheels was uninstalled."""
    done = edge_adder_with(package, "predict", SEVEN, "5")
    assert (done.returncode, done.stdout) == (4, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("edge-adder: error: onnxruntime cannot be imported (")
    assert line.endswith(f"; onnxruntime-gpu 9.9): run `{install_command(CUDA_WHEEL)}`")
