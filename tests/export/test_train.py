"""Training: what it leaves, that it repeats, that it resumes, what it refuses."""

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

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save

from edge_adder.cli.main import main as cli
from edge_adder.errors import CheckpointError, InputError
from export import checkpoint as checkpoints
from export import networks
from export import train as training
from export.data import LabelledImages, draw_numbers, load_mnist
from export.history import EpochRecord
from export.synthetic.negatives import NON_DIGIT, draw_negatives
from export.train import Observer, TrainConfig, targets, train

Settings = dict[str, object]
LEFT = {
    "checkpoint.json",
    "checkpoint.safetensors",
    "confusion.png",
    "curves.png",
    "history.json",
    "resume.safetensors",
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


class TestWhatARunLeaves:
    def test_the_files(self, trained: Path) -> None:
        assert {path.name for path in trained.iterdir()} == LEFT

    def test_the_checkpoint_says_how_it_was_made_and_how_good_it_is(self, trained: Path) -> None:
        loaded = checkpoints.load(trained / "checkpoint.safetensors")
        assert loaded.network == "edge"
        assert loaded.config["epochs"] == 3
        assert loaded.metrics["test"]["pairs"] == 1000
        assert loaded.metrics["validation"]["pairs"] == 500
        assert 0.1 < loaded.metrics["test"]["digit"] == loaded.metrics["test"]["sum"] <= 1
        assert json.loads((trained / "checkpoint.json").read_text()) == loaded.details()

    def test_no_folder_of_this_machine_stands_in_it(self, trained: Path) -> None:
        assert "/" not in (trained / "checkpoint.json").read_text()

    def test_the_history_has_every_epoch(self, trained: Path) -> None:
        history = [EpochRecord(**r) for r in json.loads((trained / "history.json").read_text())]
        assert [record.epoch for record in history] == [1, 2, 3]
        assert all(record.digit == round(record.digit * 50) / 50 for record in history)
        assert history[-1].loss < history[0].loss
        assert history[-1].learning_rate == pytest.approx(0, abs=1e-6)

    def test_the_plots_are_pictures(self, trained: Path) -> None:
        for name in ("curves.png", "confusion.png"):
            with Image.open(trained / name) as picture:
                assert picture.width > 500
                assert len(np.unique(np.asarray(picture.convert("L")))) > 10


class TestRepeating:
    def test_the_same_seed_gives_the_same_weights(
        self, short: Settings, trained: Path, tmp_path: Path
    ) -> None:
        train(TrainConfig(**short, out=tmp_path / "again"))
        assert weights(tmp_path / "again") == weights(trained)

    @pytest.mark.parametrize(
        "change",
        [
            {"seed": 1},
            {"augment": False},
            {"split": "random-80-20"},
            {"averaging": 0.0},
            {"schedule": "constant"},
            {"weight_decay": 0.0},
            {"precision": "bfloat16"},
            {"drawn": 100},
            {"outliers": 100},
        ],
        ids=lambda change: next(iter(change)),
    )
    def test_every_setting_counts(
        self, short: Settings, trained: Path, tmp_path: Path, change: Settings
    ) -> None:
        train(TrainConfig(**short | change, out=tmp_path))
        assert weights(tmp_path) != weights(trained)


class TestDrawing:
    def test_numbers_are_drawn_afresh_every_epoch_and_alike_for_a_seed(
        self, short: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn: list[list[int]] = []

        def spy(count: int, generator: torch.Generator) -> torch.Tensor:
            numbers = draw_numbers(count, generator)
            drawn.append(numbers.tolist())
            return numbers

        monkeypatch.setattr(training, "draw_numbers", spy)
        for run in ("a", "b"):
            train(TrainConfig(**short, out=tmp_path / run))
        assert drawn[:3] == drawn[3:]
        assert len({tuple(numbers) for numbers in drawn}) == 3
        assert all(set(numbers) == set(range(10)) for numbers in drawn)

    def test_the_test_images_are_read_once_after_the_last_epoch(
        self, short: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        events: list[str] = []

        def spy(data_dir: Path | None, *, train: bool) -> LabelledImages:
            events.append("training images" if train else "test images")
            return load_mnist(data_dir, train=train)

        class Note(Observer):
            def epoch(self, record: EpochRecord) -> None:
                events.append(f"epoch {record.epoch}")

        monkeypatch.setattr(training, "load_mnist", spy)
        train(TrainConfig(**short, out=tmp_path), observer=Note())
        assert events == ["training images", "epoch 1", "epoch 2", "epoch 3", "test images"]


class TestRecipes:
    def test_a_table_gives_every_image_the_number_of_its_place(
        self, short: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        images = load_mnist(Path(str(short["data_dir"])), train=True).images
        place = {image.numpy().tobytes(): index for index, image in enumerate(images)}
        pairs: list[tuple[int, int]] = []

        class Spy(type(networks.create("edge"))):
            def forward(self, image: torch.Tensor, number: torch.Tensor) -> object:
                if self.training:
                    indices = [place[one.numpy().tobytes()] for one in image]
                    pairs.extend(zip(indices, number.tolist(), strict=True))
                return super().forward(image, number)

        monkeypatch.setitem(networks.NETWORKS, "edge", Spy)
        settings = {"epochs": 2, "augment": False, "numbers": "table", "split": "random-80-20"}
        train(TrainConfig(**short | settings, out=tmp_path))
        assert len(pairs) == 2 * 450  # nine batches of 50 out of 480 images
        assert len({index for index, _ in pairs}) > 450
        assert all(number == index % 10 for index, number in pairs)

    def test_a_constant_rate_stays(self, short: Settings, tmp_path: Path) -> None:
        train(TrainConfig(**short | {"schedule": "constant"}, out=tmp_path))
        rates = [r["learning_rate"] for r in json.loads((tmp_path / "history.json").read_text())]
        assert rates == [TrainConfig().learning_rate] * 3

    def test_bfloat16_is_for_the_convolutions_and_the_weights_stay_float32(
        self, short: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: set[tuple[bool, torch.dtype]] = set()

        class Spy(type(networks.create("edge"))):
            def forward(self, image: torch.Tensor, number: torch.Tensor) -> object:
                answers = super().forward(image, number)
                seen.add((self.training, answers[0].dtype))
                return answers

        monkeypatch.setitem(networks.NETWORKS, "edge", Spy)
        train(TrainConfig(**short | {"precision": "bfloat16", "epochs": 1}, out=tmp_path))
        assert seen == {(True, torch.bfloat16), (False, torch.float32)}
        stored = load_file(tmp_path / "checkpoint.safetensors")
        assert {t.dtype for t in stored.values()} == {torch.float32, torch.int64}

    def test_a_bfloat16_run_resumes_to_the_same_weights(
        self, short: Settings, tmp_path: Path
    ) -> None:
        settings = short | {"precision": "bfloat16"}
        train(TrainConfig(**settings, out=tmp_path / "whole"))
        with pytest.raises(KeyboardInterrupt):
            train(TrainConfig(**settings, out=tmp_path / "cut"), observer=StopAt(2))
        train(TrainConfig(**settings, out=tmp_path / "cut"), resume=True)
        assert weights(tmp_path / "cut") == weights(tmp_path / "whole")

    def test_changes_go_over_a_networks_recipe(self) -> None:
        config = TrainConfig.for_network("bottleneck", "published", epochs=3)
        assert (config.epochs, config.batch_size) == (3, 32)
        with pytest.raises(InputError, match="recipe must be one of ours, published, got 'other'"):
            TrainConfig.for_network("bottleneck", "other")

    def test_from_the_command_line(
        self,
        in_process: Callable[..., subprocess.CompletedProcess[str]],
        tiny_mnist: Path,
        tmp_path: Path,
    ) -> None:
        data = ("--data-dir", tiny_mnist, "--device", "cpu")
        asked = ("train", "--network", "early-fusion", "--recipe", "published", "--epochs", "1")
        done = in_process(*asked, *data, "--no-test")
        assert done.returncode == 0, done.stderr
        assert "test" not in done.stdout
        left = tmp_path / "runs" / "early-fusion-published" / "checkpoint.json"
        record = json.loads(left.read_text())
        assert record["config"]["split"] == "random-80-20"
        assert record["config"]["epochs"] == 1
        assert set(record["metrics"]) == {"validation"}
        again = in_process(
            *("train", "--resume", "--recipe", "published", "--epochs", "1"),
            *("--out", left.parent, *data),
        )
        assert again.returncode == 0, again.stderr
        assert "test: digit" in again.stdout
        wrong = in_process("train", "--network", "wide", "--recipe", "published", *data)
        assert wrong.returncode == 2
        assert "no recipe of wide is published: expected one of" in wrong.stderr


class TestNoDigit:
    def test_the_targets_are_the_label_or_all_digits_alike(self) -> None:
        labels, numbers = torch.tensor([3, NON_DIGIT]), torch.tensor([4, 9])
        digit, total = targets(labels, numbers)
        assert digit[0].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        assert total[0].tolist() == [0] * 7 + [1] + [0] * 11
        assert digit[1].tolist() == pytest.approx([0.1] * 10)
        assert total[1].tolist() == pytest.approx([0.0] * 9 + [0.1] * 10)

    def test_what_is_no_digit_gets_an_improbable_answer(
        self, short: Settings, tmp_path: Path
    ) -> None:
        settings = short | {"epochs": 12, "learning_rate": 0.01, "network": "edge"}
        images = torch.from_numpy(draw_negatives(200, seed=9))
        probability = {}
        for outliers in (0, 600):
            out = tmp_path / str(outliers)
            train(TrainConfig(**settings | {"outliers": outliers}, out=out), test=False)
            network = checkpoints.load(out / "checkpoint.safetensors").build()
            with torch.no_grad():
                digit, _ = network(images, torch.zeros(200, dtype=torch.int64))
            probability[outliers] = float(digit.exp().amax(1).mean())
        assert probability[600] < 0.6 * probability[0]


class TestResuming:
    @pytest.mark.parametrize("epoch", [1, 2, 3])
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

    def test_a_finished_run_resumes_to_itself(
        self, short: Settings, trained: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "resume.safetensors").write_bytes((trained / "resume.safetensors").read_bytes())
        train(TrainConfig(**short, out=tmp_path), resume=True)
        assert weights(tmp_path) == weights(trained)

    def test_a_killed_process_resumes_to_the_same_weights(
        self, short: Settings, tmp_path: Path
    ) -> None:
        straight = TrainConfig.for_network("bn-adder", **short, out=tmp_path / "straight")
        train(straight, test=False)
        killed = tmp_path / "killed"
        command = [sys.executable, "-m", "edge_adder", "train", "--out", str(killed)]
        options = ["--epochs", "3", "--batch-size", "50", "--device", "cpu"]
        options += ["--network", "bn-adder", "--data-dir", str(short["data_dir"])]
        with subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stderr is not None
                assert process.stderr.readline().startswith("epoch 1/3: loss ")
            finally:
                process.kill()
        assert process.returncode == -signal.SIGKILL
        assert "test" not in checkpoints.load(killed / "checkpoint.safetensors").metrics
        done = subprocess.run(
            [*command, "--resume", *options[4:]], capture_output=True, text=True, check=True
        )
        assert "epoch 3/3: loss " in done.stderr
        assert weights(killed) == weights(tmp_path / "straight")

    def test_ctrl_c_says_how_to_go_on(self, short: Settings, tmp_path: Path) -> None:
        command = [sys.executable, "-m", "edge_adder", "train", "--epochs", "200"]
        command += ["--network", "bn-adder", "--batch-size", "50", "--out", "run"]
        command += ["--data-dir", str(short["data_dir"])]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        ) as process:
            try:
                assert process.stderr is not None
                assert process.stderr.readline().startswith("epoch 1/200")
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=60)
            finally:
                process.kill()
        assert process.returncode == cli.INTERRUPTED
        assert out == ""
        data_dir = re.escape(str(short["data_dir"]))
        assert re.fullmatch(
            r"edge-adder: stopped; [0-9]+ of 200 epochs are in run: continue with "
            rf"`edge-adder train --resume --out run --data-dir {data_dir}`",
            err.splitlines()[-1],
        )


class TestRefused:
    def test_a_folder_with_a_run_is_not_overwritten(self, short: Settings, trained: Path) -> None:
        before = weights(trained)
        with pytest.raises(InputError, match="holds a run of 3 epochs: continue it with --resume"):
            train(TrainConfig(**short, out=trained))
        assert weights(trained) == before

    def test_nothing_to_resume(self, short: Settings, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="nothing to resume in"):
            train(TrainConfig(**short, out=tmp_path), resume=True)

    def test_another_recipe(self, short: Settings, trained: Path) -> None:
        with pytest.raises(InputError, match="has seed 0, asked for 5"):
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

    def test_a_resume_file_that_lacks_a_tensor(
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

    def test_a_loss_that_is_no_number(self, short: Settings, tmp_path: Path) -> None:
        with pytest.raises(
            InputError, match=r"training diverged in epoch \d .*lower learning_rate"
        ):
            train(TrainConfig(**short | {"learning_rate": 1e30}, out=tmp_path))

    @pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\0\0\0\0\0\0\0{}      "])
    def test_a_broken_resume_file(self, short: Settings, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "resume.safetensors").write_bytes(content)
        with pytest.raises(CheckpointError, match="cannot be resumed from"):
            train(TrainConfig(**short, out=tmp_path), resume=True)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"network": "none"}, "network must be one of edge, scalar-concat"),
            ({"epochs": 0}, "epochs must be 1 or more, got 0"),
            ({"batch_size": 1}, "batch_size must be 2 or more"),
            ({"learning_rate": 0.0}, "learning_rate must be above 0"),
            ({"learning_rate": float("nan")}, "learning_rate must be above 0, got nan"),
            ({"weight_decay": -1.0}, "weight_decay must be 0 or more"),
            ({"drawn": -1}, "drawn must be 0 or more, got -1"),
            ({"outliers": -1}, "outliers must be 0 or more, got -1"),
            ({"averaging": 1.0}, "averaging must be 0 or more and below 1"),
            ({"split": "half"}, "split must be one of fixed, random-80-20, got 'half'"),
            ({"schedule": "step"}, "schedule must be one of cosine, constant, got 'step'"),
            ({"numbers": "all"}, "numbers must be one of random, table, got 'all'"),
            ({"precision": "int8"}, "precision must be one of float32, bfloat16, got 'int8'"),
            ({"seed": -1}, "seed must be 0 or more"),
            ({"device": "tpu"}, "device must be one of auto, cpu, cuda, got 'tpu'"),
        ],
    )
    def test_settings_out_of_range(self, change: Settings, message: str) -> None:
        with pytest.raises(InputError, match=message):
            TrainConfig(**change)

    @pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
    def test_cuda_that_is_not_there(self, short: Settings, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="device cuda was asked for and PyTorch finds none"):
            train(TrainConfig(**short | {"device": "cuda"}, out=tmp_path))

    def test_a_batch_larger_than_the_data(self, short: Settings, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="batch_size must be at most 550, got 551"):
            train(TrainConfig(**short | {"batch_size": 551}, out=tmp_path))


def test_the_command_line_shows_the_defaults_of_the_config(
    edge_adder: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    shown = " ".join(
        edge_adder("train", "--help", env=os.environ | {"COLUMNS": "300"}).stdout.split()
    )
    config = TrainConfig.for_network("edge")
    for option, value in {"--network": config.network, "--seed": config.seed}.items():
        assert re.search(rf"{option} [^[]*\[default: {value}\]", shown), option
    for option, value in {
        "--epochs": config.epochs,
        "--batch-size": config.batch_size,
        "--learning-rate": config.learning_rate,
        "--split": config.split,
        "--precision": config.precision,
    }.items():
        assert re.search(rf"{option} [^;]*; edge: {value}\.", shown), option


def test_the_config_is_frozen() -> None:
    with pytest.raises(AttributeError):
        TrainConfig().epochs = 1
