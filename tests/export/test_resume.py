"""A training that was stopped continues to the same weights; another run is not continued."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save

from edge_adder.errors import CheckpointError, InputError
from export import checkpoint as checkpoints
from export.config import TrainConfig
from export.report import ProgressBar
from export.train import Observer, train

Settings = dict[str, object]
Run = Callable[..., "subprocess.CompletedProcess[str]"]

LEFT = {
    *("checkpoint.json", "checkpoint.safetensors", "history.json", "resume.safetensors"),
    *("confusion.png", "curves.png"),
}


def weights(out: Path) -> str:
    return checkpoints.load(out / "checkpoint.safetensors").sha256


class StopAt(Observer):
    """Presses Ctrl-C in the middle of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.at = epoch

    def step(self, epoch: int, step: int, loss: Callable[[], float]) -> None:
        if (epoch, step) == (self.at, 2):
            assert loss() > 0
            raise KeyboardInterrupt


class TestContinued:
    @pytest.mark.parametrize("epoch", [1, 2])
    def test_an_interrupted_run_reaches_the_same_weights(
        self, short: Settings, trained: Path, tmp_path: Path, epoch: int
    ) -> None:
        config = TrainConfig(**short, out=tmp_path)
        with pytest.raises(KeyboardInterrupt):
            train(config, observer=StopAt(epoch))
        if epoch > 1:
            left = checkpoints.load(tmp_path / "checkpoint.safetensors")
            assert "test" not in left.metrics
            assert len(json.loads((tmp_path / "history.json").read_text())) == epoch - 1
        result = train(config, resume=True)
        assert weights(tmp_path) == weights(trained)
        again, first = (
            checkpoints.load(out / "checkpoint.safetensors").metrics for out in (tmp_path, trained)
        )
        assert again == first
        assert result.test.to_dict() == first["test"]
        assert {path.name for path in tmp_path.iterdir()} == LEFT

    def test_a_bfloat16_run_with_cached_passes_reaches_the_same_weights(
        self, short: Settings, tmp_path: Path
    ) -> None:
        settings = short | {"precision": "bfloat16", "handwriting": 0.4, "cached_passes": 2}
        train(TrainConfig(**settings, out=tmp_path / "whole"), test=False)
        cut = TrainConfig(**settings, out=tmp_path / "cut")
        with pytest.raises(KeyboardInterrupt):
            train(cut, observer=StopAt(2))
        shutil.rmtree(tmp_path / "augmentation_cache")
        train(cut, resume=True, test=False)
        assert weights(tmp_path / "cut") == weights(tmp_path / "whole")

    def test_a_finished_run_resumes_to_itself(
        self, short: Settings, trained: Path, tmp_path: Path
    ) -> None:
        shutil.copy(trained / "resume.safetensors", tmp_path)
        train(TrainConfig(**short, out=tmp_path), resume=True)
        assert weights(tmp_path) == weights(trained)

    def test_a_killed_process_resumes_to_the_same_weights(
        self, short: Settings, tmp_path: Path
    ) -> None:
        straight = TrainConfig.for_network("bn-adder", **short, out=tmp_path / "straight")
        train(straight, test=False)
        killed = tmp_path / "killed"
        command = [sys.executable, "-m", "edge_adder", "train", "--network", "bn-adder"]
        command += ["--epochs", "2", "--batch-size", "50", "--device", "cpu"]
        command += ["--out", str(killed), "--data-dir", str(short["data_dir"])]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}  # as here
        with subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=environment
        ) as process:
            try:
                assert process.stderr is not None
                assert process.stderr.readline().startswith("epoch 1/2: loss ")
            finally:
                process.kill()
        assert process.returncode == -signal.SIGKILL
        assert "test" not in checkpoints.load(killed / "checkpoint.safetensors").metrics
        config = TrainConfig.for_network("bn-adder", **short, out=killed)
        train(config, resume=True, test=False)
        assert weights(killed) == weights(tmp_path / "straight")


