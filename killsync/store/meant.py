"""Whom a word means, of those who have a name: one rule for commands and for channels."""

import unicodedata
from collections.abc import Mapping

import msgspec

# no id has more digits, and what SQLite cannot hold is none
_MOST_DIGITS = 18


class Meant(msgspec.Struct, frozen=True):
    """Who fits a word, and whether by an id or a whole name; it means one if only one fits."""

    ids: list[int]
    is_whole: bool


def folded(text: str) -> str:
    """Return text as it compares with the same one in another case, or composed otherwise."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def meant(word: str, names: Mapping[int, str]) -> Meant:
    """Return who has the id that a word is, else its name in any case, else one that it begins."""
    if word.isdecimal() and len(word) <= _MOST_DIGITS and int(word) in names:
        return Meant([int(word)], is_whole=True)
    wanted = folded(word)
    by_id = {user_id: folded(name) for user_id, name in sorted(names.items())}
    same = [user_id for user_id, name in by_id.items() if name == wanted]
    if same or not word.strip():
        return Meant(same, is_whole=True)
    begun = [user_id for user_id, name in by_id.items() if name.startswith(wanted)]
    return Meant(sorted(begun, key=lambda user_id: by_id[user_id]), is_whole=False)
