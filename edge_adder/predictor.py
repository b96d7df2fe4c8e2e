"""`EdgeAdder` loads a model and gives each `Prediction`. The only importer of onnxruntime."""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import math
import operator
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeGuard, final, overload

import numpy as np
from numpy.typing import NDArray

from edge_adder import forked
from edge_adder.contract import (
    BATCH,
    CONTRACT,
    CONTRACT_KEY,
    DIGIT,
    DIGITS,
    IMAGE,
    IMAGE_SIDE,
    NUMBER,
    PROVENANCE_KEY,
    SUM,
    SUMS,
    differences,
)
from edge_adder.environment import Threads, allowed_cores, thread_count
from edge_adder.errors import (
    ContractError,
    EdgeAdderError,
    InputError,
    ModelError,
    ProviderError,
)
from edge_adder.model_file import check_self_contained, describe_load_error, read_model
from edge_adder.parallel import parallel_map
from edge_adder.preprocessing.decode import MAX_PIXELS, ImageSource
from edge_adder.preprocessing.prepare import (
    UNCHANGED,
    Preparation,
    are_mnist_format,
    prepare,
    prepare_each,
)
from edge_adder.preprocessing.segment import INKS, Ink
from edge_adder.providers import (
    EXECUTION_PROVIDERS,
    Provider,
    candidates,
    check_delivered,
    cuda_failure,
    installed_runtimes,
    missing_runtime,
)

try:
    import onnxruntime as ort

    _ = ort.InferenceSession  # not there where another wheel was uninstalled from over this one
except (ImportError, AttributeError) as error:
    raise missing_runtime(error) from error

BUNDLED_MODEL = Path(__file__).parent / "models" / "default.onnx"
"""The model that `EdgeAdder()` runs."""

BATCH_SIZE = 64
"""Images that `predict_many` reads ahead and runs together."""

SLICE_SIZE = 256
"""The same where the images are one array: nothing has to be read, and throughput is best here."""

LARGE_BATCH = 32
"""Images in a batch from which on it runs on a thread, while the answers before it are taken."""

LARGE_FILE_BYTES = 2**15
"""Files above this are decoded on several threads. Pillow takes the interpreter's lock for most of
the time that a smaller one needs, and then threads only wait for each other."""

MIN_CONFIDENCE = 0.6
"""An answer of less probability is uncertain. `python -m benchmarks.robustness.uncertain FOLDER` measures what that
does to pictures of no digit, and to the digits in a folder."""

ONNXRUNTIME_VERSION: str = ort.__version__
"""Of the onnxruntime that is imported, whatever pip says of it."""

_OUTPUTS = [DIGIT.name, SUM.name]
_NUMBERS = tuple(np.array([number], dtype=np.int64) for number in range(DIGITS))
_IMAGE_DTYPE, _NUMBER_DTYPE = np.dtype(IMAGE.dtype), np.dtype(NUMBER.dtype)
_cores = functools.cache(allowed_cores)  # reading the control groups takes a millisecond
_new_tuple = tuple.__new__  # of a named tuple, in a third of the time
_Run = Callable[[Sequence[str], dict[str, NDArray[Any]]], Any]
_ORT_TYPES = {"tensor(uint8)": "uint8", "tensor(int64)": "int64", "tensor(float)": "float32"}


class Outputs(NamedTuple):
    """What the network answers, as arrays.

    Attributes:
        digit: float32 (batch, 10); log-probability of each digit 0-9.
        sum: float32 (batch, 19); log-probability of each sum 0-18.
    """

    digit: NDArray[np.float32]
    sum: NDArray[np.float32]


@dataclass(slots=True)  # frozen, it would take a microsecond more: a tenth of the network
class Prediction:
    """The answer for one image and one number.

    Attributes:
        digit: The most probable digit, 0 to 9.
        sum: The most probable sum, 0 to 18.
        digit_probability: Of that digit, 0 to 1.
        sum_probability: Of that sum, 0 to 1.
        number: The number that was added.
        provider: The execution provider that computed it, ``cpu`` or ``cuda``.
        requested_provider: The one that was asked for, which may be ``auto``.
        preparation: What was done to the image before the network saw it.
    """

    digit: int
    sum: int
    digit_probability: float
    sum_probability: float
    number: int
    provider: str
    requested_provider: str
    preparation: Preparation
    _outputs: Outputs = field(repr=False, compare=False)  # of its whole batch
    _row: int = field(repr=False, compare=False)

    @property
    def probability(self) -> float:
        """Of the less probable of digit and sum, 0 to 1: what can be believed of the answer."""
        return min(self.digit_probability, self.sum_probability)

    @property
    def uncertain(self) -> bool:
        """Whether that is below `MIN_CONFIDENCE`: likely not a digit, or not to be read."""
        return self.probability < MIN_CONFIDENCE

    @property
    def digit_log_probabilities(self) -> NDArray[np.float32]:
        """float32 (10,); of each digit."""
        row: NDArray[np.float32] = self._outputs.digit[self._row]
        return row

    @property
    def sum_log_probabilities(self) -> NDArray[np.float32]:
        """float32 (19,); of each sum."""
        row: NDArray[np.float32] = self._outputs.sum[self._row]
        return row

    def top_digits(self, count: int) -> list[tuple[int, float]]:
        """The `count` most probable digits with their probabilities, best first."""
        return _top(self.digit_log_probabilities, count)

    def top_sums(self, count: int) -> list[tuple[int, float]]:
        """The `count` most probable sums with their probabilities, best first."""
        return _top(self.sum_log_probabilities, count)


