"""Fixtures that more than one part of the tests draws on."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_adder import EdgeAdder
from edge_adder.cli.main import main
from edge_adder.predictor import BUNDLED_MODEL

from .edge_adder.evaluation.idx import write_pair
from .edge_adder.stderr import without_cpu_notice

ROOT = Path(__file__).parent.parent

Run = Callable[..., "subprocess.CompletedProcess[str]"]


NEEDS = {
    "mnist": ("the full MNIST", "EDGE_ADDER_DATA"),
    "handwriting": ("the sets of handwriting", "EDGE_ADDER_HANDWRITING"),
}
"""What the tests with a marker need, and the variable that names its folder."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker, (data, variable) in NEEDS.items():
        if item.get_closest_marker(marker) and not os.environ.get(variable):
            pytest.skip(f"needs {data}: name the folder in {variable}")


@pytest.fixture(scope="session")
def adder() -> EdgeAdder:
    """The bundled model, loaded once."""
    return EdgeAdder()


@pytest.fixture(scope="session")
def vectors() -> dict[str, np.ndarray]:
    """The stored parity vectors of the bundled model."""
    with np.load(BUNDLED_MODEL.with_suffix(".parity.npz"), allow_pickle=False) as stored:
        return dict(stored)


@pytest.fixture
def seven() -> np.ndarray:
    """The sample of a seven, uint8 (28, 28), in MNIST's form."""
    return np.asarray(Image.open(ROOT / "examples" / "seven.png"))


@pytest.fixture
def edge_adder(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> Run:
    """Runs the command line in this process, in an empty folder."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # the tests keep their handlers
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return subprocess.CompletedProcess(arguments, int(ended.value.code or 0), out, err)

    return run


@pytest.fixture
def edge_adder_process(tmp_path: Path) -> Run:
    """Runs the command line in a process of its own, in an empty folder."""

    def run(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
        settings: dict[str, object] = {"cwd": tmp_path, "timeout": 300, "text": True}
        if not {"stdout", "stderr"} & options.keys():
            settings["capture_output"] = True
        done = subprocess.run(
            [sys.executable, "-m", "edge_adder", *map(str, arguments)],
            check=False,
            **(settings | options),
        )
        if isinstance(done.stderr, str):
            done.stderr = without_cpu_notice(done.stderr)
        return done

    return run


@pytest.fixture(scope="session")
def in_a_session() -> Run:
    """Runs a command with all that it starts; where it hangs, every process of it is ended."""

    def run(
        *command: str | Path, timeout: float, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        with subprocess.Popen(
            [str(part) for part in command],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | environment,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=timeout)
            finally:
                if hasattr(os, "killpg"):  # not on Windows
                    with contextlib.suppress(ProcessLookupError):  # all have ended
                        os.killpg(process.pid, signal.SIGKILL)
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    return run


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """The system's Chromium."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("needs a browser: apt-get install chromium")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()


ON_A_DISK = """
mount -t tmpfs -o size=1m tmpfs disk
cp -a before/. disk
if [ "$1" = full ]; then
    cat /dev/zero > disk/filler 2> /dev/null
    truncate -s -"$2" disk/filler
elif [ "$1" = read-only ]; then
    mount -o remount,ro disk
fi
shift 2
"$@"
code=$?
cp -a disk/. after
exit $code
"""
"""Runs a command beside a disk of 1 MB, which is gone at the end but for the copy in `after`."""


@pytest.fixture
def on_a_disk(tmp_path: Path) -> Run:
    """Runs a command in a folder where ``disk`` is one of 1 MB, full or read-only.

    It holds what the test has put into ``before``; what it holds at the end is in ``after``.
    """
    if sys.platform != "linux":
        pytest.skip("needs Linux's mount namespaces")
    for name in ("before", "disk", "after"):
        (tmp_path / name).mkdir()

    def run(
        state: str, *command: str | Path, free_kib: int = 0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        namespace = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        tried = subprocess.run(
            [*namespace, "mount", "-t", "tmpfs", "tmpfs", "disk"],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
        if tried.returncode:
            pytest.skip(f"a disk of one's own is not allowed here: {tried.stderr.strip()}")
        return subprocess.run(
            [*namespace, "sh", "-c", ON_A_DISK, "sh", state, f"{free_kib}K", *map(str, command)],
            check=False,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=os.environ | environment,
        )

    return run


@pytest.fixture(scope="session")
def tiny_mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with 600 training and 100 test images, drawn, in MNIST's own format."""
    from export.synthetic.digits import draw_digits

    folder = tmp_path_factory.mktemp("tiny")
    for name, seed, count in (("train", 11, 600), ("t10k", 12, 100)):
        images, labels = draw_digits(count, seed=seed)
        order = np.random.default_rng(seed).permutation(count)
        write_pair(folder / "MNIST" / "raw", images[order, 0], labels[order], name)
    return folder
