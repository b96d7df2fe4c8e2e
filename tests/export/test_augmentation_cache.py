"""What is learned from: changed images, kept variations, and the teachers' advice."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
import torch

from edge_adder.errors import InputError
from export import checkpoint as checkpoints
from export import train as training
from export.augmentation_cache import AugmentationCache, erase
from export.checkpoint import Checkpoint
from export.data import Augmentation, LabelledImages, augment, load_mnist
from export.train import TrainConfig, train


@pytest.fixture(scope="module")
def fit(tiny_mnist: Path) -> LabelledImages:
    return load_mnist(tiny_mnist, train=True).at(torch.arange(60))


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class TestErasing:
    def test_a_share_of_the_images_loses_a_rectangle(self) -> None:
        images = torch.full((2000, 1, 28, 28), 200, dtype=torch.uint8)
        found = erase(images, 0.25, seeded())
        black = found[:, 0] == 0
        hit = black.any(2).any(1)
        assert 0.2 < hit.float().mean() < 0.3
        height, width = black.any(2).sum(1)[hit], black.any(1).sum(1)[hit]
        assert (black.sum((1, 2))[hit] == height * width).all()
        for side in (height, width):
            assert (int(side.min()), int(side.max())) == (4, 14)
        assert (found[~hit] == 200).all()
        assert black[:, 0].any()
        assert black[:, -1].any()  # up to the last row
        assert (images == 200).all()

    def test_none_and_all(self) -> None:
        images = torch.full((50, 1, 28, 28), 9, dtype=torch.uint8)
        assert torch.equal(erase(images, 0.0, seeded()), images)
        assert (erase(images, 1.0, seeded()) == 0).any(3).any(2).all()


class TestLessons:
    def test_new_images_in_every_epoch(self, fit: LabelledImages, tmp_path: Path) -> None:
        augmentation_cache = AugmentationCache(fit, augmentation=Augmentation(), folder=tmp_path)
        chosen = torch.tensor([5, 3])
        found = augmentation_cache.batch(0, chosen, seeded())
        assert torch.equal(found.images, augment(fit.images[chosen], Augmentation(), seeded()))
        assert found.advice is None
        assert not list(tmp_path.iterdir())

    def test_images_as_they_are(self, fit: LabelledImages, tmp_path: Path) -> None:
        augmentation_cache = AugmentationCache(fit, augmentation=None, folder=tmp_path)
        assert torch.equal(
            augmentation_cache.batch(0, torch.arange(60), seeded()).images, fit.images
        )

    def test_variations_come_again_in_turn(
        self, fit: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        settings = {"augmentation": Augmentation(), "erase": 0.5, "redrawn": 0.5, "variations": 2}
        augmentation_cache = AugmentationCache(fit, folder=tmp_path, **settings)
        every = torch.arange(60)
        epochs = [augmentation_cache.batch(epoch, every, seeded()).images for epoch in range(4)]
        assert torch.equal(epochs[0], epochs[2])
        assert torch.equal(epochs[1], epochs[3])
        assert not torch.equal(epochs[0], epochs[1])
        assert torch.equal(
            augmentation_cache.batch(3, torch.tensor([7]), seeded()).images, epochs[1][[7]]
        )
        assert len(list(tmp_path.glob("*/*.safetensors"))) == 2

        monkeypatch.setattr(AugmentationCache, "_change", None)  # the files are enough
        again = AugmentationCache(fit, folder=tmp_path, **settings)
        assert torch.equal(again.batch(1, every, seeded()).images, epochs[1])

    def test_a_damaged_file_is_made_again(self, fit: LabelledImages, tmp_path: Path) -> None:
        def make() -> torch.Tensor:
            augmentation_cache = AugmentationCache(
                fit, augmentation=Augmentation(), folder=tmp_path, variations=1
            )
            return augmentation_cache.batch(0, torch.arange(60), seeded()).images

        first = make()
        (path,) = tmp_path.glob("*/*.safetensors")
        path.write_bytes(path.read_bytes()[:100])
        assert torch.equal(make(), first)
        assert path.stat().st_size > 60 * 784

    def test_other_ingredients_have_other_files(
        self, fit: LabelledImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        usual = {"augmentation": None, "erase": 0.0, "redrawn": 0.0}
        changes = [{}, {"augmentation": Augmentation()}, {"erase": 0.1}, {"redrawn": 0.1}]
        for change in changes:
            augmentation_cache = AugmentationCache(
                fit, folder=tmp_path, variations=1, **usual | change
            )
            augmentation_cache.batch(0, torch.arange(60), seeded())
        assert len(list(tmp_path.iterdir())) == len(changes)
        monkeypatch.setattr(
            "export.augmentation_cache._WHAT_CHANGES_IMAGES", (augment,)
        )  # other code
        AugmentationCache(fit, folder=tmp_path, variations=1, **usual).batch(
            0, torch.arange(60), seeded()
        )
        assert len(list(tmp_path.iterdir())) == len(changes) + 1
        monkeypatch.undo()
        others = LabelledImages(fit.images.flip(0), fit.labels)
        AugmentationCache(others, folder=tmp_path, variations=1, **usual).batch(
            0, torch.arange(60), seeded()
        )
        assert len(list(tmp_path.iterdir())) == len(changes) + 2

    def test_other_teachers_share_the_images(
        self, fit: LabelledImages, committed: Checkpoint, tmp_path: Path
    ) -> None:
        every, found = torch.arange(60), []
        for teachers in ((), (committed,), (committed, committed)):
            augmentation_cache = AugmentationCache(
                fit,
                augmentation=Augmentation(),
                folder=tmp_path,
                teachers=teachers,
                variations=1,
            )
            found.append(augmentation_cache.batch(0, every, seeded()))
        assert torch.equal(found[0].images, found[1].images)
        assert torch.equal(found[0].images, found[2].images)
        assert len(list(tmp_path.glob("*/*.safetensors"))) == 3  # images once, advice twice

    @pytest.mark.parametrize("variations", [0, 1])
    def test_advice_is_the_mean_of_the_teachers(
        self, fit: LabelledImages, committed: Checkpoint, tmp_path: Path, variations: int
    ) -> None:
        other = Checkpoint("edge", {k: v * 0.5 for k, v in committed.weights.items()}, {}, {})
        augmentation_cache = AugmentationCache(
            fit,
            augmentation=None,
            folder=tmp_path,
            teachers=(committed, other),
            variations=variations,
        )
        chosen = torch.arange(20, 40)
        number = torch.zeros(20, dtype=torch.int64)
        with torch.no_grad():
            wanted = [c.build()(fit.images[chosen], number)[0] for c in (committed, other)]
        advice = augmentation_cache.batch(0, chosen, seeded()).advice
        assert advice is not None
        assert torch.allclose(advice.float(), sum(wanted) / 2, rtol=0.05, atol=0.1)  # bfloat16


class TestLoss:
    def answers(self) -> tuple[torch.Tensor, torch.Tensor]:
        digit = torch.randn(8, 10, generator=seeded()).log_softmax(1)
        return digit, torch.randn(8, 19, generator=seeded()).log_softmax(1)

    def loss(self, advice: torch.Tensor | None, **changes: object) -> float:
        if advice is not None:
            changes |= {"teachers": ("teacher",)}
        config = TrainConfig(**changes)
        labels = torch.arange(8)
        wanted = training.targets(labels, torch.ones(8, dtype=torch.int64))
        return float(training._loss(config, self.answers(), wanted, advice))

    def test_labels_alone(self) -> None:
        digit, total = self.answers()
        rows = torch.arange(8)
        wanted = -(digit[rows, rows].mean() + total[rows, rows + 1].mean()) / 2
        assert self.loss(None) == pytest.approx(float(wanted))

    def test_label_smoothing_is_torchs(self) -> None:
        digit, total = self.answers()
        labels = torch.arange(8)
        smooth = torch.nn.functional.cross_entropy(digit, labels, label_smoothing=0.1)
        wanted = (smooth + torch.nn.functional.nll_loss(total, labels + 1)) / 2
        assert self.loss(None, label_smoothing=0.1) == pytest.approx(float(wanted))

    @pytest.mark.parametrize("temperature", [1.0, 3.0])
    def test_advice_that_agrees_costs_nothing(self, temperature: float) -> None:
        agreeing = self.answers()[0]
        settings = {"distillation": 1.0, "temperature": temperature}
        assert self.loss(agreeing, **settings) == pytest.approx(0, abs=1e-6)
        assert self.loss(agreeing + 5, **settings) == pytest.approx(0, abs=1e-5)  # a scale
        assert self.loss(agreeing.flip(1), **settings) > 0.1

    def test_advice_is_kullback_leibler_at_the_temperature(self) -> None:
        advice = torch.randn(8, 10, generator=seeded(9))
        theirs, ours = (advice / 2).softmax(1), (self.answers()[0] / 2).softmax(1)
        wanted = 4 * float((theirs * (theirs / ours).log()).sum(1).mean())
        assert self.loss(advice, distillation=1.0, temperature=2.0) == pytest.approx(wanted, 1e-4)
        labels = self.loss(None)
        mixed = self.loss(advice, distillation=0.75, temperature=2.0)
        assert mixed == pytest.approx(0.25 * labels + 0.75 * wanted, 1e-4)


class TestTraining:
    @pytest.fixture
    def runs(self, trained: Path, tmp_path: Path) -> Path:
        """A folder with a finished run, `teacher`."""
        (tmp_path / "teacher").mkdir()
        for name in ("checkpoint.safetensors", "checkpoint.json", "history.json"):
            (tmp_path / "teacher" / name).write_bytes((trained / name).read_bytes())
        return tmp_path

    def test_a_student_learns_from_a_teacher(self, runs: Path, short: dict) -> None:
        settings = short | {"teachers": ("teacher",), "distillation": 0.9, "variations": 2}
        result = train(TrainConfig(**settings, out=runs / "student"), test=False)
        made = checkpoints.load(result.checkpoint)
        assert made.config["teachers"] == ["teacher"]
        teacher = checkpoints.load(runs / "teacher" / "checkpoint.safetensors")
        assert made.config["teachers_sha256"] == [teacher.sha256]
        alone = TrainConfig(**short | {"variations": 2}, out=runs / "alone")  # the same images
        assert made.sha256 != checkpoints.load(train(alone, test=False).checkpoint).sha256
        assert len(list((runs / "augmentation_cache").glob("*/?.safetensors"))) == 2
        assert len(list((runs / "augmentation_cache").glob("*/?-*.safetensors"))) == 2

    def test_a_student_resumes_to_the_same_weights(self, runs: Path, short: dict) -> None:
        settings = short | {"teachers": ("teacher",), "distillation": 0.5, "variations": 2}
        straight = train(TrainConfig(**settings, out=runs / "straight"), test=False)

        class Stop(training.Observer):
            def epoch(self, _: object) -> None:
                raise KeyboardInterrupt

        config = TrainConfig(**settings, out=runs / "stopped")
        with pytest.raises(KeyboardInterrupt):
            train(config, test=False, observer=Stop())
        shutil.rmtree(runs / "augmentation_cache")
        resumed = train(config, test=False, resume=True)
        assert checkpoints.load(resumed.checkpoint).sha256 == (
            checkpoints.load(straight.checkpoint).sha256
        )

    def test_a_teacher_that_is_not_there(self, short: dict, tmp_path: Path) -> None:
        config = TrainConfig(
            **short, teachers=("nobody",), distillation=0.5, out=tmp_path / "student"
        )
        message = r"no teacher in .*nobody: train it first \(edge-adder train --network teacher "
        with pytest.raises(InputError, match=message + r"--out .*nobody --no-test\), or learn"):
            train(config, test=False)
        again = dataclasses.replace(config, teachers=("teacher-7",))
        with pytest.raises(InputError, match=r"--network teacher --seed 7 --out"):
            train(again, test=False)
        assert not (tmp_path / "student").exists()

    def test_a_teacher_must_be_finished(self, runs: Path, short: dict) -> None:
        history = runs / "teacher" / "history.json"
        history.write_text(json.dumps(json.loads(history.read_text())[:2]))
        config = TrainConfig(**short, teachers=("teacher",), distillation=0.5, out=runs / "student")
        with pytest.raises(InputError, match=r"has 2 of 3 epochs: finish it first"):
            train(config, test=False)

    def test_a_teacher_must_not_know_what_validates(self, runs: Path, short: dict) -> None:
        settings = short | {"split": "random-80-20", "teachers": ("teacher",), "distillation": 0.5}
        with pytest.raises(InputError, match="from images that validate this run: its split is fi"):
            train(TrainConfig(**settings, out=runs / "student"), test=False)

    def test_other_teachers_of_the_same_name_are_noticed(self, runs: Path, short: dict) -> None:
        settings = short | {"teachers": ("teacher",), "distillation": 0.5, "epochs": 1}
        config = TrainConfig(**settings, out=runs / "student")
        train(config, test=False)
        shutil.rmtree(runs / "teacher")
        train(TrainConfig(**short | {"seed": 4}, out=runs / "teacher"), test=False)
        with pytest.raises(InputError, match="began with other teachers of the same names"):
            train(config, resume=True, test=False)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"teachers": ("teacher",)}, "teachers and distillation need each other"),
            ({"distillation": 0.5}, "teachers and distillation need each other"),
            ({"erase": 1.5}, "erase must be 0 to 1, got 1.5"),
            ({"label_smoothing": -0.1}, "label_smoothing must be 0 to 1, got -0.1"),
            ({"temperature": 0}, "temperature must be above 0, got 0"),
            ({"variations": -1}, "variations must be 0 or more, got -1"),
        ],
    )
    def test_settings_out_of_range(self, change: dict, message: str) -> None:
        with pytest.raises(InputError, match=message):
            TrainConfig(**change)
