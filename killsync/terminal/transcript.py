"""The last lines of what was printed, fit to leave this machine."""

import re

from killsync.terminal.text import safe

_LONGEST_LINE = 1000
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_URL = re.compile(r"\b([a-z][a-z0-9+.-]*)://([^\s/?#\"'<>]*)([^\s\"'<>]*)", re.IGNORECASE)
# as a token, a key or a killmail's hash is; names have spaces, and words no digits
_LIKE_A_SECRET = re.compile(r"(?<![\w+=-])(?=[\w+=-]*\d)[\w+=-]{24,}", re.ASCII)
_HIDDEN = "(hidden)"


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
