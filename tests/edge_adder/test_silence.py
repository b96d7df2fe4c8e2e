"""The runtime opens no connection and leaves no file, according to strace.

It runs in a network namespace of its own, which has no route, so that nothing is sent while that is
tested; and without ``CI`` and the project's variables, as on a user's machine.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SEVEN = ROOT / "examples" / "seven.png"
TRACED = "connect,sendto,sendmsg,sendmmsg,bind,openat,mkdirat,renameat2,?open,?creat,?mkdir,?rename"


def _isolated() -> list[str] | None:
    """Return a command that runs another without a network; None if that or strace is missing."""
    if not shutil.which("strace"):
        return None
    for command in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        try:
            traced = [*command, "strace", "-f", "-o", os.devnull, "true"]
            if subprocess.run(traced, check=False, capture_output=True).returncode == 0:
                return command
        except OSError:
            return None
    return None


ISOLATED = _isolated()
pytestmark = pytest.mark.skipif(ISOLATED is None, reason="needs Linux with strace and unshare")


class Trace:
    """What a process and its children did, and what they left.

    Attributes:
        network: System calls that send or connect, also inside the machine.
        written: System calls that made a file or folder, or opened one for writing.
        left: Files and folders that exist afterwards.
    """

    def __init__(self, folder: Path, code: str, **settings: str) -> None:
        ours = ("ORT_", "XDG_", "CI", "EDGE_ADDER", "PYTHON")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        places = {"HOME": folder / "home", "TMPDIR": folder / "tmp"}
        for place in (*places.values(), folder / "work"):
            place.mkdir()
        settings |= {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        settings |= {name: str(place) for name, place in places.items()}
        record = folder / "trace"
        command = [*ISOLATED, "strace", "-f", "-qq", "-o", str(record), "-e", f"trace={TRACED}"]
        command += [sys.executable, "-c", code]
        subprocess.run(command, check=True, cwd=folder / "work", env=environment | settings)
        calls = record.read_text(errors="replace").splitlines()
        network = r" (connect|sendto|sendmsg|sendmmsg|bind)\("
        making = r" (creat|mkdir|mkdirat|rename|renameat2)\(|O_(WRONLY|RDWR|CREAT)"
        ignored = r'"/dev/(null|tty)"|= -1 E'
        self.network = [call for call in calls if re.search(network, call)]
        written = [call for call in calls if re.search(making, call)]
        self.written = [call for call in written if not re.search(ignored, call)]
        self.left = [path for top in (*places.values(), folder / "work") for path in top.rglob("*")]


LIBRARY = f"""
from edge_adder import EdgeAdder
adder = EdgeAdder()
adder.predict({str(SEVEN)!r}, 5)
list(adder.predict_many([{str(SEVEN)!r}] * 70, 5))
"""
COMMAND = "from edge_adder.cli.main import main; main({})"


@pytest.mark.parametrize("command", ["", f"predict {SEVEN} 5 --json", "info", "doctor"])
def test_nothing_is_sent_and_no_file_is_written(tmp_path: Path, command: str) -> None:
    trace = Trace(tmp_path, COMMAND.format(command.split()) if command else LIBRARY)
    assert (trace.network, trace.written, trace.left) == ([], [], [])


def test_bench_sends_nothing_and_clears_its_folder_away(tmp_path: Path) -> None:
    """Its cold starts read the model from a folder that it makes for them."""
    short = "run.QUICK = replace(run.QUICK, calls=9, run_seconds=0.001, many=300, starts=1)\n"
    code = f"from dataclasses import replace\nfrom edge_adder.bench import run\n{short}"
    trace = Trace(tmp_path, code + COMMAND.format(["bench", "--quick", "--json", "now.json"]))
    assert trace.network == []
    outside = [call for call in trace.written if str(tmp_path / "tmp") not in call]
    assert all("now.json" in call for call in outside), outside
    assert trace.left == [tmp_path / "work" / "now.json"]


def test_a_connection_and_a_file_would_be_seen(tmp_path: Path) -> None:
    code = "import socket, contextlib\nopen('x', 'w')\nwith contextlib.suppress(OSError):\n"
    code += " socket.create_connection(('192.0.2.1', 9), 1)"  # RFC 5737: an address for examples
    trace = Trace(tmp_path, code)
    assert any("192.0.2.1" in call for call in trace.network)
    assert len(trace.written) == 1
    assert trace.left == [tmp_path / "work" / "x"]


def test_the_uploader_runs_if_the_user_turns_it_on(tmp_path: Path) -> None:
    """So the silence above is not onnxruntime's own."""
    import onnxruntime

    if tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 29):
        pytest.skip("this onnxruntime has no uploader")
    trace = Trace(tmp_path, LIBRARY, ORT_DISABLE_TELEMETRY="0")
    assert trace.left != []
