"""The documents: their commands, links, paths and fields are real."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from edge_adder import EdgeAdder, ExitCode, __version__

ROOT = Path(__file__).parent.parent
FOLDERS = (".", "docs", "benchmarks", "edge_adder/models")
DOCUMENTS = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))
BY_HAND = [path for path in DOCUMENTS if path.parent.name != "benchmarks"]  # those are generated

OLD_WORDS = r"\b(unsure|workshop|leavings|strangers?|mends?|is no digit|redrawn|outliers)\b"
"""Words that the project no longer uses."""

OTHER_OPTIONS = {"--publish", "--rate"}
"""Options of `python -m benchmarks` and `python -m benchmarks.serve`."""

COMMAND = re.compile(r"(?:^|[\s`/])edge-adder (?P<name>[a-z]+)\b(?P<rest>[^`\n#|]*)")
OPTION = re.compile(r"(?<!\w)--[a-z][a-z0-9-]*")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)\s]+)\)")
PATH = re.compile(r"(?:edge_adder|export|benchmarks|tests|docs|examples)/[\w./-]*[\w/]")


def document(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def text(name: str) -> str:
    return (ROOT / name).read_text()


def fenced(path: Path, language: str) -> list[str]:
    """The document's blocks in a language."""
    return [body for found, body in FENCE.findall(path.read_text()) if found == language]


def spans(path: Path) -> list[str]:
    """The code within the document's sentences and tables."""
    return INLINE.findall(FENCE.sub("", path.read_text()))


each_document = pytest.mark.parametrize("path", BY_HAND, ids=document)


def shell_text(path: Path) -> str:
    """The document's fenced shell lines and its code spans, a line each."""
    return "\n".join([*fenced(path, "sh"), *spans(path)])


def commands(path: Path) -> Iterator[tuple[str, set[str]]]:
    """Each `edge-adder` command in a document, with the options that it has."""
    for found in COMMAND.finditer(shell_text(path)):
        yield found["name"], set(OPTION.findall(found["rest"]))


