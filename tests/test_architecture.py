"""The shape of the house: what may import what, and what is done in one place only."""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "killsync"
LONGEST_MODULE = 320

ROW = re.compile(r"^\| (?P<step>[\w ]+) \| (?P<rooms>`[^|]+`) \|", re.MULTILINE)
SIMULATOR = "simulator"


def steps() -> list[set[str]]:
    """Return the rooms of the table, row by row, from the commands down to the values."""
    table = (ROOT / "CONTRIBUTING.md").read_text().split("## Reading the code")[1].split("\n## ")[0]
    rows = [
        (row["step"], set(re.findall(r"`(\w+)/?`", row["rooms"]))) for row in ROW.finditer(table)
    ]
    assert rows.pop() == ("beside", {SIMULATOR})
    return [rooms for _, rooms in rows]


# the entry point stands above all rooms, the package's version below them
STEPS = [{"__main__"}, *steps(), {""}]

FILES = sorted(PACKAGE.rglob("*.py"))


def dotted(file: Path) -> str:
    """Return a module's name without the package's: `store.jobs`, and the empty name for it."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(file): file for file in FILES}


@cache
def tree(module: str) -> ast.Module:
    """Parse a module: not when tests are collected, which each process of theirs does."""
    file = MODULES[module]
    return ast.parse(file.read_text(), str(file))


def room(module: str) -> str:
    """Return the folder, or the module in the root, that a module belongs to."""
    return module.split(".")[0]


def step(module: str) -> int:
    return next(n for n, rooms in enumerate(STEPS) if room(module) in rooms)


def nodes(module: str, *, type_checking: bool = True) -> Iterator[ast.AST]:
    """Yield all of a module, function bodies too."""
    todo: list[ast.AST] = [tree(module)]
    while todo:
        node = todo.pop()
        if not type_checking and isinstance(node, ast.If) and _is_type_checking(node.test):
            todo += node.orelse
            continue
        yield node
        todo += ast.iter_child_nodes(node)


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test).endswith("TYPE_CHECKING")


def imported(module: str, *, type_checking: bool = True) -> Iterator[tuple[str, str, str]]:
    """Yield (module, name in it or the empty name, name it is bound to) of every import."""
    for node in nodes(module, type_checking=type_checking):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, "", alias.asname or alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                yield node.module or "", alias.name, alias.asname or alias.name


def ours(module: str) -> Iterator[tuple[str, str, str]]:
    """Yield the imports of killsync's own modules: `from killsync import x` names a module."""
    for source, name, bound in imported(module):
        if source.split(".")[0] != "killsync":
            continue
        inner = source.removeprefix("killsync").removeprefix(".")
        child = f"{inner}.{name}".strip(".")
        yield (child, "", bound) if name and child in MODULES else (inner, name, bound)


def top_level(module: str, *, type_checking: bool = True) -> set[str]:
    """Return the names of the packages that a module imports from."""
    return {source.split(".")[0] for source, _, _ in imported(module, type_checking=type_checking)}


def texts(module: str) -> Iterator[str]:
    """Yield every string of a module that is no docstring."""
    docstrings = {
        id(node.body[0].value)
        for node in nodes(module)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in nodes(module):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in docstrings
        ):
            yield node.value


def calls(module: str) -> Iterator[str]:
    """Yield what is called, as written."""
    return (ast.unparse(node.func) for node in nodes(module) if isinstance(node, ast.Call))


# imports


def test_the_table_names_every_room() -> None:
    named = [name for rooms in STEPS for name in rooms]
    assert sorted({room(module) for module in MODULES}) == sorted([*named, SIMULATOR])


def test_rooms_import_only_from_the_steps_below_their_own() -> None:
    upwards = {
        f"{module} imports {source}"
        for module in MODULES
        for source, _, _ in ours(module)
        if SIMULATOR not in (room(module), room(source))
        and room(source) != room(module)
        and step(source) <= step(module)
    }
    assert upwards == set()


def test_only_values_lie_in_the_root() -> None:
    files = {path.stem for path in PACKAGE.glob("*.py")}
    assert files == {
        "__init__",
        "__main__",
        "delivery",
        "errors",
        "events",
        "files",
        "model",
        "times",
    }


def test_the_simulator_imports_nothing_of_the_rest_and_only_commands_import_it() -> None:
    crossing = {
        (module, room(source))
        for module in MODULES
        for source, _, _ in ours(module)
        if (room(module) == SIMULATOR) != (room(source) == SIMULATOR)
    }
    assert {room(module) for module, _ in crossing} <= {"cli"}


