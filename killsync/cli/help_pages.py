"""A command's help as lines of styled pieces: what `help_drawing` colours, and a pipe gets plain.

No line is longer than the width unless one word is, and none is cut.
"""

import inspect
import sys
import textwrap
from collections.abc import Iterable, Iterator
from enum import StrEnum

from typer.core import TyperGroup

from killsync.cli.help_parts import HelpText
from killsync.cli.parameters import AnyCommand, Parameter, parameters

_LEFT = "  "
_GAP = "  "
_WIDEST_LEFT = 30
# beside an example stands little, and it is easier to read there
_LEAST_RIGHT = 26
_EXAMPLES = "Examples"
_GLOBAL = "More options, which may stand anywhere: `killsync --help`."


class Style(StrEnum):
    """What a piece of the help is."""

    TEXT = "text"
    HEADING = "heading"
    NAME = "name"
    VALUE = "value"
    NOTE = "note"


Piece = tuple[Style, str]
Line = list[Piece]
Row = tuple[Line, Line]
Groups = dict[str, dict[str, str]]


def page(command: AnyCommand, path: str, groups: Groups, width: int) -> list[Line]:
    """Return the help of a command; `path` is how it is called, such as `killsync users add`.

    `groups` are its commands, each with a summary, by heading.
    """
    taken = parameters(command)
    words = path.partition(" ")[2]
    text = help_text(command, words)
    lines = [_usage(path, taken, command), *_description(command, width)]
    arguments = [one for one in taken if not one.names]
    options = [one for one in taken if one.names]
    sections: list[tuple[str, list[Row]]] = [("Arguments", [_argument(one) for one in arguments])]
    # all of them in one column, whatever their heading
    longest = max((len(name) for inner in groups.values() for name in inner), default=0)
    sections += [
        (heading, [([(Style.NAME, f"{name:<{longest}}")], _text(inner[name])) for name in inner])
        for heading, inner in groups.items()
    ]
    sections.append(("Options", [_option(one) for one in options]))
    examples = [(_text(line), _note(about)) for line, about in text.examples.items()]
    codes = [([(Style.NAME, code)], _text(about)) for code, about in text.exit_codes.items()]
    sections += [(_EXAMPLES, examples), ("Exit codes", codes)]
    for heading, rows in sections:
        if rows:
            lines += [[], [(Style.HEADING, f"{heading}:")], *_rows(heading, rows, width)]
    if words:
        lines += [[], *_wrapped(Style.NOTE, _GLOBAL, width)]
    return lines


def help_text(command: AnyCommand, words: str) -> HelpText:
    """Return what a command's module says of it: `HELP` there, by the words of the command."""
    assert command.callback is not None
    said: HelpText = sys.modules[command.callback.__module__].HELP[words]
    return said


def usage_pieces(command: AnyCommand, taken: Iterable[Parameter]) -> list[str]:
    """Return what may follow a command's name, as its usage shows it."""
    pieces = ["[OPTIONS]"]
    for one in taken:
        if not one.names:
            value = f"{one.value}..." if one.repeats else one.value
            pieces.append(value if one.required else f"[{value}]")
    if isinstance(command, TyperGroup):
        pieces.append("[COMMAND]" if command.invoke_without_command else "COMMAND")
    return pieces


def plain(lines: Iterable[Line]) -> str:
    """Return the lines as a pipe gets them."""
    return "\n".join("".join(text for _, text in line) for line in lines)


def _usage(path: str, taken: list[Parameter], command: AnyCommand) -> Line:
    pieces = usage_pieces(command, taken)
    return [
        (Style.HEADING, "Usage: "),
        (Style.NAME, path),
        (Style.VALUE, f" {' '.join(pieces)}"),
    ]


def _description(command: AnyCommand, width: int) -> Iterator[Line]:
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        yield []
        if paragraph.startswith("\b"):
            yield from ([(Style.TEXT, _LEFT + line)] for line in paragraph.splitlines()[1:])
        else:
            words = " ".join(paragraph.split())
            yield from (
                [(Style.TEXT, _LEFT), *line]
                for line in _wrapped(Style.TEXT, words, width - len(_LEFT))
            )


def _argument(one: Parameter) -> Row:
    name = f"{one.value}..." if one.repeats else one.value
    return [(Style.VALUE, name)], _text(one.help)


def _option(one: Parameter) -> Row:
    left: Line = [(Style.NAME, ", ".join(one.names))]
    if one.shown:
        left.append((Style.VALUE, f" {one.shown}" if one.takes_next else one.shown))
    notes = [f"default: {one.default}"] if one.default else []
    notes += ["repeatable"] if one.repeats else []
    notes += ["required"] if one.required else []
    right = _text(one.help) + (_note(f" [{'; '.join(notes)}]") if notes else [])
    return left, right


def _rows(heading: str, rows: list[Row], width: int) -> Iterator[Line]:
    """Yield two columns; what is too wide for the left one has a line of its own."""
    widest = min(_WIDEST_LEFT, width * 2 // 5 - len(_LEFT + _GAP))
    sizes = [_size(left) for left, _ in rows]
    if heading == _EXAMPLES:
        # all or none beside each other
        widest = width - len(_LEFT + _GAP) - _LEAST_RIGHT
        sizes = sizes if max(sizes) <= widest else []
    column = max((size for size in sizes if size <= widest), default=len(_LEFT))
    beside = len(_LEFT) + column + len(_GAP)
    for left, right in rows:
        lines = _wrapped_pieces(right, width - beside) or [[]]
        if _size(left) <= column:
            gap = " " * (column - _size(left) + len(_GAP)) if lines[0] else ""
            yield [(Style.TEXT, _LEFT), *left, (Style.TEXT, gap), *lines.pop(0)]
        else:
            yield [(Style.TEXT, _LEFT), *left]
        yield from ([(Style.TEXT, " " * beside), *line] for line in lines)


def _wrapped(style: Style, text: str, width: int) -> list[Line]:
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [[(style, line)] for line in lines]


def _wrapped_pieces(pieces: Line, width: int) -> list[Line]:
    """Return the pieces broken between words, each word in its own style."""
    whole = "".join(text for _, text in pieces)
    lines: list[Line] = []
    left = [(style, word) for style, text in pieces for word in text.split()]
    for line in textwrap.wrap(whole, width, break_long_words=False, break_on_hyphens=False):
        words = [left.pop(0) for _ in line.split()]
        lines.append(_joined(words))
    return lines


def _joined(words: Line) -> Line:
    line: Line = []
    for style, word in words:
        if line and line[-1][0] == style:
            line[-1] = (style, f"{line[-1][1]} {word}")
        else:
            line += [(Style.TEXT, " "), (style, word)] if line else [(style, word)]
    return line


def _size(line: Line) -> int:
    return sum(len(text) for _, text in line)


def _text(text: str) -> Line:
    return [(Style.TEXT, text)]


def _note(text: str) -> Line:
    return [(Style.NOTE, text)]
