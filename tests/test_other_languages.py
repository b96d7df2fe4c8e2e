"""docs/other-languages.md and examples/web: what they say and do is what Python does."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge_adder import EdgeAdder, prepare_image
from edge_adder.limits import MIN_CONFIDENCE
from edge_adder.parity import PARITY_BOUND, vectors_as_json
from edge_adder.predictor import BUNDLED_MODEL
from examples.web.steps import FOLDER, steps
from export.synthetic.digits import STYLES
from export.synthetic.strokes import Strokes

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "other-languages.md").read_text()
WEB = "examples/web"

UNREACHABLE = r"E(AI_AGAIN|CONN\w+|NOTFOUND|TIMEDOUT|NETUNREACH|HOSTUNREACH)|ERR_SOCKET"
"""What npm says where the registry cannot be reached."""

FUNCTIONS = ("shrink", "findInk", "zoom", "adjustStrokes", "fit", "centre")
"""The steps of prepare.js, in their order."""

CALL = """
import * as prepare from "./prepare.js";
let input = "";
for await (const piece of process.stdin) input += piece;
const calls = JSON.parse(input).map(([name, argument]) => {
  const result = prepare[name]({ ...argument, data: Uint8ClampedArray.from(argument.data) });
  const { width = 28, height = 28, data = result } = result ?? {};
  return result && { width, height, data: [...data] };
});
console.log(JSON.stringify(calls));
"""
"""Calls functions of prepare.js: pairs of name and picture in, pictures out."""


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    return found


def tool(name: str, package: str) -> str:
    """The path of a program; the test is skipped without it."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: apt-get install {package}")
    return found


def install(folder: Path) -> None:
    """Install what a folder's package-lock.json names."""
    tool("node", "nodejs")
    npm = tool("npm", "npm")
    options = ("--prefer-offline", "--no-audit", "--no-fund", "--fetch-retries=1")
    try:
        done = subprocess.run(
            [npm, "ci", *options],
            check=False,
            capture_output=True,
            text=True,
            cwd=folder,
            timeout=300,
        )
    except subprocess.TimeoutExpired:
        pytest.skip("needs the npm registry, which did not answer in time")
    if re.search(UNREACHABLE, done.stderr):
        pytest.skip("needs the npm registry, which cannot be reached")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def web() -> Iterator[Path]:
    """A copy of examples/web as `npm ci` leaves it; as large as what it installs, so not kept."""
    with tempfile.TemporaryDirectory() as place:
        ignored = shutil.ignore_patterns("node_modules", "assets", "__pycache__")
        for name in (WEB, "edge_adder/serve/page", "edge_adder/models"):
            shutil.copytree(ROOT / name, Path(place, name), ignore=ignored)
        install(Path(place, WEB))
        yield Path(place, WEB)


@pytest.fixture(scope="module")
def node() -> Iterator[Path]:
    """A folder with onnxruntime-node."""
    with tempfile.TemporaryDirectory() as place:
        folder = shutil.copytree(ROOT / "tests" / "node", Path(place, "node"))
        install(folder)
        yield folder


