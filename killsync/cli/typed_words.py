"""What is typed in bash so far, as words; and how the rest of a word is typed there."""

import re
from collections.abc import Sequence

import msgspec

_PIECE = re.compile(
    r"""
    (?P<blank>\s+)
    | '(?P<single>[^']*)(?P<single_end>'?)
    | "(?P<double>(?:[^"\\]|\\.)*)(?P<dangling>\\?)(?P<double_end>"?)
    | \\(?P<escaped>.?)
    | (?P<bare>[^\s'"\\]+)
    """,
    re.DOTALL | re.VERBOSE,
)
# what stays special between double quotes
_ESCAPED_IN_DOUBLE = re.compile(r"\\([$`\"\\])")
_SPECIAL_IN_DOUBLE = re.compile(r"([$`\"\\])")
_SPECIAL = re.compile(r"([^\w./@%+,-])", re.ASCII)


class Word(msgspec.Struct):
    """A word: what the program would get, as it is typed, and the quote that is open at its end."""

    value: str = ""
    raw: str = ""
    quote: str = ""


def split(line: str) -> list[Word]:
    """Return the words of a line; the last is the one at its end, empty after a blank."""
    words = [Word()]
    for piece in _PIECE.finditer(line):
        if piece["blank"] is not None:
            words.append(Word())
        else:
            _add(words[-1], piece)
    return words


def _add(word: Word, piece: re.Match[str]) -> None:
    word.raw += piece[0]
    if piece["single"] is not None:
        word.value += piece["single"]
        word.quote = "" if piece["single_end"] else "'"
    elif piece["double"] is not None:
        word.value += _ESCAPED_IN_DOUBLE.sub(r"\1", piece["double"])
        word.quote = "" if piece["double_end"] else '"'
    else:
        word.value += piece["escaped"] or piece["bare"] or ""
    if piece["dangling"] or piece["escaped"] == "":
        # it belongs to what is typed next
        word.raw = word.raw[:-1]


def replacements(word: Word, replaced: str, lead: str, values: Sequence[str]) -> list[str]:
    """Return what bash is to type in place of `replaced`, the end of the word, for each value.

    `lead` is what stands before the values in the word, such as `--user=`. A value that cannot be
    typed behind what stands there already is left out.
    """
    kept = word.raw.removesuffix(replaced.removesuffix("\\"))
    typed = word.value.removeprefix(lead)
    found = []
    for value in values:
        whole = f"{lead}{word.quote}{_quoted(value, word.quote)}"
        # of several, all go on from what is typed: bash types what they have in common
        more = word.raw + _quoted(value[len(typed) :], word.quote)
        forms = [whole, more] if len(values) == 1 else [more, whole]
        fitting = [form for form in forms if form.startswith(kept)]
        # bash would look up what follows an exclamation mark in its history
        if fitting and not (word.quote == '"' and "!" in value):
            found.append(fitting[0][len(kept) :])
    return found


def _quoted(text: str, quote: str) -> str:
    """Return text as it is typed: between quotes that are open already, or without any."""
    if quote == "'":
        return text.replace("'", r"'\''")
    if quote == '"':
        return _SPECIAL_IN_DOUBLE.sub(r"\\\1", text)
    return "".join(_SPECIAL.sub(r"\\\1", c) if c.isascii() else c for c in text)