def anchor(heading: str) -> str:
    """GitHub's name for a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


@pytest.fixture
def options_of(edge_adder) -> dict[str, set[str]]:
    """The options of each command, as its --help has them."""
    found = {}
    for name in re.findall(r"^  ([a-z]+)  ", edge_adder("--help").stdout, re.MULTILINE):
        listed = re.findall(r"^  -.*", edge_adder(name, "--help").stdout, re.MULTILINE)
        found[name] = {*OPTION.findall("\n".join(listed)), "--debug"}
    return found


def test_every_command_exists_with_its_options(options_of: dict[str, set[str]]) -> None:
    for path in BY_HAND:
        for command, options in commands(path):
            assert options <= options_of.get(command, set()), f"{command} in {document(path)}"


def test_every_option_that_is_mentioned_exists(options_of: dict[str, set[str]]) -> None:
    known = set().union(*options_of.values(), OTHER_OPTIONS)
    for path in BY_HAND:
        mentioned = {found[0] for span in spans(path) if (found := OPTION.match(span))}
        assert mentioned <= known, document(path)


def test_the_command_table_of_the_readme_is_complete(options_of: dict[str, set[str]]) -> None:
    listed = re.findall(r"^\| `edge-adder ([a-z]+)`", text("README.md"), re.MULTILINE)
    assert sorted(listed) == sorted(options_of)


@each_document
def test_every_module_that_is_run_exists(path: Path) -> None:
    modules = re.findall(r"python -m ([\w.]+)", shell_text(path))
    assert [name for name in modules if find_spec(name) is None] == []


@pytest.mark.parametrize("name", ["README.md", "docs/usage.md"])
def test_the_python_examples_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    blocks = fenced(ROOT / name, "python")
    assert blocks
    variables: dict[str, object] = {"paths": ["examples/five.jpg", "examples/seven.png"]}
    for block in blocks:
        exec(compile(block, name, "exec"), variables)  # noqa: S102  they are our own


@each_document
def test_every_path_exists(path: Path) -> None:
    named = [span for span in spans(path) if PATH.fullmatch(span)]
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=document)
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in LINK.findall(FENCE.sub("", path.read_text())):
        if "://" in link:
            continue
        name, _, fragment = link.partition("#")
        target = path.parent / name if name else path
        assert target.exists(), link
        if fragment:
            headings = re.findall(r"^#+ (.*)$", FENCE.sub("", target.read_text()), re.MULTILINE)
            assert fragment in map(anchor, headings), link


def test_every_picture_of_the_documents_is_shown_once() -> None:
    shown = [
        (path.parent / link).resolve()
        for path in DOCUMENTS
        for link in LINK.findall(path.read_text())
        if link.endswith(".png")
    ]
    pictures = (ROOT / "docs").glob("*.png")
    assert {path.name: shown.count(path) for path in pictures if shown.count(path) != 1} == {}


def test_the_readme_is_short_and_comes_with_every_page_of_docs() -> None:
    readme = text("README.md")
    assert readme.count("\n") <= 170
    linked = {link.partition("#")[0] for link in LINK.findall(readme)}
    pages = {document(path) for path in (ROOT / "docs").glob("*.md")} - {"docs/bench.md"}
    assert pages <= linked  # performance.md and usage.md link bench.md


@each_document
def test_the_words_and_percentages_are_those_of_the_project(path: Path) -> None:
    words = "" if path.name == "CHANGELOG.md" else path.read_text()  # which says what was renamed
    assert re.findall(OLD_WORDS, words, re.IGNORECASE) == []
    assert re.findall(r"[0-9]%", path.read_text()) == []


def test_the_readmes_two_commands_follow_their_markers() -> None:
    ends = {"predict": "edge-adder predict examples/seven.png 5", "test": "python -m pytest"}
    for name, end in ends.items():
        _, _, rest = text("README.md").partition(f"<!-- command: {name} -->\n```sh\n")
        command = rest.partition("\n")[0]
        assert command.startswith("python3 -m venv .venv && ")
        assert command.endswith(end)


def test_the_documents_state_the_bundled_model_as_it_is(adder: EdgeAdder) -> None:
    accuracy = adder.provenance["metrics"]["test"]
    digit, total = (f"{100 * accuracy[name]:.2f} %" for name in ("digit", "sum"))
    size = f"{len(adder.model_bytes):,}"
    readme, changelog = text("README.md"), text("CHANGELOG.md")
    assert f"digit {digit}, sum {total}" in readme
    assert f"{size} bytes" in readme
    assert f"| {__version__} | `edge` | {digit}, {total} " in changelog
    assert f"| {size} |" in changelog


def test_the_readme_shows_what_the_sample_answers(adder: EdgeAdder) -> None:
    answer = adder.predict(ROOT / "examples" / "five.jpg", 7)
    readme = text("README.md")
    line = f"# examples/five.jpg: {answer.digit} + 7 = {answer.sum}  ({answer.probability:.2%}"
    assert line.replace("%", " %") in readme
    assert f"# {answer.digit}, {answer.sum}, {answer.uncertain}\n" in readme


def test_usage_lists_every_exit_code() -> None:
    section = text("docs/usage.md").partition("### Exit codes")[2]
    listed = re.findall(r"^\| ([0-9]+) \|", section, re.MULTILINE)
    assert sorted(map(int, listed)) == sorted({*map(int, ExitCode), 130})


def test_usage_shows_the_form_of_the_json(edge_adder) -> None:
    shown = json.loads(*fenced(ROOT / "docs" / "usage.md", "json"))
    printed = json.loads(edge_adder("predict", ROOT / "examples" / "five.jpg", 7, "--json").stdout)
    assert list(shown) == list(printed)
    for name in ("provider", "preparation", "model"):
        assert list(shown[name]) == list(printed[name])


def test_usage_lists_every_field_of_a_prediction(adder: EdgeAdder) -> None:
    usage, images = text("docs/usage.md"), text("docs/images.md")
    fields = adder.predict(ROOT / "examples" / "five.jpg", 7).to_dict(distributions=True)
    assert [name for name in fields if f"`{name}`" not in usage] == []
    assert re.findall(r"^\| `(\w+)` \|", images, re.MULTILINE) == [*fields["preparation"]]
