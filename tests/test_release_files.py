"""What a release attaches, and what keeps one from being made."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edge_adder import __version__

ROOT = Path(__file__).parent.parent
SCRIPT = ".github/assemble-release"

pytestmark = pytest.mark.skipif(
    shutil.which("sha256sum") is None, reason="no sha256sum, as the machine that releases has it"
)


def assemble(root: Path, tag: str, folder: Path) -> subprocess.CompletedProcess[str]:
    python = Path(sys.executable).parent
    return subprocess.run(
        [root / SCRIPT, tag, folder],
        check=False,
        capture_output=True,
        text=True,
        env={"PATH": f"{python}:/usr/bin:/bin"},
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a checkout as it takes, of version 1.2.3."""
    root = tmp_path / "checkout"
    for name in (SCRIPT, "hatch_build.py", "pyproject.toml", "README.md", "LICENSE"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, root / name)
    models = root / "edge_adder" / "models"
    shutil.copytree(ROOT / "edge_adder" / "models", models)
    (root / "edge_adder" / "__init__.py").write_text('__version__ = "1.2.3"\n')
    (root / "CHANGELOG.md").write_text(
        "# Changelog\n\n## 1.3.0, unreleased\n\n- later\n\n"
        "## 1.2.3, 2026-11-26\n\n### Added\n- this\n\n## 1.2.2, 2026-10-01\n\n- earlier\n"
    )
    return root


def test_it_collects_the_package_the_models_and_their_sums(checkout: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = assemble(checkout, "v1.2.3", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "### Added\n- this"
    wheel = "edge_adder-1.2.3-py3-none-any.whl"
    names = {"edge.onnx", "edge.parity.npz", "ink.onnx", "ink.parity.npz", "SHA256SUMS"}
    assert {p.name for p in out.iterdir()} == names | {wheel, "edge_adder-1.2.3.tar.gz"}
    listed = dict(reversed(line.split()) for line in (out / "SHA256SUMS").read_text().splitlines())
    assert listed == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in out.iterdir()
        if path.name != "SHA256SUMS"
    }
    with zipfile.ZipFile(out / wheel) as archive:
        bundled = archive.read("edge_adder/models/default.onnx")
    assert bundled == (out / "edge.onnx").read_bytes()


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("v1.2.4", "the tag is v1.2.4, and edge_adder/__init__.py says 1.2.3"),
        ("1.2.3", "the tag is 1.2.3, and edge_adder/__init__.py says 1.2.3"),
        ("v1.3.0", "CHANGELOG.md has no dated section of 1.3.0"),
    ],
)
def test_no_release_is_made_of_another_version_or_an_open_changelog(
    checkout: Path, tmp_path: Path, tag: str, message: str
) -> None:
    if tag == "v1.3.0":
        (checkout / "edge_adder" / "__init__.py").write_text('__version__ = "1.3.0"\n')
    done = assemble(checkout, tag, tmp_path / "out")
    assert (done.returncode, done.stderr) == (1, message + "\n")
    assert not (tmp_path / "out").exists()


def test_an_earlier_folder_is_left_alone(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    done = assemble(checkout, "v1.2.3", tmp_path / "out")
    assert done.returncode == 1
    assert done.stderr.endswith("exists already\n")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_changelog_has_a_section_of_this_version() -> None:
    assert f"\n## {__version__}, " in (ROOT / "CHANGELOG.md").read_text()
