"""MNIST: where it comes from, how it is split, what joins it."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest
import torch
import torchvision

from edge_adder import prepare_image
from edge_adder.errors import FileAccessError, InputError
from edge_adder.evaluation.datasets import DATA_VARIABLE
from edge_adder.evaluation.datasets import MNIST_FILES as FILES
from export.data import draw_numbers, load_mnist, split_indices, with_synthetic
from export.synthetic.negatives import NON_DIGIT


@pytest.fixture
def raw(tiny_mnist: Path, tmp_path: Path) -> Path:
    """A copy of the four small files, to be damaged; its data folder is `tmp_path`."""
    return Path(shutil.copytree(tiny_mnist / "MNIST" / "raw", tmp_path / "MNIST" / "raw"))


@pytest.mark.mnist
def test_the_full_mnist() -> None:
    train, test = load_mnist(train=True), load_mnist(train=False)
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.images.dtype == torch.uint8
    assert train.images.shape[1:] == (1, 28, 28)
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert test.labels[:5].tolist() == [7, 2, 1, 0, 4]


@pytest.mark.mnist
def test_every_test_image_goes_to_the_network_unchanged() -> None:
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


@pytest.mark.parametrize("named", [True, False], ids=["named folder", "no network"])
def test_without_data_the_four_files_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def unreachable(*_: object, **__: object) -> None:
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz:\nTried a, got:\nb")

    monkeypatch.setattr(torchvision.datasets.mnist, "download_and_extract_archive", unreachable)
    with pytest.raises(InputError if named else FileAccessError) as caught:
        load_mnist(tmp_path if named else None, train=True)
    message = str(caught.value)
    assert all(name in message for name in FILES)
    folder = tmp_path if named else tmp_path / "edge-adder"
    assert str(folder / "MNIST" / "raw") in message
    assert "\n" not in message


def test_gzipped_files(raw: Path, tmp_path: Path) -> None:
    plain = [load_mnist(tmp_path, train=train).sha256 for train in (True, False)]
    for path in [*raw.iterdir()]:
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert [load_mnist(tmp_path, train=train).sha256 for train in (True, False)] == plain


@pytest.mark.parametrize("keep", [0, 3, 100, 5000])
def test_a_truncated_file(raw: Path, tmp_path: Path, keep: int) -> None:
    (raw / FILES[0]).write_bytes((raw / FILES[0]).read_bytes()[:keep])
    with pytest.raises(InputError, match=f"{FILES[0]} is (damaged: |.*not an IDX file)"):
        load_mnist(tmp_path, train=True)


def test_another_kind_of_file(raw: Path, tmp_path: Path) -> None:
    (raw / FILES[0]).write_text("<!DOCTYPE html>\n<title>Not found</title>")
    with pytest.raises(InputError, match=f"{FILES[0]} is an HTML page .*not an IDX file"):
        load_mnist(tmp_path, train=True)


def test_a_damaged_cache_can_be_downloaded_again(
    raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    place = tmp_path / "edge-adder" / "MNIST"
    shutil.copytree(raw.parent, place)
    (place / "raw" / FILES[2]).write_bytes(b"")
    with pytest.raises(InputError, match=f"delete {place / 'raw'} to download MNIST again"):
        load_mnist(train=False)


def test_images_of_another_size(raw: Path, tmp_path: Path) -> None:
    content = bytearray((raw / FILES[2]).read_bytes())
    content[11], content[15] = 14, 56  # height and width
    (raw / FILES[2]).write_bytes(content)
    with pytest.raises(InputError, match=f"{FILES[2]} has images of 14x56, expected 28x28"):
        load_mnist(tmp_path, train=False)


def test_labels_that_do_not_match_the_images(raw: Path, tmp_path: Path) -> None:
    shutil.copy(raw / FILES[3], raw / FILES[1])
    with pytest.raises(InputError, match=f"has 600 images, {FILES[1]} 100 labels"):
        load_mnist(tmp_path, train=True)


def test_a_label_above_9(raw: Path, tmp_path: Path) -> None:
    content = bytearray((raw / FILES[1]).read_bytes())
    content[20] = 77
    (raw / FILES[1]).write_bytes(content)
    with pytest.raises(InputError, match=f"{FILES[1]} has label 77, expected 0 to 9"):
        load_mnist(tmp_path, train=True)


def test_the_fixed_split_validates_on_the_last_5000() -> None:
    learned, validation = split_indices(60_000, "fixed", seed=1)
    assert learned.tolist() == list(range(55_000))
    assert validation.tolist() == list(range(55_000, 60_000))


def test_the_random_split_is_80_to_20_disjoint_and_seeded() -> None:
    learned, validation = split_indices(60_000, "random-80-20", seed=1)
    assert (len(learned), len(validation)) == (48_000, 12_000)
    assert sorted([*learned.tolist(), *validation.tolist()]) == list(range(60_000))
    assert torch.equal(learned, split_indices(60_000, "random-80-20", seed=1)[0])
    assert not torch.equal(learned, split_indices(60_000, "random-80-20", seed=2)[0])


def test_synthetic_images_follow_mnists(tiny_mnist: Path) -> None:
    mnist = load_mnist(tiny_mnist, train=False)
    joined = with_synthetic(mnist, digits=12, ones_and_sevens=2, negatives=3)
    assert torch.equal(joined.images[:100], mnist.images)
    assert joined.labels[100:].tolist() == [*range(10), 0, 1, 1, 7, *[NON_DIGIT] * 3]
    assert len(joined.images) == 117
    nothing = with_synthetic(mnist, digits=0, ones_and_sevens=0, negatives=0)
    assert nothing.sha256 == mnist.sha256


def test_numbers_are_uniform_and_seeded() -> None:
    numbers = draw_numbers(100_000, torch.Generator().manual_seed(0))
    counts = torch.bincount(numbers, minlength=10)
    assert len(counts) == 10
    assert (counts - 10_000).abs().max() < 500  # five standard deviations
    assert torch.equal(numbers, draw_numbers(100_000, torch.Generator().manual_seed(0)))
