"""Training: what it leaves, that it repeats, that every setting counts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional as F

from edge_adder.errors import InputError
from export import checkpoint as checkpoints
from export import networks
from export import train as training
from export.config import TrainConfig
from export.data import LabelledImages, draw_numbers, load_mnist
from export.history import EpochRecord
from export.loss import mean_loss, targets
from export.resume import ema_update
from export.schedule import make_scheduler
from export.synthetic.negatives import NON_DIGIT, draw_negatives
from export.train import Observer, train

Settings = dict[str, object]

CHANGES: Settings = {
    "batch_size": 60,
    "learning_rate": 0.01,
    "schedule": "constant",
    "weight_decay": 0.0,
    "ema_decay": 0.0,
    "augment": False,
    "handwriting": 0.2,
    "synthetic_digits": 20,
    "ones_and_sevens": 20,
    "negatives": 20,
    "numbers": "cyclic",
    "split": "random-80-20",
    "precision": "bfloat16",
    "seed": 1,
}
HANDWRITING = {"scan_writers", "scan_copies", "pen_writers", "pen_copies"}
"""Settings that `handwriting/test_load.py` tries."""

CACHE = {"cached_passes"}
"""A setting that counts only with `handwriting`."""


def weights(out: Path) -> str:
    return checkpoints.load(out / "checkpoint.safetensors").sha256


@pytest.fixture
def no_plots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs draw nothing, which takes longer than they learn."""
    monkeypatch.setattr(training, "_save_plots", lambda *_: None)