@final
@dataclass(frozen=True, slots=True, init=False, repr=False, eq=False, weakref_slot=True)
class EdgeAdder:
    """A loaded model. Immutable, and safe to share between threads: all use one session.

    A process that is forked from this one makes its own session when it first needs one; it cannot
    on CUDA. Pickled, a model is its file's content and the arguments below.

    Args:
        model: Path or content of an ONNX file that `edge-adder export` made; None for the bundled
            one.
        provider: ``cpu``, ``cuda``, or ``auto`` for CUDA where it works. What was asked for runs,
            or `ProviderError` is raised; nothing falls back.
        threads: Threads that work on one run; ``auto`` for as many as this process has cores to
            keep busy, by affinity and quota. More than one makes a single image slower.
        spinning: Whether threads without work wait for the next run in a busy loop, which keeps
            a core each from other work.
        sha256: What the model file must hash to, in hexadecimal; None for anything.

    Raises:
        ModelError: There is no such model, it is not the one of `sha256`, it needs more than
            itself, or onnxruntime cannot load it.
        ContractError: Its tensors or metadata differ from the contract.
        ProviderError: The provider cannot run here.
        FileAccessError: The file cannot be read.
        InputError: `provider`, `threads` or `sha256` is none of the values above.
    """

    _batch: int | None
    _metadata: dict[str, str]
    _model: str
    _model_bytes: bytes
    _provider: str
    _requested_provider: Provider
    _run: _Run
    _session: ort.InferenceSession | None
    _spinning: bool
    _threads: int

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes | None = None,
        *,
        provider: Provider = "cpu",
        threads: Threads = 1,
        spinning: bool = False,
        sha256: str | None = None,
    ) -> None:
        count = thread_count(threads)
        if model is None:
            name, data = read_model(BUNDLED_MODEL, name="default", sha256=sha256)
        else:
            name, data = read_model(model, sha256=sha256)
            check_self_contained(name, data)
        session, delivered = _open_first(name, data, provider, count, spinning=spinning)
        metadata = _read_metadata(name, session)
        state = {
            "_batch": _check_contract(name, session, metadata),
            "_metadata": metadata,
            "_model": name,
            "_model_bytes": data,
            "_provider": delivered,
            "_requested_provider": provider,
            "_run": _runner(session, delivered),
            "_session": session,
            "_spinning": spinning,
            "_threads": count,
        }
        for attribute, value in state.items():
            object.__setattr__(self, attribute, value)  # the one time that it is written
        forked.watch(self)
        if model is not None:
            self._try()

    def __reduce__(self) -> tuple[Any, ...]:
        options = self._requested_provider, self._threads, self._spinning
        return _unpickle, (self._model, self._model_bytes, *options)

    def _forget_session(self) -> object:
        """Of a forked process: a new session when one is needed; the old one, to be kept."""
        session = self._session
        object.__setattr__(self, "_session", None)
        object.__setattr__(self, "_run", self._reopen_and_run)
        return session

    def _reopen(self) -> ort.InferenceSession:
        if self._provider != "cpu":
            raise ProviderError(
                f"provider {self._provider} cannot run in a process that was forked after the "
                "model was loaded: start processes with multiprocessing's method spawn"
            )
        options: dict[str, Any] = {"name": self._model, "spinning": self._spinning}
        session = open_session(self._model_bytes, self._provider, self._threads, **options)
        object.__setattr__(self, "_session", session)
        object.__setattr__(self, "_run", _runner(session, self._provider))
        return session

    def _reopen_and_run(self, *arguments: Any) -> Any:
        self._reopen()
        return self._run(*arguments)

    def __repr__(self) -> str:
        return f"EdgeAdder({self._model!r}, provider={self._provider!r}, threads={self._threads})"

    @property
    def model(self) -> str:
        """Path of the model; ``default`` for the bundled one, ``bytes`` for one given as bytes."""
        return self._model

    @property
    def model_bytes(self) -> bytes:
        """The model file's content."""
        return self._model_bytes

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the model file, in hexadecimal."""
        import hashlib  # noqa: PLC0415  5 ms that a prediction does not need

        return hashlib.sha256(self._model_bytes).hexdigest()

    @property
    def session(self) -> ort.InferenceSession:
        """The onnxruntime session that runs the model, such as to measure it.

        Raises:
            ProviderError: This process was forked after the model was loaded on CUDA.
        """
        return self._session or self._reopen()

    @property
    def provider(self) -> str:
        """The execution provider that runs the model: ``cpu`` or ``cuda``."""
        return self._provider

    @property
    def requested_provider(self) -> Provider:
        """The execution provider that was asked for: ``auto``, ``cpu`` or ``cuda``."""
        return self._requested_provider

    @property
    def spinning(self) -> bool:
        """Whether threads without work wait in a busy loop."""
        return self._spinning

    @property
    def threads(self) -> int:
        """Threads that work on one run."""
        return self._threads

    @property
    def batch(self) -> int | None:
        """The batch size that the model is fixed at; None where it takes any."""
        return self._batch

    @property
    def contract(self) -> dict[str, Any]:
        """The contract in the model's metadata."""
        return dict(json.loads(self._metadata[CONTRACT_KEY]))

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the model comes from: network, weights, accuracies, parity, versions."""
        return dict(json.loads(self._metadata[PROVENANCE_KEY]))

    def describe(self) -> dict[str, Any]:
        """Everything that is known of the loaded model, in JSON's types."""
        return {
            "model": self._model,
            "size_bytes": len(self._model_bytes),
            "sha256": self.model_sha256,
            "provider": {"requested": self._requested_provider, "active": self._provider},
            "threads": self._threads,
            "spinning": self._spinning,
            "onnxruntime": ort.__version__,
            "contract": self.contract,
            "provenance": self.provenance,
        }

    def predict(
        self,
        image: ImageSource,
        number: int,
        *,
        ink: Ink = "auto",
        max_pixels: int = MAX_PIXELS,
    ) -> Prediction:
        """Read the digit in an image and add a number to it.

        Args:
            image: A path, an encoded file, a PIL image or an array; see `prepare_image`.
            number: 0 to 9.
            ink: Whether the ink is lighter or darker than its background.
            max_pixels: Largest image that is decoded, up to 89 million pixels.

        Raises:
            InputError: The image or the number cannot be used.
            FileAccessError: The image file cannot be read.
        """
        number = check_number(number)  # before the work
        return self._answer(*prepare(image, ink=ink, max_pixels=max_pixels), number)

    def predict_prepared(
        self, image: NDArray[np.uint8], preparation: Preparation, number: int
    ) -> Prediction:
        """As `predict`, for what `edge_adder.preprocessing.prepare.prepare` returned.

        Args:
            image: uint8 (28, 28); 0 = background, 255 = full ink.
            preparation: Becomes part of the answer.
            number: 0 to 9.

        Raises:
            InputError: The number cannot be used.
        """
        return self._answer(image, preparation, check_number(number))

    def _answer(
        self, image: NDArray[np.uint8], preparation: Preparation, number: int
    ) -> Prediction:
        """As `predict_prepared`, for a number that was checked."""
        images = image[None, None]
        if self._batch is None:
            try:
                found = self._run(_OUTPUTS, {IMAGE.name: images, NUMBER.name: _NUMBERS[number]})
            except EdgeAdderError:  # of a forked process on CUDA
                raise
            except Exception as error:
                raise self._cannot_run(error) from error
            outputs = _new_tuple(Outputs, found)
        else:
            outputs = self._run_padded(images, _NUMBERS[number])
        return make_prediction(
            number, outputs, self._provider, self._requested_provider, preparation
        )

    def predict_each(
        self,
        image: ImageSource,
        number: int,
        *,
        ink: Ink = "auto",
        max_pixels: int = MAX_PIXELS,
    ) -> list[Prediction]:
        """As `predict`, for each digit in a picture, in the order of reading.

        Raises:
            InputError: The image or the number cannot be used.
            FileAccessError: The image file cannot be read.
        """
        number = check_number(number)
        prepared = prepare_each(image, ink=ink, max_pixels=max_pixels)
        return [self._answer(seen, preparation, number) for seen, preparation in prepared]

    @overload
    def predict_many(
        self,
        images: Iterable[ImageSource],
        numbers: int | Iterable[int],
        *,
        ink: Ink = "auto",
        max_pixels: int = MAX_PIXELS,
        batch_size: int | None = None,
        workers: int | None = None,
        on_error: Literal["raise"] = "raise",
    ) -> Iterator[Prediction]: ...

    @overload
    def predict_many(
        self,
        images: Iterable[ImageSource],
        numbers: int | Iterable[int],
        *,
        ink: Ink = "auto",
        max_pixels: int = MAX_PIXELS,
        batch_size: int | None = None,
        workers: int | None = None,
        on_error: Literal["return"],
    ) -> Iterator[Prediction | EdgeAdderError]: ...

    def predict_many(
        self,
        images: Iterable[ImageSource],
        numbers: int | Iterable[int],
        *,
        ink: Ink = "auto",
        max_pixels: int = MAX_PIXELS,
        batch_size: int | None = None,
        workers: int | None = None,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Iterator[Prediction | EdgeAdderError]:
        """Answer many images, in order, reading them as the answers are taken.

        Large files are decoded and large batches run on threads, ahead of the answers.

        Args:
            images: Any iterable of what `predict` takes; an array (count, 28, 28) is one.
            numbers: One number for each image, or one number for all.
            ink: As in `predict`, for all.
            max_pixels: As in `predict`.
            batch_size: Images that are read and run together; None for 256 of an array's and 64
                of any others. A model with a fixed batch uses its own.
            workers: Threads, and how many large files and batches are ahead of the answers; with
                one nothing is. None for the cores that this process may use, of which each batch
                takes the `threads` of the model.
            on_error: ``return`` yields the error in the place of an image that cannot be used,
                instead of raising it.

        Yields:
            A `Prediction` for each image.

        Raises:
            InputError: An image or a number cannot be used, or there are not as many of one as of
                the other.
            FileAccessError: An image file cannot be read.
            ProviderError: As `session`.
        """
        if isinstance(images, (str, bytes, bytearray, os.PathLike)) or (
            isinstance(images, np.ndarray) and images.ndim < 3
        ):
            raise InputError("images must be an iterable of images; for one use predict()")
        if ink not in INKS:
            raise InputError(f"ink must be one of {', '.join(INKS)}, got {ink!r}")
        if on_error not in ("raise", "return"):
            raise InputError(f"on_error must be 'raise' or 'return', got {on_error!r}")
        for name, value in (("batch_size", batch_size), ("workers", workers)):
            if value is not None and (type(value) is not int or value < 1):
                raise InputError(f"{name} must be an integer from 1, or None, got {value!r}")
        if isinstance(numbers, np.ndarray) and numbers.ndim == 1:
            numbers = numbers.tolist()  # ints are checked in a tenth of the time
        if workers is None:
            workers = _cores()
        if _are_small_arrays(images):
            size = self._batch or batch_size or SLICE_SIZE
            batches = _slices_of(images, numbers, size)
        else:
            size = self._batch or batch_size or BATCH_SIZE
            prepared = parallel_map(
                lambda pair: _prepare_one(pair, ink, max_pixels),
                _pairs(images, numbers),
                workers,
                is_heavy=lambda pair: _is_large(pair[0]),
            )
            batches = _in_batches(prepared, size)
        done = parallel_map(
            lambda batch: self._run_batch(batch.checked(ink)),
            batches,
            max(1, workers // self._threads),
            is_heavy=lambda batch: len(batch.numbers) == size >= LARGE_BATCH,  # not the rest
        )
        return self._answers(done, raise_errors=on_error == "raise")

    def run(self, images: NDArray[np.uint8], numbers: NDArray[np.int64]) -> Outputs:
        """Run the network on arrays that keep the contract: no preparation, no copy.

        Args:
            images: uint8 (batch, 1, 28, 28); 0 = background, 255 = full ink.
            numbers: int64 (batch,); 0 to 9.

        Returns:
            Log-probabilities: digit float32 (batch, 10) and sum float32 (batch, 19).

        Raises:
            InputError: A dtype, a shape or a number is another.
        """
        if not _are_right(images, numbers):
            _check_array("images", images, _IMAGE_DTYPE, (1, IMAGE_SIDE, IMAGE_SIDE))
            _check_array("numbers", numbers, _NUMBER_DTYPE, ())
            if len(images) != len(numbers):
                raise InputError(
                    f"expected as many numbers as images, got {len(numbers)} for {len(images)}"
                )
        count = len(numbers)
        if count == 0:
            return Outputs(np.empty((0, DIGITS), np.float32), np.empty((0, SUMS), np.float32))
        if self._batch is not None and count != self._batch:
            raise InputError(f"this model takes batches of {self._batch}, got {count}")
        lowest = numbers.item() if count == 1 else numbers.min()
        highest = lowest if count == 1 else numbers.max()
        if lowest < 0 or highest >= DIGITS:
            wrong = lowest if lowest < 0 else highest
            raise InputError(f"number must be an integer from 0 to {DIGITS - 1}, got {wrong}")
        try:
            found = self._run(_OUTPUTS, {IMAGE.name: images, NUMBER.name: numbers})
        except EdgeAdderError:  # of a forked process on CUDA
            raise
        except Exception as error:
            raise self._cannot_run(error) from error
        return _new_tuple(Outputs, found)

    def _try(self) -> None:
        """Run a model once, on blank images, and refuse what does not answer as it states.

        Raises:
            ModelError: It cannot run, or its answer has another shape or is not finite.
        """
        count = self._batch or 1
        images = np.zeros((count, 1, IMAGE_SIDE, IMAGE_SIDE), np.uint8)
        outputs = self.run(images, np.zeros(count, np.int64))
        for spec, found in zip((DIGIT, SUM), outputs, strict=True):
            if found.shape != (count, *spec.shape[1:]) or not np.isfinite(found).all():
                raise ModelError(
                    f"{self._model} is damaged: {spec.name} of a blank image must be "
                    f"{(count, *spec.shape[1:])} finite numbers, got {found.shape} with "
                    f"{np.count_nonzero(np.isfinite(found))} finite"
                )

    def _cannot_run(self, error: Exception) -> EdgeAdderError:
        """What to raise where onnxruntime fails in a run; its exceptions share no base class."""
        reason = f"{self._provider} cannot run {self._model}: {describe_load_error(error)}"
        if self._provider != "cpu":
            return ProviderError(f"provider {reason}")
        return ModelError(f"onnxruntime {ort.__version__} on {reason}")

    def _answers(
        self, done: Generator[tuple[_Checked, Outputs]], *, raise_errors: bool
    ) -> Iterator[Prediction | EdgeAdderError]:
        """The answers of every batch, one by one; an error in its place."""
        owner = os.getpid()
        with contextlib.closing(done):  # an error holds on to this frame, and so to the threads
            for batch, outputs in done:
                answers = _predictions(outputs, batch, self._provider, self._requested_provider)
                if not batch.errors:
                    yield from answers
                else:
                    for index in range(batch.size):
                        error = batch.errors.get(index)
                        if error is not None and raise_errors:
                            raise error
                        yield error or next(answers)
                if batch.failure is not None:
                    raise batch.failure
                if os.getpid() != owner:  # whose threads have what comes next
                    raise InputError(
                        "these answers belong to the process that this one was forked from: "
                        "call predict_many again"
                    )

    def _run_batch(self, batch: _Checked) -> tuple[_Checked, Outputs]:
        """A batch with what the network answers to its images."""
        return batch, self._run_padded(batch.images, batch.numbers)

    def _run_padded(self, images: NDArray[np.uint8], numbers: NDArray[np.int64]) -> Outputs:
        """`run` with up to a batch of images, filled up where the model's batch is fixed."""
        count = len(images)
        if self._batch is not None and 0 < count < self._batch:
            missing = self._batch - count
            images = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)))
            numbers = np.pad(numbers, (0, missing))
        digits, sums = self.run(images, numbers)
        return Outputs(digits[:count], sums[:count])


