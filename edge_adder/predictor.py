"""`EdgeAdder`: a loaded model that reads digits and adds numbers."""

from __future__ import annotations

import copy
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, final, overload

import numpy as np
from numpy.typing import NDArray

from edge_adder.batching import BatchOptions, Model, predict_columns, predict_many
from edge_adder.checks import check_arrays, check_number, check_outputs
from edge_adder.contract import DIGIT, DIGITS, FULL_INK, IMAGE, IMAGE_SIDE, NUMBER, SUM, SUMS
from edge_adder.environment import Threads, thread_count
from edge_adder.errors import EdgeAdderError
from edge_adder.limits import DEFAULT_MAX_PIXELS
from edge_adder.model_file import (
    check_contract,
    check_self_contained,
    read_bundled,
    read_model,
)
from edge_adder.prediction import Outputs, Prediction, Predictions, make_prediction
from edge_adder.preprocessing.decode import ImageSource
from edge_adder.preprocessing.polarity import Ink
from edge_adder.preprocessing.prepare import (
    NOT_ONE,
    Inspection,
    Preparation,
    Unread,
    inspect_each,
    prepare,
)
from edge_adder.preprocessing.segment import NOT_A_DIGIT
from edge_adder.providers import Provider
from edge_adder.session import ONNXRUNTIME_VERSION, Session

BUNDLED_MODEL = Path(__file__).parent / "models" / "default.onnx"
"""The model that `EdgeAdder()` runs."""

_SURE = 0.9
"""Least probability of an answer for what looks like a mark, or for a part of touching digits."""

_IMAGE, _NUMBER = IMAGE.name, NUMBER.name
_OUTPUTS = [DIGIT.name, SUM.name]


