"""`edge-adder doctor` finds nothing wrong here, and what is wrong where something is."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_adder import EdgeAdder, InputError, doctor, ink_model, parity, predictor, session
from edge_adder.doctor import Check, Diagnosis, report, run_checks
from edge_adder.environment import allowed_cores, cpu_quota
from edge_adder.providers import CPU_WHEEL, CUDA_WHEEL, install_command

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
NAMES = ["python", "packages", "cores", "telemetry", "onnxruntime", "cpu", "cuda"]
NAMES += ["model", "hash", "self-test", "ink-model"]

pytestmark = pytest.mark.skipif(
    CUDA in session.available_providers(), reason="this onnxruntime has CUDA"
)


@pytest.fixture(scope="module")
def here() -> Diagnosis:
    """What is found here for CUDA, which this onnxruntime lacks."""
    return run_checks("cuda")


@pytest.fixture
def bundle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the bundled model and its hash, in place of the real one."""
    for name in ("default.onnx", "default.onnx.sha256"):
        (tmp_path / name).write_bytes(predictor.BUNDLED_MODEL.with_name(name).read_bytes())
    monkeypatch.setattr(predictor, "BUNDLED_MODEL", tmp_path / "default.onnx")
    return tmp_path / "default.onnx"


def check(name: str, found: Diagnosis) -> Check:
    (wanted,) = (each for each in found.checks if each.name == name)
    return wanted


def bad(found: Diagnosis) -> list[str]:
    return [each.name for each in found.checks if each.good is False]


def damaged(_: dict) -> None:
    raise ValueError("no\nzip file")


