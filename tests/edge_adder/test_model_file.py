"""A model that is broken, hostile or another one is refused with exit 3 and the reason."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edge_adder import EdgeAdder, ExitCode, FileAccessError, InputError, model_file
from edge_adder.contract import CONTRACT, CONTRACT_KEY, PROVENANCE_KEY
from edge_adder.errors import ContractError, ModelError
from edge_adder.model_file import MAX_BATCH, check_contract, describe_load_error
from edge_adder.predictor import BUNDLED_MODEL
from edge_adder.session import ort

from .protobuf import field

WORKER = Path(__file__).with_name("mutated_models.py")
IN_A_PROCESS = 200  # mutations, which take seconds
PATIENCE_SECONDS = 600  # whoever takes so long for them hangs


@pytest.fixture(scope="module")
def data() -> bytes:
    return BUNDLED_MODEL.read_bytes()


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], str]:
    """Why a model is refused, the same as a path and as bytes, with exit 3 and in one line."""
    monkeypatch.chdir(tmp_path)

    def reason(content: bytes) -> str:
        Path("model.onnx").write_bytes(content)
        reasons = set()
        for model in (Path("model.onnx"), content):
            with pytest.raises(ModelError) as caught:
                EdgeAdder(model)
            assert caught.value.exit_code == ExitCode.MODEL
            reasons.add(str(caught.value).replace("model.onnx", "bytes"))
        (only,) = reasons
        assert only.isprintable()
        return only

    return reason


Refused = Callable[[bytes], str]

TEXT = "bytes is text, expected an ONNX file: export it again with `edge-adder export`"
OTHER = "bytes is not an ONNX file, or a damaged one: no field"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", TEXT.replace("text", "empty")),
        (b"not a model", TEXT),
        (b"\nversion https://example.org/spec/v1\noid sha256:00\nsize 99524\n", TEXT),
        ("{\t\"digit\": 'ü'}\r\n".encode(), TEXT),
        (b"\x89PNG\r\n\x1a\n" + bytes(99), OTHER),
        (b"PK\x03\x04", OTHER),
        (bytes(9), OTHER),
        (BUNDLED_MODEL.read_bytes()[:-1], "it ends within the field that begins at byte"),
        (b"\x08\x08" * 500, "cannot load bytes: No graph was found"),
    ],
)
def test_what_is_no_model(refused: Refused, content: bytes, reason: str) -> None:
    assert reason in refused(content)


def test_a_model_that_is_truncated_at_any_byte(data: bytes) -> None:
    for size in range(len(data)):
        with pytest.raises(ModelError):
            EdgeAdder(data[:size])


def test_a_model_in_onnxruntimes_own_format(
    refused: Refused, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    content = (tmp_path / "model.ort").read_bytes()
    assert "is not an ONNX file" in refused(content)
    monkeypatch.setattr("edge_adder.predictor.check_self_contained", lambda *_: None)
    assert "cannot load bytes" in refused(content)  # onnxruntime expects ONNX alone


def test_a_model_may_have_64_mb_and_no_more_is_read(
    refused: Refused, data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    huge = tmp_path / "huge.onnx"
    huge.touch()
    os.truncate(huge, 10**12)
    with pytest.raises(ModelError, match="has more than 64,000,000 bytes"):
        EdgeAdder(huge)
    monkeypatch.setattr(model_file, "MAX_MODEL_BYTES", len(data))
    assert EdgeAdder(data).model_bytes == data
    assert refused(data + b" ") == f"bytes has more than {len(data):,} bytes, the most for a model"


def test_a_missing_model_says_how_to_make_one(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "model.onnx", r"model\.onnx: no such file: make a model with `edge-adder"),
        (tmp_path, "is a folder"),
        ("a\0b", r"'a.x00b': not a file name"),
    ):
        with pytest.raises(ModelError, match=message):
            EdgeAdder(path)
    with pytest.raises(FileAccessError, match="cannot be read: File name too long"):
        EdgeAdder("a" * 300)


def test_a_pipe_is_read_as_a_file_is(data: bytes, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    assert EdgeAdder(pipe).model_bytes == data
    writer.join()


@pytest.mark.parametrize("location", ["w.bin", "{}/w.bin", "../w.bin", "link.bin"])
def test_weights_in_another_file(
    refused: Refused, data: bytes, tmp_path: Path, location: str
) -> None:
    for place in (tmp_path / "w.bin", tmp_path.parent / "w.bin"):
        place.write_bytes(bytes(4))
    (tmp_path / "link.bin").symlink_to(tmp_path.parent / "w.bin")
    place = field(1, "location") + field(2, location.format(tmp_path))
    tensor = field(1, 1) + field(2, 1) + field(8, "w") + field(13, place) + field(14, 1)
    reason = refused(data + field(7, field(5, tensor)))
    assert reason.startswith("bytes has weights in another file, expected all in one")


@pytest.mark.parametrize("domain", ["my.ops", "com.microsoft", "ai.onnx.ml"])
def test_operators_of_others(refused: Refused, data: bytes, domain: str) -> None:
    opset = field(8, field(1, domain) + field(2, 1))
    operator = field(7, field(1, field(4, "Nothing") + field(7, domain)))
    function = field(25, field(1, "Nothing") + field(10, domain))
    for content in (opset, operator, function, opset + operator + function):
        assert refused(data + content).startswith(f"bytes needs operators of {domain!r}, exp")


def test_onnxs_own_operators_under_their_other_name(data: bytes) -> None:
    named = field(8, field(1, "ai.onnx") + field(2, 18))
    operator = field(7, field(1, field(4, "Nothing") + field(7, "ai.onnx")))
    for content in (data + operator, data.replace(field(8, field(2, 18)), named)):
        model_file.check_self_contained("model", content)


def test_a_newer_version_than_onnxruntime_loads(refused: Refused, data: bytes) -> None:
    for newer, what in ((field(1, 99), "IR version 99"), (field(8, field(2, 99)), "opset 99")):
        reason = refused(data + newer)
        assert reason.startswith(
            f"onnxruntime {ort.__version__} cannot load bytes: it has {what}, "
        )
        assert "and this onnxruntime loads up to " in reason
        assert reason.endswith("upgrade onnxruntime, or export it again with `edge-adder export`")


def test_other_reasons_lose_the_place_in_the_source() -> None:
    error = RuntimeError(
        "[ONNXRuntimeError] : 1 : FAIL : Load model failed:/onnxruntime_src/onnxruntime/core/"
        "model.cc:251 onnxruntime::Model::Model(onnx::ModelProto&&, const X&)\n Missing IR.\n"
    )
    assert describe_load_error(error) == "Load model failed:Missing IR."


class TestWhatCannotRun:
    """Models that onnxruntime loads, with the contract in them."""

    def test_weights_that_are_no_numbers(self, refused: Refused, data: bytes) -> None:
        broken = data[:50_000] + b"\xff" * 8 + data[50_008:]  # a NaN, wherever a weight begins
        assert refused(broken) == (
            "bytes is damaged: digit must be (1, 10) finite numbers, got (1, 10) with 0 finite"
        )

    def test_answers_of_another_shape(
        self, refused: Refused, data: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        answers = [np.full((1, 10), np.log(0.1), np.float32), np.zeros((2, 19), np.float32)]
        monkeypatch.setattr(ort.InferenceSession, "run", lambda *_: answers)
        assert "sum must be (1, 19) finite numbers, got (2, 19)" in refused(data)

    def test_one_whose_run_fails(
        self, refused: Refused, data: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object) -> None:
            raise RuntimeError("[ONNXRuntimeError] : 1 : FAIL : Non-zero status")

        monkeypatch.setattr(ort.InferenceSession, "run", fail)
        monkeypatch.setattr(ort.InferenceSession, "run_with_iobinding", fail)
        adder = EdgeAdder()
        says = f"onnxruntime {ort.__version__} on cpu cannot run {{}}: Non-zero status"
        assert refused(data) == says.format("bytes")
        image = np.zeros((28, 28), np.uint8)
        image[4:24, 12:16] = 255
        for ask in (
            lambda: adder.predict(image, 5),
            lambda: adder.run(image[None, None], np.zeros(1, np.int64)),
            lambda: list(adder.predict_many([image], 5, on_error="return")),
        ):
            with pytest.raises(ModelError) as caught:
                ask()
            assert str(caught.value) == says.format("default")

    @pytest.mark.skipif(
        "enable_fallback=" not in inspect.getsource(ort.InferenceSession.__init__),
        reason="this onnxruntime prints to standard output and cannot be told not to",
    )
    def test_onnxruntime_prints_nothing(
        self, refused: Refused, data: bytes, capfd: pytest.CaptureFixture[str]
    ) -> None:
        assert "cannot load" in refused(data.replace(b"Relu", b"Rel\xff"))
        assert capfd.readouterr() == ("", "")


class TestHash:
    @pytest.mark.parametrize("model", [None, BUNDLED_MODEL, BUNDLED_MODEL.read_bytes()])
    def test_it_is_compared_in_any_case(self, model: Path | bytes | None, adder: EdgeAdder) -> None:
        for wanted in (adder.model_sha256, adder.model_sha256.upper()):
            assert EdgeAdder(model, sha256=wanted).model_sha256 == adder.model_sha256
        other = hashlib.sha256(b"").hexdigest()
        with pytest.raises(ModelError, match=f"has SHA-256 {adder.model_sha256}, expected {other}"):
            EdgeAdder(model, sha256=other)

    def test_it_is_compared_before_anything_reads_the_file(self) -> None:
        with pytest.raises(ModelError, match="has SHA-256"):
            EdgeAdder(b"no model", sha256="0" * 64)

    def test_what_is_no_hash(self) -> None:
        for text in ("", "0" * 63, "0" * 65, "g" * 64, "0" * 64 + "\n", 0, b"0" * 64):
            with pytest.raises(InputError, match="sha256 must be 64 hexadecimal digits, got"):
                EdgeAdder(sha256=text)

    @pytest.mark.parametrize(
        "command", ["predict image.png 5", "info", "bench", "evaluate --data-dir digits"]
    )
    def test_the_commands_take_it(self, edge_adder: Callable, command: str, tmp_path: Path) -> None:
        (tmp_path / "digits").mkdir()
        (tmp_path / "digits" / "7.png").touch()
        done = edge_adder(*command.split(), "--sha256", "0" * 64)
        assert (done.returncode, done.stdout) == (3, "")
        assert done.stderr.startswith("edge-adder: error: default has SHA-256 ")
        assert len(done.stderr.splitlines()) == 1


class TestContract:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({b'"dtype": "uint8"': b'"dtype": "int16"'}, "dtype: expected 'uint8', got 'int16'"),
            ({b"log-probability of each digit": b"the probability of each digit"}, "meaning"),
            ({b"handwritten": b"handwr\xfftten"}, "metadata is not UTF-8"),
            ({b"\n\5digit": b"\n\5dight", b"\x12\5digit": b"\x12\5dight"}, "dight is unknown"),
        ],
    )
    def test_another_one_in_the_file_is_refused(
        self, data: bytes, changes: dict[bytes, bytes], message: str
    ) -> None:
        for old, new in changes.items():  # of the same length, so that the file stays a valid one
            data = data.replace(old, new)
        with pytest.raises(ContractError, match=message):
            EdgeAdder(data)

    @pytest.mark.parametrize(
        ("metadata", "message"),
        [
            ({}, "has no 'edge_adder.contract' in"),
            ({CONTRACT_KEY: "{}"}, "has no 'edge_adder.provenance' in"),
            ({CONTRACT_KEY: '{"version"; 1}'}, "metadata is not JSON"),
            ({CONTRACT_KEY: '{"version": 2}', PROVENANCE_KEY: "{}"}, "version: expected 1, got 2"),
            ({CONTRACT_KEY: "{}", PROVENANCE_KEY: "[]"}, "provenance' is not a JSON object"),
            ({CONTRACT_KEY: "{}", PROVENANCE_KEY: "null"}, "provenance' is not a JSON object"),
            ({CONTRACT_KEY: "{}", PROVENANCE_KEY: "[" * 3000}, "metadata is not JSON"),
        ],
    )
    def test_other_metadata_are_refused(self, metadata: dict[str, str], message: str) -> None:
        with pytest.raises(ContractError, match=message):
            check_contract("it", metadata, {})

    @pytest.mark.parametrize("batch", [MAX_BATCH, MAX_BATCH + 1, 2_000_000_000])
    def test_a_fixed_batch_has_a_limit(self, batch: int) -> None:
        contract = CONTRACT.to_dict(batch)
        metadata = {CONTRACT_KEY: json.dumps(contract), PROVENANCE_KEY: "{}"}
        tensors = {
            side: {spec["name"]: [spec["dtype"], *spec["shape"]] for spec in contract[side]}
            for side in ("inputs", "outputs")
        }
        if batch == MAX_BATCH:
            assert check_contract("it", metadata, tensors).batch == batch
        else:
            with pytest.raises(ContractError, match=f"batch fixed at {batch:,}, expected at most"):
                check_contract("it", metadata, tensors)


@pytest.mark.parametrize("count", [200, pytest.param(10_000, marks=pytest.mark.long)])
def test_mutated_models_are_refused_or_run(count: int) -> None:
    """In processes of their own; after a crash the next one goes on with the next mutation."""
    outcomes: Counter[str] = Counter()
    first = 0
    while first < count:
        done = subprocess.run(
            [sys.executable, WORKER, str(first), str(min(first + IN_A_PROCESS, count))],
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        lines = done.stdout.splitlines()
        for line in lines:
            index, _, outcome = line.partition(" ")
            outcomes[outcome or f"crash on mutation {index}, exit {done.returncode}"] += 1
        assert lines, done.stderr
        first = int(lines[-1].split()[0]) + 1
    print(f"{count:,} bit flips: {dict(outcomes)}")
    assert outcomes.total() == count
    assert set(outcomes) == {"ran", "refused"}
