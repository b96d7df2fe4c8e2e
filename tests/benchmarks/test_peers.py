"""Peers: timed in turns, with the same answers, absent with a reason."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the development tools")

from benchmarks.peers import compare, environments, in_process, processes  # noqa: E402
from benchmarks.peers.children import ChildPeer, child_peers, running  # noqa: E402
from benchmarks.peers.environments import FOLDER, Installed  # noqa: E402
from benchmarks.report import peers_block, peers_paragraphs  # noqa: E402
from edge_adder import EdgeAdder  # noqa: E402
from edge_adder.errors import CheckpointError, InputError  # noqa: E402
from export.networks.parts import Network  # noqa: E402

CHILD = """
import json, sys
import numpy as np
from edge_adder import EdgeAdder
batch = int(sys.argv[1])
adder = EdgeAdder()
with np.load(sys.argv[2]) as stored:
    given = stored["image"][:batch], stored["number"][:batch]
for line in sys.stdin:
    found = [each.tolist() for each in adder.run(*given)] if line == "0\\n" else [7] * int(line)
    print(json.dumps(found), flush=True)
"""
"""A peer in another process that takes seven nanoseconds."""


@pytest.fixture
def only_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers of this process alone, and nothing that compiles."""
    monkeypatch.setattr(in_process, "_compiled", lambda network: network)
    monkeypatch.setattr(compare, "child_peers", lambda *_: ([], {}))


