"""`EdgeAdder.predict_many` and `predict_columns`: many images, read and run in batches.

Sources → prepared images → batches → outputs → predictions, one by one or as columns. Large files
are prepared on threads, and so are large batches run; everything keeps its order. An array of
images skips the first step: it is cut into slices, whose format is checked at once.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeGuard

import numpy as np
from numpy.typing import NDArray

from edge_adder.checks import check_number
from edge_adder.contract import DIGITS, IMAGE_SIDE
from edge_adder.environment import allowed_cores
from edge_adder.errors import EdgeAdderError, InputError
from edge_adder.limits import DEFAULT_MAX_PIXELS
from edge_adder.parallel import parallel_map
from edge_adder.prediction import (
    NO_COLUMNS,
    Outputs,
    Prediction,
    Predictions,
    join,
    make_columns,
    make_predictions,
)
from edge_adder.preprocessing.decode import ImageSource, is_small_image, read_picture
from edge_adder.preprocessing.mnist_format import are_mnist_format
from edge_adder.preprocessing.polarity import INKS, Ink
from edge_adder.preprocessing.prepare import UNCHANGED, Preparation, inspect_pixels

BATCH_SIZE = 64
"""Images that are read ahead and run together."""

SLICE_SIZE = 256
"""The same for an array of images: nothing has to be read, and throughput is best here."""

LARGE_BATCH = 32
"""Images from which on a batch runs on a thread while the answers before it are consumed."""

LARGE_FILE_BYTES = 2**15
"""Files above this size are prepared on threads. Pillow holds the interpreter's lock for most of
the time that a smaller one takes, so that threads would only wait for each other."""

_OnError = Literal["raise", "return"]
_RunBatch = Callable[[NDArray[np.uint8], NDArray[np.int64]], Outputs]
_cores = functools.cache(allowed_cores)  # reading the control groups takes a millisecond


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchOptions:
    """Options of `EdgeAdder.predict_many` and `predict_columns`, where they are documented.

    Raises:
        InputError: A value is out of its range.
    """

    ink: Ink = "auto"
    max_pixels: int = DEFAULT_MAX_PIXELS
    batch_size: int | None = None
    workers: int | None = None
    on_error: _OnError = "raise"

    def __post_init__(self) -> None:
        if self.ink not in INKS:
            raise InputError(f"ink must be one of {', '.join(INKS)}, got {self.ink!r}")
        if self.on_error not in ("raise", "return"):
            raise InputError(f"on_error must be 'raise' or 'return', got {self.on_error!r}")
        for name, value in (("batch_size", self.batch_size), ("workers", self.workers)):
            if value is not None and (type(value) is not int or value < 1):
                raise InputError(f"{name} must be an integer from 1, or None, got {value!r}")


class Model(NamedTuple):
    """What `predict_many` needs to know of a loaded model.

    Attributes:
        run: Runs up to a batch of images, uint8 (count, 1, 28, 28), with numbers, int64 (count,).
        batch: The size that its batch is fixed at; None for any.
        threads: Number of onnxruntime's threads for a run.
        provider: The provider that runs it.
        requested_provider: The one that was requested.
    """

    run: _RunBatch
    batch: int | None
    threads: int
    provider: str
    requested_provider: str


def predict_many(
    model: Model,
    images: Iterable[ImageSource],
    numbers: int | Iterable[int],
    options: BatchOptions,
) -> Iterator[Prediction | EdgeAdderError]:
    """Yield the answers to many images, as `EdgeAdder.predict_many` documents it."""
    done = _run_batches(model, images, numbers, options)
    return _answers(model, done, raise_errors=options.on_error == "raise")


def predict_columns(
    model: Model,
    images: Iterable[ImageSource],
    numbers: int | Iterable[int],
    options: BatchOptions,
) -> Predictions:
    """Return the answers to many images, as `EdgeAdder.predict_columns` documents it."""
    columns = [NO_COLUMNS]
    preparations: dict[int, Preparation] = {}
    errors: dict[int, EdgeAdderError] = {}
    count = 0
    with contextlib.closing(_run_batches(model, images, numbers, options)) as done:
        for batch, outputs in done:
            if batch.errors and options.on_error == "raise":
                raise batch.errors[min(batch.errors)]
            if batch.failure is not None:
                raise batch.failure
            columns.append(make_columns(np.array(batch.numbers, np.int64), outputs, batch.errors))
            errors |= {count + index: each for index, each in batch.errors.items()}
            preparations |= {count + index: each for index, each in batch.preparations.items()}
            count += len(batch.numbers)
    return Predictions(
        **join(columns)._asdict(),
        preparations=preparations,
        errors=errors,
        provider=model.provider,
        requested_provider=model.requested_provider,
    )


def _run_batches(
    model: Model,
    images: Iterable[ImageSource],
    numbers: int | Iterable[int],
    options: BatchOptions,
) -> Generator[tuple[_Batch, Outputs]]:
    """Return all batches with the model's outputs, in order; nothing is read before the first."""
    if isinstance(images, (str, bytes, bytearray, os.PathLike)) or (
        isinstance(images, np.ndarray) and images.ndim < 3
    ):
        raise InputError("images must be an iterable of images; for one use predict()")
    if isinstance(images, np.ndarray) and images.shape[1:] == (1, IMAGE_SIDE, IMAGE_SIDE):
        images = images[:, 0]
    if isinstance(numbers, np.ndarray) and numbers.ndim == 1:
        numbers = numbers.tolist()  # ints are checked in a tenth of the time
    workers = options.workers or _cores()
    if _is_array_of_small_images(images):
        size = model.batch or options.batch_size or SLICE_SIZE
        batches = _batches_of_array(images, numbers, size)
    else:
        size = model.batch or options.batch_size or BATCH_SIZE
        items = parallel_map(
            functools.partial(_prepare_item, ink=options.ink, max_pixels=options.max_pixels),
            _pairs(images, numbers),
            workers,
            is_heavy=lambda pair: _is_large_file(pair[0]),
        )
        batches = _batches_of_items(items, size)
    return parallel_map(
        lambda batch: batch.run(model.run, options.ink),
        batches,
        max(1, workers // model.threads),
        is_heavy=lambda batch: len(batch.numbers) == size >= LARGE_BATCH,  # not the rest
    )


@dataclass(slots=True)
class _Batch:
    """Images that run together; a blank image stands in for one with an error.

    Attributes:
        images: uint8 (count, 1, 28, 28).
        numbers: What the caller gave for each image.
        unprepared: Indices of the images that may be in MNIST's format, which is checked for all at
            once.
        failure: What the caller's iterables raised after the last image.
        preparations: How images were prepared, by index; the others are unchanged.
        errors: Errors by index.
        sources: Where images came from, by index, to name them in messages; none for arrays.
    """

    images: NDArray[np.uint8]
    numbers: list[Any]
    unprepared: Sequence[int]
    failure: Exception | None = None
    preparations: dict[int, Preparation] = field(default_factory=dict)
    errors: dict[int, EdgeAdderError] = field(default_factory=dict)
    sources: dict[int, ImageSource] = field(default_factory=dict)

    def run(self, run: _RunBatch, ink: Ink) -> tuple[_Batch, Outputs]:
        """Return the batch, with all images prepared, and the model's outputs."""
        self._prepare(ink)
        numbers = self._checked_numbers()
        for index in self.errors:
            self.images[index] = 0
        return self, run(self.images, numbers)

    def _prepare(self, ink: Ink) -> None:
        unprepared = self.unprepared
        if unprepared and ink != "dark":
            unchanged = are_mnist_format(self.images[:, 0])
            unprepared = [index for index in unprepared if not unchanged[index]]
        for index in unprepared:
            try:
                found = inspect_pixels(self.images[index, 0], ink=ink)
                found.check(self.sources.get(index, self.images[index, 0]))
            except EdgeAdderError as error:
                self.errors[index] = error
            else:
                self.images[index, 0], self.preparations[index] = found.digits[0]

    def _checked_numbers(self) -> NDArray[np.int64]:
        given = self.numbers
        if set(map(type, given)) != {int} or not 0 <= min(given) <= max(given) < DIGITS:
            self.numbers = [0] * len(given)
            for index, number in enumerate(given):
                try:
                    self.numbers[index] = check_number(number)
                except EdgeAdderError as error:
                    self.errors.setdefault(index, error)
        return np.array(self.numbers, np.int64)

    def answers(self, outputs: Outputs, model: Model) -> Iterator[Prediction]:
        """Yield an answer for each image, also for those with an error."""
        preparations: Iterable[Preparation] = itertools.repeat(UNCHANGED)
        if self.preparations:
            indices = range(len(self.numbers))
            preparations = [self.preparations.get(index, UNCHANGED) for index in indices]
        return make_predictions(
            self.numbers, outputs, model.provider, model.requested_provider, preparations
        )


class _Item(NamedTuple):
    """An image, uint8 (28, 28), or its error, and what to add.

    `preparation` is None where the image has been read and may be in MNIST's format, which is
    checked together with that of its batch; `source` is its file then.
    """

    image: NDArray[np.uint8] | EdgeAdderError
    number: Any
    preparation: Preparation | None
    source: ImageSource | None = None


def _prepare_item(pair: tuple[ImageSource, Any], ink: Ink, max_pixels: int) -> _Item:
    source, number = pair
    if is_small_image(source):
        return _Item(source.copy(), number, None)  # the caller may change it
    try:
        pixels, is_multi_frame = read_picture(source, max_pixels=max_pixels)
        if pixels.shape == (IMAGE_SIDE, IMAGE_SIDE) and not is_multi_frame:
            return _Item(pixels, number, None, source)
        found = inspect_pixels(pixels, ink=ink, is_multi_frame=is_multi_frame)
        found.check(source)
    except EdgeAdderError as error:
        return _Item(error, number, UNCHANGED)
    image, preparation = found.digits[0]
    return _Item(image, number, preparation)


def _pairs(
    images: Iterable[ImageSource], numbers: int | Iterable[int]
) -> Iterator[tuple[ImageSource, Any]]:
    """Yield each image with its number; raise where one iterable ends before the other."""
    if not isinstance(numbers, Iterable):
        yield from zip(images, itertools.repeat(check_number(numbers)))
        return
    missing: Any = object()
    for image, number in itertools.zip_longest(images, numbers, fillvalue=missing):
        if image is missing or number is missing:
            raise _unequal("numbers" if image is missing else "images")
        yield image, number


def _batches_of_items(items: Iterator[_Item], size: int) -> Iterator[_Batch]:
    """Yield batches of `size`; what the iterator raises goes with the last one."""
    is_last = False
    while not is_last:
        images = np.zeros((size, 1, IMAGE_SIDE, IMAGE_SIDE), np.uint8)
        unprepared: list[int] = []
        batch = _Batch(images, [], unprepared)
        try:
            for index, (image, number, preparation, source) in enumerate(
                itertools.islice(items, size)
            ):
                batch.numbers.append(number)
                if isinstance(image, EdgeAdderError):
                    batch.errors[index] = image
                    continue
                images[index, 0] = image
                if preparation is None:
                    unprepared.append(index)
                    if source is not None:
                        batch.sources[index] = source
                elif preparation is not UNCHANGED:
                    batch.preparations[index] = preparation
        except Exception as error:  # noqa: BLE001  raised after the answers before it
            batch.failure = error
        count = len(batch.numbers)
        batch.images = images[:count]
        is_last = count < size or batch.failure is not None
        if count or batch.failure is not None:
            yield batch


def _batches_of_array(
    images: NDArray[np.uint8], numbers: int | Iterable[int], size: int
) -> Iterator[_Batch]:
    """Yield batches of an array, uint8 (count, 28, 28), as slices of it."""
    one_for_all = not isinstance(numbers, Iterable)
    each = iter(itertools.repeat(check_number(numbers)) if one_for_all else numbers)  # type: ignore[arg-type]
    for start in range(0, max(1, len(images)), size):
        part = images[start : start + size, None].copy()
        chosen: list[Any] = []
        failure: Exception | None = None
        try:
            chosen.extend(itertools.islice(each, len(part)))
            is_last = start + size >= len(images)
            if len(chosen) < len(part):
                failure = _unequal("images")
            elif is_last and not one_for_all and next(each, part) is not part:
                failure = _unequal("numbers")
        except Exception as error:  # noqa: BLE001  raised after the answers before it
            failure = error
        yield _Batch(part[: len(chosen)], chosen, range(len(chosen)), failure)
        if failure is not None:
            return


def _unequal(more: str) -> InputError:
    fewer = "numbers" if more == "images" else "images"
    return InputError(f"expected as many numbers as images, got more {more} than {fewer}")


def _answers(
    model: Model, done: Generator[tuple[_Batch, Outputs]], *, raise_errors: bool
) -> Iterator[Prediction | EdgeAdderError]:
    """Yield the answers of every batch one by one, an error in the place of its image."""
    owner = os.getpid()
    with contextlib.closing(done):  # an error holds on to this frame, and so to the threads
        for batch, outputs in done:
            answers = batch.answers(outputs, model)
            if not batch.errors:
                yield from answers
            else:
                for index, answer in enumerate(answers):
                    error = batch.errors.get(index)
                    if error is not None and raise_errors:
                        raise error
                    yield error or answer
            if batch.failure is not None:
                raise batch.failure
            if os.getpid() != owner:  # whose threads hold what comes next
                raise InputError(
                    "these answers belong to the process that this one was forked from: "
                    "call predict_many again"
                )


def _is_large_file(source: object) -> bool:
    """Check whether a file, or its bytes, takes longer to prepare than to hand to a thread."""
    if isinstance(source, bytes):
        return len(source) > LARGE_FILE_BYTES
    if isinstance(source, (str, os.PathLike)):
        try:
            return os.stat(source).st_size > LARGE_FILE_BYTES  # noqa: PTH116  a Path takes longer
        except (OSError, ValueError):  # reported when the file is read
            return False
    return False


def _is_array_of_small_images(images: object) -> TypeGuard[NDArray[np.uint8]]:
    """Check whether this is uint8 (count, 28, 28)."""
    return (
        type(images) is np.ndarray
        and images.ndim == 3
        and (len(images) == 0 or is_small_image(images[0]))
    )