def check_number(number: object) -> int:
    """The number to add as an int.

    Raises:
        InputError: It is not an integer from 0 to 9.
    """
    if not isinstance(number, (bool, np.bool_)):
        try:
            value = operator.index(number)  # type: ignore[arg-type]
        except TypeError:
            value = -1
        if 0 <= value < DIGITS:
            return value
    raise InputError(f"number must be an integer from 0 to {DIGITS - 1}, got {number!r}")


def make_prediction(
    number: int,
    outputs: Outputs,
    provider: str,
    requested_provider: str,
    preparation: Preparation = UNCHANGED,
) -> Prediction:
    """The answer for the first image of a batch."""
    digits, sums = outputs.digit[0].tolist(), outputs.sum[0].tolist()
    digit, total = max(digits), max(sums)  # on so few, quicker than numpy
    return Prediction(
        digits.index(digit),
        sums.index(total),
        _probability(digit),
        _probability(total),
        number,
        provider,
        requested_provider,
        preparation,
        outputs,
        0,
    )


def _predictions(
    outputs: Outputs, batch: _Checked, provider: str, requested_provider: str
) -> Iterator[Prediction]:
    """`make_prediction` for each row of a batch, with numpy's share of it done at once."""
    rows = range(len(batch.numbers))
    every = np.arange(len(batch.numbers))
    best = [output.argmax(1) for output in outputs]
    columns: list[Iterable[Any]] = [indices.tolist() for indices in best]
    columns += [
        np.exp(np.minimum(output[every, indices], 0), dtype=np.float64).tolist()  # `_probability`
        for output, indices in zip(outputs, best, strict=True)
    ]
    preparations = batch.preparations or itertools.repeat(UNCHANGED)
    columns += [batch.numbers.tolist(), itertools.repeat(provider)]
    columns += [itertools.repeat(requested_provider), preparations]
    columns += [itertools.repeat(outputs), rows]
    return itertools.starmap(Prediction, zip(*columns, strict=False))


