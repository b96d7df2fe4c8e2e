"""Which pixels of a picture are the digit's ink.

For each reading of the picture, a channel (brightness; where there is colour, red, green, blue and
two differences) with dark or light ink on plain or uneven paper: `contrast` says how far each pixel
is from the paper, ruled lines are taken out, and the components that make the digit are chosen. The
reading whose ink stands out most is taken.

Numbers here that name no source were set on strangers' pictures, by `python -m benchmarks.robustness.photos`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from edge_adder.preprocessing.components import Components, find_components
from edge_adder.preprocessing.morphology import edge_contrast
from edge_adder.preprocessing.normalize import bounding_box
from edge_adder.preprocessing.page import crop_to_page
from edge_adder.preprocessing.threshold import otsu

Ink = Literal["auto", "light", "dark"]
INKS: tuple[Ink, ...] = ("auto", "light", "dark")

Channel = Literal["brightness", "red", "green", "blue", "red-blue", "colour"]
Contrast = NDArray[np.float32]

MIN_CONTRAST = 16 / 255
"""Least difference between ink and paper, as a share of the paper. Below it a picture is blank:
paper grain and JPEG artefacts reach about 10 of 255."""

_DARKEST = 32.0
"""Darker paper counts as this dark: on nearly black paper noise is a large share."""

_FAINTEST, _SURE = 0.25, 0.55
"""Shares of the ink's typical contrast: from the first a pixel may be ink, and from the second it
is, so that a stroke may fade and dust may not stay."""

_CLEAR = 40.0
"""Contrast over noise from which no other channel is looked at."""

_MIN_CONTRAST_TO_NOISE, _LEAST_STEP = 6.0, 0.45
"""Below both, the second as a share of full ink, what was found is no ink: so is what is found on
all blank paper that `benchmarks.robustness.negatives` draws."""

_BETTER = 1.25
"""How many times brightness's contrast over noise another channel needs, to be taken instead."""

_SMALL = 64
"""Pictures no higher or no wider have no ruled lines, and those that are neither no shadows."""

_LINES = 2
"""Fewest ruled lines; a single one may be the bar of a 7 that fills the picture."""

MAX_DIGITS = 32
"""Of a picture; of more, one more is told, since looking at all would take long."""

_FRAMED = 0.3
"""Least height of what stands in a box, as a share of the box."""

