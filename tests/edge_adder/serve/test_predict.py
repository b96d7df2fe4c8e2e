"""`/v1/predict`: pictures in, the library's answers and refusals out."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from edge_adder import EdgeAdder, EdgeAdderError, prepare_image

from .running import EXAMPLES, SEVEN, Server, form


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


BLANK = png(np.full((200, 200), 255, np.uint8))


@pytest.mark.parametrize("name", ["seven.png", "five.jpg", "nine.jpg"])
@pytest.mark.parametrize("as_form", [False, True])
def test_the_answer_is_the_librarys(
    server: Server, adder: EdgeAdder, name: str, as_form: bool
) -> None:
    picture = (EXAMPLES / name).read_bytes()
    expected = json.loads(json.dumps(adder.predict(picture, 5).to_dict()))
    if as_form:
        body, content_type = form(picture, number=5)
        answer = server.ask("/v1/predict", body, Content_Type=content_type)
    else:
        answer = server.ask("/v1/predict?number=5", picture)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    probabilities = ("digit_probability", "sum_probability")
    found = answer.json
    for each in probabilities:
        assert found.pop(each) == pytest.approx(expected.pop(each), abs=1e-5)
    assert found == expected


def test_curls_default_content_type_is_a_picture_too(server: Server) -> None:
    url_encoded = "application/x-www-form-urlencoded"
    answer = server.ask("/v1/predict?number=5", SEVEN, Content_Type=url_encoded)
    assert answer.json["sum"] == 12


def test_each_reads_every_digit_in_order(server: Server, adder: EdgeAdder) -> None:
    page = (EXAMPLES / "page.jpg").read_bytes()
    found = server.ask("/v1/predict?number=3&each=true", page).json["predictions"]
    expected = [each.sum for each in adder.predict_each(page, 3)]
    assert [each["sum"] for each in found] == expected
    assert [each["index"] for each in found] == [1, 2, 3, 4, 5]


def test_ink_is_the_librarys(server: Server) -> None:
    five = (EXAMPLES / "five.jpg").read_bytes()
    for ink in ("light", "dark"):
        answer = server.ask(f"/v1/predict?number=1&ink={ink}", five)
        assert answer.status == 422 or answer.json["preparation"]["ink"] == ink


def test_distributions_and_timing_are_added(server: Server) -> None:
    answer = server.ask("/v1/predict?number=5&distributions=true", SEVEN)
    assert np.argmax(answer.json["digit_probabilities"]) == 7
    assert np.argmax(answer.json["sum_probabilities"]) == 12
    names = [part.partition(";")[0] for part in answer.headers["Server-Timing"].split(", ")]
    assert names == ["prepare", "network"]


def test_explain_adds_what_the_network_saw(server: Server) -> None:
    five = (EXAMPLES / "five.jpg").read_bytes()
    answer = server.ask("/v1/predict?number=5&explain=true", five).json
    images = {}
    for name in ("picture", "ink", "input"):
        head, _, content = answer[name].partition(",")
        assert head == "data:image/png;base64"
        images[name] = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
    assert np.array_equal(images["input"], prepare_image(five))
    assert images["ink"].shape == (*images["picture"].shape[:2], 4)
    ink = images["ink"][:, :, 3] > 0
    left, top, right, bottom = answer["preparation"]["box"]
    rows, columns = np.nonzero(ink)
    height, width = ink.shape
    assert rows.min() == pytest.approx(top * height, abs=1)
    assert columns.max() == pytest.approx(right * width, abs=1.5)
    assert 0.005 < ink.mean() < (bottom - top) * (right - left)


@pytest.mark.parametrize("name", ["page.jpg", "not-an-image", "empty", "blank"])
def test_a_refusal_is_the_librarys_line_as_problem_details(
    server: Server, adder: EdgeAdder, name: str
) -> None:
    pictures = {"not-an-image": b"GIF89a, or not", "empty": b"", "blank": BLANK}
    picture = pictures.get(name) if name in pictures else (EXAMPLES / name).read_bytes()
    with pytest.raises(EdgeAdderError) as refused:
        adder.predict(picture, 5)
    answer = server.ask("/v1/predict?number=5", picture)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json == {
        "type": "about:blank",
        "title": answer.json["title"],
        "status": 422,
        "detail": str(refused.value),
    }
    assert answer.status == 422


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("", "number must be an integer from 0 to 9, got nothing"),
        ("number=10", "got '10'"),
        ("number=-1", "got '-1'"),
        ("number=%C2%B2", "got '²'"),
        ("number=", "got ''"),
        ("number=5&number=6", "twice"),
        ("number=5&inc=dark", "'inc'"),
        ("number=5&ink=blue", "ink must be one of auto, light, dark, got 'blue'"),
        ("number=5&each=yes", "each must be true or false, got 'yes'"),
    ],
)
def test_a_wrong_parameter_is_refused(server: Server, query: str, word: str) -> None:
    answer = server.ask(f"/v1/predict?{query}", SEVEN)
    assert answer.status == 400
    assert word in answer.json["detail"]


@pytest.mark.parametrize(
    ("body", "content_type", "word"),
    [
        (b"anything", "multipart/form-data", "boundary"),
        (b"anything", "multipart/form-data; boundary=limit", "cannot be read"),
        (form(SEVEN, number=5)[0][:-200], "multipart/form-data; boundary=limit", ""),
        (b"--limit--\r\n", "multipart/form-data; boundary=limit", "no file"),
        (form(SEVEN, number=5)[0].replace(b'; filename="a"', b""), form(b"")[1], ""),
        (form(SEVEN, **{f"f{i}": 1 for i in range(20)})[0], form(b"")[1], "fields"),
    ],
)
def test_a_broken_form_is_refused(
    server: Server, body: bytes, content_type: str, word: str
) -> None:
    answer = server.ask("/v1/predict", body, Content_Type=content_type)
    assert answer.status == 400
    assert word in answer.json["detail"]


def test_other_paths_and_methods_are_problems_too(server: Server) -> None:
    for path, body, status in (("/nothing", None, 404), ("/v1/predict", None, 405)):
        answer = server.ask(path, body)
        assert (answer.status, answer.json["status"]) == (status, status)
    assert answer.headers["Allow"] == "POST"


def test_the_interface_is_described_as_it_is(server: Server) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    app = pytest.importorskip("edge_adder.serve.app")
    described = server.ask("/openapi.json").json
    validator.validate(described)
    names = {spec["name"] for spec in described["paths"]["/v1/predict"]["post"]["parameters"]}
    assert names == set(app.Question._fields[1:])
    given = {"model": "edge", "version": "1"}
    for path, methods in described["paths"].items():
        for method in methods.keys() - {"parameters"}:
            answer = server.ask(path.format(**given), b"" if method == "post" else None)
            assert answer.status not in {404, 405}, path
    for path in app.PAGE:
        assert server.ask(path).status == 200