@pytest.mark.parametrize("package", ["onnxruntime-node", "onnxruntime-web"])
def test_the_javascript_program_gives_pytorchs_answers(
    package: str, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(package.partition("-")[2])
    program = block("js")
    assert len(program.splitlines()) <= 20
    assert 'from "onnxruntime-node"' in program
    (folder / "add.mjs").write_text(program.replace('"onnxruntime-node"', f'"{package}"', 1))
    shutil.copy(BUNDLED_MODEL, folder / "model.onnx")
    vectors = BUNDLED_MODEL.with_suffix(".parity.npz").read_bytes()
    (folder / "model.parity.json").write_bytes(vectors_as_json(vectors))
    done = subprocess.run(
        [tool("node", "nodejs"), "add.mjs"], check=False, capture_output=True, text=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr
    form = r"digit: 300 pairs, largest difference (\S+), 0 changed\nsum: 300 pairs, "
    found = re.fullmatch(rf"{form}largest difference (\S+), 0 changed\n", done.stdout)
    assert found, done.stdout
    assert all(0 < float(each) <= PARITY_BOUND for each in found.groups())


def test_the_cpp_program_gives_the_same_answers(
    adder: EdgeAdder, vectors: dict[str, np.ndarray], tmp_path: Path
) -> None:
    program = block("cpp")
    assert len(program.splitlines()) <= 20
    compiler = tool("c++", "g++")
    place = os.environ.get("ONNXRUNTIME_DIR")
    if place:
        include, options = Path(place, "include"), [f"-L{place}/lib", f"-Wl,-rpath,{place}/lib"]
    else:
        include, options = Path("/usr/include/onnxruntime"), []
    if not (include / "onnxruntime_cxx_api.h").is_file():
        pytest.skip("needs onnxruntime's headers: name an unpacked release in ONNXRUNTIME_DIR")
    (tmp_path / "add.cpp").write_text(program)
    command = [compiler, "-std=c++17", "add.cpp", f"-I{include}", *options, "-lonnxruntime"]
    subprocess.run([*command, "-o", "add"], check=True, cwd=tmp_path)
    for image, number in zip(vectors["image"][:20], vectors["number"][:20], strict=True):
        done = subprocess.run(
            [tmp_path / "add", BUNDLED_MODEL, str(number)],
            check=True,
            capture_output=True,
            input=image.tobytes(),
        )
        digit, total = (line.split() for line in done.stdout.decode().splitlines())
        answer = adder.predict(image[0], int(number))
        assert [int(digit[0]), int(total[0])] == [answer.digit, answer.sum]
        found = [float(digit[1]), float(total[1])]
        expected = [answer.digit_probability, answer.sum_probability]
        assert found == pytest.approx(expected, abs=PARITY_BOUND)


def call(*pairs: tuple[str, np.ndarray]) -> list[np.ndarray | None]:
    """What functions of prepare.js make of pictures, uint8 (height, width)."""
    pictures = [
        [name, {"width": p.shape[1], "height": p.shape[0], "data": p.ravel().tolist()}]
        for name, p in pairs
    ]
    done = subprocess.run(
        [tool("node", "nodejs"), "--input-type=module", "-e", CALL],
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT / WEB,
        input=json.dumps(pictures),
    )
    return [
        each and np.array(each["data"], np.uint8).reshape(each["height"], each["width"])
        for each in json.loads(done.stdout)
    ]


@pytest.fixture(scope="module")
def shown() -> dict[str, np.ndarray]:
    """The images of the document, by step."""
    names = re.findall(r"\]\(preparation/(\w+)\.png\)", PAGE)
    return {name: np.asarray(Image.open(FOLDER / f"{name}.png")) for name in names}


def test_the_page_and_the_document_call_the_same_answers_uncertain() -> None:
    script = (ROOT / WEB / "page.js").read_text()
    assert f"const MIN_PROBABILITY = {MIN_CONFIDENCE:g};" in script
    assert f"probabilities is below {MIN_CONFIDENCE:g}" in PAGE


def test_the_images_of_the_steps_are_what_python_makes(shown: dict[str, np.ndarray]) -> None:
    made = steps(shown["canvas"])
    assert list(made) == list(shown)
    for name, pixels in made.items():
        assert pixels.shape == shown[name].shape, name
        apart = np.abs(pixels.astype(int) - shown[name])
        assert apart.max() <= 1, name  # Pillow may round differently on another processor


def test_each_step_in_javascript_gives_the_image_of_python(shown: dict[str, np.ndarray]) -> None:
    """Pillow weighs in whole numbers, so a value may be rounded to its neighbour."""
    pictures = list(shown.values())
    made = call(*zip(FUNCTIONS, pictures[:-1], strict=True))
    for name, found, expected in zip(FUNCTIONS, made, pictures[1:], strict=True):
        assert found.shape == expected.shape, name
        assert np.abs(found.astype(int) - expected).max() <= 1, name


def test_nothing_is_found_on_a_blank_canvas_or_in_faint_noise() -> None:
    noise = 250 + np.random.default_rng(0).integers(0, 6, (60, 60))
    blank = np.full((60, 60), 255)
    assert call(("findInk", blank), ("findInk", noise)) == [None, None]


@pytest.mark.parametrize("width", [2, 60], ids=["thin", "wide"])
def test_thin_and_wide_strokes_of_either_polarity_are_prepared_as_in_python(width: int) -> None:
    canvas = np.full((200, 260), 240, np.uint8)
    canvas[20:180, 100 : 100 + width] = 20
    canvas[20 : 20 + width, 60:200] = 20
    both = (canvas, 255 - canvas)
    for found, each in zip(call(*(("prepare", each) for each in both)), both, strict=True):
        assert np.abs(found.astype(int) - steps(each)["image"]).mean() <= 0.5


@pytest.fixture(scope="module")
def address(web: Path) -> Iterator[str]:
    """The address of a file server for the page."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=web)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


KEEP_CANVAS = """
const read = CanvasRenderingContext2D.prototype.getImageData;
CanvasRenderingContext2D.prototype.getImageData = function (...box) {
  window.lastCanvas = this.canvas.toDataURL();
  return read.apply(this, box);
};
"""
"""Keeps the canvas whose pixels the page last read."""


@pytest.fixture
def page(browser, address: str) -> Iterator[object]:
    context = browser.new_context(reduced_motion="reduce")
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request",
        lambda asked: (
            None if asked.url.startswith((address, "data:")) else faults.append(asked.url)
        ),
    )
    page.add_init_script(KEEP_CANVAS)
    page.goto(address)
    wait_for(page, "idle")
    yield page
    context.close()
    assert faults == []


def wait_for(page, state: str) -> None:
    page.wait_for_selector(f"#answer[data-state={state}][data-busy=false]", timeout=60_000)


def draw(page, strokes: Strokes) -> None:
    """Draw strokes with the mouse; points are shares of the pad."""
    box = page.locator("#pad").bounding_box()
    for stroke in strokes:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for before, after in pairwise(places):
            page.mouse.move(*after, steps=max(1, round(np.hypot(*np.subtract(after, before)) / 60)))
        page.mouse.up()
    page.wait_for_selector("#answer[data-busy=false]")


def pixels(data_url: str) -> np.ndarray:
    """The pixels of a PNG in a data URL, grey."""
    content = base64.b64decode(data_url.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("L"))


def drawings(count: int) -> Iterator[tuple[Strokes, int]]:
    """Strokes of digits in places and sizes of their own, with a number to add."""
    generator = np.random.default_rng(23)
    for index in range(count):
        styles = STYLES[index % 10]
        style = styles[int(generator.integers(len(styles)))]
        height, narrow = generator.uniform(0.4, 0.75), generator.uniform(0.55, 0.8)
        left, top = generator.uniform(0.12, 0.88 - height, 2)
        slant = generator.normal(0, 0.06)
        placed = [
            [(left + height * (narrow * x - slant * y), top + height * y) for x, y in stroke]
            for stroke in style
        ]
        yield placed, int(generator.integers(10))


ANEW = """
(number) => {
  document.querySelector("#clear").click();
  document.querySelector(`#numbers [value="${number}"]`).click();
}
"""
READ = """
() => [window.lastCanvas, ...["headline", "input"].map((id) => document.getElementById(id))
  .map((element) => element.src ?? element.innerText)]
"""
"""Begins a drawing, and reads the canvas, the answer and the network's input."""


def test_drawings_in_the_browser_get_the_answers_of_python(page, adder: EdgeAdder) -> None:
    """Python finds the ink by its model, so a box may end a pixel apart and move the digit by one.

    Hence the bound is on the mean over all drawings, 3 of 255.
    """
    differences, wrong = [], []
    for strokes, number in drawings(50):
        page.evaluate(ANEW, number)
        draw(page, strokes)
        canvas, headline, shown = page.evaluate(READ)
        expected = prepare_image(pixels(canvas))
        differences.append(np.abs(pixels(shown).astype(int) - expected).mean())
        answer = adder.predict(expected, number)
        equation = f"{answer.digit} + {number} = {answer.sum}"
        if headline.removeprefix("Unsure: perhaps ") != equation:
            wrong.append((headline, equation))
    assert wrong == []
    assert np.mean(differences) <= 3


def test_the_page_shows_both_answers_and_undoes_a_stroke(page) -> None:
    draw(page, [[(0.27, 0.22), (0.72, 0.22), (0.45, 0.8)]])
    wait_for(page, "sure")
    assert page.get_by_role("status").inner_text().startswith("7 + 5 = 12")
    page.locator("#numbers :checked").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('#headline').innerText === '7 + 6 = 13'")
    assert page.locator("#sum").inner_text() == "13"
    for chart, best, count in (("#digits", "7", 10), ("#sums", "13", 19)):
        assert page.locator(f"{chart} li").count() == count
        assert page.locator(f"{chart} li.best .label").inner_text() == best
    page.keyboard.press("Control+z")
    wait_for(page, "idle")
    assert page.locator("#headline").inner_text() == "Nothing to read yet"


def test_a_network_that_cannot_be_loaded_is_said(browser, address: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.route("**/model.onnx", lambda route: route.abort())
    page.goto(address)
    wait_for(page, "failed")
    assert page.locator("#headline").inner_text() == "The network does not run here"
    assert page.locator("#reason").inner_text() != ""
    context.close()


@pytest.mark.parametrize("folder", [WEB, "tests/node"])
def test_the_locks_name_versions_and_no_registry(folder: str) -> None:
    lock = (ROOT / folder / "package-lock.json").read_text()
    assert "://" not in re.sub(r'"url": "[^"]*"', "", lock)  # of donations
    assert set(
        json.loads((ROOT / folder / "package.json").read_text())["dependencies"].values()
    ) == {"1.30.0"}