@pytest.fixture
def use_child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Takes the program of the only peer beside edge-adder."""

    def use(program: str) -> None:
        def listed(model: Path, vectors: Path, batch: int) -> tuple[list[ChildPeer], dict]:
            stored = str(vectors.with_suffix(".npz"))
            command = (sys.executable, "-c", program, str(batch), stored)
            return [ChildPeer("child 1", command, tmp_path, model, Installed(5_000_000, 3))], {}

        own = in_process.peers
        only = {"edge-adder": own(EdgeAdder(), None)["edge-adder"]}  # type: ignore[arg-type]
        monkeypatch.setattr(compare, "peers", lambda *_: only)
        monkeypatch.setattr(compare, "child_peers", listed)

    return use


@pytest.mark.usefixtures("only_here")
def test_all_give_the_same_answers_at_both_batches(adder: EdgeAdder, network: Network) -> None:
    threads = torch.get_num_threads()
    found = compare.compare_peers(adder, network, 20, starts=1)
    assert torch.get_num_threads() == threads
    assert set(found["batches"]) == {"1", "64"}
    for rows in found["batches"].values():
        assert rows.keys() | found["absent"].keys() == in_process.peers(adder, network).keys()
        assert {name.split(" ")[0] for name in rows} >= {"edge-adder", "raw", "PyTorch"}
        assert rows["edge-adder"]["ratio"] == 1
        assert all(row["p50"] > 0 for row in rows.values())
    raw = next(each for name, each in found["facts"].items() if name.startswith("raw"))
    assert (raw["changed"], raw["file_bytes"]) == (0, len(adder.model_bytes))
    assert raw["packages"] >= 3
    assert raw["installed_bytes"] > 10e6
    assert raw["process_ms"] > found["facts"]["numpy alone"]["process_ms"] / 10
    assert 1e6 < raw["peak_bytes"] < 2e9
    started = [name for name, each in found["facts"].items() if "process_ms" in each]
    assert {name.split(" ")[-1] for name in started} >= {"edge-adder", "eager", "TorchScript"}
    assert all(found["facts"][name].get("file_bytes", 0) > 1000 for name in started[:-1])


def test_another_process_measures_itself(
    adder: EdgeAdder, network: Network, use_child: Callable[[str], None]
) -> None:
    use_child(CHILD)
    found = compare.compare_peers(adder, network, 20, starts=1)
    assert [found["batches"][size]["child 1"]["p50"] for size in ("1", "64")] == [0.007, 0.007]
    assert found["batches"]["64"]["child 1"]["count"] == 20
    facts = found["facts"]["child 1"]
    assert (facts["largest_difference"], facts["changed"], facts["packages"]) == (0, 0, 3)
    text = "\n".join(peers_paragraphs(found))
    assert text.index("| child 1 | 0.0 |") < text.index("| edge-adder |")  # the fastest first
    assert f"| child 1 | {len(adder.model_bytes):,} | 5 | 3 |" in text


def test_another_process_that_ends_is_absent(
    adder: EdgeAdder, network: Network, use_child: Callable[[str], None]
) -> None:
    use_child("raise SystemExit('no such file')")
    found = compare.compare_peers(adder, network, 20, starts=1)
    assert found["absent"] == {"child 1": "ended: no such file"}
    assert "Absent: child 1 (ended: no such file)." in peers_paragraphs(found)


def test_another_process_with_other_answers_stops_the_run(
    adder: EdgeAdder, network: Network, use_child: Callable[[str], None]
) -> None:
    use_child(CHILD.replace("each.tolist()", "(each - 0.1).tolist()"))
    with pytest.raises(CheckpointError, match=r"child 1 differs from the file by 0\.1"):
        compare.compare_peers(adder, network, 20, starts=1)


def test_one_that_fails_at_a_batch_leaves_its_column_empty() -> None:
    ours, other = {"p50": 10.0, "ratio": 1.0}, {"p50": 20.0, "ratio": 2.0}
    batches = {"1": {"edge-adder": ours, "other": other}, "64": {"edge-adder": ours}}
    found = {"batches": batches, "facts": {"other": {"installed_bytes": 99_000_000}}}
    assert peers_block({"peers": found}).endswith("| other | 2.00 |  | 99 |")


@pytest.mark.usefixtures("only_here")
def test_one_that_cannot_run_is_absent_with_its_reason(
    adder: EdgeAdder, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = in_process.peers(adder, network)["edge-adder"]
    broken = Mock(side_effect=ImportError("No module named 'other'"))
    monkeypatch.setattr(compare, "peers", lambda *_: {"edge-adder": own, "other": broken})
    found = compare.compare_peers(adder, network, 20, starts=1)
    assert found["absent"] == {"other": "No module named 'other'"}
    assert list(found["batches"]["1"]) == ["edge-adder"]


@pytest.mark.usefixtures("only_here")
def test_one_with_other_answers_stops_the_run(adder: EdgeAdder, untrained: Network) -> None:
    with pytest.raises(CheckpointError, match=r"PyTorch .* differs from the file by"):
        compare.compare_peers(adder, untrained, 20, starts=1)


def test_what_is_not_set_up_says_how(tmp_path: Path) -> None:
    found, absent = child_peers(tmp_path / "m.onnx", tmp_path / "v", 1, tmp_path)
    assert found == []
    assert absent["LiteRT"] == "not set up: python -m benchmarks.peers setup"
    assert set(absent) == {"LiteRT", *environments.NODE_PACKAGES}


def test_setting_up_goes_on_where_it_was_interrupted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    python = environments.python_of(tmp_path / "litert")
    python.parent.mkdir(parents=True)
    python.touch()  # an environment without its packages
    run = Mock()
    monkeypatch.setattr(environments, "_run", run)
    monkeypatch.setattr(environments.shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="npm is not installed"):
        environments.set_up(tmp_path)
    pip = ("-m", "pip", "install", "-q")
    installed = {
        call.args[0]: call.args[5:] for call in run.call_args_list if pip == call.args[1:5]
    }
    assert installed[str(python)] == environments.PYTHON_PACKAGES["litert"]
    assert len(installed) == 2


def test_a_fresh_process_that_fails_is_named() -> None:
    failing = (sys.executable, "-c", "raise SystemExit(3)")
    with pytest.raises(InputError, match="other ended with 3"):
        processes.measure({"other": failing}, {}, 1)


def test_a_fresh_process_does_not_count_the_memory_of_this_one() -> None:
    kept = np.ones(40_000_000)
    (found,) = processes.measure({"a": (sys.executable, "-c", "pass")}, {}, 1).values()
    assert found.peak_bytes < kept.nbytes / 2


def test_what_was_set_up_answers_as_the_file_does(adder: EdgeAdder, tmp_path: Path) -> None:
    """LiteRT and node's packages, where `python -m benchmarks.peers setup` was called."""
    comparison = compare._Comparison(tmp_path, adder, None)  # type: ignore[arg-type]
    folder = FOLDER.absolute()
    listed, _ = child_peers(tmp_path / "model.onnx", tmp_path / "vectors", 1, folder)
    if not listed:
        pytest.skip("no peers are set up: python -m benchmarks.peers setup")
    expected = adder.run(comparison._images[:1], comparison._numbers[:1])
    for peer in listed:
        with running(peer) as child:
            for found, wanted in zip(child.answers(), expected, strict=True):
                assert np.abs(found - wanted)[wanted > -20].max() < compare.TOLERANCE
            assert len(child.times(3)) == 3
    assert json.dumps(comparison.found)