class TestTheCommand:
    def test_a_recipe_is_named_and_resumed(
        self, edge_adder: Run, tiny_mnist: Path, tmp_path: Path
    ) -> None:
        data = ("--data-dir", tiny_mnist, "--device", "cpu")
        recipe = ("--recipe", "published", "--epochs", "1")
        done = edge_adder("train", "--network", "early-fusion", *recipe, *data, "--no-test")
        assert done.returncode == 0, done.stderr
        assert "test" not in done.stdout
        left = tmp_path / "runs" / "early-fusion-published" / "checkpoint.json"
        record = json.loads(left.read_text())
        assert record["config"]["split"] == "random-80-20"
        assert record["config"]["epochs"] == 1
        assert set(record["metrics"]) == {"validation"}
        again = edge_adder("train", "--resume", *recipe, "--out", left.parent, *data)
        assert again.returncode == 0, again.stderr
        assert "test: digit" in again.stdout
        ours = edge_adder("train", "--resume", "--recipe", "ours", "--out", left.parent, *data)
        assert (ours.returncode, ours.stdout) == (2, "")
        assert "has epochs 1, not 30; batch_size 32, not 128; " in ours.stderr
        wrong = edge_adder("train", "--network", "wide", "--recipe", "published", *data)
        assert wrong.returncode == 2
        assert "no recipe of wide is published: expected one of" in wrong.stderr

    def test_ctrl_c_says_how_to_go_on(
        self, edge_adder: Run, tiny_mnist: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def stop(_: ProgressBar, epoch: int, *__: object) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

        monkeypatch.setattr(ProgressBar, "step", stop)
        options = ("--network", "bn-adder", "--batch-size", "50", "--device", "cpu")
        done = edge_adder("train", *options, "--out", "run", "--data-dir", tiny_mnist)
        assert (done.returncode, done.stdout) == (130, "")
        assert done.stderr.splitlines()[-1] == (
            "edge-adder: stopped; 1 of 24 epochs are in run: continue with "
            f"`edge-adder train --resume --out run --data-dir {tiny_mnist}`"
        )


class TestRefused:
    def test_a_folder_with_a_run_is_not_overwritten(self, short: Settings, trained: Path) -> None:
        before = weights(trained)
        with pytest.raises(InputError, match="holds a run of 2 epochs: continue it with --resume"):
            train(TrainConfig(**short, out=trained))
        assert weights(trained) == before

    def test_nothing_to_resume(self, short: Settings, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="nothing to resume in"):
            train(TrainConfig(**short, out=tmp_path), resume=True)

    def test_another_recipe(self, short: Settings, trained: Path) -> None:
        with pytest.raises(InputError, match="has seed 0, not 5"):
            train(TrainConfig(**short | {"seed": 5}, out=trained), resume=True)

    def test_other_images(self, short: Settings, trained: Path, tmp_path: Path) -> None:
        raw = tmp_path / "MNIST" / "raw"
        shutil.copytree(Path(str(short["data_dir"])) / "MNIST" / "raw", raw)
        changed = bytearray((raw / "train-images-idx3-ubyte").read_bytes())
        changed[1000] ^= 1
        (raw / "train-images-idx3-ubyte").write_bytes(changed)
        config = TrainConfig(**short | {"data_dir": tmp_path}, out=trained)
        with pytest.raises(InputError, match="began with other images: name theirs"):
            train(config, resume=True)

    def test_a_file_that_lacks_a_tensor(
        self, short: Settings, trained: Path, tmp_path: Path
    ) -> None:
        whole = trained / "resume.safetensors"
        with safe_open(whole, framework="pt") as file:
            header = file.metadata()
        tensors = load_file(whole)
        tensors.pop("network.conv1.conv.weight")
        (tmp_path / "resume.safetensors").write_bytes(save(tensors, header))
        with pytest.raises(CheckpointError, match=r"cannot be resumed from: .*conv1\.conv\.weight"):
            train(TrainConfig(**short, out=tmp_path), resume=True)

    @pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\0\0\0\0\0\0\0{}      "])
    def test_a_broken_file(self, short: Settings, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "resume.safetensors").write_bytes(content)
        message = re.escape(f"{tmp_path / 'resume.safetensors'} cannot be resumed from")
        for resume in (True, False):
            with pytest.raises(CheckpointError, match=message):
                train(TrainConfig(**short, out=tmp_path), resume=resume)
