"""The channels that `[[tell]]` tables name: where to tell what, of whom, how soon."""

import difflib
import re
import shlex
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from killsync.errors import UsageError
from killsync.settings.values import Duration, parse_isk
from killsync.times import HOUR, parse_duration

LONGEST_DELAY = 72 * HOUR
_LONGEST_NAME = 60
_LONGEST_SHOWN = 100
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://\S.*")


class Subject(StrEnum):
    """What a channel tells of."""

    KILLS = "kills"
    LOSSES = "losses"
    TROUBLE = "trouble"


class Channel(msgspec.Struct, frozen=True):
    """One `[[tell]]` table: either a `url`, which is a secret, or a `command`.

    `users` are ids, names or how only one begins; none means everybody. Durations are in seconds.
    """

    name: str
    url: str = ""
    command: tuple[str, ...] = ()
    what: tuple[Subject, ...] = tuple(Subject)
    users: tuple[int | str, ...] = ()
    min_value: float = 0.0
    max_age: Duration = Duration(HOUR)
    delay: Duration = Duration(0)

    def __repr__(self) -> str:
        """Return the name alone: the rest may be secret."""
        return f"Channel({self.name!r})"


def channels(tables: object, where: str) -> tuple[Channel, ...]:
    """Return the channels of all `[[tell]]` tables of a file.

    Raises UsageError, with `where` for the file, which names the channel and the key, and the value
    unless it may be a secret.
    """
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise UsageError(
            f"{where}: tell takes tables: a line [[tell]], then name, and url or command"
        )
    found: list[Channel] = []
    for number, table in enumerate(tables, 1):
        try:
            found.append(_channel(table, taken=[channel.name for channel in found]))
        except ValueError as error:
            raise UsageError(f"{where}: {_label(table, number)}: {error}") from error
    return tuple(found)


def holds_url(tables: object) -> bool:
    """Return whether a file's `[[tell]]` tables, valid or not, hold a URL, which is a secret."""
    return isinstance(tables, list) and any(
        isinstance(table, dict) and table.get("url") for table in tables
    )


def _label(table: Mapping[str, object], number: int) -> str:
    name = table.get("name")
    # an address that stands in the wrong place is a secret, too
    if not isinstance(name, str) or not name or "://" in name:
        return f"tell no. {number}"
    return f"tell {name[:_LONGEST_NAME]!r}"


def _channel(table: Mapping[str, object], taken: list[str]) -> Channel:
    for key in table.keys() - _READ.keys():
        near = difflib.get_close_matches(key, _READ, 1)
        raise ValueError(f"unknown key {key!r}" + (f"; {near[0]} may be meant" if near else ""))
    if not table.get("name"):
        raise ValueError("name is missing: any word of your own")
    if bool(table.get("url")) == bool(table.get("command")):
        both = "url and command are both set: keep one of them"
        raise ValueError(both if table.get("url") else "needs a url or a command")
    values = {
        key: _value(key, value) for key, value in table.items() if key in _READ and value != ""
    }
    if values["name"] in taken:
        raise ValueError("another channel has the same name")
    return Channel(**values)


def _value(key: str, value: object) -> Any:
    try:
        return _READ[key](value)
    except ValueError as error:
        is_secret = key in ("url", "command") or "://" in repr(value)
        shown = "(hidden)" if is_secret else _shortened(repr(value))
        raise ValueError(f"{key} is {shown}: {error}") from error


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def _name(value: object) -> str:
    name = _text(value).strip()
    if "://" in name:
        raise ValueError("expected a word of your own: an address goes into url")
    if not name or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise ValueError(f"expected at most {_LONGEST_NAME} characters that can be printed")
    return name


def _url(value: object) -> str:
    url = _text(value).strip()
    if not _URL.fullmatch(url) or not url.isprintable():
        raise ValueError("expected an address of Apprise's, such as discord://WEBHOOK_ID/TOKEN")
    return url


def _command(value: object) -> tuple[str, ...]:
    words = shlex.split(value) if isinstance(value, str) else [_text(word) for word in _list(value)]
    if not words or not words[0] or any("\0" in word for word in words):
        raise ValueError("expected a program and its arguments")
    return tuple(words)


def _what(value: object) -> tuple[Subject, ...]:
    words = _list(value)
    if not words or any(word not in list(Subject) for word in words):
        raise ValueError(f"expected a list of {', '.join(Subject)}")
    return tuple(subject for subject in Subject if subject in words)


def _users(value: object) -> tuple[int | str, ...]:
    for user in _list(value):
        if isinstance(user, bool) or not isinstance(user, int | str) or user == "":
            raise ValueError("expected a list of names or ids")
    return tuple(_list(value))


def _min_value(value: object) -> float:
    if isinstance(value, str):
        return parse_isk(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError('expected ISK such as 100000000 or "100m"')
    # comparing makes no float of what is too large for one
    if not 0 <= value <= sys.float_info.max:
        raise ValueError("expected ISK of 0 or more, and less than 1e308")
    return float(value)


def _max_age(value: object) -> Duration:
    age = parse_duration(_text(value))
    if age <= 0:
        raise ValueError("nothing is as young: leave it out for 1h")
    return Duration(age)


def _delay(value: object) -> Duration:
    delay = parse_duration(_text(value))
    if delay > LONGEST_DELAY:
        raise ValueError("expected 72h at most")
    return Duration(delay)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected text, got {type(value).__name__}")
    return value


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"expected a list, got {type(value).__name__}")
    return value


_READ: dict[str, Callable[[object], object]] = {
    "name": _name,
    "url": _url,
    "command": _command,
    "what": _what,
    "users": _users,
    "min_value": _min_value,
    "max_age": _max_age,
    "delay": _delay,
}
