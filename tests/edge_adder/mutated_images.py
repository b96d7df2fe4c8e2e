"""Prepares image files with a few bytes changed, again and again: a process of its own.

python mutated_images.py FIRST STOP  →  a JSON object: how many were ``prepared`` and ``refused`` by
our error, what else was raised by name, the maximum CPU time of one file in seconds with its index,
and the peak memory of the process.
"""

from __future__ import annotations

import io
import json
import random
import resource
import sys
import time
import warnings
from collections import Counter

import numpy as np
from PIL import Image

from edge_adder import EdgeAdderError, prepare_image
from edge_adder.environment import peak_memory_bytes

SEED = 20_251_122
MEMORY_BYTES = 2_000_000_000
"""Address space of the process; beyond it a file gets an error, not the machine."""


def valid_files() -> list[bytes]:
    """A digit in each format, in several modes and sizes."""
    large = np.zeros((96, 80), np.uint8)
    large[16:80, 36:44] = 255
    large[16:26, 24:44] = 200
    grey = Image.fromarray(large)
    colour = Image.merge("RGB", (grey, grey.point(lambda value: 255 - value), grey))
    clear = Image.merge("LA", (grey, grey))
    frames = [grey.resize((40, 48)), grey.resize((40, 48)).rotate(90, expand=False)]
    saved: list[tuple[Image.Image, str, dict[str, object]]] = [
        (grey, "PNG", {}),
        (clear, "PNG", {}),
        (grey.convert("P"), "PNG", {}),
        (Image.fromarray(large.astype(np.uint16) * 257), "PNG", {}),
        (grey, "JPEG", {}),
        (colour, "JPEG", {"progressive": True, "exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}),
        (grey, "BMP", {}),
        (grey.convert("1"), "BMP", {}),
        (colour, "WEBP", {}),
        (colour, "WEBP", {"lossless": True}),
        (grey, "GIF", {}),
        (frames[0], "GIF", {"save_all": True, "append_images": frames[1:]}),
        (grey, "TIFF", {}),
        (colour, "TIFF", {"compression": "tiff_lzw"}),
        (frames[0], "TIFF", {"save_all": True, "append_images": frames[1:]}),
    ]
    files = []
    for image, kind, options in saved:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)  # type: ignore[arg-type]
        files.append(buffer.getvalue())
    return files


def mutated(files: list[bytes], index: int) -> bytes:
    """One of the files, with bytes flipped, set, deleted, inserted, or cut off."""
    random_ = random.Random(SEED + index)  # noqa: S311  to be repeated, not to be secret
    data = bytearray(files[index % len(files)])
    for _ in range(random_.choice((1, 1, 2, 4, 16))):
        # headers and tables stand at both ends
        near = random_.random() < 0.5
        at = random_.randrange(min(len(data), 64) if near else len(data))
        if random_.random() < 0.2:
            at = len(data) - 1 - at
        kind = random_.randrange(6)
        if kind < 2:
            data[at] ^= 1 << random_.randrange(8)
        elif kind == 2:
            data[at] = random_.choice((0, 1, 127, 128, 255))
        elif kind == 3:
            del data[at : at + random_.randrange(1, 9)]
        elif kind == 4:
            data[at:at] = random_.randbytes(random_.randrange(1, 9))
        else:
            data = data[: max(at, 1)]
        if not data:
            break
    return bytes(data)


def main(first: int, stop: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    warnings.simplefilter("ignore")  # of files that load all the same
    files = valid_files()
    for data in files:
        prepare_image(data)
    outcomes: Counter[str] = Counter()
    slowest = (0.0, -1)
    for index in range(first, stop):
        data = mutated(files, index)
        began = time.process_time()
        try:
            image = prepare_image(data)
            outcomes["prepared" if image.shape == (28, 28) else "another shape"] += 1
        except EdgeAdderError as error:
            outcomes["refused" if "\n" not in str(error) else "several lines"] += 1
        except Exception as error:  # noqa: BLE001  whatever it is, it is counted
            outcomes[f"{type(error).__name__} of {index}"] += 1
        slowest = max(slowest, (time.process_time() - began, index))
    peak = peak_memory_bytes()
    print(json.dumps({"outcomes": outcomes, "slowest_s": slowest, "peak_bytes": peak}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
