"""The times that a person gives to `--since` and `--until`."""

import re
from datetime import date

from killsync.errors import UsageError
from killsync.times import DAY, iso, parse_duration, unix

_WEEKS = re.compile(r"[0-9]{1,3}w")
# days of EVE time, and how many lie between them and today
_DAYS = {"today": 0, "yesterday": 1}


def since_text(text: str | None, now: float) -> str | None:
    """Return the first second that is meant by `--since` as ISO text, None for None.

    Raises UsageError if it is neither a duration such as `7d` or `2w`, nor `today` or `yesterday`,
    nor a time.
    """
    return None if text is None else iso(_moment("--since", text, now))


def until_text(text: str | None, now: float) -> str | None:
    """Return the last second that is meant by `--until` as ISO text, None for None.

    A day counts to its end. Raises UsageError as `since_text` does.
    """
    if text is None:
        return None
    moment = _moment("--until", text, now)
    return iso(moment + DAY - 1 if _is_day(text) else moment)


def period(since: str | None, until: str | None, now: float) -> tuple[str | None, str | None]:
    """Return the first and the last second that are meant by `--since` and `--until`.

    Raises UsageError also if nothing lies between them.
    """
    first, last = since_text(since, now), until_text(until, now)
    if first is not None and last is not None and first > last:
        raise UsageError(f"--since {since} ({first}) is after --until {until} ({last})")
    return first, last


def _moment(option: str, given: str, now: float) -> float:
    text = given.strip().lower()
    if text in _DAYS:
        return (now // DAY - _DAYS[text]) * DAY
    try:
        if _WEEKS.fullmatch(text):
            return now - int(text[:-1]) * 7 * DAY
        return now - parse_duration(text)
    except ValueError:
        pass
    try:
        return unix(given)
    except ValueError:
        raise UsageError(
            f"{option} is {given!r}: give a duration such as 7d, or a time such as 2026-11-24"
        ) from None


def _is_day(text: str) -> bool:
    if text.strip().lower() in _DAYS:
        return True
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True
