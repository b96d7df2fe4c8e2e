"""What preparing a picture costs against decoding it: python -m benchmarks.robustness.preparation.

Pillow decodes a synthetic photograph of 12 megapixels completely, and `prepare_image` makes a 28×28
image of it, both from the bytes of a JPEG and of a PNG file, interleaved. With a folder of labelled
pictures, the median time of the search for digits in each kind of them is printed too.
"""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer
from PIL import Image

from benchmarks.markdown import table
from benchmarks.robustness.photos import read_kinds
from benchmarks.search.time import SAMPLE
from edge_adder import prepare_image
from edge_adder.bench.timing import percentiles, ratio, time_interleaved
from edge_adder.evaluation import datasets
from edge_adder.preprocessing.decode import read_picture
from edge_adder.preprocessing.pixels import SMALL_SIDE
from edge_adder.preprocessing.segment import segment
from export.synthetic.digits import draw_digit
from export.synthetic.strokes import photograph

WIDTH, HEIGHT = 4000, 3000


def measure(calls: int) -> dict[str, Any]:
    """Time decoding and preparing of both files, and preparing of an image in MNIST's format.

    Args:
        calls: Calls of each, at least 20.

    Returns:
        ``unchanged_us``, the median of `prepare_image` on a 28×28 array in MNIST's format; and for
        ``JPEG`` and ``PNG`` the medians ``decode_ms`` and ``prepare_ms`` and the ``ratio`` of the
        second to the first.
    """
    image = np.asarray(Image.open(SAMPLE))
    times = time_interleaved({"unchanged": lambda: prepare_image(image)}, 20 * calls, calls)
    found: dict[str, Any] = {"unchanged_us": percentiles(times["unchanged"])["p50"]}
    for name, data in pictures().items():
        timed = time_interleaved(
            {"decode": partial(decode_whole, data), "prepare": partial(prepare_image, data)},
            calls,
            warmup=1,
        )
        decode, prepare = (percentiles(timed[key])["p50"] / 1000 for key in ("decode", "prepare"))
        found[name] = {
            "decode_ms": decode,
            "prepare_ms": prepare,
            "ratio": ratio(timed["prepare"], timed["decode"]),
        }
    return found


def pictures() -> dict[str, bytes]:
    """Draw a photograph of 12 megapixels; return its file by the name of the format."""
    generator = np.random.default_rng(0)
    paper = Image.new("L", (WIDTH, HEIGHT))
    paper.paste(Image.fromarray(draw_digit(5, generator, side=1200)), (1300, 800))
    picture = photograph(np.asarray(paper), generator)
    files = {}
    for name in ("JPEG", "PNG"):
        buffer = io.BytesIO()
        picture.save(buffer, name)
        files[name] = buffer.getvalue()
    return files


def decode_whole(data: bytes) -> None:
    """Decode all pixels with Pillow alone."""
    Image.open(io.BytesIO(data)).load()


def measure_search(folder: Path) -> dict[str, float]:
    """Time the search for digits in pictures of more than 64 pixels, on one thread.

    Args:
        folder: Labelled pictures, as `edge-adder evaluate` reads them.

    Returns:
        By kind of picture, the median over its pictures of the median of five times, in ms.
    """
    pictures = datasets.load(folder)
    times: dict[str, list[float]] = {}
    for picture, kind in zip(pictures.images, read_kinds(folder, pictures), strict=True):
        pixels, _ = read_picture(picture)
        if max(pixels.shape[:2]) > SMALL_SIDE:
            found = time_interleaved({"search": partial(segment, pixels)}, 5, warmup=1)["search"]
            times.setdefault(kind or "all", []).append(float(np.median(found.counted)) / 1e6)
    return {kind: median(found) for kind, found in sorted(times.items())}


def main(
    folder: Annotated[Path | None, typer.Argument(help="Folder of labelled pictures.")] = None,
    calls: Annotated[int, typer.Option(min=20, help="Calls of each.")] = 20,
) -> None:
    """Print both medians and their ratio."""
    found = measure(calls)
    rows = [
        (
            name,
            *(f"{found[name][key]:.1f}" for key in ("decode_ms", "prepare_ms")),
            f"{found[name]['ratio']:.2f}",
        )
        for name in ("JPEG", "PNG")
    ]
    print(table(("12 megapixels", "Pillow decodes, ms", "prepare_image, ms", "ratio"), rows))
    print(f"\na 28×28 array in MNIST's format: {found['unchanged_us']:.1f} µs")
    if folder is not None:
        rows = [(kind, f"{time:.1f}") for kind, time in measure_search(folder).items()]
        print("\n" + table(("kind", "search, ms"), rows))


if __name__ == "__main__":
    typer.run(main)
