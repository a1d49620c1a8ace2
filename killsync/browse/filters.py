"""What the form above the list asks: the query string's parameters, and back."""

from collections.abc import Mapping
from urllib.parse import urlencode

from msgspec import Struct

from killsync.board import kills
from killsync.errors import UsageError
from killsync.store.kills import Kill
from killsync.times import DAY, iso, parse_duration, unix

_TEXTS = ("user", "side", "ship", "system", "region", "with", "since", "until", "min_value")
_SWITCHES = ("solo", "npc", "awox", "no_pods")
_SIDES = ("kills", "losses")
_LONGEST_ID = 18
_LONGEST_TEXT = 200


class Form(Struct, frozen=True):
    """What a form was filled in with, as it came; a field that was left empty is missing."""

    fields: Mapping[str, str]

    def query(self, **others: str) -> str:
        """Return the query string that asks the same, with other parameters too."""
        return urlencode({**self.fields, **others})

    def query_with(self, name: str, value: str) -> str:
        """Return the query string that asks the same, but for one field; '' empties it."""
        fields = {**self.fields, name: value}
        return urlencode({key: text for key, text in fields.items() if text})


def read(parameters: Mapping[str, str]) -> Form:
    """Return the parameters that belong to the form."""
    given = {name: parameters.get(name, "").strip()[:_LONGEST_TEXT] for name in _TEXTS}
    given |= {name: "1" for name in _SWITCHES if parameters.get(name, "0") not in ("", "0")}
    return Form({name: text for name, text in given.items() if text})


def asked(form: Form, now: float) -> kills.Asked:
    """Return what a form asks for; raise UsageError for a field that cannot be understood."""
    fields = form.fields
    user = fields.get("user")
    if user is not None and _id(user) is None:
        raise UsageError(f"user is {user[:60]!r}: choose one of the list")
    if fields.get("side", "kills") not in _SIDES:
        raise UsageError(f"side is {fields['side'][:60]!r}: give kills or losses")
    return kills.Asked(
        user=user,
        user_id=None if user is None else _id(user),
        kills=fields.get("side") == "kills",
        losses=fields.get("side") == "losses",
        ship=fields.get("ship"),
        system=fields.get("system"),
        region=fields.get("region"),
        opponent=fields.get("with"),
        since=_moment("since", fields, now, 0),
        until=_moment("until", fields, now, DAY - 1),
        min_value=fields.get("min_value"),
        **{name: name in fields for name in _SWITCHES},
    )


def border(parameters: Mapping[str, str]) -> tuple[str, int] | None:
    """Return the time and id that the page's killmails come before; None: they are the newest."""
    time, _, killmail_id = parameters.get("before", "").partition("_")
    number = _id(killmail_id)
    return None if number is None else (time[:_LONGEST_TEXT], number)


def place(kill: Kill) -> str:
    """Return what `border` reads, for a killmail."""
    return f"{kill.time}_{kill.killmail_id}"


def _id(text: str) -> int | None:
    is_id = text.isascii() and text.isdigit() and len(text) <= _LONGEST_ID
    return int(text) if is_id else None


def _moment(field: str, fields: Mapping[str, str], now: float, rest_of_day: float) -> str | None:
    """Return a field's time as it stands in the database; a day alone has a rest."""
    text = fields.get(field)
    if text is None:
        return None
    try:
        return iso(now - parse_duration(text))
    except ValueError:
        pass
    try:
        return iso(unix(text) + (rest_of_day if len(text) == len("2026-11-24") else 0))
    except ValueError:
        raise UsageError(
            f"{field} is {text[:60]!r}: give a day such as 2026-11-24, or 7d"
        ) from None
