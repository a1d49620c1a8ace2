"""The page on which a person chooses the character to log in, like SSO's own."""

from collections.abc import Iterable
from html import escape
from urllib.parse import urlencode

from killsync.simulator.players import Character
from killsync.simulator.wire import Answer

_TEMPLATE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Simulated EVE login</title>
<link rel="icon" href="data:,">
<style>body {{ font: 17px/1.6 system-ui, sans-serif; max-width: 30rem; margin: 4rem auto;
padding: 0 1rem }}</style>
<h1>Simulated EVE login</h1>
<p>{client} asks to read your killmails ({scope}). Who are you?</p>
<ul>
{choices}
</ul>
<p><a href="?{denied}">Cancel</a></p>
</html>
"""


def page(query: dict[str, str], characters: Iterable[Character]) -> Answer:
    """Render one link for each character, which logs it in, and a link that cancels."""
    choices = "\n".join(
        f'<li><a href="?{_link(query, character_id=character.character_id)}">'
        f"{escape(character.name)}</a></li>"
        for character in characters
    )
    text = _TEMPLATE.format(
        client=escape(query.get("client_id", "")),
        scope=escape(query.get("scope", "")),
        choices=choices,
        denied=_link(query, cancel=1),
    )
    return Answer(200, text.encode(), content_type="text/html; charset=utf-8")


def _link(query: dict[str, str], **chosen: int) -> str:
    return escape(urlencode(query | {name: str(value) for name, value in chosen.items()}))
