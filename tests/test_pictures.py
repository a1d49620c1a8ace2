"""The pictures of README and the manual: what the program prints, with nothing from elsewhere."""

import importlib.util
import re
import xml.etree.ElementTree as ET
from html import unescape
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts" / "draw_pictures.py"
SVG = "{http://www.w3.org/2000/svg}"
KEPT = {file.stem: file.read_text() for file in (ROOT / "docs").glob("*.svg")}


@pytest.fixture(scope="module")
def drawn() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("draw_pictures", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    pictures: dict[str, str] = module.pictures()
    return pictures


def words(picture: str) -> str:
    """Return the text of a picture, as somebody sees it."""
    texts = ET.fromstring(picture).iter(f"{SVG}text")
    return " ".join(unescape(text.text or "") for text in texts).replace("\xa0", " ")


@pytest.mark.parametrize("name", KEPT)
def test_a_picture_shows_what_this_version_prints(drawn: dict[str, str], name: str) -> None:
    # by its words: how they are drawn is the library's; `python scripts/draw_pictures.py` renews it
    assert words(KEPT[name]) == words(drawn[name])


def test_every_picture_is_kept(drawn: dict[str, str]) -> None:
    assert drawn.keys() == KEPT.keys()


@pytest.mark.parametrize("name", KEPT)
def test_a_picture_fetches_nothing(name: str) -> None:
    picture = KEPT[name]
    assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", picture)
    assert not re.search(r"@import|@font-face|<script|href", picture)
    # a namespace, a comment that names the library, and what a killmail's own address is
    addresses = set(re.findall(r"https?://[^\s\"'<>&]+", picture))
    shown = {address for address in addresses if address in words(picture)}
    assert addresses - shown == {"http://www.w3.org/2000/svg", "https://www.textualize.io"}


@pytest.mark.parametrize("name", KEPT)
def test_a_picture_is_seen_in_the_manual(name: str) -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    assert any(re.search(rf"!\[[^]]+\]\((docs/)?{name}\.svg\)", page.read_text()) for page in pages)