class TestHere:
    def test_all_is_well(self, edge_adder: Callable, adder: EdgeAdder) -> None:
        done = edge_adder("doctor")
        assert (done.returncode, done.stderr) == (0, "")
        lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
        assert {mark for mark, *_ in lines} == {"ok", "-"}
        said = {name: text for _, name, text in lines}
        assert [*said] == NAMES
        assert adder.model_sha256 in said["hash"]
        assert said["cuda"] == f"not compiled in; for a GPU: {install_command(CUDA_WHEEL)}"
        assert "300 pairs, bound 0.0001: passed; digit differs by" in said["self-test"]

    def test_json_says_the_same(self, edge_adder: Callable) -> None:
        found = json.loads(edge_adder("doctor", "--provider", "auto", "--json").stdout)
        checks = found.pop("checks")
        assert found.pop("provider") == {"requested": "auto", "active": "cpu"}
        assert found == {"schema": "edge_adder.doctor", "version": 1, "exit_code": 0}
        assert [each["name"] for each in checks] == NAMES
        for each in checks:
            assert set(each) == {"name", "good", "text", "facts"}
            assert each["facts"]
            assert "\n" not in each["text"]

    def test_facts_are_those_of_the_model_and_the_runtime(
        self, here: Diagnosis, adder: EdgeAdder
    ) -> None:
        model = check("model", here).facts
        for key in ("ir_version", "opset"):
            assert model[key] == adder.provenance[key] <= model["newest"][key]
        cores = check("cores", here).facts
        assert (cores["quota"], cores["auto_threads"]) == (cpu_quota(), allowed_cores())
        assert check("onnxruntime", here).facts["version"] == session.ONNXRUNTIME_VERSION
        assert check("cpu", here).facts == {"compiled": True, "loads": True}
        assert check("cuda", here).facts == {"compiled": False, "loads": False}

    @pytest.mark.parametrize("no_color", ["", "1"])
    def test_lines_are_green_and_red_on_a_terminal_unless_no_color_is_set(
        self, tmp_path: Path, no_color: str
    ) -> None:
        pty = pytest.importorskip("pty")
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "edge_adder", "doctor", "--provider", "cuda"],
            stdout=theirs,
            stderr=subprocess.DEVNULL,
            cwd=tmp_path,
            env=os.environ | {"NO_COLOR": no_color},
        )
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # at the end, where the other end is closed
            while part := os.read(ours, 65536):
                shown += part
        os.close(ours)
        assert process.wait() == 4
        assert (b"\x1b[32mok  cpu " in shown, b"\x1b[31mBAD cuda " in shown) == (not no_color,) * 2
        assert (b"\x1b" in shown) == (not no_color)

    @pytest.mark.parametrize("value", ["1", "TRUE", "yes", "0", "", "2"])
    def test_telemetry_is_off_or_the_users_choice(
        self, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        monkeypatch.setenv("ORT_DISABLE_TELEMETRY", value)
        found, off = doctor._check_telemetry(), value not in {"0", "", "2"}
        assert (found.good, found.facts) == (True if off else None, {"off": off})
        assert found.text == f"{'off' if off else 'on'}, ORT_DISABLE_TELEMETRY={value}"


class TestSomethingIsWrong:
    def test_a_requested_provider_that_is_absent(self, here: Diagnosis) -> None:
        assert (bad(here), here.exit_code) == (["cuda"], 4)
        assert here.to_dict()["provider"] == {"requested": "cuda", "active": None}

    def test_a_provider_that_is_compiled_in_and_does_not_load(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = session.ort.InferenceSession
        monkeypatch.setattr(session, "available_providers", lambda: [CUDA, CPU])
        monkeypatch.setattr(
            session.ort, "InferenceSession", lambda data, **_: real(data, providers=[CPU])
        )
        found = run_checks("auto")
        assert (bad(found), found.exit_code, found.active) == (["cuda"], 4, "cpu")
        assert check("cuda", found).facts == {"compiled": True, "loads": False}

    def test_wheels_over_each_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        both = {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"}
        monkeypatch.setattr(doctor, "installed_runtimes", lambda: both)
        found = run_checks()
        assert (bad(found), found.exit_code) == (["onnxruntime"], 4)
        text = check("onnxruntime", found).text
        assert text.startswith("onnxruntime 1.32.0 and onnxruntime-gpu 1.31.1 are installed over")
        for wheel in (CPU_WHEEL, CUDA_WHEEL):
            assert install_command(wheel) in text

    def test_an_onnxruntime_that_cannot_be_imported(self, edge_adder_with: Callable) -> None:
        done = edge_adder_with("", "doctor")
        assert (done.returncode, done.stderr) == (4, "")
        last = done.stdout.splitlines()[-1]
        assert last.startswith("BAD onnxruntime  onnxruntime cannot be imported (module")
        assert last.endswith(f"run `{install_command(CUDA_WHEEL)}`")

    def test_another_model_than_was_shipped(self, bundle: Path) -> None:
        stored = bundle.with_name("default.onnx.sha256")
        stored.write_text("0" * 64 + "  default.onnx\n")
        found = run_checks()
        assert (bad(found), found.exit_code) == (["hash"], 3)
        assert f"expected {'0' * 64}: install again" in check("hash", found).text
        stored.unlink()
        found = run_checks("cuda")
        assert (bad(found), found.exit_code) == (["cuda", "hash"], 4)  # the first one decides
        assert [good for good, _ in report(found)].count(False) == 2

    def test_a_model_that_does_not_load(self, bundle: Path) -> None:
        bundle.write_bytes(b"no model")
        found = run_checks()
        assert (bad(found), found.exit_code, found.active) == (["model", "hash"], 3, None)
        assert "cannot load default" in check("model", found).text
        assert check("cpu", found).good is None
        bundle.unlink()
        assert bad(run_checks()) == ["model", "hash"]

    @pytest.mark.parametrize(
        ("damage", "text"),
        [
            (lambda stored: stored | {"digit": stored["digit"] + 1}, "bound 0.0001: FAILED"),
            (damaged, "on cpu: no zip file"),
        ],
    )
    def test_stored_answers_that_differ_or_cannot_be_read(
        self, monkeypatch: pytest.MonkeyPatch, vectors: dict, damage: Callable, text: str
    ) -> None:
        monkeypatch.setattr(parity, "bundled_vectors", lambda: damage(vectors))
        found = run_checks()
        assert (bad(found), found.exit_code) == (["self-test"], 3)
        assert text in check("self-test", found).text

    def test_an_unknown_provider(self) -> None:
        with pytest.raises(InputError, match="provider must be one of"):
            run_checks("gpu")


class TestAnotherModel:
    @pytest.fixture
    def mine(self, tmp_path: Path) -> Path:
        """The bundled model and its parity vectors under another name."""
        for suffix in (".onnx", ".parity.npz"):
            content = predictor.BUNDLED_MODEL.with_suffix(suffix).read_bytes()
            (tmp_path / "mine").with_suffix(suffix).write_bytes(content)
        return tmp_path / "mine.onnx"

    def test_all_is_well(self, edge_adder: Callable, adder: EdgeAdder, mine: Path) -> None:
        done = edge_adder("doctor", "--model", mine.name)
        assert (done.returncode, done.stderr) == (0, "")
        said = {line.split()[1]: line for line in done.stdout.splitlines()}
        assert [*said] == NAMES
        assert said["model"].startswith("ok  model        mine.onnx keeps the contract; IR version")
        assert said["hash"].startswith(f"-   hash         SHA-256 {adder.model_sha256};")
        assert "300 pairs, bound 0.0001: passed" in said["self-test"]

    def test_without_stored_answers(self, mine: Path) -> None:
        mine.with_suffix(".parity.npz").unlink()
        found = run_checks(model=mine)
        assert (bad(found), found.exit_code) == ([], 0)
        assert check("self-test", found).good is None
        assert f"answers beside {mine}, as `edge-adder export`" in check("self-test", found).text

    def test_stored_answers_of_another_model_or_damaged(self, mine: Path, vectors: dict) -> None:
        for content in (vectors | {"weights_sha256": "0"}, {"digit": vectors["digit"]}):
            np.savez(mine.with_suffix(".parity.npz"), **content)
            found = run_checks(model=mine)
            assert (bad(found), found.exit_code) == (["self-test"], 3)

    @pytest.mark.parametrize(
        ("content", "text"), [(b"no model", "is text, expected an ONNX"), (None, "no such file")]
    )
    def test_a_model_that_is_refused(self, mine: Path, content: bytes | None, text: str) -> None:
        mine.unlink()
        if content is not None:
            mine.write_bytes(content)
        found = run_checks(model=mine)
        assert (bad(found), found.exit_code, found.active) == (["model"], 3, None)
        assert text in check("model", found).text
        assert "hash" not in [each.name for each in found.checks]


class TestTheInkModel:
    def test_another_file_than_the_shipped_one(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        model = tmp_path / "ink.onnx"
        model.write_bytes(ink_model.INK_MODEL.read_bytes() + b"\0")
        model.with_name("ink.onnx.sha256").write_text(f"{'0' * 64}  ink.onnx\n")
        monkeypatch.setattr(ink_model, "INK_MODEL", model)
        found = run_checks()
        assert (bad(found), found.exit_code) == (["ink-model"], 3)
        assert "install again" in check("ink-model", found).text

    def test_answers_that_are_not_pytorchs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ink_model, "check_parity", lambda: ink_model.InkParity(0.5, 7))
        found = run_checks()
        assert (bad(found), found.exit_code) == (["ink-model"], 3)
        assert "FAILED; log-odds 5.0e-01, 7 pixels changed" in check("ink-model", found).text
