"""README and the manual: what they name is there."""

import ast
import re
from pathlib import Path

import pytest

from killsync.cli.app import SUMMARIES

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BENCHMARKS = sorted((ROOT / "benchmarks").glob("*.md"))
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
TEST = re.compile(r"`(tests/\w+\.py)::(\w+)`")


def anchors(page: Path) -> set[str]:
    """Return where a link to a page may lead, as GitHub makes it from the headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for path, anchor in LINK.findall(page.read_text()):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_every_test_that_proves_a_promise_is_there() -> None:
    named = TEST.findall((ROOT / "docs" / "promises.md").read_text())
    assert named
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text())
        functions = [n.name for n in tree.body if isinstance(n, ast.FunctionDef)]
        assert name in functions, f"{file}::{name}"


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md", *BENCHMARKS], ids=str)
def test_no_page_has_a_figure_that_is_still_to_be_filled_in(page: Path) -> None:
    assert re.findall(r"FIGURE|XX|TODO|TBD", page.read_text()) == []


def test_every_command_is_in_the_table_of_commands() -> None:
    table = (ROOT / "docs" / "commands.md").read_text()
    assert [name for name in SUMMARIES if f"| `killsync {name}" not in table] == []


def test_every_page_is_reached_from_readme() -> None:
    readme = (ROOT / "README.md").read_text()
    pages = [page.name for page in (ROOT / "docs").glob("*.md")]
    assert [name for name in pages if f"(docs/{name}" not in readme] == []
