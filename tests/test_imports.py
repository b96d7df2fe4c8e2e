"""Who imports whom: the arrows of the architecture, and nothing heavy before it is needed."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "examples" / "five.jpg"
STANDARD = sys.stdlib_module_names | {"__future__"}
RUNTIME = {"numpy", "onnxruntime", "PIL", "typer"}

ALLOWED = {
    "edge_adder": STANDARD | RUNTIME | {"edge_adder"},
    "export": STANDARD
    | {"numpy", "PIL", "torch", "torchvision", "onnx", "onnxscript", "onnxruntime", "safetensors"}
    | {"rich", "matplotlib", "unlzw3", "typer", "edge_adder"},
}

CORE = {"edge_adder.contract", "edge_adder.errors", "edge_adder.files"}
"""What stands on the standard library alone, and serves both sides."""

SHARED = CORE | {
    "edge_adder.checks",
    "edge_adder.environment",
    "edge_adder.evaluation.datasets",
    "edge_adder.evaluation.report",
    "edge_adder.preprocessing.morphology",
    "edge_adder.preprocessing.normalize",
    "edge_adder.preprocessing.prepare",
    "edge_adder.evaluation.drawings",
    "edge_adder.serve.settings",
}
"""What the development tools share with the runtime; it runs no model."""

CHECKERS = {"to_onnx.py", "verify.py", "adopt.py"}
"""The files of `export` that run what it made."""


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, also within functions, but for types alone."""
    pending: list[ast.AST] = [ast.parse(path.read_text())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:  # its own package: `export` has another name in the wheel
                assert path.is_relative_to(ROOT / "export"), f"{path}: relative import"
            else:
                yield node.module or ""
        elif not (isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"):
            pending += ast.iter_child_nodes(node)


def files(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


def edges(package: str) -> Iterator[tuple[str, str]]:
    """The name of each file of a package with each module that it imports."""
    return ((path.name, module) for path in files(package) for module in imports(path))


EXTRAS = {
    "edge_adder/serve": {"starlette", "uvicorn", "h11", "prometheus_client", "python_multipart"}
}
"""What a folder may import beside what its package may, with an extra of its own."""


@pytest.mark.parametrize("package", ALLOWED)
def test_a_package_imports_only_what_is_below_it(package: str) -> None:
    for path in files(package):
        extra = EXTRAS.get(path.parent.relative_to(ROOT).as_posix(), set())
        used = {module.partition(".")[0] for module in imports(path)}
        assert used <= ALLOWED[package] | extra, path


def test_the_parts_of_an_extra_are_imported_by_their_command_alone() -> None:
    own = {"edge_adder.serve", "edge_adder.serve.settings"}
    users = {
        (path.name, module)
        for path in files("edge_adder")
        if path.parent.name != "serve"
        for module in imports(path)
        if module.startswith("edge_adder.serve")
    }
    assert {user for user in users if user[1] not in own} == set()
    assert {name for name, _ in users} == {"serve.py"}


def test_contract_errors_and_files_stand_on_the_standard_library() -> None:
    for name in CORE:
        used = set(imports(ROOT / (name.replace(".", "/") + ".py")))
        assert {module for module in used if module.partition(".")[0] not in STANDARD} <= CORE


def test_export_uses_the_runtime_only_to_check_what_it_made() -> None:
    runtime = {(name, used) for name, used in edges("export") if used.startswith("edge_adder")}
    assert {name for name, used in runtime if used not in SHARED} <= CHECKERS


def test_what_the_development_tools_share_loads_no_onnxruntime() -> None:
    assert "onnxruntime" not in loaded_after(f"import {', '.join(sorted(SHARED))}")


def test_no_other_command_imports_score() -> None:
    users = {
        p for p in files("edge_adder") for used in imports(p) if used.startswith("edge_adder.score")
    }
    names = {path.relative_to(ROOT / "edge_adder").as_posix() for path in users}
    assert {name for name in names if not name.startswith("score/")} == {"cli/score.py"}


def test_only_the_session_imports_onnxruntime() -> None:
    assert {name for name, used in edges("edge_adder") if used == "onnxruntime"} == {"session.py"}


PRODUCTS = {
    *("dot", "vdot", "inner", "outer", "matmul", "tensordot", "einsum", "vecdot", "matvec"),
    *("vecmat", "convolve", "correlate", "cov", "corrcoef", "linalg", "polyfit", "kron"),
}
"""What numpy may hand to BLAS, and with it to locks and threads that a forked process does not
have: of 1,000 that were forked during a product of 3 × 784 by 784, two hung in a lock."""


def products(node: ast.AST, function: str = "") -> Iterator[str]:
    """The function around each product of arrays in a syntax tree."""
    for child in ast.iter_child_nodes(node):
        name = getattr(child, "name", function) if isinstance(child, ast.FunctionDef) else function
        operator = getattr(child, "op", None)
        called = child.attr if isinstance(child, ast.Attribute) else ""
        if isinstance(operator, ast.MatMult) or called in PRODUCTS:
            yield name
        if not (isinstance(child, ast.Call) and is_plain_einsum(child)):
            yield from products(child, name)


def is_plain_einsum(call: ast.Call) -> bool:
    """Whether a call is einsum's without `optimize`, which computes in loops of its own."""
    return ast.unparse(call.func) == "np.einsum" and not call.keywords


def test_the_runtime_leaves_no_product_to_blas() -> None:
    assert not {
        (p.name, f) for p in files("edge_adder") for f in products(ast.parse(p.read_text()))
    }


def test_a_product_is_seen() -> None:
    seen = ("a @ b", "a @= b", "a.dot(b)", "np.linalg.norm(a)")
    for code in (*seen, "np.einsum('ij,jk', a, b, optimize=True)"):
        assert list(products(ast.parse(f"def f():\n    {code}"))) == ["f"]
    assert list(products(ast.parse("np.einsum('ij,j->i', a, b)"))) == []


def loaded_after(code: str) -> set[str]:
    """The modules that a fresh interpreter has after running `code`."""
    script = f"{code}\nimport sys; print(*sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {name.partition(".")[0] for name in done.stderr.splitlines()[-1].split()}


RUNNING = {"onnxruntime", "numpy", "PIL"}
TOOLS = {"torch", "torchvision", "onnx", "onnx_ir", "onnxscript", "safetensors", "matplotlib"}
TOOLS |= {"export", "benchmarks", "pyarrow", "ray"}
TOOLS |= {"starlette", "uvicorn", "prometheus_client"}
HELP = tuple(f"{name} --help" for name in ("predict", "doctor", "export", "score", "serve"))
PREDICTION = f"from edge_adder import EdgeAdder\nEdgeAdder().predict({str(SAMPLE)!r}, 2)"
COMMAND = """
from edge_adder.cli.main import main
try:
    main({!r}.split())
except SystemExit as ended:
    assert not ended.code, ended.code
"""


@pytest.mark.parametrize(
    ("code", "unneeded"),
    [
        ("import edge_adder", RUNNING | TOOLS | {"typer"}),
        *((COMMAND.format(line), RUNNING | TOOLS) for line in ("--help", "--version", *HELP)),
        (PREDICTION, TOOLS | {"typer"}),
        ("from edge_adder.doctor import run_checks\nassert run_checks().exit_code == 0", TOOLS),
    ],
)
def test_nothing_is_loaded_before_it_is_needed(code: str, unneeded: set[str]) -> None:
    loaded = loaded_after(code)
    assert loaded & unneeded == set()
    assert loaded >= RUNNING or unneeded >= RUNNING


def test_telemetry_is_off_unless_the_user_turned_it_on() -> None:
    code = "import os, edge_adder; assert os.environ['ORT_DISABLE_TELEMETRY'] == {!r}"
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    for extra, wanted in (({}, "1"), ({"ORT_DISABLE_TELEMETRY": "0"}, "0")):
        command = [sys.executable, "-c", code.format(wanted)]
        subprocess.run(command, check=True, env=environment | extra)


@pytest.mark.parametrize("first", ["", "import export.commands\n"])
def test_no_file_is_left_in_the_users_folders(first: str, tmp_path: Path) -> None:
    if first:
        pytest.importorskip("torch", reason="the development tools need the extra `export`")
    ours = ("ORT_DISABLE_TELEMETRY", "XDG_", "MPLCONFIGDIR", "CI")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    (tmp_path / "home").mkdir()
    environment |= {"HOME": str(tmp_path / "home"), "MPLCONFIGDIR": str(tmp_path / "matplotlib")}
    command = [sys.executable, "-c", first + PREDICTION]
    subprocess.run(command, check=True, cwd=ROOT, env=environment)
    assert list((tmp_path / "home").rglob("*")) == []
