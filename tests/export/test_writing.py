"""An export leaves the old files or the new ones: killed, at once with others, on any disk."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge_adder.evaluation.datasets import DATA_VARIABLE

ROOT = Path(__file__).parents[2]
REPEATED = Path(__file__).with_name("repeated_exports.py")
BAD_DISKS = Path(__file__).with_name("on_bad_disks.py")

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(
    scope="module",
    params=[("16", "8"), pytest.param(("200", "8"), marks=pytest.mark.long)],
)
def counted(request: pytest.FixtureRequest, in_a_session: Run) -> dict[str, dict[str, object]]:
    """What happened to the exports of `repeated_exports.py`."""
    done = in_a_session(sys.executable, REPEATED, *request.param, timeout=900)
    assert done.returncode == 0
    print(done.stdout)
    result: dict[str, dict[str, object]] = json.loads(done.stdout)
    return result | {
        "requested": {"kills": int(request.param[0]), "together": int(request.param[1])}
    }


def test_a_killed_export_leaves_the_old_file_or_the_new(counted: dict[str, dict]) -> None:
    left = counted["killed"]["left"]
    assert set(left) <= {"model old", "model new", "vectors old", "vectors new"}
    assert sum(left.values()) == 2 * counted["requested"]["kills"]
    assert counted["killed"]["moments"]["temporaries"] > 0  # some were hit while they wrote


def test_the_next_export_removes_the_temporaries(counted: dict[str, dict]) -> None:
    assert counted["killed"]["most_temporaries"] <= 2  # those of the last kill
    assert counted["killed"]["files"] == ["model.onnx", "model.parity.npz"]


def test_one_of_eight_simultaneous_exports_wins(counted: dict[str, dict]) -> None:
    together = counted["together"]
    assert together["codes"] == [0] * counted["requested"]["together"]
    assert together["winners"] == 1
    assert together["files"] == ["model.onnx", "model.parity.npz"]


def test_on_bad_disks_old_files_stay_and_no_home_is_needed(
    on_a_disk: Run, tmp_path: Path, tiny_mnist: Path
) -> None:
    for name in ("model.onnx", "model.parity.npz"):
        (tmp_path / "before" / name).write_bytes(b"old")
    old = {"model.onnx": True, "model.parity.npz": True}
    unset = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", DATA_VARIABLE)
    environment = dict.fromkeys(unset, "") | {"HOME": "/proc/nowhere", "OMP_NUM_THREADS": "1"}
    done = on_a_disk("empty", sys.executable, BAD_DISKS, tiny_mnist, **environment)
    assert done.returncode == 0, done.stderr
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    for outcome, message in zip(
        outcomes[:5],
        [
            "cannot write disk/model.parity.npz: No space left on device",
            "cannot write disk/model.onnx: No space left on device",
            "cannot write disk/run/resume.safetensors: No space left on device",
            "cannot write disk/model.onnx: its folder is read-only",
            "cannot write to folder disk/run: disk/run is read-only",
        ],
        strict=True,
    ):
        assert outcome == {"code": 5, "err": f"edge-adder: error: {message}\n", "old": old}
    new = {"model.onnx": False, "model.parity.npz": False}
    assert outcomes[5] == {"code": 0, "err": "", "old": new}
    assert outcomes[6]["code"] == 0
    (epoch,) = outcomes[6]["err"].splitlines()
    assert epoch.startswith("epoch 1/1: loss ")


def writing_calls(path: Path) -> Iterator[str]:
    """Every call in a source file that may write a file by itself."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            opened = [*node.args, *(word.value for word in node.keywords)]
            modes = {arg.value for arg in opened if isinstance(arg, ast.Constant)}
            writes = {mode for mode in modes if isinstance(mode, str) and set(mode) & set("wax+")}
            last = name.rpartition(".")[2]
            if (
                last in {"write_bytes", "save_file", "tofile"}
                or name.endswith(".write_text")
                or (last in {"open", "fdopen"} and any(len(mode) <= 3 for mode in writes))
            ):
                yield f"{path.relative_to(ROOT)}: {ast.unparse(node)}"


def test_only_one_module_writes_files() -> None:
    """All others hand it bytes; but for what lies in a temporary folder."""
    sources = [
        p for part in ("edge_adder", "export", "benchmarks") for p in (ROOT / part).rglob("*.py")
    ]
    calls = sorted(call for path in sources for call in writing_calls(path))
    assert calls == [
        "benchmarks/files.py: path.write_bytes(encode_png(images[index % len(images), 0]))",
        "benchmarks/peers/compare.py: numbers.write_text(json.dumps(lists))",
        "benchmarks/peers/compare.py: self._model.write_bytes(adder.model_bytes)",
        "benchmarks/score/measure.py: names.write_text(''.join((f'{path}\\n' for path in paths)))",
        "benchmarks/score/measure.py: path.write_bytes(encoded[index % len(encoded)])",
        "benchmarks/serve.py: log.open('w')",
        "edge_adder/bench/cold_start.py: model.write_bytes(adder.model_bytes)",
        "edge_adder/cli/score.py: copy.open('wb')",
        "edge_adder/files.py: temporary.open('r+b')",
    ]