def _probability(log_probability: float) -> float:
    return min(1.0, math.exp(log_probability))  # a log-softmax may round to just above 0


def _top(log_probabilities: NDArray[np.float32], count: int) -> list[tuple[int, float]]:
    best = np.argsort(-log_probabilities, kind="stable")[:count]
    return [(int(index), _probability(log_probabilities[index])) for index in best]


def _pairs(
    images: Iterable[ImageSource], numbers: int | Iterable[int]
) -> Iterator[tuple[ImageSource, int]]:
    """Each image with its number; an error where one of the two ends before the other."""
    if not isinstance(numbers, Iterable):
        yield from zip(images, itertools.repeat(check_number(numbers)))
        return
    missing = object()
    for image, number in itertools.zip_longest(images, numbers, fillvalue=missing):
        if image is missing or number is missing:
            raise _unequal("numbers" if image is missing else "images")
        yield image, number  # type: ignore[misc]


class _Batch(NamedTuple):
    """Images that run together.

    Attributes:
        images: uint8 (count, 1, 28, 28).
        numbers: What to add, unchecked.
        unseen: Indices of the images that are the caller's arrays as they were, not yet prepared.
        errors: What came up, by index.
        failure: What the caller's iterables raised after the last image.
        preparations: Of the images that were not ready, by index.
    """

    images: NDArray[np.uint8]
    numbers: list[int]
    unseen: Sequence[int]
    errors: dict[int, EdgeAdderError]
    failure: Exception | None
    preparations: dict[int, Preparation]

    def checked(self, ink: Ink) -> _Checked:
        """Prepare what is still as it was, and check the numbers."""
        unseen, errors, count = self.unseen, self.errors, len(self.numbers)
        done = self.preparations
        if unseen and ink != "dark":
            ready = are_mnist_format(self.images[:, 0])
            unseen = [] if ready.all() else [index for index in unseen if not ready[index]]
        for index in unseen:
            try:
                self.images[index, 0], done[index] = prepare(self.images[index, 0], ink=ink)
            except EdgeAdderError as error:
                errors[index] = error
        if (
            set(map(type, self.numbers)) != {int}
            or not 0 <= min(self.numbers) <= max(self.numbers) < DIGITS
        ):
            for index, number in enumerate(self.numbers):
                try:
                    self.numbers[index] = check_number(number)
                except EdgeAdderError as error:
                    errors.setdefault(index, error)
        if not errors:
            numbers = np.array(self.numbers, np.int64)
            told = [done.get(index, UNCHANGED) for index in range(count)] if done else []
            return _Checked(self.images, numbers, errors, count, self.failure, told)
        good = [index for index in range(count) if index not in errors]
        numbers = np.array([self.numbers[index] for index in good], np.int64)
        told = [done.get(index, UNCHANGED) for index in good]
        return _Checked(self.images[good], numbers, errors, count, self.failure, told)


