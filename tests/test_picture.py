"""The picture of README's first screen: the program's own table, with nothing from elsewhere."""

import importlib.util
import re
import xml.etree.ElementTree as ET
from html import unescape
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts" / "draw_readme_picture.py"
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_readme_picture", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def words(picture: str) -> str:
    """Return the text of a picture, as somebody sees it."""
    texts = ET.fromstring(picture).iter(f"{SVG}text")
    return " ".join(unescape(text.text or "") for text in texts).replace("\xa0", " ")


def test_the_picture_shows_the_newest_kills_with_names_and_isk(script: ModuleType) -> None:
    shown = script.newest_kills(killmails=4, rows=3)
    picture = words(script.drawn(shown))
    assert [kill.killmail_id for kill in shown] == sorted(
        (kill.killmail_id for kill in shown), reverse=True
    )
    for kill in shown:
        assert kill.ship in picture
        assert kill.system in picture
        assert str(kill.killmail_id) in picture
    assert len(re.findall(r"\b\d+(\.\d)?[kmb]\b", picture)) == 3
    assert "killsync kills" in picture


def test_the_same_version_draws_the_same_picture(script: ModuleType) -> None:
    first, second = (script.drawn(script.newest_kills(killmails=2, rows=2)) for _ in range(2))
    assert first == second


def test_the_picture_in_the_repository_shows_what_this_version_lists(script: ModuleType) -> None:
    # by its words: how they are drawn is the library's
    kept = (ROOT / "docs" / "kills.svg").read_text()
    assert words(kept) == words(script.drawn(script.readme_kills()))


def test_the_picture_in_the_repository_fetches_nothing_and_stands_in_readme() -> None:
    picture = (ROOT / "docs" / "kills.svg").read_text()
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", picture)
    assert not re.search(r"@import|@font-face|<script|href", picture)
    addresses = set(re.findall(r"https?://[^\s\"'<>]+", picture))
    # a namespace, and a comment that names the library
    assert addresses == {"http://www.w3.org/2000/svg", "https://www.textualize.io"}
    assert "](docs/kills.svg)" in (ROOT / "README.md").read_text()