def test_no_imports_go_in_a_circle() -> None:
    graph = {module: {source for source, _, _ in ours(module)} - {module} for module in MODULES}
    order = list(TopologicalSorter(graph).static_order())
    assert set(order) == set(MODULES)


def test_private_names_stay_in_their_module() -> None:
    assert {module: found for module in MODULES if (found := borrowed(module))} == {}


def borrowed(module: str) -> set[str]:
    """Return the private names of other modules that a module uses."""
    bound = {bound for _, name, bound in ours(module) if not name}
    return {f"{source}.{name}" for source, name, _ in ours(module) if is_private(name)} | {
        ast.unparse(node)
        for node in nodes(module)
        if isinstance(node, ast.Attribute)
        and is_private(node.attr)
        and ast.unparse(node.value) in bound
    }


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


# what is done in one place only

SQL = re.compile(
    r"\b(SELECT|INSERT|DELETE FROM|UPDATE \w+\s+SET|CREATE (TABLE|INDEX)|DROP|ALTER|PRAGMA|BEGIN"
    r"|COMMIT|ROLLBACK|VACUUM|ORDER BY)\b"
)
EXECUTE = re.compile(r"\.(execute|executemany|executescript)$")
SENDERS = {"requests", "urllib3", "httpx", "aiohttp", "urllib.request", "http.client"}
STREAMS = {"sys.stdout", "sys.stderr", "sys.stdin", "print"}


def rooms_where(found: Callable[[str], bool]) -> set[str]:
    """Return the rooms that have a module of which something is true."""
    return {room(module) for module in MODULES if found(module)}


def test_sql_is_spoken_by_the_store_the_token_file_and_the_ways_out_only() -> None:
    def speaks(module: str) -> bool:
        return any(map(SQL.search, texts(module))) or any(map(EXECUTE.search, calls(module)))

    assert rooms_where(speaks) == {"store", "tokens", "lake"}


def test_only_http_sends() -> None:
    def sends(module: str) -> bool:
        sources = {source for source, _, _ in imported(module, type_checking=False)}
        return any(source == s or source.startswith(f"{s}.") for s in SENDERS for source in sources)

    assert rooms_where(sends) == {"http"}


def test_only_http_makes_a_session() -> None:
    def makes_one(module: str) -> bool:
        # Spark's own is none of those that send
        return any("Session" in call and "SparkSession" not in call for call in calls(module))

    assert rooms_where(makes_one) == {"http"}


def test_apprise_and_mail_are_sent_from_one_module_each() -> None:
    def users(library: str) -> set[str]:
        return {module for module in MODULES if library in top_level(module)}

    # both in a process of their own, where `http.watched` sees what they send
    assert users("apprise") == {"outbox.apprise_process"}
    assert users("smtplib") == {"outbox.mail"}


def test_only_commands_and_the_terminal_room_print() -> None:
    def prints(module: str) -> bool:
        used = {ast.unparse(n) for n in nodes(module) if isinstance(n, ast.Attribute | ast.Name)}
        return bool(used & STREAMS) or bool(top_level(module) & {"rich", "typer", "click"})

    assert rooms_where(prints) == {"cli", "terminal"}


def test_decisions_ask_neither_clock_nor_database() -> None:
    asked = set().union(
        *(
            top_level(module)
            for module in ("esi.page_count", "esi.paging", "esi.ratelimit", "sync.schedule")
        )
    )
    assert asked & {"time", "datetime", "random", "os", "sqlite3", "socket"} == set()


# size, and a word for the reader


def test_modules_are_short() -> None:
    lines = {str(file.relative_to(PACKAGE)): file.read_text().count("\n") for file in FILES}
    assert {name: count for name, count in lines.items() if count > LONGEST_MODULE} == {}


Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def public(node: Documented, name: str) -> Iterator[tuple[str, Documented]]:
    """Yield what others may use: a module, its classes and functions, their methods."""
    yield name, node
    if isinstance(node, ast.Module | ast.ClassDef):
        for inner in node.body:
            if isinstance(inner, Documented) and not inner.name.startswith("_"):
                yield from public(inner, f"{name}.{inner.name}")


def test_everything_public_says_what_it_is() -> None:
    everything = [entry for module in MODULES for entry in public(tree(module), module)]
    # an empty `__init__` has nothing to say
    assert [n for n, node in everything if node.body and not ast.get_docstring(node)] == []