class _Checked(NamedTuple):
    """A batch that can run.

    Attributes:
        images: uint8 (good, 1, 28, 28); those without an error.
        numbers: int64 (good,); 0 to 9.
        errors: By index in the whole batch.
        size: Images in the whole batch.
        failure: As in `_Batch`.
        preparations: Of each image; empty where all were ready.
    """

    images: NDArray[np.uint8]
    numbers: NDArray[np.int64]
    errors: dict[int, EdgeAdderError]
    size: int
    failure: Exception | None
    preparations: Sequence[Preparation]


def _prepare_one(pair: tuple[ImageSource, int], ink: Ink, max_pixels: int) -> _Prepared:
    """An image, prepared unless that is quicker together with its batch."""
    source, number = pair
    if _is_small_array(source):
        return _Prepared(source.copy(), number, UNCHANGED, unseen=True)  # the caller may change it
    try:
        image, preparation = prepare(source, ink=ink, max_pixels=max_pixels)
    except EdgeAdderError as error:
        return _Prepared(error, number)
    return _Prepared(image, number, preparation)


class _Prepared(NamedTuple):
    """An image uint8 (28, 28), or what came up, and what to add to it."""

    image: NDArray[np.uint8] | EdgeAdderError
    number: int
    preparation: Preparation = UNCHANGED
    unseen: bool = False


