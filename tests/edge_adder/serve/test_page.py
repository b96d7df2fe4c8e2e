"""The page in a real Chromium."""

from __future__ import annotations

import io
import itertools
import re
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from .running import EXAMPLES, Server

DESKTOP, PHONE = (1200, 800), (390, 844)


@pytest.fixture
def open_page(browser) -> Iterator[object]:
    """Opens a server's page; at last there must have been no error and no foreign request."""
    contexts, faults = [], []

    def opened(server: Server, size: tuple[int, int] = DESKTOP, **options: object):
        width, height = size
        options = {"reduced_motion": "reduce"} | options  # bars have their height at once
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            lambda said: faults.append(said.text) if "Content Security" in said.text else None,
        )
        page.on(
            "request",
            lambda asked: (
                None
                if asked.url.startswith((server.address, "data:", "blob:"))
                else faults.append(asked.url)
            ),
        )
        page.goto(server.address)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert faults == []


def draw(page, *strokes: list[tuple[float, float]]) -> None:
    """Draw strokes with the mouse; points are shares of the pad."""
    box = page.locator("#pad").bounding_box()
    for stroke in strokes:
        for index, (x, y) in enumerate(stroke):
            place = box["x"] + x * box["width"], box["y"] + y * box["height"]
            page.mouse.move(*place, steps=10 if index else 1)
            if index == 0:
                page.mouse.down()
        page.mouse.up()


SEVEN_STROKE = [(0.27, 0.22), (0.72, 0.22), (0.45, 0.8)]


def pick(page, number: int) -> None:
    page.get_by_role("radio", name=str(number), exact=True).check(force=True)


def wait_for(page, state: str, headline: str = "") -> None:
    page.wait_for_selector(f"#answer[data-state={state}][data-busy=false]")
    page.wait_for_function(
        "text => document.querySelector('#headline').innerText.includes(text)", arg=headline
    )


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_drawn_seven_and_a_number_give_the_sum(
    server: Server, open_page, size: tuple[int, int], scheme: str
) -> None:
    page = open_page(server, size, color_scheme=scheme)
    wait_for_idle = page.locator("#headline")
    assert wait_for_idle.inner_text() == "Nothing to read yet"
    draw(page, SEVEN_STROKE)
    pick(page, 4)
    wait_for(page, "sure", "7 + 4 = 11")
    pick(page, 5)
    wait_for(page, "sure", "7 + 5 = 12")
    assert page.locator("#sum").inner_text() == "12"
    for chart, value, count in (("#digits", 7, 10), ("#sums", 12, 19)):
        assert page.locator(f"{chart} li").count() == count
        best = page.locator(f"{chart} li.best")
        assert re.fullmatch(rf"{value}: \d+\.\d\d %", best.get_attribute("title"))
        assert best.locator(".bar").bounding_box()["height"] > 20
    side = "image => image.decode().then(() => image.naturalWidth)"
    assert page.locator("#input").evaluate(side) == 28
    assert page.locator("#ink").evaluate(side) == page.locator("#picture").evaluate(side) > 28
    assert re.search(r"network \d+\.\d\d ms", page.locator("#latency").inner_text())
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= size[0]  # nothing scrolls sideways


def test_undo_and_clear(server: Server, open_page) -> None:
    page = open_page(server)
    undo, clear = (page.get_by_role("button", name=name) for name in ("Undo", "Clear"))
    assert undo.is_disabled()
    assert clear.is_disabled()
    left = [(0.1, 0.9), (0.9, 0.15), (0.1, 0.5)]
    right = [(0.9, 0.9), (0.15, 0.1), (0.9, 0.5), (0.1, 0.7)]
    draw(page, SEVEN_STROKE, left, right)
    page.wait_for_selector("#answer:not([data-state=sure])[data-busy=false]")
    undo.click()
    page.keyboard.press("Control+z")
    wait_for(page, "sure", "7 + 5 = 12")
    clear.click()
    wait_for(page, "idle")
    assert clear.is_disabled()
    undo.click()  # a clear too
    wait_for(page, "sure", "7 + 5 = 12")


def test_a_finger_draws(server: Server, open_page) -> None:
    page = open_page(server, PHONE, has_touch=True, is_mobile=True)
    session = page.context.new_cdp_session(page)
    box = page.locator("#pad").bounding_box()
    points = []
    for (x0, y0), (x1, y1) in itertools.pairwise(SEVEN_STROKE):
        points += [(x0 + (x1 - x0) * i / 10, y0 + (y1 - y0) * i / 10) for i in range(11)]
    for index, (x, y) in enumerate(points):
        place = {"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]}
        kind = "touchMove" if index else "touchStart"
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [place]})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    wait_for(page, "sure", "7 + 5 = 12")
    assert page.evaluate("scrollY") == 0


def test_a_photograph_is_read_and_shown(server: Server, open_page) -> None:
    page = open_page(server)
    page.set_input_files("#file", EXAMPLES / "nine.jpg")
    wait_for(page, "sure", "9 + 5 = 14")
    assert page.locator("#preview").is_visible()
    assert not page.locator("#pad").is_visible()
    page.get_by_role("button", name="Remove").click()
    wait_for(page, "idle")
    assert page.locator("#pad").is_visible()


DROP = """
([content, event]) => {
  const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
  const data = new DataTransfer();
  data.items.add(new File([bytes], "five.jpg", { type: "image/jpeg" }));
  const made = event === "drop"
    ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true })
    : new ClipboardEvent("paste", { clipboardData: data, bubbles: true });
  document.querySelector("#paper").dispatchEvent(made);
}
"""


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_picture_is_dropped_or_pasted(server: Server, open_page, event: str) -> None:
    import base64

    page = open_page(server)
    content = base64.b64encode((EXAMPLES / "five.jpg").read_bytes()).decode()
    page.evaluate(DROP, [content, event])
    wait_for(page, "sure", "5 + 5 = 10")


