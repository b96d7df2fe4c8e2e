"""What a model needs besides itself is found wherever it hides; broken files are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_adder import onnx_scan
from edge_adder.onnx_scan import FIELDS, Requirements, scan
from edge_adder.predictor import BUNDLED_MODEL

from .protobuf import field, varint

MODEL = BUNDLED_MODEL.read_bytes()


def test_the_bundled_model_needs_nothing() -> None:
    assert scan(MODEL) == Requirements(frozenset({""}), external_data=False)


def paths_to(message: str) -> dict[str, bytes]:
    """All paths from a model to a kind of message, each through any message at most once.

    Returns:
        The messages on the path with the numbers of the fields → the numbers.
    """
    found = {}
    pending = [(("ModelProto",), b"")]
    while pending:
        path, numbers = pending.pop()
        for number, name in FIELDS[path[-1]].items():
            reached = numbers + bytes([number])
            if name == message:
                found[f"{'/'.join(path)} {'.'.join(map(str, reached))}"] = reached
            if name in FIELDS and name not in path:
                pending.append(((*path, name), reached))
    return found


TENSORS, DOMAINS = paths_to("TensorProto"), paths_to("domain")


def nested(path: bytes, content: bytes) -> bytes:
    for number in reversed(path):
        content = field(number, content)
    return content


@pytest.mark.parametrize("path", TENSORS.values(), ids=TENSORS)
def test_weights_elsewhere_are_found_in_any_tensor(path: bytes) -> None:
    for says in (field(13, field(1, "location")), field(14, 1), field(14, 2**40)):
        assert scan(MODEL + nested(path, field(8, "w") + says)).external_data
    assert not scan(MODEL + nested(path, field(8, "w") + field(14, 0))).external_data


@pytest.mark.parametrize("path", DOMAINS.values(), ids=DOMAINS)
def test_domains_are_found_in_any_operator(path: bytes) -> None:
    assert scan(MODEL + nested(path, b"my.ops")).domains == {"", "my.ops"}


def test_there_are_many_paths() -> None:
    assert len(TENSORS) > 10
    assert len(DOMAINS) > 8


def test_a_file_that_ends_anywhere_but_between_two_fields_is_refused() -> None:
    whole = []
    for size in range(len(MODEL)):
        try:
            scan(MODEL[:size])
        except ValueError as error:
            assert "it ends within" in str(error)  # noqa: PT017
        else:
            whole.append(size)
    assert len(whole) == 7  # nothing, and after each field of the model but the last


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x03", "no field begins at byte 0"),  # a group: protobuf's, and not ONNX's
        (field(1, 8) + b"\x07", "no field begins at byte 2"),  # no such type
        (b"\x02\x01x", "no field begins at byte 0"),  # the field 0
        (varint(7 << 3 | 2 | 1 << 32) + b"\x00", "no field begins at byte 0"),  # 7 in 32 bits
        (b"\x80" * 11, "it ends within a number, or has none, at byte 10"),
        (b"\x08", "it ends within a number, or has none, at byte 1"),
        (b"\x0d\x00\x00", "it ends within the field that begins at byte 0"),
        (b"\x09" + bytes(7), "it ends within the field that begins at byte 0"),
        (field(7, b"\x0a\x05abc"), "it ends within the field that begins at byte 2"),
    ],
)
def test_what_is_not_protobuf_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scan(data)


def test_values_of_every_type_are_skipped_and_a_domain_need_not_be_text() -> None:
    fixed = b"\x0d" + bytes(4) + b"\x09" + bytes(8)
    assert scan(fixed + field(2, 300) + field(3, "text")) == Requirements(frozenset(), False)
    assert scan(fixed + field(8, field(1, b"a\xff"))).domains == {"a\N{REPLACEMENT CHARACTER}"}


def test_the_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_scan, "MAX_FIELDS", 1000)
    deep = b""
    for _ in range(400):  # graphs in attributes of operators, far deeper than Python's stack allows
        deep = field(1, field(5, field(6, deep)))
    scan(field(1, 8) * 1000)
    for content in (field(7, deep), field(1, 8) * 1001):
        with pytest.raises(ValueError, match="it has more than 1,000 fields"):
            scan(content)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for content in (data, field(7, data), field(7, field(1, field(5, data)))):
        try:
            scan(content)
        except ValueError:
            continue