def _in_batches(prepared: Iterator[_Prepared], size: int) -> Iterator[_Batch]:
    """Batches of what `_prepare_one` gives; an error of the iterator goes with the last."""
    more = True
    while more:
        images = np.zeros((size, 1, IMAGE_SIDE, IMAGE_SIDE), np.uint8)
        numbers: list[int] = []
        unseen: list[int] = []
        errors: dict[int, EdgeAdderError] = {}
        preparations: dict[int, Preparation] = {}
        failure: Exception | None = None
        try:
            for index, each in enumerate(itertools.islice(prepared, size)):
                image, number, preparation, is_unseen = each
                numbers.append(number)
                if preparation is not UNCHANGED:
                    preparations[index] = preparation
                if is_unseen:
                    unseen.append(index)
                if isinstance(image, EdgeAdderError):
                    errors[index] = image
                else:
                    images[index, 0] = image
        except Exception as error:  # noqa: BLE001  raised after the answers before it
            failure = error
        count = len(numbers)
        more = count == size and failure is None
        if count or failure is not None:
            yield _Batch(images[:count], numbers, unseen, errors, failure, preparations)


def _slices_of(
    images: NDArray[np.uint8], numbers: int | Iterable[int], size: int
) -> Iterator[_Batch]:
    """`_in_batches` for an array uint8 (count, 28, 28): whole slices of it at once."""
    one_for_all = not isinstance(numbers, Iterable)
    each = itertools.repeat(check_number(numbers)) if one_for_all else iter(numbers)  # type: ignore[arg-type]
    for start in range(0, max(1, len(images)), size):
        part = images[start : start + size, None].copy()
        chosen: list[Any] = []
        failure: Exception | None = None
        try:
            chosen.extend(itertools.islice(each, len(part)))
            last = start + size >= len(images)
            if len(chosen) < len(part):
                failure = _unequal("images")
            elif last and not one_for_all and next(each, part) is not part:
                failure = _unequal("numbers")
        except Exception as error:  # noqa: BLE001  raised after the answers before it
            failure = error
        yield _Batch(part[: len(chosen)], chosen, range(len(chosen)), {}, failure, {})
        if failure is not None:
            return


