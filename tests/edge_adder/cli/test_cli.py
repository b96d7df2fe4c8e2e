"""The command line as a person and a script meet it."""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import edge_adder as package
from edge_adder import EdgeAdder, prepare_image
from edge_adder.environment import allowed_cores
from edge_adder.predictor import BUNDLED_MODEL

EXAMPLES = Path(__file__).parents[3] / "examples"
SEVEN = EXAMPLES / "seven.png"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def fails(done: subprocess.CompletedProcess[str], code: int) -> str:
    """Check that a run failed as promised; return its one line."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("edge-adder: error: ")
    return lines[0].removeprefix("edge-adder: error: ")


class TestPredict:
    def test_one_image(self, edge_adder: Run) -> None:
        done = edge_adder("predict", SEVEN, "5")
        answer = EdgeAdder().predict(SEVEN, 5)
        percent = f"{100 * answer.digit_probability:.2f}"
        assert done.stdout == f"{SEVEN}: 7 + 5 = 12  ({percent} %)\n"
        assert (done.stderr, done.returncode) == ("", 0)

    def test_several_images_in_order(self, edge_adder: Run) -> None:
        names = ["three.png", "five.jpg", "four.png", "seven.png"]
        done = edge_adder("predict", *(EXAMPLES / name for name in names), "9")
        answers = [line.partition(": ")[2].partition("  ")[0] for line in done.stdout.splitlines()]
        assert answers == ["3 + 9 = 12", "5 + 9 = 14", "4 + 9 = 13", "7 + 9 = 16"]

    def test_standard_input(self, edge_adder: Run) -> None:
        done = edge_adder("predict", "-", "1", input=SEVEN.read_bytes(), text=False)
        assert done.stdout.startswith(b"-: 7 + 1 = 8  (")

    def test_json_lines(self, edge_adder: Run) -> None:
        done = edge_adder("predict", SEVEN, EXAMPLES / "three.png", "5", "--json")
        first, second = map(json.loads, done.stdout.splitlines())
        answer = EdgeAdder().predict(SEVEN, 5)
        assert first.pop("digit_probability") == pytest.approx(answer.digit_probability, abs=1e-6)
        assert first.pop("sum_probability") == pytest.approx(answer.sum_probability, abs=1e-6)
        assert first == {
            "image": str(SEVEN),
            "number": 5,
            "digit": 7,
            "sum": 12,
            "provider": {"requested": "cpu", "active": "cpu"},
            "model": "default",
            "preparation": {
                "ready": True,
                "ink": "light",
                "channel": "brightness",
                "paper": "plain",
                "sheet": False,
                "box": None,
                "stroke_width": None,
                "is_multi_frame": False,
            },
            "uncertain": False,
        }
        assert (second["digit"], second["sum"]) == (3, 8)
        told = second["preparation"]
        assert (told["ready"], told["ink"], told["paper"]) == (False, "dark", "plain")
        assert len(told["box"]) == 4

    def test_top(self, edge_adder: Run) -> None:
        plain = edge_adder("predict", SEVEN, "5", "--top", "3").stdout.splitlines()
        assert len(plain) == 4
        assert plain[1].split()[:2] == ["digit", "7"]
        assert plain[1].split()[4:6] == ["sum", "12"]
        done = edge_adder("predict", SEVEN, "5", "--top", "2", "--json")
        top = json.loads(done.stdout)
        assert top["top_digits"][0][0] == 7
        assert top["top_sums"][0][0] == 12
        assert len(top["top_digits"]) == len(top["top_sums"]) == 2

    def test_save_input_writes_what_the_network_saw(self, edge_adder: Run, tmp_path: Path) -> None:
        done = edge_adder("predict", EXAMPLES / "five.jpg", "5", "--save-input", "seen.png")
        assert ": 5 + 5 = 10  (" in done.stdout
        seen = np.asarray(Image.open(tmp_path / "seen.png"))
        assert np.array_equal(seen, prepare_image(EXAMPLES / "five.jpg"))
        again = edge_adder("predict", "seen.png", "5")
        assert again.stdout.partition(": ")[2] == done.stdout.partition(": ")[2]

    def test_explain_draws_and_preview_prints(self, edge_adder: Run, tmp_path: Path) -> None:
        done = edge_adder("predict", EXAMPLES / "five.jpg", "5", "--explain", "why.png")
        assert done.returncode == 0
        with Image.open(tmp_path / "why.png") as picture:
            assert picture.width > 1000
        again = edge_adder("predict", EXAMPLES / "five.jpg", SEVEN, "5", "--preview")
        lines = again.stdout.splitlines()
        assert len(lines) == 2 * 29
        assert lines[28] == done.stdout.rstrip()
        assert "\N{FULL BLOCK}" in again.stdout

    def test_a_refused_image_with_save_input_is_a_json_line_too(
        self, edge_adder: Run, tmp_path: Path
    ) -> None:
        (tmp_path / "empty.png").touch()
        done = edge_adder("predict", "empty.png", "5", "--save-input", "seen.png", "--json")
        assert done.returncode == 2
        assert json.loads(done.stdout) == {
            "image": "empty.png",
            "error": "empty.png: the file is empty",
        }
        assert not (tmp_path / "seen.png").exists()

    def test_the_stored_vectors_are_answered_as_pytorch_answered(
        self, edge_adder: Run, tmp_path: Path, vectors: dict[str, np.ndarray]
    ) -> None:
        rows = np.flatnonzero(vectors["number"] == 4)
        names = [f"{row}.png" for row in rows]
        for name, row in zip(names, rows, strict=True):
            Image.fromarray(vectors["image"][row, 0]).save(tmp_path / name)
        lines = edge_adder("predict", *names, "4", "--json").stdout.splitlines()
        told = [(json.loads(line)["digit"], json.loads(line)["sum"]) for line in lines]
        answers = zip(vectors["digit"][rows].argmax(1), vectors["sum"][rows].argmax(1), strict=True)
        assert told == list(answers)
        assert len(told) == 30

    def test_ink_can_be_forced(self, edge_adder: Run) -> None:
        done = edge_adder("predict", EXAMPLES / "three.png", "5", "--ink", "dark")
        assert ": 3 + 5 = 8  (" in done.stdout

    def test_another_model_and_more_threads(self, edge_adder: Run, tmp_path: Path) -> None:
        (tmp_path / "mine.onnx").write_bytes(BUNDLED_MODEL.read_bytes())
        done = edge_adder("predict", SEVEN, "5", "--json", "--model", "mine.onnx", "--threads", "2")
        assert json.loads(done.stdout)["model"] == "mine.onnx"

    def test_threads_of_all_cores_that_may_wait_busily(self, edge_adder: Run) -> None:
        done = edge_adder("info", "--threads", "auto", "--spinning", "--json")
        facts = json.loads(done.stdout)
        assert (facts["threads"], facts["spinning"]) == (allowed_cores(), True)

    def test_auto_says_what_it_chose(self, edge_adder: Run) -> None:
        done = edge_adder("predict", SEVEN, "5", "--provider", "auto", "--json")
        provider = json.loads(done.stdout)["provider"]
        assert provider["requested"] == "auto"
        assert done.stderr == f"edge-adder: provider auto: {provider['active']}\n"

    def test_an_improbable_answer_is_unsure_and_exits_with_6(self, edge_adder: Run) -> None:
        both = [SEVEN, str(Path(SEVEN).with_name("five.jpg"))]
        sure = [
            json.loads(x)
            for x in edge_adder("predict", *both, "5", "--json").stdout.split("\n")[:-1]
        ]
        assert not any(answer["uncertain"] for answer in sure)
        low, high = sorted(answer["sum_probability"] for answer in sure)
        between = str((low + high) / 2)

        done = edge_adder("predict", *both, "5", "--min-probability", between)
        assert done.returncode == 6
        lines = done.stdout.splitlines()
        assert [": uncertain  (" in line for line in lines] == [
            answer["sum_probability"] == low for answer in sure
        ]
        assert all(" + 5 = " in line and " %)" in line for line in lines)
        assert done.stderr == ""

        done = edge_adder("predict", *both, "5", "--min-probability", between, "--json")
        assert done.returncode == 6
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        assert [answer["uncertain"] for answer in answers] == [
            answer["sum_probability"] == low for answer in sure
        ]
        assert edge_adder("predict", *both, "5", "--min-probability", str(low)).returncode == 0

    def test_what_is_no_digit_is_unsure_unless_all_is_let_pass(
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

    def test_several_digits_are_refused_or_read_one_by_one(
        self, edge_adder: Run, tmp_path: Path
    ) -> None:
        seven, three = (
            np.asarray(Image.open(Path(SEVEN).with_name(name)).convert("L").resize((112, 112)))
            for name in ("seven.png", "three.png")
        )
        Image.fromarray(np.hstack([seven, 255 - three])).save(tmp_path / "two.png")
        line = fails(edge_adder("predict", "two.png", "5"), 2)
        assert line.startswith("two.png: found 2 things that may be digits, expected one")
        assert "--each" in line
        done = edge_adder("predict", "two.png", SEVEN, "5", "--each")
        assert done.returncode == 0
        first, second, third = done.stdout.splitlines()
        assert first.startswith("two.png #1: 7 + 5 = 12  (")
        assert second.startswith("two.png #2: 3 + 5 = 8  (")
        assert third.startswith(f"{SEVEN} #1: 7 + 5 = 12  (")
        done = edge_adder("predict", "two.png", "missing.png", "5", "--each", "--json")
        assert done.returncode == 6
        told = [json.loads(line) for line in done.stdout.splitlines()]
        assert [each.get("index") for each in told] == [1, 2, None]
        assert [each.get("digit") for each in told] == [7, 3, None]
        assert told[0]["preparation"]["box"][2] < told[1]["preparation"]["box"][0]
        assert told[2]["error"] == "missing.png: no such file"

    def test_of_several_frames_the_first_is_used_and_said(
        self, edge_adder: Run, tmp_path: Path
    ) -> None:
        first, second = (Image.open(Path(SEVEN).with_name(n)) for n in ("seven.png", "five.jpg"))
        second = second.convert("L").resize((28, 28))
        first.save(tmp_path / "two.tif", save_all=True, append_images=[second])
        done = edge_adder("predict", "two.tif", "5")
        assert done.stdout.startswith("two.tif: 7 + 5 = 12")
        assert (
            done.stderr == "edge-adder: two.tif: has several frames or pages, the first was used\n"
        )
        told = json.loads(edge_adder("predict", "two.tif", "5", "--json").stdout)
        assert told["preparation"]["is_multi_frame"] is True
        first.save(tmp_path / "one.tif")
        assert edge_adder("predict", "one.tif", "5").stderr == ""

    def test_the_limit_of_megapixels_is_the_users(self, edge_adder: Run, tmp_path: Path) -> None:
        large = Image.open(SEVEN).resize((1200, 1000))
        large.save(tmp_path / "large.png")
        line = fails(edge_adder("predict", "large.png", "5", "--max-megapixels", "1.1"), 2)
        wanted = "large.png: the image is too large: expected at most 1.1 megapixels, got 1200x1000"
        assert line == wanted
        done = edge_adder("predict", "large.png", "5", "--max-megapixels", "1.2")
        assert done.stdout.startswith("large.png: 7 + 5 = 12")

    def test_some_failures_exit_with_6_and_keep_the_rest(
        self, edge_adder: Run, tmp_path: Path
    ) -> None:
        (tmp_path / "empty.png").touch()
        done = edge_adder("predict", "empty.png", SEVEN, "5")
        assert done.returncode == 6
        assert done.stderr == "edge-adder: error: empty.png: the file is empty\n"
        assert done.stdout.startswith(f"{SEVEN}: 7 + 5 = 12")

    def test_a_failure_in_json_stands_in_its_place(self, edge_adder: Run, tmp_path: Path) -> None:
        (tmp_path / "empty.png").touch()
        done = edge_adder("predict", SEVEN, "empty.png", SEVEN, "5", "--json")
        assert done.returncode == 6
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert lines[1] == {"image": "empty.png", "error": "empty.png: the file is empty"}
        assert [line.get("digit") for line in lines] == [7, None, 7]

    def test_a_reader_that_leaves_early_ends_it_quietly(self) -> None:
        with subprocess.Popen(
            [sys.executable, "-m", "edge_adder", "predict", SEVEN, "5"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            process.stdout.close()
            assert process.stderr is not None
            err = process.stderr.read()
        assert err == b""
        assert process.returncode == -signal.SIGPIPE

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
    def test_a_full_disk_behind_stdout_is_one_line(self) -> None:
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "edge_adder", "predict", SEVEN, "5"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert done.stderr == (
            "edge-adder: error: cannot read or write standard output: No space left on device\n"
        )
        assert done.returncode == 5

    @pytest.mark.parametrize(
        ("arguments", "code", "err"),
        [
            (f"{SEVEN} 5 >&-", 0, ""),
            ("none.png 5 2>&-", 2, ""),
            ("- 5 <&-", 2, "standard input is closed: expected an image on it for -"),
        ],
    )
    def test_closed_streams_are_no_fault(self, arguments: str, code: int, err: str) -> None:
        done = subprocess.run(
            ["/bin/sh", "-c", f"{sys.executable} -m edge_adder predict {arguments}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (code, "")
        assert done.stderr == (f"edge-adder: error: {err}\n" if err else "")

    def test_odd_file_names_stay_on_their_line(self, edge_adder: Run, tmp_path: Path) -> None:
        name = os.fsdecode(b"caf\xe9.png")
        (tmp_path / name).write_bytes(SEVEN.read_bytes())
        done = edge_adder("predict", name, "5")
        assert done.stdout.startswith("caf\\udce9.png: 7 + 5 = 12")
        (tmp_path / "new\nline.png").write_bytes(SEVEN.read_bytes())
        done = edge_adder("predict", "new\nline.png", "5")
        assert done.stdout.startswith("new\\nline.png: 7 + 5 = 12")
        assert "no\\nsuch" in fails(edge_adder("predict", "no\nsuch.png", "5"), 2)


class TestBadInput:
    @pytest.mark.parametrize("number", ["12", "-1", "-12", "3.5", "x", "٣", "", "07", "+7", "1e0"])
    def test_a_bad_number(self, edge_adder: Run, number: str) -> None:
        line = fails(edge_adder("predict", SEVEN, number), 2)
        assert line == (f"number must be an integer from 0 to 9, after the images, got {number!r}")

    def test_missing_arguments(self, edge_adder: Run) -> None:
        assert "expected an image and a number" in fails(edge_adder("predict"), 2)
        assert "expected an image before" in fails(edge_adder("predict", "5"), 2)
        assert "after the images" in fails(edge_adder("predict", SEVEN), 2)

    def test_bad_files(self, edge_adder: Run, tmp_path: Path) -> None:
        (tmp_path / "empty.png").touch()
        (tmp_path / "text.png").write_text("no image")
        (tmp_path / "half.png").write_bytes((EXAMPLES / "three.png").read_bytes()[:2000])
        (tmp_path / "folder").mkdir()
        Image.new("L", (50, 50), 200).save(tmp_path / "blank.png")
        for name, message in {
            "missing.png": "no such file",
            "empty.png": "the file is empty",
            "text.png": "not an image in one of PNG, JPEG, BMP, WEBP, TIFF, GIF",
            "half.png": "damaged PNG image",
            "folder": "is a folder, expected an image file",
            "blank.png": "no ink found",
        }.items():
            line = fails(edge_adder("predict", name, "5"), 2)
            assert line.startswith(f"{name}: {message}")

    def test_a_bomb(self, edge_adder: Run, tmp_path: Path) -> None:
        def chunk(kind: bytes, body: bytes) -> bytes:
            checksum = struct.pack(">I", zlib.crc32(kind + body))
            return struct.pack(">I", len(body)) + kind + body + checksum

        header = struct.pack(">IIBBBBB", 50_000, 50_000, 1, 0, 0, 0, 0)
        pixels = zlib.compress(bytes(10**6), 9)
        (tmp_path / "bomb.png").write_bytes(
            b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", header)
            + chunk(b"IDAT", pixels)
            + chunk(b"IEND", b"")
        )
        line = fails(edge_adder("predict", "bomb.png", "5"), 2)
        assert line.startswith("bomb.png: the image is too large: expected at most 50 megapixels")

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
            (["--tpo", "1"], "No such option"),
            ([SEVEN, "5", "--save-input", "seen.png"], "--save-input takes one image, got 3"),
            ([SEVEN, "5", "--explain", "why.png"], "--explain takes one image, got 3"),
            (["--preview", "--json"], "expected --preview or --json, got both"),
            (
                ["--max-megapixels", "90"],
                "--max-megapixels must be above 0 and at most 89, got 90.0",
            ),
            (["--max-megapixels", "nan"], "--max-megapixels must be above 0 and at most 89"),
            (["--preview", "--each"], "--each takes none of --save-input, --explain, --preview"),
        ],
    )
    def test_bad_options(self, edge_adder: Run, options: list[str], message: str) -> None:
        line = fails(edge_adder("predict", SEVEN, "5", *options), 2)
        assert line.startswith(message)

    def test_a_bad_command(self, edge_adder: Run) -> None:
        assert "No such command 'predct'" in fails(edge_adder("predct"), 2)

    def test_a_bad_model_exits_with_3(self, edge_adder: Run, tmp_path: Path) -> None:
        (tmp_path / "model.onnx").write_bytes(b"no model")
        line = fails(edge_adder("predict", SEVEN, "5", "--model", "model.onnx"), 3)
        assert line.startswith("model.onnx is text, expected an ONNX file")
        assert "no model" in fails(edge_adder("info", "none.onnx"), 3)

    @pytest.mark.skipif(
        "CUDAExecutionProvider" in __import__("onnxruntime").get_available_providers(),
        reason="this onnxruntime has CUDA",
    )
    def test_cuda_without_cuda_exits_with_4(self, edge_adder: Run) -> None:
        line = fails(edge_adder("predict", SEVEN, "5", "--provider", "cuda"), 4)
        assert "pip install 'onnxruntime-gpu" in line

    def test_an_output_that_cannot_be_written_exits_with_5(self, edge_adder: Run) -> None:
        line = fails(edge_adder("predict", SEVEN, "5", "--save-input", "no/seen.png"), 5)
        assert line == "cannot write no/seen.png: No such file or directory"

    def test_an_internal_fault_is_one_line_and_debug_shows_the_traceback(self) -> None:
        code = (
            "import sys, edge_adder.predictor as p\n"
            "p.EdgeAdder.describe = lambda self: 1 / 0\n"
            "from edge_adder.cli.main import main; main()"
        )
        for arguments in (["info"], ["info", "--debug"]):
            done = subprocess.run(
                [sys.executable, "-c", code, *arguments],
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 1
            assert done.stderr.splitlines()[-1].startswith(
                "edge-adder: error: internal fault: ZeroDivisionError: division by zero"
            )
            assert ("Traceback" in done.stderr) == ("--debug" in arguments)
            assert len(done.stderr.splitlines()) == 1 or "--debug" in arguments

    def test_debug_may_stand_anywhere(self, edge_adder: Run) -> None:
        for arguments in (
            ["--debug", "predict", "x.png", "5"],
            ["predict", "x.png", "5", "--debug"],
        ):
            told = edge_adder(*arguments).stderr
            assert told.startswith("Traceback")
            assert told.endswith("edge-adder: error: x.png: no such file\n")


class TestOthers:
    def test_info_shows_contract_provenance_size_and_operators(self, edge_adder: Run) -> None:
        shown = edge_adder("info").stdout
        for line in (
            "model: default",
            f"size_bytes: {BUNDLED_MODEL.stat().st_size}",
            "  active: cpu",
            "  input image: uint8 (batch, 1, 28, 28)",
            "  output sum: float32 (batch, 19)",
            "  network: edge",
        ):
            assert line in shown.splitlines()
        assert "  operators: Cast 1, Conv 5, " in shown

    def test_info_json_is_the_description(self, edge_adder: Run, tmp_path: Path) -> None:
        (tmp_path / "mine.onnx").write_bytes(BUNDLED_MODEL.read_bytes())
        done = edge_adder("info", "mine.onnx", "--json")
        assert json.loads(done.stdout) == EdgeAdder().describe() | {"model": "mine.onnx"}

    def test_version(self, edge_adder: Run) -> None:
        assert edge_adder("--version").stdout == f"edge-adder {package.__version__}\n"

    @pytest.mark.parametrize("command", ["predict", "info", "doctor", "train", "export"])
    def test_every_command_has_help_with_an_example(self, edge_adder: Run, command: str) -> None:
        done = edge_adder(command, "--help")
        assert done.returncode == 0
        assert f"Example: edge-adder {command} " in done.stdout
        assert command in edge_adder("--help").stdout

    def test_no_arguments_shows_the_help(self, edge_adder: Run) -> None:
        done, asked = edge_adder(), edge_adder("--help")
        assert done.stdout == asked.stdout
        assert done.stdout.startswith("Usage: edge-adder")
        assert (done.returncode, done.stderr) == (0, "")

    def test_a_missing_workshop_is_named_with_the_remedy(self, tmp_path: Path) -> None:
        code = (
            "import sys; sys.modules['torch'] = None; sys.modules['torchvision'] = None\n"
            "from edge_adder.cli.main import main; main()"
        )
        for command in ("train", "export"):
            done = subprocess.run(
                [sys.executable, "-c", code, command],
                capture_output=True,
                text=True,
                check=False,
                cwd=tmp_path,
            )
            line = fails(done, 2)
            assert line.startswith(f"{command} needs ")
            assert line.endswith("run `pip install -e '.[export]'` in a checkout of edge-adder")