def test_a_page_of_digits_is_refused_and_then_read(server: Server, open_page) -> None:
    page = open_page(server)
    page.set_input_files("#file", EXAMPLES / "page.jpg")
    wait_for(page, "refused", "Not read")
    assert "Found 5 possible digits" in page.locator("#reason").inner_text()
    page.get_by_role("button", name="Read every digit").click()
    wait_for(page, "sure", "1 + 5 = 6\n4 + 5 = 9\n0 + 5 = 5\n2 + 5 = 7\n6 + 5 = 11")


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (png(np.full((200, 200), 255, np.uint8)), "No ink found"),
        ((EXAMPLES / "five.jpg").read_bytes()[:5000], "damaged"),
        (b"", "empty"),
    ],
    ids=["blank", "broken", "empty"],
)
def test_a_refusal_is_shown_with_its_reason(
    server: Server, open_page, content: bytes, reason: str
) -> None:
    page = open_page(server)
    page.set_input_files("#file", EXAMPLES / "nine.jpg")
    wait_for(page, "sure")
    file = {"name": "a.png", "mimeType": "image/png", "buffer": content}
    page.set_input_files("#file", [file])
    wait_for(page, "refused", "Not read")
    assert reason.lower() in page.locator("#reason").inner_text().lower()
    assert page.locator("#sum").inner_text() == ""  # nothing is left of the answer before
    assert not page.locator("#input").is_visible()
    assert page.locator(".best").count() == 0


def test_an_uncertain_answer_is_shown_as_such(server: Server, open_page) -> None:
    page = open_page(server)
    draw(page, [(0.3, 0.2), (0.7, 0.8)], [(0.7, 0.2), (0.3, 0.8)], [(0.5, 0.15), (0.5, 0.85)])
    wait_for(page, "unsure", "Unsure: perhaps")
    assert "perhaps not a digit" in page.locator("#reason").inner_text()


def test_a_file_above_the_limit_is_not_sent(serve, open_page) -> None:
    with serve("--max-body-mib", "0.01") as server:
        page = open_page(server)
        page.set_input_files("#file", EXAMPLES / "nine.jpg")
        wait_for(page, "refused", "Not read")
        assert "more than 0.01 MiB" in page.locator("#reason").inner_text()


def test_a_server_that_went_away_is_named_and_asked_again(serve, open_page) -> None:
    with serve() as server:
        page = open_page(server)
        draw(page, SEVEN_STROKE)
        wait_for(page, "sure", "7 + 5 = 12")
        server.stop()
        pick(page, 3)
        wait_for(page, "failed", "The server does not answer")
    with serve(port=server.port):
        page.get_by_role("button", name="Try again").click()
        wait_for(page, "sure", "7 + 3 = 10")


def test_the_token_is_asked_for(serve, open_page) -> None:
    with serve("--token", "secret") as server:
        page = open_page(server)
        draw(page, SEVEN_STROKE)
        for token, state in (("wrong", "refused"), ("secret", "sure")):
            page.get_by_label("This server needs a token.").fill(token)
            page.get_by_role("button", name="Use it").click()
            wait_for(page, state)
        assert page.locator("#headline").inner_text() == "7 + 5 = 12"
        assert not page.locator("#token-form").is_visible()


def test_a_keyboard_suffices(server: Server, open_page) -> None:
    page = open_page(server)
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "file"
        page.keyboard.press("Enter")
    chooser.value.set_files(EXAMPLES / "five.jpg")
    wait_for(page, "sure", "5 + 5 = 10")
    page.locator("#numbers :checked").focus()
    page.keyboard.press("ArrowRight")
    wait_for(page, "sure", "5 + 6 = 11")


def test_a_screen_reader_is_told_all(server: Server, open_page) -> None:
    page = open_page(server)
    page.set_input_files("#file", EXAMPLES / "five.jpg")
    wait_for(page, "sure")
    assert page.get_by_role("status").inner_text().startswith("5 + 5 = 10")
    assert page.get_by_role("group", name="Number to add").count() == 1
    assert page.get_by_role("radio").count() == 10
    for name, count in (("Probability of each digit", 10), ("Probability of each sum", 19)):
        assert page.get_by_role("list", name=name).get_by_role("listitem").count() == count
    for image in page.get_by_role("img").all():
        assert image.get_attribute("alt") or image.get_attribute("aria-label")
    assert page.locator("html").get_attribute("lang") == "en"


CONTRAST = """
() => {
  const probe = document.createElement("canvas").getContext("2d");
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => {
    probe.fillStyle = style.getPropertyValue(name).trim();
    probe.fillRect(0, 0, 1, 1);
    return [...probe.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (name) => colour(name)
    .map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (a, b) => {
    const [high, low] = [light(a), light(b)].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const pairs = [["--on-accent", "--accent"]];
  for (const text of ["--text", "--muted", "--accent", "--amber", "--red"]) {
    pairs.push([text, "--paper"], [text, "--surface"]);
  }
  return pairs.map(([a, b]) => contrast(a, b));
}
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_the_contrast_of_wcag_aa(server: Server, open_page, scheme: str) -> None:
    found = open_page(server, color_scheme=scheme).evaluate(CONTRAST)
    assert len(found) == 11
    assert min(found) >= 4.5
