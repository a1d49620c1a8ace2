"""Changing a configuration file that a person has written: one value, and all else as it was."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from killsync.settings.config import other_of_pair
from killsync.settings.text import toml

if TYPE_CHECKING:
    from tomlkit.items import Item, Key

    Body = list[tuple[Key | None, Item]]


def changed(text: str, values: Mapping[str, object]) -> str:
    """Return the text of a configuration file with these values set, its comments as they are.

    A secret and the file that holds it replace each other. Raises UsageError if a value cannot be
    written as UTF-8, and ValueError if the text is not valid TOML.
    """
    text += "\n" if text and not text.endswith("\n") else ""
    for key, value in values.items():
        text = _with(text, key, toml(key, value))
    return text


def comments(text: str) -> Iterator[str]:
    """Yield every comment of a configuration file. Raises ValueError if it is not valid TOML."""
    import tomlkit

    yield from _comments_in(tomlkit.parse(text).body)


def _comments_in(body: "Body") -> Iterator[str]:
    from tomlkit.items import AoT, Null, Table, Whitespace

    for _, item in body:
        if isinstance(item, AoT | Table):
            for table in item.body if isinstance(item, AoT) else [item]:
                yield from _comments_in(table.value.body)
        if not isinstance(item, Whitespace | Null) and item.trivia.comment:
            yield item.trivia.comment


def _with(text: str, key: str, written: str) -> str:
    import tomlkit

    document = tomlkit.parse(text)
    other = other_of_pair(key)
    if other != key and other in document:
        del document[other]
    if key in document:
        document[key] = tomlkit.value(written)
        return tomlkit.dumps(document)
    text = tomlkit.dumps(document)
    below = _below_default(text, key, written)
    if _is_set(below, key, written, text):
        return below
    document.add(key, tomlkit.value(written))
    return tomlkit.dumps(document)


def _below_default(text: str, key: str, written: str) -> str:
    """Return the text with a new line below the one that shows the default, if there is one."""
    line = f"{key} = {written}\n".replace("\\", r"\\")
    return re.sub(rf"^#[ \t]*{key}[ \t]*=.*\n", rf"\g<0>{line}", text, count=1, flags=re.MULTILINE)


def _is_set(text: str, key: str, written: str, before: str) -> bool:
    """Return whether a text differs from another one in this key alone."""
    wanted = tomllib.loads(before) | tomllib.loads(f"{key} = {written}")
    try:
        return tomllib.loads(text) == wanted
    except tomllib.TOMLDecodeError:
        return False