def _unequal(more: str) -> InputError:
    fewer = "numbers" if more == "images" else "images"
    return InputError(f"expected as many numbers as images, got more {more} than {fewer}")


def _is_large(source: object) -> bool:
    """Whether this is a file, or its bytes, that takes longer to decode than to hand over."""
    if isinstance(source, bytes):
        return len(source) > LARGE_FILE_BYTES
    if isinstance(source, (str, os.PathLike)):
        try:
            return os.stat(source).st_size > LARGE_FILE_BYTES  # noqa: PTH116  a Path takes longer
        except (OSError, ValueError):  # what is wrong is said when it is read
            return False
    return False


def _is_small_array(source: object) -> TypeGuard[NDArray[np.uint8]]:
    """Whether this is uint8 (28, 28), which is looked at together with its batch."""
    return (
        type(source) is np.ndarray
        and source.shape == (IMAGE_SIDE, IMAGE_SIDE)
        and source.dtype == _IMAGE_DTYPE
    )


def _are_small_arrays(images: object) -> TypeGuard[NDArray[np.uint8]]:
    """Whether this is uint8 (count, 28, 28)."""
    return (
        type(images) is np.ndarray
        and images.ndim == 3
        and (len(images) == 0 or _is_small_array(images[0]))
    )


def _are_right(images: object, numbers: object) -> bool:
    """Whether arrays have the contract's dtypes and shapes, seen at once or not at all.

    Of any others `_check_array` says what is wrong, or that nothing is.
    """
    return (
        type(images) is np.ndarray
        and type(numbers) is np.ndarray
        and images.dtype is _IMAGE_DTYPE
        and numbers.dtype is _NUMBER_DTYPE
        and images.shape == (numbers.size, 1, IMAGE_SIDE, IMAGE_SIDE)
        and numbers.ndim == 1
    )


def _check_array(
    name: str, array: object, dtype: np.dtype[Any], image_shape: tuple[int, ...]
) -> None:
    """Refuse an array of another dtype, or of another shape after the batch axis."""
    if not isinstance(array, np.ndarray):
        raise InputError(f"{name} must be a numpy array, got {type(array).__name__}")
    if array.dtype != dtype or array.ndim == 0 or array.shape[1:] != image_shape:
        wanted = ", ".join(map(str, (BATCH, *image_shape)))
        raise InputError(f"{name} must be {dtype} ({wanted}), got {array.dtype} {array.shape}")


def _open_first(
    name: str, data: bytes, provider: Provider, threads: int, *, spinning: bool
) -> tuple[ort.InferenceSession, str]:
    """A session on the first provider that works, and that provider's name."""
    tried = candidates(provider, available_providers())
    for candidate in tried:
        try:
            session = open_session(data, candidate, threads, name=name, spinning=spinning)
        except ProviderError:
            if candidate == tried[-1]:
                raise
        else:
            return session, candidate
    raise AssertionError("unreachable: candidates() is never empty")


def open_session(
    data: bytes,
    provider: str = "cpu",
    threads: int = 1,
    *,
    name: str = "bytes",
    optimization: str = "enable_all",
    spinning: bool = False,
) -> ort.InferenceSession:
    """An onnxruntime session with the settings that every `EdgeAdder` has; any ONNX model.

    Args:
        data: The file's content.
        provider: ``cpu`` or ``cuda``.
        threads: Threads that work on one run.
        name: Stands in messages.
        optimization: Level of the graph's optimisation: ``disable_all``, ``enable_basic``,
            ``enable_extended`` or ``enable_all``.
        spinning: As in `EdgeAdder`.

    Raises:
        ModelError: onnxruntime cannot load it.
        ProviderError: The provider cannot run here.
    """
    options = session_options(threads, optimization, spinning=spinning)
    if provider == "cuda":
        return _open_on_cuda(data, name, options)
    try:
        session = _new_session(data, options, EXECUTION_PROVIDERS[provider])
    except Exception as error:  # onnxruntime's own exceptions share no base class
        reason = describe_load_error(error)
        raise ModelError(f"onnxruntime {ort.__version__} cannot load {name}: {reason}") from error
    check_delivered(provider, session.get_providers())
    return session