@final
class EdgeAdder:
    """A loaded model. Immutable, and safe to share between threads.

    In a process that is forked from this one it opens a session of its own when it is first used,
    except on CUDA. Pickled, it is its file's content and the arguments below.

    Args:
        model: Path or content of an ONNX file that `edge-adder export` made; None for the bundled
            model.
        provider: ``cpu``, ``cuda``, or ``auto`` for CUDA where it works. The requested provider
            runs, or `ProviderError` is raised; there is no silent fallback.
        threads: Number of onnxruntime's threads for a run; ``auto`` for as many as this process
            may keep busy, by affinity and CPU quota. More than one makes a single image slower.
        spinning: Whether idle threads wait in a busy loop, which keeps a core each from other work.
        sha256: Expected SHA-256 of the model file, in hexadecimal; None accepts any.

    Raises:
        ModelError: The model does not exist, has another SHA-256, needs other files or operators,
            or onnxruntime cannot load it.
        ContractError: Its tensors or metadata differ from the contract.
        ProviderError: The provider cannot run here.
        FileAccessError: The file cannot be read.
        InputError: `provider`, `threads` or `sha256` has another value than those above.
    """

    __slots__ = ("__weakref__", "_batch", "_content", "_description", "_session")

    def __init__(
        self,
        model: str | os.PathLike[str] | bytes | None = None,
        *,
        provider: Provider = "cpu",
        threads: Threads = 1,
        spinning: bool = False,
        sha256: str | None = None,
    ) -> None:
        thread_total = thread_count(threads)
        if model is None:
            name, content = read_model(read_bundled(BUNDLED_MODEL), name="default", sha256=sha256)
        else:
            name, content = read_model(model, sha256=sha256)
            check_self_contained(name, content)
        self._load(name, content, provider, thread_total, spinning)
        if model is not None:
            self._check(name)

    def _load(
        self, name: str, content: bytes, provider: Provider, threads: int, spinning: bool
    ) -> None:
        session = Session(content, name=name, provider=provider, threads=threads, spinning=spinning)
        self._content = content
        self._session = session
        self._description = check_contract(name, session.read_metadata(), session.read_tensors())
        self._batch = self._description.batch

    def _check(self, name: str) -> None:
        """Refuse a model that does not answer with log-probabilities."""
        count = self.batch or 1
        shape = (count, 1, IMAGE_SIDE, IMAGE_SIDE)
        noise = np.random.default_rng(0).integers(FULL_INK + 1, size=shape, dtype=np.uint8)
        for images in (np.zeros(shape, np.uint8), noise):
            check_outputs(name, self._run(images, np.arange(count) % DIGITS), count)

    def __getstate__(self) -> tuple[Any, ...]:
        session = self._session
        options = session.requested_provider, session.threads, session.spinning
        return session.name, self._content, *options

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._load(*state)

    def __repr__(self) -> str:
        return f"EdgeAdder({self.model!r}, provider={self.provider!r}, threads={self.threads})"

    @property
    def model(self) -> str:
        """Path of the model; ``default`` for the bundled one, ``bytes`` for one given as bytes."""
        return self._session.name

    @property
    def model_bytes(self) -> bytes:
        """Content of the model file."""
        return self._content

    @property
    def model_sha256(self) -> str:
        """SHA-256 of the model file, in hexadecimal."""
        import hashlib  # noqa: PLC0415  5 ms that a prediction does not need

        return hashlib.sha256(self._content).hexdigest()

    @property
    def session(self) -> Any:
        """The `onnxruntime.InferenceSession` that runs the model, for measurements.

        Raises:
            ProviderError: This process was forked after the model was loaded on CUDA.
        """
        return self._session.inference_session

    @property
    def provider(self) -> str:
        """The execution provider that runs the model: ``cpu`` or ``cuda``."""
        return self._session.provider

    @property
    def requested_provider(self) -> Provider:
        """The execution provider that was requested: ``auto``, ``cpu`` or ``cuda``."""
        return self._session.requested_provider

    @property
    def spinning(self) -> bool:
        """Whether idle threads wait in a busy loop."""
        return self._session.spinning

    @property
    def threads(self) -> int:
        """Number of onnxruntime's threads for a run."""
        return self._session.threads

    @property
    def batch(self) -> int | None:
        """The size that the model's batch is fixed at; None for any."""
        return self._batch

    @property
    def contract(self) -> dict[str, Any]:
        """The contract in the model's metadata."""
        return copy.deepcopy(self._description.contract)

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the model comes from: network, weights, accuracies, parity, versions."""
        return copy.deepcopy(self._description.provenance)

    def describe(self) -> dict[str, Any]:
        """Return everything that is known about the loaded model, in JSON's types.

        ``measured`` is counted from the file itself, and ``provenance`` is what the file claims.
        """
        from edge_adder.onnx_facts import measure  # noqa: PLC0415  not for predictions

        return {
            "model": self.model,
            "size_bytes": len(self._content),
            "sha256": self.model_sha256,
            "provider": {"requested": self.requested_provider, "active": self.provider},
            "threads": self.threads,
            "spinning": self.spinning,
            "onnxruntime": ONNXRUNTIME_VERSION,
            "contract": self.contract,
            "measured": measure(self._content),
            "provenance": self.provenance,
        }

    def predict(
        self,
        image: ImageSource,
        number: int,
        *,
        ink: Ink = "auto",
        max_pixels: int = DEFAULT_MAX_PIXELS,
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
            ModelError: The model's answer is not a log-probability.
        """
        number = check_number(number)  # before the work
        return self._answer(*prepare(image, ink=ink, max_pixels=max_pixels), number)

    def predict_prepared(
        self, image: NDArray[np.uint8], preparation: Preparation, number: int
    ) -> Prediction:
        """Answer for an image that `edge_adder.preprocessing.prepare.prepare` returned.

        Args:
            image: uint8 (28, 28); 0 = background, 255 = full ink.
            preparation: Becomes part of the answer.
            number: 0 to 9.

        Raises:
            InputError: The number cannot be used.
        """
        return self._answer(image, preparation, check_number(number))

    def predict_each(
        self,
        image: ImageSource,
        number: int,
        *,
        ink: Ink = "auto",
        max_pixels: int = DEFAULT_MAX_PIXELS,
    ) -> list[Prediction | Unread]:
        """Read each digit in a picture, in reading order, and add a number to each.

        Up to 200 digits are read. What stands among them and is not read has an entry of its own,
        so that no digit is missing unnoticed: a sign, what is too faint or too small, and digits
        that touch each other and cannot be parted.

        Args:
            image: As in `predict`.
            number: As in `predict`.
            ink: As in `predict`.
            max_pixels: As in `predict`.

        Raises:
            InputError: The image or the number cannot be used.
            FileAccessError: The image file cannot be read.
        """
        return self.predict_inspected(
            inspect_each(image, ink=ink, max_pixels=max_pixels), check_number(number)
        )

    def predict_inspected(self, inspection: Inspection, number: int) -> list[Prediction | Unread]:
        """Answer for each entry of what `edge_adder.preprocessing.prepare.inspect_each` found.

        Args:
            inspection: What was found in a picture.
            number: 0 to 9.
        """
        found: list[Prediction | Unread] = []
        for entry in inspection.entries:
            if isinstance(entry, Unread):
                found.append(entry)
                continue
            answer, preparation = self._answer(*entry, number), entry[1]
            box = preparation.box or (0.0, 0.0, 1.0, 1.0)
            if preparation.doubtful and answer.probability < _SURE:
                found.append(Unread(box, NOT_A_DIGIT))
            elif answer.uncertain and inspection.is_wide(box):
                halves = [self._answer(*half, number) for half in inspection.split(preparation)]
                apart = len(halves) > 1 and all(half.probability >= _SURE for half in halves)
                found += halves if apart else [Unread(box, NOT_ONE)]
            else:
                found.append(answer)
        return found

    @overload
    def predict_many(
        self,
        images: Iterable[ImageSource],
        numbers: int | Iterable[int],
        *,
        ink: Ink = "auto",
        max_pixels: int = DEFAULT_MAX_PIXELS,
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
        max_pixels: int = DEFAULT_MAX_PIXELS,
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
        max_pixels: int = DEFAULT_MAX_PIXELS,
        batch_size: int | None = None,
        workers: int | None = None,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Iterator[Prediction | EdgeAdderError]:
        """Answer many images, in order, reading them as the answers are consumed.

        Large files are decoded and large batches are run on threads, ahead of the answers.

        Args:
            images: An iterable of what `predict` takes; an array uint8 (count, 28, 28) or
                (count, 1, 28, 28) is one.
            numbers: One number for each image, or one number for all.
            ink: As in `predict`, for all.
            max_pixels: As in `predict`.
            batch_size: Number of images that are read and run together; None for 256 of an array's
                and 64 of others. A model with a fixed batch uses its own.
            workers: Number of Python threads, and how many large files and batches are ahead of the
                answers; with one, nothing is. None for the cores that this process may use, of
                which each batch takes the `threads` of the model.
            on_error: ``return`` yields the error in the place of an image that cannot be used,
                instead of raising it.

        Yields:
            A `Prediction` for each image.

        Raises:
            InputError: An image or a number cannot be used, or there are not as many of one as of
                the other.
            FileAccessError: An image file cannot be read.
            ProviderError: This process was forked after the model was loaded on CUDA.
        """
        options = BatchOptions(
            ink=ink,
            max_pixels=max_pixels,
            batch_size=batch_size,
            workers=workers,
            on_error=on_error,
        )
        return predict_many(self._model(), images, numbers, options)

    def predict_columns(
        self,
        images: Iterable[ImageSource],
        numbers: int | Iterable[int],
        *,
        ink: Ink = "auto",
        max_pixels: int = DEFAULT_MAX_PIXELS,
        batch_size: int | None = None,
        workers: int | None = None,
        on_error: Literal["raise", "return"] = "raise",
    ) -> Predictions:
        """Answer many images at once, with an array for each property of the answers.

        The answers are those of `predict_many`, without a Python object for each, which takes
        longer than the network does.

        Args:
            images: As in `predict_many`.
            numbers: As in `predict_many`.
            ink: As in `predict`, for all.
            max_pixels: As in `predict`.
            batch_size: As in `predict_many`.
            workers: As in `predict_many`.
            on_error: ``return`` keeps the error of an image that cannot be used in
                `Predictions.errors`, instead of raising it.

        Raises:
            InputError: As in `predict_many`.
            FileAccessError: An image file cannot be read.
            ProviderError: This process was forked after the model was loaded on CUDA.
        """
        options = BatchOptions(
            ink=ink,
            max_pixels=max_pixels,
            batch_size=batch_size,
            workers=workers,
            on_error=on_error,
        )
        return predict_columns(self._model(), images, numbers, options)

    def run(self, images: NDArray[np.uint8], numbers: NDArray[np.int64]) -> Outputs:
        """Run the network on arrays that keep the contract: no preparation, no copy.

        The outputs are raw: unlike the answers of `predict`, they are not checked.

        Args:
            images: uint8 (batch, 1, 28, 28); 0 = background, 255 = full ink.
            numbers: int64 (batch,); 0 to 9.

        Returns:
            Log-probabilities: digit float32 (batch, 10) and sum float32 (batch, 19).

        Raises:
            InputError: A dtype, a shape or a number breaks the contract.
            ProviderError: This process was forked after the model was loaded on CUDA.
        """
        count = check_arrays(images, numbers, self._batch)
        if count == 0:
            return Outputs(np.empty((0, DIGITS), np.float32), np.empty((0, SUMS), np.float32))
        if count == 1:
            answer = self._run_one(images[0, 0], numbers.item())
            return Outputs(answer[None, :DIGITS], answer[None, DIGITS:])
        return self._run(images, numbers)

    def _model(self) -> Model:
        """Return what batches need to know."""
        session = self._session
        return Model(
            self._run_padded,
            self._batch,
            session.threads,
            session.provider,
            session.requested_provider,
        )

    def _answer(
        self, image: NDArray[np.uint8], preparation: Preparation, number: int
    ) -> Prediction:
        """Answer for a prepared image and a checked number."""
        if self._batch is None:
            answer = self._run_one(image, number)
        else:
            outputs = self._run_padded(image[None, None], np.array([number], np.int64))
            answer = np.concatenate(outputs, axis=1)[0]
        session = self._session
        return make_prediction(
            number, answer, session.provider, session.requested_provider, preparation
        )

    def _run_one(self, image: NDArray[np.uint8], number: int) -> NDArray[np.float32]:
        """Run one checked image, uint8 (28, 28): log-probabilities, float32 (29,)."""
        try:
            return self._session.run_one(image, number)
        except EdgeAdderError:  # as in `_run`
            raise
        except Exception as error:
            raise self._session.describe_failure(error) from error

    def _run(self, images: NDArray[np.uint8], numbers: NDArray[np.int64]) -> Outputs:
        """Run checked arrays."""
        try:
            return Outputs(*self._session.run(_OUTPUTS, {IMAGE.name: images, NUMBER.name: numbers}))
        except EdgeAdderError:  # a forked process on CUDA
            raise
        except Exception as error:
            raise self._session.describe_failure(error) from error

    def _run_padded(self, images: NDArray[np.uint8], numbers: NDArray[np.int64]) -> Outputs:
        """Run up to a batch of images; a fixed batch is filled up with blank ones."""
        count = len(images)
        if self._batch is not None and 0 < count < self._batch:
            missing = self._batch - count
            images = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)))
            numbers = np.pad(numbers, (0, missing))
        digits, sums = self.run(images, numbers)
        return Outputs(digits[:count], sums[:count])
