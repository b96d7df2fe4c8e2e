"""The command line as a person and a script meet it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image, ImageDraw

import edge_adder as package
from edge_adder import EdgeAdder, InputError, prepare_image
from edge_adder.bench.baseline import LATENCIES, OTHER_FIGURES
from edge_adder.cli.development import load_tools
from edge_adder.cli.main import COMMANDS, INTERRUPTED
from edge_adder.cli.output import progress_bar
from edge_adder.evaluation.report import percent
from edge_adder.predictor import BUNDLED_MODEL
from edge_adder.preprocessing.polarity import Ink

EXAMPLES = Path(__file__).parents[3] / "examples"
SEVEN, THREE, FIVE = (EXAMPLES / name for name in ("seven.png", "three.png", "five.jpg"))

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def failure(done: subprocess.CompletedProcess[str], code: int) -> str:
    """Check that a run failed with one line on stderr alone, and return that line."""
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("edge-adder: error: ")
    return line.removeprefix("edge-adder: error: ")


def objects(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    """Return the JSON of each line."""
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def empty(tmp_path: Path) -> str:
    """A file without content."""
    (tmp_path / "empty.png").touch()
    return "empty.png"


@pytest.fixture
def seven_and_three(tmp_path: Path) -> str:
    """A picture of two digits."""
    seven, three = (
        np.asarray(Image.open(path).convert("L").resize((112, 112))) for path in (SEVEN, THREE)
    )
    Image.fromarray(np.hstack([seven, 255 - three])).save(tmp_path / "two.png")
    return "two.png"


class TestPredict:
    def test_images_are_answered_in_order(self, edge_adder: Run, adder: EdgeAdder) -> None:
        done = edge_adder("predict", SEVEN, FIVE, THREE, "9")
        assert done.stdout.splitlines() == [
            f"{path}: {digit} + 9 = {digit + 9}  ({percent(adder.predict(path, 9).probability)})"
            for path, digit in ((SEVEN, 7), (FIVE, 5), (THREE, 3))
        ]
        assert (done.stderr, done.returncode) == ("", 0)

    def test_json_is_the_prediction_with_its_image_and_model(
        self, edge_adder: Run, adder: EdgeAdder
    ) -> None:
        answer, model = adder.predict(FIVE, 5), {"name": "default", "sha256": adder.model_sha256}
        for options in ([], ["--distributions"]):
            (shown,) = objects(edge_adder("predict", FIVE, "5", "--json", *options))
            fields = json.loads(json.dumps(answer.to_dict(distributions=bool(options))))
            for name in ("digit_probability", "sum_probability"):
                assert shown.pop(name) == pytest.approx(fields.pop(name), rel=1e-6)
            for name in ("digit_probabilities", "sum_probabilities") if options else ():
                assert shown.pop(name) == pytest.approx(fields.pop(name), rel=1e-6)
            assert shown == {"image": str(FIVE), **fields, "model": model}

    def test_the_most_probable_digits_and_sums(self, edge_adder: Run, adder: EdgeAdder) -> None:
        answer = adder.predict(SEVEN, 5)
        _, *ranks = edge_adder("predict", SEVEN, "5", "--top", "3").stdout.splitlines()
        assert [int(rank.split()[1]) for rank in ranks] == [d for d, _ in answer.top_digits(3)]
        assert [int(rank.split()[5]) for rank in ranks] == [s for s, _ in answer.top_sums(3)]
        (shown,) = objects(edge_adder("predict", SEVEN, "5", "--top", "2", "--json"))
        assert shown["top_digits"] == [[*pair] for pair in answer.top_digits(2)]
        assert shown["top_sums"] == [[*pair] for pair in answer.top_sums(2)]

    def test_save_input_writes_what_the_network_saw(self, edge_adder: Run, tmp_path: Path) -> None:
        done = edge_adder("predict", FIVE, "5", "--save-input", "seen.png")
        assert ": 5 + 5 = 10  (" in done.stdout
        assert np.array_equal(Image.open(tmp_path / "seen.png"), prepare_image(FIVE))
        again = edge_adder("predict", "seen.png", "5")
        assert again.stdout.partition(": ")[2] == done.stdout.partition(": ")[2]

    def test_explain_draws(self, edge_adder: Run, tmp_path: Path) -> None:
        done = edge_adder("predict", FIVE, "5", "--explain", "why.png")
        assert (done.returncode, done.stdout.count("\n")) == (0, 1)
        with Image.open(tmp_path / "why.png") as picture:
            assert picture.width > 1000

    def test_the_stored_vectors_are_answered_as_pytorch_answered(
        self, edge_adder: Run, tmp_path: Path, vectors: dict[str, np.ndarray]
    ) -> None:
        rows = np.flatnonzero(vectors["number"] == 4)
        names = [f"{row}.png" for row in rows]
        for name, row in zip(names, rows, strict=True):
            Image.fromarray(vectors["image"][row, 0]).save(tmp_path / name)
        answers = objects(edge_adder("predict", *names, "4", "--json"))
        assert [each["digit"] for each in answers] == vectors["digit"][rows].argmax(1).tolist()
        assert [each["sum"] for each in answers] == vectors["sum"][rows].argmax(1).tolist()
        assert len(answers) == 30

    def test_options_reach_the_model(
        self, edge_adder: Run, adder: EdgeAdder, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loaded = []

        def load(model: Path, **options: object) -> EdgeAdder:
            loaded.append((model, options))
            return adder

        monkeypatch.setattr("edge_adder.predictor.EdgeAdder", load)
        options = ["--model", "m.onnx", "--threads", "auto", "--spinning", "--sha256", "ab"]
        assert edge_adder("predict", SEVEN, "5", *options, "--provider", "cuda").returncode == 0
        given = {"provider": "cuda", "threads": "auto", "spinning": True, "sha256": "ab"}
        assert loaded == [(Path("m.onnx"), given)]

    def test_ink_can_be_forced(self, edge_adder: Run) -> None:
        (answer,) = objects(edge_adder("predict", FIVE, "5", "--ink", "dark", "--json"))
        assert (answer["digit"], answer["preparation"]["ink"]) == (5, "dark")
        done = edge_adder("predict", FIVE, "5", "--ink", "light")
        assert done.returncode == 2
        assert "no digit found" in done.stderr

    def test_auto_says_what_it_chose(self, edge_adder: Run) -> None:
        done = edge_adder("predict", SEVEN, "5", "--provider", "auto", "--json")
        provider = objects(done)[0]["provider"]
        assert provider["requested"] == "auto"
        assert done.stderr == f"edge-adder: provider auto: {provider['active']}\n"

    def test_the_minimum_probability_is_the_users(self, edge_adder: Run) -> None:
        certain = objects(edge_adder("predict", SEVEN, FIVE, "5", "--json"))
        low, high = sorted(answer["sum_probability"] for answer in certain)
        below = [answer["sum_probability"] == low for answer in certain]
        strict = ("predict", SEVEN, FIVE, "5", "--min-probability", str((low + high) / 2))
        text, shown = edge_adder(*strict), edge_adder(*strict, "--json")
        assert (text.returncode, shown.returncode, text.stderr) == (6, 6, "")
        lines = text.stdout.splitlines()
        assert [": uncertain  (" in line for line in lines] == below
        assert all(" + 5 = " in line and " %)" in line for line in lines)
        assert [answer["uncertain"] for answer in objects(shown)] == below
        assert not any(answer["uncertain"] for answer in certain)

    def test_a_drawing_that_is_not_a_digit_is_uncertain(
        self, edge_adder: Run, tmp_path: Path
    ) -> None:
        picture = Image.new("L", (200, 200), 255)
        ImageDraw.Draw(picture).line([(40, 40), (160, 160)], fill=0, width=12)
        ImageDraw.Draw(picture).line([(160, 40), (40, 160)], fill=0, width=12)
        picture.save(tmp_path / "x.png")
        done = edge_adder("predict", "x.png", "5")
        assert done.returncode == 6
        assert done.stdout.startswith("x.png: uncertain  (")
        assert edge_adder("predict", "x.png", "5", "--min-probability", "0").returncode == 0

    def test_several_digits_are_refused_unless_each_is_read(
        self, edge_adder: Run, seven_and_three: str
    ) -> None:
        line = failure(edge_adder("predict", seven_and_three, "5"), 2)
        assert line == (
            "two.png: found 2 possible digits, expected one: crop the picture to one digit, "
            "or read all with --each"
        )
        done = edge_adder("predict", seven_and_three, SEVEN, "5", "--each")
        assert done.returncode == 0
        lines = ["two.png #1: 7 + 5 = 12", "two.png #2: 3 + 5 = 8", f"{SEVEN} #1: 7 + 5 = 12"]
        assert [line.partition("  (")[0] for line in done.stdout.splitlines()] == lines

    def test_each_digit_in_json_has_its_index(self, edge_adder: Run, seven_and_three: str) -> None:
        done = edge_adder("predict", seven_and_three, "missing.png", "5", "--each", "--json")
        assert done.returncode == 6
        first, second, third = objects(done)
        assert (first["index"], first["digit"]) == (1, 7)
        assert (second["index"], second["digit"]) == (2, 3)
        assert first["preparation"]["box"][2] < second["preparation"]["box"][0]
        assert third == {"image": "missing.png", "error": "missing.png: no such file"}

    def test_the_first_of_several_frames_is_used_and_stderr_says_so(
        self, edge_adder: Run, tmp_path: Path
    ) -> None:
        seven, three = (Image.open(path).convert("L") for path in (SEVEN, THREE))
        seven.save(tmp_path / "two.tif", save_all=True, append_images=[three])
        done = edge_adder("predict", "two.tif", "5", "--json")
        (answer,) = objects(done)
        assert (answer["digit"], answer["preparation"]["is_multi_frame"]) == (7, True)
        said = "edge-adder: two.tif: has several frames or pages, the first was used\n"
        assert done.stderr == said
        seven.save(tmp_path / "one.tif")
        assert edge_adder("predict", "one.tif", "5").stderr == ""

    def test_the_limit_of_megapixels_is_the_users(self, edge_adder: Run, tmp_path: Path) -> None:
        Image.open(SEVEN).resize((1200, 1000)).save(tmp_path / "large.png")
        line = failure(edge_adder("predict", "large.png", "5", "--max-megapixels", "1.1"), 2)
        assert line.endswith("too large: expected at most 1.1 megapixels, got 1200x1000")
        done = edge_adder("predict", "large.png", "5", "--max-megapixels", "1.2")
        assert done.stdout.startswith("large.png: 7 + 5 = 12")

    def test_some_failures_exit_with_6_and_keep_the_rest(self, edge_adder: Run, empty: str) -> None:
        done = edge_adder("predict", SEVEN, empty, SEVEN, "5")
        assert done.returncode == 6
        assert done.stderr == "edge-adder: error: empty.png: the file is empty\n"
        assert done.stdout.count(": 7 + 5 = 12") == 2

    def test_a_failure_in_json_stands_in_its_place(self, edge_adder: Run, empty: str) -> None:
        done = edge_adder("predict", SEVEN, empty, SEVEN, "5", "--json")
        first, second, third = objects(done)
        assert second == {"image": empty, "error": "empty.png: the file is empty"}
        assert (first["digit"], third["digit"], done.returncode) == (7, 7, 6)

    def test_a_refused_image_is_not_saved(
        self, edge_adder: Run, empty: str, tmp_path: Path
    ) -> None:
        done = edge_adder("predict", empty, "5", "--save-input", "seen.png", "--json")
        assert done.returncode == 2
        assert [*objects(done)[0]] == ["image", "error"]
        assert not (tmp_path / "seen.png").exists()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ("--save-input five.jpg", "--save-input would overwrite five.jpg: name another file"),
            ("--explain ./five.jpg", "--explain would overwrite five.jpg: name another file"),
            ("--explain link.png", "--explain would overwrite link.png: name another file"),
            ("--save-input model.png", "--save-input would overwrite model.png: name another file"),
            (
                "--save-input a.png --explain ./a.png",
                "--save-input and --explain name the same file: name two",
            ),
            (
                "--save-input a.jpg",
                "--save-input writes PNG: name a file that ends in .png, got a.jpg",
            ),
            ("--explain a", "--explain writes PNG: name a file that ends in .png, got a"),
        ],
    )
    def test_no_output_replaces_an_input_or_another_output(
        self, edge_adder: Run, tmp_path: Path, options: str, message: str
    ) -> None:
        (tmp_path / "five.jpg").write_bytes(FIVE.read_bytes())
        (tmp_path / "model.png").write_bytes(BUNDLED_MODEL.read_bytes())
        (tmp_path / "link.png").symlink_to("five.jpg")
        done = edge_adder("predict", "five.jpg", "5", "--model", "model.png", *options.split())
        assert failure(done, 2) == message
        assert {path.name for path in tmp_path.iterdir()} == {"five.jpg", "model.png", "link.png"}
        assert (tmp_path / "five.jpg").read_bytes() == FIVE.read_bytes()
        assert (tmp_path / "model.png").read_bytes() == BUNDLED_MODEL.read_bytes()

    def test_odd_file_names_stay_on_their_line(self, edge_adder: Run, tmp_path: Path) -> None:
        for name, shown in {
            os.fsdecode(b"caf\xe9.png"): "caf\\udce9.png",
            "new\nline.png": "new\\nline.png",
        }.items():
            (tmp_path / name).write_bytes(SEVEN.read_bytes())
            assert edge_adder("predict", name, "5").stdout.startswith(f"{shown}: 7 + 5 = 12")
        assert "no\\nsuch" in failure(edge_adder("predict", "no\nsuch.png", "5"), 2)


class TestBadInput:
    @pytest.mark.parametrize("number", ["12", "-1", "-12", "3.5", "x", "٣", "", "07", "+7", "1e0"])
    def test_a_bad_number(self, edge_adder: Run, number: str) -> None:
        line = failure(edge_adder("predict", SEVEN, number), 2)
        assert line == f"the last argument must be the number to add, 0 to 9, got {number!r}"

    @pytest.mark.parametrize("name", ["-x.jpg", "-5.PNG", "--seven.png", "-copy"])
    def test_a_file_that_looks_like_an_option(
        self, edge_adder: Run, tmp_path: Path, name: str
    ) -> None:
        (tmp_path / "-copy").write_bytes(SEVEN.read_bytes())
        line = failure(edge_adder("predict", name, "7"), 2)
        hint = f"put -- before a file of such a name: edge-adder predict -- {name} 7"
        assert line.startswith("No such option")
        assert line.endswith(f"; {hint}")
        assert edge_adder("predict", "--", "-copy", "7").stdout.startswith("-copy: 7 + 7 = 14")

    def test_a_model_that_looks_like_an_option(self, edge_adder: Run, tmp_path: Path) -> None:
        (tmp_path / "-my.onnx").write_bytes(BUNDLED_MODEL.read_bytes())
        assert failure(edge_adder("info", "-my.onnx"), 2).endswith(": edge-adder info -- -my.onnx")

    def test_what_is_no_file_gets_no_hint_about_files(self, edge_adder: Run) -> None:
        line = failure(edge_adder("predict", "-x", "7"), 2)
        assert re.fullmatch("No such option:? '?-x'?[.]?", line)  # in click's words

    def test_missing_arguments(self, edge_adder: Run) -> None:
        assert "expected an image and a number" in failure(edge_adder("predict"), 2)
        assert "expected an image before" in failure(edge_adder("predict", "5"), 2)
        assert f"number to add, 0 to 9, got {str(SEVEN)!r}" in failure(
            edge_adder("predict", SEVEN), 2
        )

    def test_bad_files(self, edge_adder: Run, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "text.png").write_text("no image")
        Image.new("L", (50, 50), 200).save(tmp_path / "blank.png")
        for name, message in {
            "missing.png": "no such file",
            "folder": "is a folder, expected an image file",
            "text.png": "not an image in one of PNG, JPEG, BMP, WEBP, TIFF, GIF",
            "blank.png": "no ink found",
        }.items():
            line = failure(edge_adder("predict", name, "5"), 2)
            assert line == f"{name}: {message}"

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--provider", "gpu"], "provider must be one of auto, cpu, cuda, got 'gpu'"),
            (["--ink", "blue"], "ink must be one of auto, light, dark, got 'blue'"),
            (["--threads", "0"], "threads must be auto or an integer from 1 to 256, got 0"),
            (["--threads", "x"], "threads must be auto or an integer from 1 to 256, got 'x'"),
            (["--top", "11"], "--top must be 0 to 10, got 11"),
            (["--min-probability", "1.1"], "--min-probability must be 0 to 1, got 1.1"),
            (["--min-probability", "nan"], "--min-probability must be 0 to 1, got nan"),
            (["--max-megapixels", "90"], "--max-megapixels must be above 0 and at most 89, got 90"),
            (["--max-megapixels", "nan"], "--max-megapixels must be above 0 and at most 89"),
            (["--tpo", "1"], "No such option"),
            ([SEVEN, "5", "--save-input", "seen.png"], "--save-input takes one image, got 3"),
            ([SEVEN, "5", "--explain", "why.png"], "--explain takes one image, got 3"),
            (["--save-input", "x.png", "--each"], "--each does not take --save-input"),
            (["--distributions"], "--distributions needs --json"),
        ],
    )
    def test_bad_options(self, edge_adder: Run, options: list[str], message: str) -> None:
        assert failure(edge_adder("predict", SEVEN, "5", *options), 2).startswith(message)

    def test_a_bad_command(self, edge_adder: Run) -> None:
        line = failure(edge_adder("predct"), 2)
        assert line == "No such command 'predct'. Did you mean 'predict'?"

    def test_a_bad_model_exits_with_3(self, edge_adder: Run, tmp_path: Path) -> None:
        (tmp_path / "model.onnx").write_bytes(b"no model")
        line = failure(edge_adder("predict", SEVEN, "5", "--model", "model.onnx"), 3)
        assert line.startswith("model.onnx is text, expected an ONNX file")
        assert failure(edge_adder("info", "none.onnx"), 3).startswith("none.onnx: no such file")

    @pytest.mark.skipif(
        "CUDAExecutionProvider" in __import__("onnxruntime").get_available_providers(),
        reason="this onnxruntime has CUDA",
    )
    def test_cuda_without_cuda_exits_with_4(self, edge_adder: Run) -> None:
        line = failure(edge_adder("predict", SEVEN, "5", "--provider", "cuda"), 4)
        assert "pip install 'onnxruntime-gpu" in line

    @pytest.mark.parametrize("option", ["--save-input", "--explain"])
    def test_an_output_in_a_missing_folder_exits_with_5_before_a_model_is_loaded(
        self, edge_adder: Run, tmp_path: Path, option: str
    ) -> None:
        done = edge_adder("predict", SEVEN, "5", option, "no/x.png", "--model", "none.onnx")
        assert failure(done, 5) == f"cannot write no/x.png: there is no folder {tmp_path / 'no'}"

    @pytest.mark.parametrize(
        "command", ["train --out {}", "evaluate --model none.onnx --out {}", "bench --suite {}"]
    )
    def test_a_folder_that_cannot_be_made_exits_with_5_before_any_work(
        self, edge_adder: Run, tmp_path: Path, command: str
    ) -> None:
        (tmp_path / "file").touch()
        line = failure(edge_adder(*command.format("file/new/run").split()), 5)
        assert line == f"cannot make folder file/new/run: {tmp_path / 'file'} is not a folder"


class TestFaults:
    def test_an_internal_fault_is_one_line_and_debug_shows_the_traceback(
        self, edge_adder: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(EdgeAdder, "describe", lambda _: 1 / 0)
        message = "internal fault: ZeroDivisionError: division by zero"
        assert failure(edge_adder("info"), 1) == f"{message}; --debug prints the traceback"
        done = edge_adder("info", "--debug")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith("Traceback")
        assert done.stderr.endswith(f"edge-adder: error: {message}\n")

    def test_debug_may_stand_anywhere(self, edge_adder: Run) -> None:
        for arguments in ("--debug predict x.png 5", "predict x.png 5 --debug"):
            shown = edge_adder(*arguments.split()).stderr
            assert shown.startswith("Traceback")
            assert shown.endswith("edge-adder: error: x.png: no such file\n")
        done = edge_adder("predict", "--", "--debug", "5")  # the name of a file
        assert failure(done, 2) == "--debug: no such file"

    def test_an_interrupt_is_silent(self, edge_adder: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        def interrupt(_: EdgeAdder) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(EdgeAdder, "describe", interrupt)
        done = edge_adder("info")
        assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "")


class TestInfo:
    def test_contract_provenance_size_and_operators(
        self, edge_adder: Run, adder: EdgeAdder
    ) -> None:
        shown = edge_adder("info").stdout
        for line in (
            "model: default",
            f"size_bytes: {BUNDLED_MODEL.stat().st_size}",
            "  active: cpu",
            "  input image: uint8 (batch, 1, 28, 28)",
            "  output sum: float32 (batch, 19)",
            "  network: edge",
            "spinning: no",
        ):
            assert f"{line}\n" in shown
        assert "  operators: Cast 1, Conv 5, " in shown
        test = adder.provenance["metrics"]["test"]
        assert f", test digit {percent(test['digit'])}, sum {percent(test['sum'])}, " in shown

    def test_json_is_the_description(
        self, edge_adder: Run, adder: EdgeAdder, tmp_path: Path
    ) -> None:
        (tmp_path / "mine.onnx").write_bytes(BUNDLED_MODEL.read_bytes())
        done = edge_adder("info", "mine.onnx", "--json")
        assert objects(done) == [adder.describe() | {"model": "mine.onnx"}]


class TestHelp:
    def test_version(self, edge_adder: Run) -> None:
        assert edge_adder("--version").stdout == f"edge-adder {package.__version__}\n"

    @pytest.mark.parametrize("command", COMMANDS)
    def test_every_command_has_an_example(self, edge_adder: Run, command: str) -> None:
        done = edge_adder(command, "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"Example: edge-adder {command} " in done.stdout

    @pytest.mark.parametrize("columns", ["80", "100"])
    def test_the_list_of_commands_has_whole_sentences(
        self, edge_adder: Run, monkeypatch: pytest.MonkeyPatch, columns: str
    ) -> None:
        monkeypatch.setenv("COLUMNS", columns)
        listed = edge_adder("--help").stdout.partition("Commands:\n")[2].partition("\n\n")[0]
        assert re.findall(r"^  (\w+)", listed, re.MULTILINE) == [*COMMANDS]
        for command in COMMANDS:
            sentence = edge_adder(command, "--help").stdout.split("\n\n")[1]
            assert " ".join(sentence.split()) in " ".join(listed.split())
            assert sentence.endswith(".")
        assert max(map(len, listed.splitlines())) <= int(columns)

    def test_no_arguments_shows_the_help(self, edge_adder: Run) -> None:
        done = edge_adder()
        assert done.stdout == edge_adder("--help").stdout
        assert done.stdout.startswith("Usage: edge-adder")
        assert (done.returncode, done.stderr) == (0, "")

    def test_choices_and_figures_are_those_of_the_library(self, edge_adder: Run) -> None:
        assert f"--ink {'|'.join(get_args(Ink))}" in edge_adder("predict", "--help").stdout
        figures = {*LATENCIES, *OTHER_FIGURES}
        shown = edge_adder("bench", "--help").stdout.partition("Options:")[0]
        assert figures <= {word.strip(",;.") for word in shown.split()}


class TestDevelopmentTools:
    @pytest.mark.parametrize(
        ("words", "module", "remedy"),
        [
            ("train", "edge_adder.export.commands", "`pip install 'edge-adder[export]'`"),
            ("export", "edge_adder.export.commands", "`pip install 'edge-adder[export]'`"),
            ("networks", "edge_adder.export.commands", "`pip install 'edge-adder[export]'`"),
            ("bench --suite=runs", "benchmarks.suite", "`pip install -e '.[bench]'` in a checkout"),
        ],
    )
    def test_a_missing_package_is_named_with_the_remedy(
        self, edge_adder: Run, monkeypatch: pytest.MonkeyPatch, words: str, module: str, remedy: str
    ) -> None:
        monkeypatch.setitem(sys.modules, module, None)
        assert failure(edge_adder(*words.split()), 2) == (
            f"edge-adder {words.partition('=')[0]} needs the development tools: "
            f"run {remedy} (module {module} not found)"
        )

    def test_packages_that_do_not_load_are_one_line(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "mismatched.py").write_text("raise RuntimeError('operator nms\\nis missing')")
        monkeypatch.syspath_prepend(tmp_path)
        with pytest.raises(InputError) as refused:
            load_tools("train", "mismatched")
        message = str(refused.value)
        assert message.startswith(
            "edge-adder train cannot load its packages (operator nms is missing): run "
        )


@pytest.mark.parametrize("terminal", [False, True])
def test_a_progress_bar_is_for_terminals(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], terminal: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    with progress_bar(2, "images") as update:
        update(2)
    shown = capsys.readouterr()
    assert (shown.out, "images" in shown.err) == ("", terminal)