def _open_on_cuda(data: bytes, name: str, options: ort.SessionOptions) -> ort.InferenceSession:
    """`open_session` on CUDA and nothing else; whatever fails there says what fixes it."""
    from edge_adder import cuda  # noqa: PLC0415  the CPU needs nothing of it

    options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    try:
        with cuda.loading(ort):
            session = _new_session(data, options, (EXECUTION_PROVIDERS["cuda"], cuda.OPTIONS))
        check_delivered("cuda", session.get_providers())
    except Exception as error:  # as in `open_session`
        open_session(data, name=name)  # raises where it is the model's fault
        reason = " ".join(str(error).split())
        load_error = cuda.load_error(Path(ort.__file__).parent)
        raise cuda_failure(name, reason, load_error, installed_runtimes()) from error
    return session


def _new_session(data: bytes, options: ort.SessionOptions, provider: Any) -> ort.InferenceSession:
    """A session on one provider: onnxruntime would try the next one when this fails."""
    return ort.InferenceSession(data, sess_options=options, providers=[provider], enable_fallback=0)


def _runner(session: ort.InferenceSession, provider: str) -> _Run:
    """What runs a session: its own method, on CUDA one with buffers that are made once."""
    if provider != "cuda":
        return session.run  # type: ignore[no-any-return]
    from edge_adder.cuda import BoundRun  # noqa: PLC0415  the CPU needs nothing of it

    return BoundRun(session, ort.OrtValue)


def _unpickle(
    name: str, data: bytes, provider: Provider, threads: int, spinning: bool
) -> EdgeAdder:
    """What a pickled model becomes: as it was loaded, of the same name."""
    adder = EdgeAdder(data, provider=provider, threads=threads, spinning=spinning)
    object.__setattr__(adder, "_model", name)
    return adder


def available_providers() -> list[str]:
    """What onnxruntime was compiled with, in its own names; they need not load."""
    return list(ort.get_available_providers())


def session_options(
    threads: int = 1, optimization: str = "enable_all", *, spinning: bool = False
) -> ort.SessionOptions:
    """The settings of `open_session`, for whoever needs one more, such as a profile."""
    options = ort.SessionOptions()
    options.graph_optimization_level = getattr(
        ort.GraphOptimizationLevel, f"ORT_{optimization.upper()}"
    )
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised, in one line
    # Its lock may be held while a process is forked, and the child waits for it to free an answer.
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    options.add_session_config_entry("session.load_model_format", "ONNX")  # not ORT's own format
    return options


def _read_metadata(name: str, session: ort.InferenceSession) -> dict[str, str]:
    """What stands in a model's `metadata_props`.

    Raises:
        ContractError: It is no text.
    """
    try:
        return dict(session.get_modelmeta().custom_metadata_map)
    except UnicodeDecodeError as error:
        raise ContractError(f"{name}: its metadata is not UTF-8: {error}") from error


def _check_contract(
    name: str, session: ort.InferenceSession, metadata: dict[str, str]
) -> int | None:
    """Compare a model's metadata and tensors with the contract.

    Returns:
        The batch size that the model is fixed at, or None.

    Raises:
        ContractError: They differ.
    """
    for key in (CONTRACT_KEY, PROVENANCE_KEY):  # a truncated file may lack the second alone
        if key not in metadata:
            raise ContractError(
                f"{name} has no {key!r} in its metadata: "
                "expected a model that `edge-adder export` made"
            )
    try:
        declared = json.loads(metadata[CONTRACT_KEY])
        provenance = json.loads(metadata[PROVENANCE_KEY])
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{name}: its metadata is not JSON: {error}") from error
    if not isinstance(provenance, dict):
        raise ContractError(f"{name}: {PROVENANCE_KEY!r} is no JSON object")
    try:
        fixed = declared["inputs"][0]["shape"][0]
    except (KeyError, IndexError, TypeError):
        fixed = BATCH
    batch = fixed if type(fixed) is int and fixed > 0 else None
    expected = CONTRACT.to_dict(batch or BATCH)
    different = list(differences(declared, expected))
    for side, tensors in (("inputs", session.get_inputs()), ("outputs", session.get_outputs())):
        found = {t.name: [_ORT_TYPES.get(t.type, t.type), *t.shape] for t in tensors}
        wanted = {spec["name"]: [spec["dtype"], *spec["shape"]] for spec in expected[side]}
        different += differences(found, wanted, side)
    if different:
        more = f" (and {len(different) - 3} more)" if len(different) > 3 else ""
        raise ContractError(f"{name} differs from the contract: {'; '.join(different[:3])}{more}")
    return batch
