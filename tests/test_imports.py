"""Who imports whom: the arrows of the architecture, and nothing heavy before it is needed."""

from __future__ import annotations

import ast
import json
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
    | {"rich", "matplotlib", "edge_adder", "export"},
}

CORE = {"edge_adder.contract", "edge_adder.errors", "edge_adder.files"}
"""What stands on the standard library alone, and serves both sides."""

SHARED = CORE | {
    "edge_adder.evaluation.datasets",
    "edge_adder.evaluation.report",
    "edge_adder.preprocessing.morphology",
    "edge_adder.preprocessing.normalize",
    "edge_adder.evaluation.figures",
}
"""What the workshop shares with the runtime; it runs no model."""

CHECKERS = {"to_onnx.py", "verify.py"}
"""The files of `export` that run what it made."""


def imports(path: Path) -> Iterator[tuple[str, bool]]:
    """Every imported module of a file, and whether the import runs when the file is imported."""

    def visit(node: ast.AST, top: bool) -> Iterator[tuple[str, bool]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING":
                continue
            if isinstance(child, ast.Import):
                yield from ((alias.name, top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: relative import"
                yield child.module or "", top
            else:
                inside = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                yield from visit(child, top and not inside)

    yield from visit(ast.parse(path.read_text()), True)


def files(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found
    return found


@pytest.mark.parametrize("package", ["edge_adder", "export"])
def test_a_package_imports_only_what_is_below_it(package: str) -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files(package)
        for module, _ in imports(path)
        if module.partition(".")[0] not in ALLOWED[package]
    ]
    assert wrong == []


def test_contract_errors_and_files_stand_on_the_standard_library() -> None:
    for name in CORE:
        path = ROOT / (name.replace(".", "/") + ".py")
        assert {m.partition(".")[0] for m, _ in imports(path)} <= STANDARD | {"edge_adder"}
        assert {m for m, _ in imports(path) if m.startswith("edge_adder")} <= CORE


def test_export_uses_the_runtime_only_to_check_what_it_made() -> None:
    users = {
        path.name
        for path in files("export")
        for module, _ in imports(path)
        if module.startswith("edge_adder") and module not in SHARED
    }
    assert users <= CHECKERS


def test_what_the_workshop_shares_loads_no_onnxruntime() -> None:
    assert "onnxruntime" not in loaded_after(f"import {', '.join(sorted(SHARED))}")


def test_only_the_session_imports_onnxruntime() -> None:
    users = {p.name for p in files("edge_adder") for m, _ in imports(p) if m == "onnxruntime"}
    assert users == {"session.py"}


PRODUCTS = {
    *("dot", "vdot", "inner", "outer", "matmul", "tensordot", "einsum", "vecdot", "matvec"),
    *("vecmat", "convolve", "correlate", "cov", "corrcoef", "linalg", "polyfit", "kron"),
}
"""What numpy may hand to BLAS, and with it to threads that a forked process does not have."""

PRODUCTS_ALLOWED = {("mnist_format.py", "is_mnist_format")}
"""Of 3 × 784 by 784, which OpenBLAS computes on the calling thread: it begins to use others at
9,216 products (`interface/gemv.c`)."""


def products(node: ast.AST, function: str = "") -> Iterator[str]:
    """The function around each product of arrays in a syntax tree."""
    for child in ast.iter_child_nodes(node):
        name = getattr(child, "name", function) if isinstance(child, ast.FunctionDef) else function
        operator = getattr(child, "op", None)
        called = child.attr if isinstance(child, ast.Attribute) else ""
        if isinstance(operator, ast.MatMult) or called in PRODUCTS:
            yield name
        if not (isinstance(child, ast.Call) and is_sum(child)):
            yield from products(child, name)


def is_sum(call: ast.Call) -> bool:
    """Whether a call is einsum's of one operand, which adds and multiplies nothing."""
    return ast.unparse(call.func) == "np.einsum" and len(call.args) == 2 and not call.keywords


def test_the_runtime_leaves_no_product_to_the_threads_of_blas() -> None:
    found = {(p.name, f) for p in files("edge_adder") for f in products(ast.parse(p.read_text()))}
    assert found == PRODUCTS_ALLOWED


@pytest.mark.parametrize(
    ("code", "seen"),
    [
        ("a @ b", True),
        ("a @= b", True),
        ("a.dot(b)", True),
        ("np.linalg.norm(a)", True),
        ("np.einsum('ij,jk', a, b)", True),
        ("np.einsum('ij->i', a, optimize=True)", True),
        ("np.einsum('ij->i', a)", False),
    ],
)
def test_a_product_is_seen(code: str, seen: bool) -> None:
    assert list(products(ast.parse(f"def f():\n    {code}"))) == ["f"] * seen


def loaded_after(code: str, **environment: str) -> set[str]:
    """The modules that a fresh interpreter has after running `code`."""
    script = f"{code}\nimport sys, json; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    return {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


WORKSHOP = {"torch", "torchvision", "onnx", "onnx_ir", "onnxscript", "safetensors", "matplotlib"}


def test_importing_the_package_is_light() -> None:
    heavy = {"onnxruntime", "numpy", "PIL", "typer", "export", "benchmarks"} | WORKSHOP
    assert loaded_after("import edge_adder") & heavy == set()


def test_help_is_light() -> None:
    code = (
        "from edge_adder.cli.main import main\n"
        "try:\n    main([{arguments}])\nexcept SystemExit as e:\n    assert not e.code, e.code"
    )
    heavy = {"onnxruntime", "numpy", "PIL", "export", "benchmarks"} | WORKSHOP
    for arguments in (
        "'--help'",
        "'predict', '--help'",
        "'doctor', '--help'",
        "'export', '--help'",
        "'--version'",
    ):
        assert loaded_after(code.format(arguments=arguments)) & heavy == set()


def test_a_prediction_never_loads_the_workshop() -> None:
    code = (
        f"from edge_adder import EdgeAdder\nassert EdgeAdder().predict({str(SAMPLE)!r}, 2).sum == 7"
    )
    loaded = loaded_after(code)
    assert loaded & ({"export", "benchmarks", "typer"} | WORKSHOP) == set()
    assert {"onnxruntime", "numpy", "PIL"} <= loaded


def test_the_doctor_never_loads_the_workshop() -> None:
    code = "from edge_adder.doctor import run_checks\nassert run_checks().exit_code == 0"
    assert loaded_after(code) & ({"export", "benchmarks"} | WORKSHOP) == set()


def test_telemetry_is_off_unless_the_user_turned_it_on() -> None:
    code = "import os, edge_adder; assert os.environ['ORT_DISABLE_TELEMETRY'] == {!r}"
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"}
    for set_to, wanted in ((None, "1"), ("0", "0")):
        extra = {} if set_to is None else {"ORT_DISABLE_TELEMETRY": set_to}
        subprocess.run(
            [sys.executable, "-c", code.format(wanted)], check=True, env=environment | extra
        )


@pytest.mark.parametrize(
    "code",
    [
        f"from edge_adder import EdgeAdder; EdgeAdder().predict({str(SAMPLE)!r}, 2)",
        "import edge_adder.predictor",
        "from edge_adder import EdgeAdder; from edge_adder.bench import run\n"
        "run.bench(EdgeAdder(), config=run.QUICK)",
        "import export.commands, edge_adder.predictor",
    ],
)
def test_no_file_is_left_in_the_users_folders(code: str, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the workshop needs the extra `export`")
    ours = ("ORT_DISABLE_TELEMETRY", "XDG_", "MPLCONFIGDIR", "CI")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
    (tmp_path / "home").mkdir()
    settings = {"HOME": str(tmp_path / "home"), "MPLCONFIGDIR": str(tmp_path / "matplotlib")}
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        cwd=ROOT,
        env=environment | settings,
    )
    assert list((tmp_path / "home").rglob("*")) == []
