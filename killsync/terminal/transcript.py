"""The last lines of what was printed, fit to leave this machine."""

import re

from killsync.terminal.text import safe

_LONGEST_LINE = 1000
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_URL = re.compile(r"\b([a-z][a-z0-9+.-]*)://([^\s/?#\"'<>]*)([^\s\"'<>]*)", re.IGNORECASE)
# as a token, a key or a killmail's hash is; names have spaces, and words no digits
_LIKE_A_SECRET = re.compile(r"(?<![\w+=-])(?=[\w+=-]*\d)[\w+=-]{24,}", re.ASCII)
_HIDDEN = "(hidden)"
_MOST_KEPT = 1 << 16
# how rich draws over what it has drawn, and what else is printed
_PIECE = re.compile(rb"(\n)|(\r)|\x1b\[(\d*)A|(\x1b\[2K)|([^\n\r\x1b]+|\x1b)")


class Transcript:
    """The last of what is printed, as a terminal shows it: what was drawn over is gone."""

    def __init__(self) -> None:
        self._lines = [b""]
        self._row = 0
        self._size = 0
        self._returned = False

    @property
    def text(self) -> str:
        """What was printed last, from the beginning of a line."""
        return b"\n".join(self._lines).decode(errors="replace")

    def add(self, data: bytes) -> None:
        """Take in what is printed."""
        for newline, back, up, erase, printed in _PIECE.findall(data):
            if newline:
                self._row += 1
                if self._row == len(self._lines):
                    self._lines.append(b"")
            elif printed:
                self._put((b"" if self._returned else self._lines[self._row]) + printed)
            elif erase:
                self._put(b"")
            elif not back:
                self._row = max(0, self._row - int(up or 1))
            self._returned = bool(back) or (self._returned and not (newline or printed))
        self._forget()

    def _put(self, line: bytes) -> None:
        self._size += len(line) - len(self._lines[self._row])
        self._lines[self._row] = line

    def _forget(self) -> None:
        """Drop the first lines if there are too many, which is not looked at for each."""
        if self._size + len(self._lines) <= 2 * _MOST_KEPT:
            return
        while self._size + len(self._lines) > _MOST_KEPT and self._row > 0:
            self._size -= len(self._lines.pop(0))
            self._row -= 1


def last_lines(printed: str, largest: int) -> str:
    """Return the last whole lines of what was printed, of at most so many bytes.

    Without what only moves a terminal's cursor; of addresses no more is left than the host, and
    nothing of what looks like a secret.
    """
    kept: list[str] = []
    for line in reversed(printed.split("\n")):
        shown = _harmless(line)
        if not shown:
            continue
        largest -= len(shown.encode()) + 1
        if largest < 0:
            break
        kept.append(shown)
    return "".join(f"{line}\n" for line in reversed(kept))


def _harmless(line: str) -> str:
    # a terminal shows what follows the last return
    visible = _ESCAPE.sub("", line).rstrip("\r").rpartition("\r")[2].rstrip()
    return safe(_LIKE_A_SECRET.sub(_HIDDEN, _URL.sub(_host_alone, visible)), _LONGEST_LINE)


def _host_alone(match: re.Match[str]) -> str:
    scheme, host, rest = match.groups()
    if scheme.lower() not in ("http", "https") or "@" in host:
        # where Apprise has a host, a token may stand
        return f"{scheme}://{_HIDDEN}"
    return f"{scheme}://{host}/{_HIDDEN}" if rest.strip("/.,;:)") else match[0]
