"""MNIST: where it comes from, how it is split, how it is augmented."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision

from edge_adder import prepare_image
from edge_adder.errors import FileAccessError, InputError
from edge_adder.evaluation.datasets import DATA_VARIABLE
from edge_adder.evaluation.datasets import MNIST_FILES as FILES
from export.data import (
    Augmentation,
    augment,
    draw_numbers,
    load_mnist,
    split_indices,
)


@pytest.mark.mnist
def test_the_full_mnist() -> None:
    train, test = load_mnist(train=True), load_mnist(train=False)
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.images.dtype == torch.uint8
    assert train.images.shape[1:] == (1, 28, 28)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.mark.mnist
def test_every_test_image_is_ready_for_the_network_as_it_is() -> None:
    for image in load_mnist(train=False).images[:, 0].numpy():
        assert prepare_image(image) is image


def test_a_folder_by_option_and_by_variable(
    tiny_mnist: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert len(load_mnist(tiny_mnist, train=True)) == 600
    monkeypatch.setenv(DATA_VARIABLE, str(tiny_mnist))
    assert len(load_mnist(train=False)) == 100
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert len(load_mnist(tiny_mnist, train=False)) == 100


def test_a_folder_without_data_names_the_four_files(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_mnist(tmp_path, train=True)
    message = str(caught.value)
    assert all(name in message for name in FILES)
    assert str(tmp_path / "MNIST" / "raw") in message
    assert "\n" not in message


def test_without_network_and_data_the_four_files_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def unreachable(*_: object, **__: object) -> None:
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz:\nTried a, got:\nb")

    monkeypatch.setattr(torchvision.datasets.mnist, "download_and_extract_archive", unreachable)
    with pytest.raises(FileAccessError) as caught:
        load_mnist(train=True)
    message = str(caught.value)
    assert all(name in message for name in FILES)
    assert str(tmp_path / "edge-adder" / "MNIST" / "raw") in message
    assert "\n" not in message


@pytest.mark.parametrize("keep", [0, 3, 100, 5000])
def test_damaged_files_are_named(tiny_mnist: Path, tmp_path: Path, keep: int) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES:
        (raw / name).write_bytes((tiny_mnist / "MNIST" / "raw" / name).read_bytes())
    whole = (raw / FILES[0]).read_bytes()
    (raw / FILES[0]).write_bytes(whole[:keep])
    with pytest.raises(InputError, match=r"MNIST in .* is damaged: "):
        load_mnist(tmp_path, train=True)


def test_labels_that_do_not_match_the_images(tiny_mnist: Path, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, source in zip(FILES, (FILES[0], FILES[3], *FILES[2:]), strict=True):
        (raw / name).write_bytes((tiny_mnist / "MNIST" / "raw" / source).read_bytes())
    with pytest.raises(InputError, match="expected as many labels as 28x28 images"):
        load_mnist(tmp_path, train=True)


def test_a_label_that_is_no_digit(tiny_mnist: Path, tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in FILES:
        content = bytearray((tiny_mnist / "MNIST" / "raw" / name).read_bytes())
        if name == "train-labels-idx1-ubyte":
            content[20] = 77
        (raw / name).write_bytes(content)
    with pytest.raises(InputError, match="is damaged: labels from 0 to 77"):
        load_mnist(tmp_path, train=True)


def test_the_fixed_split_validates_on_the_last_5000() -> None:
    fit, validation = split_indices(60_000, "fixed", seed=1)
    assert fit.tolist() == list(range(55_000))
    assert validation.tolist() == list(range(55_000, 60_000))


def test_the_random_split_is_80_to_20_disjoint_and_seeded() -> None:
    fit, validation = split_indices(60_000, "random-80-20", seed=1)
    assert (len(fit), len(validation)) == (48_000, 12_000)
    assert sorted([*fit.tolist(), *validation.tolist()]) == list(range(60_000))
    assert torch.equal(fit, split_indices(60_000, "random-80-20", seed=1)[0])
    assert not torch.equal(fit, split_indices(60_000, "random-80-20", seed=2)[0])


def test_numbers_are_uniform_and_seeded() -> None:
    numbers = draw_numbers(100_000, torch.Generator().manual_seed(0))
    counts = torch.bincount(numbers, minlength=10)
    assert len(counts) == 10
    assert (counts - 10_000).abs().max() < 500  # five standard deviations
    assert torch.equal(numbers, draw_numbers(100_000, torch.Generator().manual_seed(0)))


class TestAugment:
    @pytest.fixture
    def images(self, tiny_mnist: Path) -> torch.Tensor:
        return load_mnist(tiny_mnist, train=False).images

    def test_nothing_to_change_changes_nothing(self, images: torch.Tensor) -> None:
        still = Augmentation(0, 0, 0, 0, 0, 0)
        assert torch.equal(augment(images, still, torch.Generator()), images)

    def test_every_image_gets_its_own_change(self, images: torch.Tensor) -> None:
        same = images[:1].expand(50, 1, 28, 28)
        changed = augment(same, Augmentation(), torch.Generator().manual_seed(0))
        assert changed.dtype == torch.uint8
        assert changed.shape == same.shape
        assert len({image.numpy().tobytes() for image in changed}) == 50

    def test_the_same_generator_gives_the_same_images(self, images: torch.Tensor) -> None:
        before = images.clone()
        first, again, other = (
            augment(images, Augmentation(), torch.Generator().manual_seed(seed))
            for seed in (1, 1, 2)
        )
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert torch.equal(images, before)

    @pytest.mark.parametrize(
        ("name", "value", "low", "high"),
        [("shift", 0.1, 2.0, 2.9), ("scale", 0.0, 0.0, 0.01), ("shift", 0.05, 1.0, 1.5)],
    )
    def test_shift_is_a_share_of_the_side(
        self, images: torch.Tensor, name: str, value: float, low: float, high: float
    ) -> None:
        zero = dict.fromkeys(
            ("shift", "rotation_degrees", "scale", "stretch", "shear", "bend"), 0.0
        )
        moved = augment(
            images[:1].expand(500, 1, 28, 28),
            Augmentation(**zero | {name: value}),
            torch.Generator().manual_seed(0),
        )
        mass = moved.double().sum(dim=(1, 2))
        centres = mass @ torch.arange(28.0).double() / mass.sum(1)
        furthest = (centres - centres.mean()).abs().max()
        assert low <= furthest <= high

    def test_ink_stays_ink(self, images: torch.Tensor) -> None:
        changed = augment(images, Augmentation(), torch.Generator().manual_seed(0))
        ratio = changed.double().mean() / images.double().mean()
        assert 0.85 < ratio < 1.15
