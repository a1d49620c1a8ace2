"""Without the extra `engines` all tests are collected, and those that need one of it skip."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

HERE = Path(__file__).parent
ENGINES = {"boto3", "chdb", "dlt", "duckdb", "moto", "polars", "pyspark"}
TESTS = sorted([*HERE.glob("test_*.py"), HERE / "conftest.py"])


@cache
def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), str(file))


def read_at_once(node: ast.AST) -> Iterator[str]:
    """Yield what is imported as soon as a module is, not by its functions or for types only."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield node.module or ""
    elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not is_for_types(node):
        for inner in ast.iter_child_nodes(node):
            yield from read_at_once(inner)


def is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


@cache
def engines_read_by(file: Path) -> frozenset[str]:
    """Return which engines are imported with a module, by the modules of tests beside it too."""
    found: set[str] = set()
    for name in read_at_once(parsed(file)):
        library = name.split(".")[0]
        beside = HERE / f"{library}.py"
        found |= {library} & ENGINES
        found |= engines_read_by(beside) if beside.exists() else set()
    return frozenset(found)


def asked_for(file: Path) -> set[str]:
    """Return which engines the tests of a module ask for, or skip."""
    calls = (node for node in ast.walk(parsed(file)) if isinstance(node, ast.Call))
    names = (ast.literal_eval(call.args[0]) for call in calls if is_asking(call))
    return {name.split(".")[0] for name in names} & ENGINES


def is_asking(call: ast.Call) -> bool:
    return ast.unparse(call.func) == "pytest.importorskip" and isinstance(
        call.args[0], ast.Constant
    )


def test_no_engine_is_needed_to_collect_the_tests() -> None:
    assert {file.name: found for file in TESTS if (found := engines_read_by(file))} == {}


def test_what_asks_for_an_engine_is_marked_so() -> None:
    unmarked = [f.name for f in TESTS if asked_for(f) and "mark.engines" not in f.read_text()]
    assert unmarked == []


def test_an_engine_is_found_through_a_module_beside(tmp_path: Path) -> None:
    direct = tmp_path / "test_direct.py"
    direct.write_text(
        "try:\n    import os\nexcept OSError:\n    from pyspark.sql import functions\n"
    )
    late = tmp_path / "test_late.py"
    late.write_text("import world\ndef test() -> None:\n    import duckdb\n")
    assert engines_read_by(direct) == {"pyspark"}
    assert engines_read_by(late) == set()
