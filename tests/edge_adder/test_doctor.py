"""`edge-adder doctor` is green here, and red where something is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_adder import EdgeAdder, InputError, doctor, predictor
from edge_adder.bench import run as bench
from edge_adder.doctor import Check, report, run_checks
from edge_adder.environment import allowed_cores
from edge_adder.providers import CPU_WHEEL, CUDA_WHEEL, install_command

Run = Callable[..., "subprocess.CompletedProcess[str]"]
CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
NAMES = ["python", "packages", "cores", "threads", "telemetry"]
NAMES += ["onnxruntime", "cpu", "cuda", "model", "hash", "self-test"]

pytestmark = pytest.mark.skipif(
    CUDA in predictor.available_providers(), reason="this onnxruntime has CUDA"
)


def finding(name: str, found: doctor.Diagnosis) -> Check:
    (wanted,) = (each for each in found.findings if each.name == name)
    return wanted


def bad(found: doctor.Diagnosis) -> list[str]:
    return [each.name for each in found.findings if each.good is False]


class TestHere:
    def test_all_is_well(self, edge_adder: Run, adder: EdgeAdder) -> None:
        done = edge_adder("doctor")
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert [line.split()[1] for line in lines] == NAMES
        assert {line.split()[0] for line in lines} == {"ok", "-"}
        (hashed,) = (line for line in lines if " hash " in line)
        assert adder.model_sha256 in hashed
        (cuda,) = (line for line in lines if " cuda " in line)
        assert cuda.endswith(f"not compiled in; for a GPU: {install_command(CUDA_WHEEL)}")
        assert "300 pairs, bound 0.0001: passed; digit differs by" in lines[-1]

    def test_json_says_the_same(self, edge_adder: Run) -> None:
        found = json.loads(edge_adder("doctor", "--provider", "auto", "--json").stdout)
        head = {key: value for key, value in found.items() if key != "findings"}
        assert head == {
            "schema": "edge_adder.doctor",
            "version": 1,
            "exit_code": 0,
            "provider": {"requested": "auto", "active": "cpu"},
        }
        assert [each["name"] for each in found["findings"]] == NAMES
        for each in found["findings"]:
            assert each["facts"]
            assert "\n" not in each["text"]

    def test_facts_are_those_of_the_model_and_the_runtime(self, adder: EdgeAdder) -> None:
        found = run_checks(threads="auto", spinning=True)
        model = finding("model", found).facts
        assert (
            model["ir_version"] == adder.provenance["ir_version"] <= model["newest"]["ir_version"]
        )
        assert model["opset"] == adder.provenance["opset"] <= model["newest"]["opset"]
        wanted = {"threads": allowed_cores(), "auto": allowed_cores(), "spinning": True}
        assert finding("threads", found).facts == wanted
        assert finding("onnxruntime", found).facts["version"] == predictor.ONNXRUNTIME_VERSION
        assert finding("cpu", found).facts == {"compiled": True, "loads": True}
        assert finding("cuda", found).facts == {"compiled": False, "loads": False}

    def test_lines_are_green_and_red_on_a_terminal(self, tmp_path: Path) -> None:
        pty = pytest.importorskip("pty")
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "edge_adder", "doctor", "--provider", "cuda"]
        done = subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, cwd=tmp_path)
        os.close(theirs)
        shown = b""
        while part := _read(ours):
            shown += part
        os.close(ours)
        assert done.wait() == 4
        assert b"\x1b[32mok  cpu " in shown
        assert b"\x1b[31mBAD cuda " in shown


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end was closed
        return b""


class TestSomethingIsWrong:
    def test_a_provider_that_was_asked_for_and_is_not_there(self, edge_adder: Run) -> None:
        done = edge_adder("doctor", "--provider", "cuda", "--json")
        found = json.loads(done.stdout)
        assert done.returncode == found["exit_code"] == 4
        assert found["provider"] == {"requested": "cuda", "active": None}

    def test_a_provider_that_is_compiled_in_and_does_not_load(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = predictor.ort.InferenceSession

        def session(data: bytes, **_: object) -> object:
            return real(data, providers=[CPU])

        monkeypatch.setattr(predictor, "available_providers", lambda: [CUDA, CPU])
        monkeypatch.setattr(predictor.ort, "InferenceSession", session)
        found = run_checks()
        assert (bad(found), found.exit_code, found.active) == (["cuda"], 4, "cpu")
        assert finding("cuda", found).facts == {"compiled": True, "loads": False}
        assert run_checks("auto").active == "cpu"

    def test_wheels_over_each_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        both = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"}
        monkeypatch.setattr(doctor, "installed_runtimes", lambda: both)
        found = run_checks()
        assert (bad(found), found.exit_code) == (["onnxruntime"], 4)
        text = finding("onnxruntime", found).text
        assert text.startswith("onnxruntime 1.32.0 and onnxruntime-gpu 1.31.1 are installed over")
        for wheel in (CPU_WHEEL, CUDA_WHEEL):
            assert install_command(wheel) in text

    def test_an_onnxruntime_that_cannot_be_imported(
        self, edge_adder_with: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        done = edge_adder_with(["onnxruntime-gpu"], "", "doctor")
        assert (done.returncode, done.stderr) == (4, "")
        last = done.stdout.splitlines()[-1]
        assert last.startswith("BAD onnxruntime  onnxruntime cannot be imported (module")
        assert last.endswith(install_command(CUDA_WHEEL))

    def test_another_model_than_was_shipped(self, bundle: Path) -> None:
        bundle.with_name("default.onnx.sha256").write_text("0" * 64 + "  default.onnx\n")
        found = run_checks()
        assert (bad(found), found.exit_code) == (["hash"], 3)
        assert f"expected {'0' * 64}: install again" in finding("hash", found).text
        bundle.with_name("default.onnx.sha256").unlink()
        assert bad(run_checks()) == ["hash"]

    def test_a_model_that_does_not_load(self, bundle: Path) -> None:
        bundle.write_bytes(b"no model")
        found = run_checks()
        assert (bad(found), found.exit_code, found.active) == (["model", "hash"], 3, None)
        assert "cannot load default" in finding("model", found).text
        assert finding("cpu", found).good is None
        bundle.unlink()
        assert bad(run_checks()) == ["model", "hash"]

    def test_other_answers_than_pytorchs(
        self, monkeypatch: pytest.MonkeyPatch, vectors: dict[str, np.ndarray]
    ) -> None:
        wrong = vectors | {"digit": vectors["digit"] + 1}
        monkeypatch.setattr(bench, "bundled_vectors", lambda: wrong)
        found = run_checks()
        assert (bad(found), found.exit_code) == (["self-test"], 3)
        assert "bound 0.0001: FAILED" in finding("self-test", found).text

    def test_stored_answers_that_cannot_be_read(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def damaged() -> None:
            raise ValueError("no\nzip file")

        monkeypatch.setattr(bench, "bundled_vectors", damaged)
        found = run_checks()
        assert (bad(found), found.exit_code) == (["self-test"], 3)
        assert finding("self-test", found).text == "on cpu: no zip file"

    def test_the_first_bad_line_decides(self, bundle: Path) -> None:
        bundle.with_name("default.onnx.sha256").unlink()
        assert run_checks("cuda").exit_code == 4
        good = [good for good, _ in report(run_checks("cuda"))]
        assert good.count(False) == 2

    def test_options_that_cannot_be(self) -> None:
        with pytest.raises(InputError, match="provider must be one of"):
            run_checks("gpu")
        with pytest.raises(InputError, match="threads must be"):
            run_checks(threads=0)


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the bundled model, with its hash, in the place of the real one."""
    for name in ("default.onnx", "default.onnx.sha256"):
        (tmp_path / name).write_bytes(predictor.BUNDLED_MODEL.with_name(name).read_bytes())
    monkeypatch.setattr(predictor, "BUNDLED_MODEL", tmp_path / "default.onnx")
    return tmp_path / "default.onnx"


@pytest.mark.parametrize(
    ("value", "off"),
    [("1", True), ("TRUE", True), ("yes", True), ("0", False), ("", False), ("2", False)],
)
def test_telemetry_is_off_or_the_users_choice(
    monkeypatch: pytest.MonkeyPatch, value: str, *, off: bool
) -> None:
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", value)
    found = finding("telemetry", run_checks())
    assert (found.good, found.facts) == (True if off else None, {"off": off})
    assert found.text == f"{'off' if off else 'on'}, ORT_DISABLE_TELEMETRY={value}"