@pytest.fixture(scope="module")
def one_epoch(short: Settings, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights after a run of one epoch."""
    out = tmp_path_factory.mktemp("one")
    train(TrainConfig(**short | {"epochs": 1}, out=out), test=False)
    return weights(out)


class TestWhatARunLeaves:
    def test_the_checkpoint_says_how_it_was_made_and_how_good_it_is(self, trained: Path) -> None:
        loaded = checkpoints.load(trained / "checkpoint.safetensors")
        assert loaded.network == "edge"
        assert loaded.config["epochs"] == 2
        assert loaded.metrics["test"]["pairs"] == 1000
        assert loaded.metrics["validation"]["pairs"] == 500
        assert 0.1 < loaded.metrics["test"]["digit"] == loaded.metrics["test"]["sum"] <= 1
        text = (trained / "checkpoint.json").read_text()
        assert json.loads(text) == loaded.details()
        assert "/" not in text  # no folder of this machine

    def test_the_history_has_every_epoch(self, trained: Path) -> None:
        history = [EpochRecord(**r) for r in json.loads((trained / "history.json").read_text())]
        assert [record.epoch for record in history] == [1, 2]
        assert all(record.digit == round(record.digit * 50) / 50 for record in history)
        assert history[-1].loss < history[0].loss
        assert history[-1].learning_rate == 0 < history[0].learning_rate

    def test_the_plots_are_pictures(self, trained: Path) -> None:
        for name in ("curves.png", "confusion.png"):
            with Image.open(trained / name) as picture:
                assert picture.width > 500
                assert len(np.unique(np.asarray(picture.convert("L")))) > 10


@pytest.mark.usefixtures("no_plots")
class TestRepeating:
    def test_the_same_seed_gives_the_same_weights(
        self, short: Settings, one_epoch: str, tmp_path: Path
    ) -> None:
        train(TrainConfig(**short | {"epochs": 1}, out=tmp_path), test=False)
        assert weights(tmp_path) == one_epoch

    @pytest.mark.parametrize("name", CHANGES)
    def test_every_setting_counts(
        self, short: Settings, one_epoch: str, tmp_path: Path, name: str
    ) -> None:
        settings = short | {"epochs": 1, name: CHANGES[name]}
        train(TrainConfig(**settings, out=tmp_path / "run"), test=False)
        assert weights(tmp_path / "run") != one_epoch

    def test_cached_passes_count_with_handwriting(self, short: Settings, tmp_path: Path) -> None:
        settings = short | {"epochs": 1, "handwriting": 0.2}
        found = set()
        for passes in (0, 1):
            out = tmp_path / str(passes)
            train(TrainConfig(**settings, cached_passes=passes, out=out), test=False)
            found.add(weights(out))
        assert len(found) == 2

    def test_no_setting_is_left_out_above(self) -> None:
        assert {*CHANGES, *HANDWRITING, *CACHE, "network", "epochs"} == set(TrainConfig().recipe())

    def test_numbers_are_drawn_anew_in_every_epoch_and_alike_for_a_seed(
        self, short: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        drawn: list[list[int]] = []

        def spy(count: int, generator: torch.Generator) -> torch.Tensor:
            numbers = draw_numbers(count, generator)
            drawn.append(numbers.tolist())
            return numbers

        monkeypatch.setattr(training, "draw_numbers", spy)
        for run in ("a", "b"):
            train(TrainConfig(**short, out=tmp_path / run), test=False)
        assert drawn[:2] == drawn[2:]
        assert drawn[0] != drawn[1]
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
        assert events == ["training images", "epoch 1", "epoch 2", "test images"]


@pytest.mark.usefixtures("no_plots")
class TestWhatTheNetworkSees:
    @pytest.fixture
    def seen(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
        """Every call of the network: whether it learns, image, number, the digit's answer."""
        calls: list[tuple] = []

        class Spy(type(networks.create("edge"))):
            def forward(self, image: torch.Tensor, number: torch.Tensor) -> object:
                answers = super().forward(image, number)
                calls.append((self.training, image, number, answers[0]))
                return answers

        monkeypatch.setitem(networks.NETWORKS, "edge", Spy)
        return calls

    def test_cyclic_numbers_follow_the_place_of_the_image(
        self, short: Settings, tmp_path: Path, seen: list[tuple]
    ) -> None:
        images = load_mnist(Path(str(short["data_dir"])), train=True).images
        place = {image.numpy().tobytes(): index for index, image in enumerate(images)}
        change = {"epochs": 1, "augment": False, "numbers": "cyclic", "split": "random-80-20"}
        train(TrainConfig(**short | change, out=tmp_path), test=False)
        learned = [(image, number) for learns, image, number, _ in seen if learns]
        indices = [place[one.numpy().tobytes()] for image, _ in learned for one in image]
        assert len(set(indices)) == 450  # nine batches of 50 out of 480 images
        assert torch.cat([number for _, number in learned]).tolist() == [i % 10 for i in indices]

    def test_bfloat16_is_for_layers_and_the_weights_stay_float32(
        self, short: Settings, tmp_path: Path, seen: list[tuple]
    ) -> None:
        train(TrainConfig(**short | {"precision": "bfloat16", "epochs": 1}, out=tmp_path))
        dtypes = {(learns, digit.dtype) for learns, _, _, digit in seen}
        assert dtypes == {(True, torch.bfloat16), (False, torch.float32)}
        stored = load_file(tmp_path / "checkpoint.safetensors")
        assert {tensor.dtype for tensor in stored.values()} == {torch.float32, torch.int64}


class TestTheSchedule:
    def rates(self, schedule: str, done_epochs: int = 0) -> list[float]:
        """The learning rate of each step of ten epochs of three, from `done_epochs` on."""
        config = TrainConfig(schedule=schedule, epochs=10, learning_rate=0.5)
        group = {"params": [torch.zeros(1, requires_grad=True)], "initial_lr": 0.5}
        optimizer = torch.optim.AdamW([group], lr=0.5)
        scheduler = make_scheduler(config, optimizer, steps=3, done_epochs=done_epochs)
        rates = []
        for _ in range(3 * (10 - done_epochs)):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return rates

    def test_a_cosine_rises_in_a_tenth_and_falls_to_0(self) -> None:
        rates = self.rates("cosine")
        assert rates[:3] == pytest.approx([0.5 / 3, 1 / 3, 0.5])
        fallen = np.arange(1, 28) / 27
        assert rates[3:] == pytest.approx((1 + np.cos(np.pi * fallen)) / 4)

    def test_a_resumed_run_goes_on_where_it_was(self) -> None:
        assert self.rates("cosine", done_epochs=4) == self.rates("cosine")[12:]

    def test_a_constant_rate_stays(self) -> None:
        assert set(self.rates("constant")) == {0.5}


def test_the_average_follows_faster_in_the_first_steps() -> None:
    for step, decay in ((1, 1 / 11), (10, 0.5), (10**6, 0.9)):
        averages = [torch.zeros(2), torch.zeros(1, dtype=torch.int64)]
        ema_update(0.9)(averages, [torch.ones(2), torch.tensor([7])], step)
        assert averages[0].tolist() == pytest.approx([1 - decay] * 2)
        assert averages[1].item() == 7  # a count is copied


class TestNonDigits:
    def test_targets_are_the_label_or_all_digits_alike(self) -> None:
        labels, numbers = torch.tensor([3, NON_DIGIT]), torch.tensor([4, 9])
        digit, total = targets(labels, numbers)
        assert digit[0].tolist() == [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]
        assert total[0].tolist() == [0] * 7 + [1] + [0] * 11
        assert digit[1].tolist() == pytest.approx([0.1] * 10)
        assert total[1].tolist() == pytest.approx([0.0] * 9 + [0.1] * 10)

    def test_the_loss_is_the_mean_cross_entropy_of_both_outputs(self) -> None:
        labels, numbers = torch.arange(8), torch.ones(8, dtype=torch.int64)
        digit, total = torch.randn(8, 10).log_softmax(1), torch.randn(8, 19).log_softmax(1)
        expected = (F.nll_loss(digit, labels) + F.nll_loss(total, labels + 1)) / 2
        found = mean_loss((digit, total), targets(labels, numbers))
        assert float(found) == pytest.approx(float(expected))

    @pytest.mark.usefixtures("no_plots")
    def test_non_digits_get_an_improbable_answer(self, short: Settings, tmp_path: Path) -> None:
        settings = {"epochs": 4, "learning_rate": 0.01, "ema_decay": 0.9}
        images = torch.from_numpy(draw_negatives(100, seed=9))
        probability = {}
        for count in (0, 200):
            out = tmp_path / str(count)
            train(TrainConfig(**short | settings | {"negatives": count}, out=out), test=False)
            network = checkpoints.load(out / "checkpoint.safetensors").build()
            with torch.no_grad():
                digit, _ = network(images, torch.zeros(100, dtype=torch.int64))
            probability[count] = float(digit.exp().amax(1).mean())
        assert probability[200] < 0.7 * probability[0]


class TestRefused:
    def test_a_loss_that_is_not_a_number(self, short: Settings, tmp_path: Path) -> None:
        config = TrainConfig(**short | {"learning_rate": 1e30}, out=tmp_path)
        with pytest.raises(InputError, match=r"training diverged in epoch \d .*lower learning_ra"):
            train(config)

    def test_a_batch_larger_than_the_data(self, short: Settings, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="batch_size must be at most 550, got 551"):
            train(TrainConfig(**short | {"batch_size": 551}, out=tmp_path))

    @pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
    def test_cuda_that_is_not_there(self, short: Settings, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="device cuda was requested and PyTorch finds none"):
            train(TrainConfig(**short | {"device": "cuda"}, out=tmp_path))