_SHADOW = 0.3
"""Share of the picture's rim from which what seems to be ink may be a shadow."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """Where a picture has ink, and how that was seen.

    Attributes:
        contrast: float32 (height, width); how far each pixel is from the paper, 0 to 1.
        components: Of all that may be ink.
        digits: Of each thing that may be a digit its components, bool (components,); the one that
            is most likely meant comes first, and the others from left to right.
        full: Contrast of full ink.
        faintest: Contrast where ink begins.
        dark: Whether it is darker than its paper.
        channel: Where it was seen.
        plain: Whether the paper is of one brightness.
        contrast_to_noise: The ink's mean contrast over that of all else.
        sheet: Whether the paper is a sheet, around which all was left out.
    """

    contrast: Contrast
    components: Components
    digits: tuple[NDArray[np.bool_], ...]
    full: float
    faintest: float
    dark: bool
    channel: Channel
    plain: bool
    contrast_to_noise: float
    sheet: bool = False

    @property
    def mask(self) -> NDArray[np.bool_]:
        """The digit that is most likely meant, bool (height, width)."""
        return self.components.mask(self.digits[0])

    @property
    def is_blank(self) -> bool:
        """Whether it is but the grain and the shadows of paper: without contrast nor edges."""
        if self.contrast_to_noise >= _MIN_CONTRAST_TO_NOISE:
            return False
        return _edge_contrast(self.contrast, self.mask) < _LEAST_STEP * self.full


def segment(pixels: NDArray[np.uint8], *, ink: Ink = "auto") -> Segmentation | None:
    """Separate the digit's ink from all else.

    Args:
        pixels: uint8 (height, width), or (height, width, 3) for colour.
        ink: ``light`` or ``dark`` where it is known.

    Returns:
        None where nothing stands out of the paper.
    """
    if ink != "light" and min(pixels.shape[:2]) > _SMALL:
        paper = crop_to_page(pixels)
        if paper is not None:
            written = _find_on_paper(paper, "dark")
            return None if written is None else replace(written, sheet=True)
    return _find_on_paper(pixels, ink)


def _find_on_paper(pixels: NDArray[np.uint8], ink: Ink) -> Segmentation | None:
    """`segment` where all that is not ink is paper."""
    best: Segmentation | None = None
    for channel, values in _channels(pixels):
        found = _find_in(values, channel, ink)
        if found is not None and (best is None or _stands_out(found, best)):
            best = found
        if best is not None and best.contrast_to_noise >= _CLEAR:
            break
    return best


def _stands_out(found: Segmentation, best: Segmentation) -> bool:
    """Whether a channel shows ink so much better that it is not but something else, at the rim."""
    if _border(found.mask).any() and not _border(best.mask).any():
        return False
    return found.contrast_to_noise > best.contrast_to_noise * _BETTER


def _channels(pixels: NDArray[np.uint8]) -> Iterator[tuple[Channel, NDArray[np.float32]]]:
    """What of the picture to look at, each float32 (height, width), 0 to 255."""
    if pixels.ndim == 2:
        yield "brightness", pixels.astype(np.float32)
        return
    yield "brightness", np.asarray(Image.fromarray(pixels).convert("L"), np.float32)
    red, green, blue = (pixels[:, :, index].astype(np.float32) for index in range(3))
    yield "red", red
    yield "green", green
    yield "blue", blue
    yield "red-blue", np.clip(red - blue + 128, 0, 255)
    saturation = np.ptp(pixels, axis=2).astype(np.float32)
    yield "colour", np.clip(255 - 2 * saturation, 0, 255)


def _find_in(values: NDArray[np.float32], channel: Channel, ink: Ink) -> Segmentation | None:
    best: tuple[float, Segmentation] | None = None
    for dark, plain, whole, prior in _polarity_hypotheses(values, ink):
        levels = _levels(whole)
        if levels is None:
            continue
        faintest, sure = levels
        large = min(values.shape) > _SMALL
        contrast = remove_ruled_lines(whole, faintest) if large else whole
        components = find_components(contrast > faintest)
        digits = choose(components, contrast, sure)
        if not digits:
            continue
        mask = components.mask(digits[0])
        inside = contrast[mask]
        mean = float(inside.mean())
        noise = float(np.sqrt(np.square(contrast[~mask]).mean())) if not mask.all() else 1.0
        score = (
            mean**0.5
            - 0.5 * float(inside.std()) / mean  # ink is of one kind
            - float(_border(mask).mean())
            - max(0.0, float(mask.mean()) - 0.3)
            + _edge_contrast(contrast, mask) / mean  # shadows have none
            + prior
        )
        if best is None or score > best[0]:
            full = float(np.percentile(inside, 75))
            contrast_to_noise = mean / (noise + 0.01)
            best = (
                score,
                Segmentation(
                    contrast,
                    components,
                    digits,
                    full,
                    faintest,
                    dark,
                    channel,
                    plain,
                    contrast_to_noise,
                ),
            )
    return None if best is None else best[1]


def _polarity_hypotheses(
    values: NDArray[np.float32], ink: Ink
) -> Iterator[tuple[bool, bool, Contrast, float]]:
    """Dark?, plain?, contrast and a bonus of each way to see the picture."""
    threshold = otsu(values)
    if threshold is None:
        return
    light = values > threshold
    # Paper is what lies around, and most of all.
    evidence = 0.6 * float(_border(light).mean()) + 0.4 * float(light.mean())
    seems_dark = evidence > 0.5 if ink == "auto" else ink == "dark"
    paper, written = (
        (values[light], values[~light]) if seems_dark else (values[~light], values[light])
    )
    if paper.size and written.size:
        low, level, high = np.percentile(paper, [10, 50, 90])
        gap = abs(float(np.median(written)) - level)
        small = max(values.shape) <= _SMALL
        if high - low < gap * (0.5 if small else 0.25):
            yield seems_dark, True, background_contrast(values, np.float32(level), seems_dark), 0.0
            at_rim = float(_border(light ^ seems_dark).mean())
            if small or at_rim < _SHADOW:
                return
            seems_dark = True  # shadows fall on paper, and what is written there is dark
    for dark in (True, False):
        if ink in ("auto", "dark" if dark else "light"):
            prior = 0.15 * (dark == seems_dark)
            yield (
                dark,
                False,
                background_contrast(values, estimate_background(values, dark), dark),
                prior,
            )


def background_contrast(
    values: NDArray[np.float32], paper: NDArray[np.float32] | np.float32, dark: bool
) -> Contrast:
    """How far values are from the paper, towards ink: 0 to 1."""
    if not dark:
        values, paper = 255 - values, 255 - paper
    share: Contrast = np.clip((paper - values) / np.maximum(paper, _DARKEST), 0, 1)
    return share


def estimate_background(values: NDArray[np.float32], dark: bool) -> NDArray[np.float32]:
    """Brightness of the paper under each pixel: what is left when all narrow is taken away.

    A closing for dark ink, an opening for light (Serra, "Image analysis and mathematical
    morphology", 1982), with a window of two fifths of the picture, on tiles of a thirty-second.

    Args:
        values: float32 (height, width).
        dark: Whether ink is darker than paper.
    """
    height, width = values.shape
    tile = max(1, round(max(height, width) / 32))
    rows, columns = -(-height // tile), -(-width // tile)
    padded = np.pad(values, ((0, rows * tile - height), (0, columns * tile - width)), mode="edge")
    tiles = padded.reshape(rows, tile, columns, tile)
    first, second = (np.max, np.min) if dark else (np.min, np.max)
    level = first(tiles, axis=(1, 3))
    reach = max(1, round(max(level.shape) / 5))
    for reduce in (first, second):
        for axis in (0, 1):
            level = reduce(_windows(level, reach, axis), axis=-1)
    for axis in (0, 1):
        level = _windows(level, 1, axis).mean(axis=-1)
    smooth = Image.fromarray(level).resize((columns * tile, rows * tile), Image.Resampling.BILINEAR)
    return np.asarray(smooth)[:height, :width]


def _levels(contrast: Contrast) -> tuple[float, float] | None:
    """Contrasts from which a pixel may be ink, and is; None where all is paper."""
    some = contrast[contrast > 0]
    threshold = (otsu(255 * some) or 0.0) / 255 if some.size else 0.0
    typical, paper = contrast[contrast > threshold], contrast[contrast <= threshold]
    if not typical.size or (level := float(typical.mean())) < MIN_CONTRAST:
        return None
    middle = np.median(paper) if paper.size else 0.0
    noise = middle + 6 * np.median(np.abs(paper - middle))  # about four standard deviations
    floor = max(MIN_CONTRAST, float(noise))
    return max(0.75 * floor, _FAINTEST * level), max(floor, _SURE * level)


def remove_ruled_lines(contrast: Contrast, faintest: float) -> Contrast:
    """Take out ruled lines: several, straight, thin, from one edge of the picture to another.

    Where ink is thicker than the lines, a stroke crosses them and stays.

    Args:
        contrast: float32 (height, width).
        faintest: Where ink begins.
    """
    for turned in (False, True):
        values = contrast.T if turned else contrast
        height, width = values.shape
        mask = values > faintest
        slack = mask.copy()  # a pixel higher and lower, so that a slope does not break a line
        slack[1:] |= mask[:-1]
        slack[:-1] |= mask[1:]
        runs = find_components(_long_runs(slack, max(8, width // 5)))
        thickness = runs.area / np.maximum(1, runs.width)
        leaves = (runs.top <= 2).astype(int) + (runs.bottom >= height - 2)  # a slope may end there
        ends = leaves + (runs.left < 0.04 * width) + (runs.right > 0.96 * width)
        lines = (ends >= 2) & (thickness < max(4, 0.06 * height))
        if np.count_nonzero(lines) < _LINES:
            continue
        most = round(float(np.median(thickness[lines]))) + 1
        thin = most >= _run_lengths(mask.T).T
        values = np.where(runs.mask(lines) & thin, np.float32(0), values)
        contrast = values.T if turned else values
    return contrast


def _run_lengths(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For each pixel of a mask the length of its run along the row; 0 elsewhere."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    lengths = np.nonzero(edges == -1)[1] - np.nonzero(edges == 1)[1]
    found = np.zeros(mask.shape, np.int64)
    found[mask] = np.repeat(lengths, lengths)
    return found


def _long_runs(mask: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """Pixels of a mask in a stretch of `length` along the row that is nearly full."""
    height, width = mask.shape
    sums = np.zeros((height, width + 1), np.int32)
    np.cumsum(mask, axis=1, out=sums[:, 1:])
    full = (sums[:, length:] - sums[:, :-length]) >= 0.95 * length
    steps = np.zeros((height, width + 1), np.int32)
    steps[:, : full.shape[1]] += full
    steps[:, length:] -= full
    covered: NDArray[np.bool_] = (steps.cumsum(axis=1)[:, :-1] > 0) & mask
    return covered


def choose(
    components: Components, contrast: Contrast, sure: float
) -> tuple[NDArray[np.bool_], ...]:
    """The components that make each digit; the first is the weightiest near the middle.

    Args:
        components: Of all that may be ink.
        contrast: float32 (height, width).
        sure: Contrast from which a pixel is ink.

    Returns:
        bool (components,) for each, as in `Segmentation.digits`; none where none is surely ink.
    """
    height, width = components.shape
    surely = components.total(contrast > sure)
    solid = surely >= np.maximum(1, 0.1 * components.area)
    if not solid.any():
        return ()
    solid &= ~_frames(components, solid)
    off = np.hypot(
        (components.left + components.right) / width - 1,
        (components.top + components.bottom) / height - 1,
    )
    touches = (components.top <= 1) | (components.left <= 1)
    touches |= (components.bottom >= height - 1) | (components.right >= width - 1)
    weight = components.total(contrast) * np.where(touches, 0.1, 1)
    weight *= (1 - 0.8 * np.minimum(1, off)) * solid
    longest = np.maximum(components.height, components.width)
    main = int(np.where(longest > 0.08 * max(height, width), weight, weight * 1e-3).argmax())
    if not touches[main] and min(height, width) > _SMALL:
        solid &= ~touches  # the paper's edge, a thumb
    rivals = solid & _beside(components, main)
    kept = _with_parts(components, main, solid & ~rivals)
    digits = [kept]
    free = solid & ~kept
    for rival in np.flatnonzero(rivals)[components.left[rivals].argsort()][:MAX_DIGITS]:
        if free[rival]:
            parts = _with_parts(components, int(rival), free & ~rivals)
            free &= ~parts
            digits.append(parts)
    return tuple(digits)


def _frames(components: Components, solid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which are boxes around others, as forms have them: bool (components,).

    All of a box is near its sides, and what stands in it is not small, as the dot in a 0 is.
    """
    frames = np.zeros(len(components), bool)
    for index in np.flatnonzero(solid & (components.height > 0.2 * components.shape[0])):
        top, bottom = components.top[index], components.bottom[index]
        left, right = components.left[index], components.right[index]
        within = solid & (components.top > top) & (components.bottom < bottom)
        within &= (components.left > left) & (components.right < right)
        if components.height[within].max(initial=0) < _FRAMED * (bottom - top):
            continue
        down, along = round((bottom - top) / 8), round((right - left) / 8)
        alone = np.arange(len(components)) == index
        inner = components.mask(alone)[top + down : bottom - down, left + along : right - along]
        frames[index] = np.count_nonzero(inner) < 0.05 * components.area[index]
    return frames


def in_reading_order(found: Segmentation) -> list[NDArray[np.bool_]]:
    """The mask of each digit, bool (height, width): lines from above, and each from the left.

    A digit begins a new line where it begins below the middle of the one before.
    """
    masks = sorted((found.components.mask(each) for each in found.digits), key=_top)
    lines: list[list[NDArray[np.bool_]]] = []
    middle = 0.0
    for mask in masks:
        rows, _ = bounding_box(mask)
        if not lines or rows.start >= middle:
            lines.append([])
        middle = (rows.start + rows.stop) / 2
        lines[-1].append(mask)
    return [mask for line in lines for mask in sorted(line, key=_left)]


def _top(mask: NDArray[np.bool_]) -> int:
    return int(mask.any(axis=1).argmax())


def _left(mask: NDArray[np.bool_]) -> int:
    return int(mask.any(axis=0).argmax())


def _beside(components: Components, main: int) -> NDArray[np.bool_]:
    """Which components are about as large as another and not part of it: bool (components,)."""
    large = components.height >= 0.5 * components.height[main]
    large &= components.area >= 0.2 * components.area[main]
    overlap = np.minimum(components.right, components.right[main])
    overlap -= np.maximum(components.left, components.left[main])
    aside: NDArray[np.bool_] = large & (
        (overlap <= 0.2 * np.minimum(components.width, components.width[main]))
        | ~_near(components, np.arange(len(components)) == main, components.height[main])
    )
    aside[main] = False
    return aside


def _with_parts(components: Components, main: int, allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """A component and what lies near it: bool (components,)."""
    kept: NDArray[np.bool_] = np.arange(len(components)) == main
    longest = max(components.height[main], components.width[main])
    for _ in range(2):  # a part may be near another part
        near = _near(components, kept, longest)
        kept |= near & allowed & (components.area >= 0.03 * components.area[main])
    return kept


def _near(components: Components, kept: NDArray[np.bool_], longest: np.int64) -> NDArray[np.bool_]:
    """Which are less than a seventh of a digit's length from those kept: bool (components,)."""
    top, bottom = components.top[kept].min(), components.bottom[kept].max()
    left, right = components.left[kept].min(), components.right[kept].max()
    down = np.maximum(0, np.maximum(components.top - bottom, top - components.bottom))
    along = np.maximum(0, np.maximum(components.left - right, left - components.right))
    near: NDArray[np.bool_] = np.hypot(down, along) < 0.15 * longest
    return near


def _edge_contrast(contrast: Contrast, mask: NDArray[np.bool_]) -> float:
    return edge_contrast(contrast, mask, max(1, round(max(contrast.shape) / 40)))


def _border(pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The outermost pixels of (height, width), each at least once: (count,)."""
    return np.concatenate([pixels[0], pixels[-1], pixels[1:-1, 0], pixels[1:-1, -1]])


def _windows(values: NDArray[np.float32], reach: int, axis: int) -> NDArray[np.float32]:
    """All neighbours up to `reach` away along an axis, as a further axis."""
    around = [(reach, reach) if each == axis else (0, 0) for each in (0, 1)]
    padded = np.pad(values, around, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=axis)
