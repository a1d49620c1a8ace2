"""A killmail as ESI sends it: typed, checked, and given back equal value for value.

The shapes are those of ESI's OpenAPI document, compatibility date 2026-07-21.
"""

import re
from collections import UserDict
from math import isfinite
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from killsync.errors import BodyRejected, NotAKillmail
from killsync.killmail.complaint import DEEPEST, TOO_LARGE, complaint, shown, shown_path
from killsync.killmail.raw import MOST_PARTS, has_too_many_parts
from killsync.times import unix

Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Number = Integer | float

_T = TypeVar("_T")
if TYPE_CHECKING:
    Omissible: TypeAlias = _T | None
else:

    class Omissible:
        """What may be absent, and is None then; a null is refused, for it must come back."""

        def __class_getitem__(cls, kind: type) -> type:
            return kind


class Extra(UserDict[str, Any]):
    """What ESI sent beyond the known fields: unknown fields, and optional ones that are null.

    No JSON decodes to this class, so a field that is itself named `extra` is an unknown field.
    """


class _Part(
    Struct, frozen=True, gc=False, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    extra: Omissible[Extra] = None


class Position(_Part, frozen=True, gc=False):
    """Where the victim was, in metres from the sun."""

    x: Number
    y: Number
    z: Number


class Item(_Part, frozen=True, gc=False):
    """One line of what the victim carried; the same line may occur more than once."""

    item_type_id: Integer
    flag: Integer
    singleton: Integer
    quantity_destroyed: Omissible[Integer] = None
    quantity_dropped: Omissible[Integer] = None
    items: "Omissible[list[Item]]" = None


class Attacker(_Part, frozen=True, gc=False):
    """One attacker; an NPC or a structure lacks some of the ids."""

    damage_done: Integer
    final_blow: bool
    security_status: Number
    alliance_id: Omissible[Integer] = None
    character_id: Omissible[Integer] = None
    corporation_id: Omissible[Integer] = None
    faction_id: Omissible[Integer] = None
    ship_type_id: Omissible[Integer] = None
    weapon_type_id: Omissible[Integer] = None


class Victim(_Part, frozen=True, gc=False):
    """Who lost the ship; a structure has no character."""

    damage_taken: Integer
    ship_type_id: Integer
    alliance_id: Omissible[Integer] = None
    character_id: Omissible[Integer] = None
    corporation_id: Omissible[Integer] = None
    faction_id: Omissible[Integer] = None
    items: Omissible[list[Item]] = None
    position: Omissible[Position] = None


class Killmail(_Part, frozen=True, gc=True, weakref=True):
    """The body of `GET /killmails/{killmail_id}/{killmail_hash}`; the time as ESI wrote it."""

    killmail_id: Integer
    killmail_time: str
    solar_system_id: Integer
    victim: Victim
    attackers: list[Attacker]
    moon_id: Omissible[Integer] = None
    war_id: Omissible[Integer] = None


class _ExtraError(Exception):
    """A struct has `extra`, which the plain encoder cannot merge."""


def _refuse_extra(value: object) -> None:
    raise _ExtraError


_strict = msgspec.json.Decoder(Killmail)
# 1e400 becomes inf, so that the walk over the values can name its field
_loose = msgspec.json.Decoder(float_hook=float)
_encoder = msgspec.json.Encoder(enc_hook=_refuse_extra)

# what known fields hold, and whether they may be absent
_PARTS: dict[type[Struct], dict[str, type[Struct]]] = {
    Killmail: {"victim": Victim, "attackers": Attacker},
    Victim: {"position": Position, "items": Item},
    Item: {"items": Item},
    Attacker: {},
    Position: {},
}
_FIELDS = {kind: [f for f in msgspec.structs.fields(kind) if f.name != "extra"] for kind in _PARTS}
_OPTIONAL = {kind: {f.name: not f.required for f in fields} for kind, fields in _FIELDS.items()}
_INTEGERS = {
    kind: {f.name for f in fields if f.type == Integer} for kind, fields in _FIELDS.items()
}

_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?"
)


def decode(raw: bytes, killmail_id: int | None = None) -> Killmail:
    """Return the killmail of a response body, with everything that it holds.

    Without an id whichever killmail it is will do.

    Raises BodyRejected, with one short line that names the field or the byte, if the body is not
    what was asked for or cannot be given back equal value for value; NotAKillmail if it is
    something else altogether.
    """
    if has_too_many_parts(raw):
        raise BodyRejected(f"the body: more than {MOST_PARTS:,} names and values")
    try:
        killmail = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        kind = BodyRejected if raw.lstrip()[:1] == b"{" else NotAKillmail
        raise kind(complaint(error, raw)) from None
    check(killmail, killmail_id)
    return killmail


def check(killmail: Killmail, killmail_id: int | None) -> None:
    """Raise BodyRejected unless a decoded body is of this id, if one is given, and has a time."""
    if killmail_id is not None and killmail.killmail_id != killmail_id:
        raise BodyRejected(f"killmail_id: expected {killmail_id}, got {killmail.killmail_id}")
    _check_time(killmail.killmail_time)


def is_shallow(raw: bytes) -> bool:
    """Return whether a body with known fields only cannot be nested too deep.

    These nest deeper only through lists, so few brackets are proof of it.
    """
    return raw.count(b"[") < DEEPEST // 2


def encode(killmail: Killmail) -> bytes:
    """Return the JSON that was decoded, minified; the order of the fields may differ."""
    try:
        return _encoder.encode(killmail)
    except _ExtraError:
        return msgspec.json.encode(_plain(killmail))


def _decode(raw: bytes) -> Killmail:
    if is_shallow(raw):
        try:
            return _strict.decode(raw)
        except msgspec.ValidationError:
            pass  # an unknown field, a null, or a real mistake: the slow way distinguishes them
    body = _loose.decode(raw)
    if isinstance(body, dict) and "killmail_id" not in body:
        raise NotAKillmail("killmail_id: missing")
    _check_values(body, ())
    _sort_out(body, Killmail, ())
    return msgspec.convert(body, Killmail)


def _check_values(value: Any, path: tuple[str | int, ...]) -> None:
    """Reject what neither JSON nor Python's stack could carry back."""
    if len(path) > DEEPEST:
        raise BodyRejected(f"{shown_path(path)}: nested deeper than {DEEPEST} levels")
    if not isinstance(value, dict | list):
        return
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(inner, dict | list):
            _check_values(inner, (*path, key))
        elif isinstance(inner, float) and not isfinite(inner):
            raise _too_large((*path, key))


def _sort_out(value: Any, kind: type[Struct], path: tuple[str | int, ...]) -> None:
    """Move what `kind` does not know to `extra`, at every level of a plain JSON value."""
    if isinstance(value, list):
        for index, inner in enumerate(value):
            _sort_out(inner, kind, (*path, index))
    elif isinstance(value, dict):
        optional = _OPTIONAL[kind]
        unknown = [k for k, v in value.items() if k not in optional or (v is None and optional[k])]
        extra = {key: value.pop(key) for key in unknown}
        for key, inner in value.items():
            if key in _PARTS[kind]:
                _sort_out(inner, _PARTS[kind][key], (*path, key))
            elif isinstance(inner, int | float):
                value[key] = _known_number(inner, (*path, key), whole=key in _INTEGERS[kind])
        if extra:
            value["extra"] = Extra(extra)


def _known_number(value: int | float, path: tuple[str | int, ...], *, whole: bool) -> int | float:
    """Return the number of a known field; 5.0 is an integer where one is due, as in JavaScript."""
    if whole and isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise _too_large(path)  # SQLite has no place for it
    return value


def _too_large(path: tuple[str | int, ...]) -> BodyRejected:
    return BodyRejected(f"{shown_path(path)}: {TOO_LARGE}")


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if not isinstance(value, _Part):
        return value
    fields = {name: getattr(value, name) for name in _OPTIONAL[type(value)]}
    plain = {name: _plain(inner) for name, inner in fields.items() if inner is not None}
    return plain if value.extra is None else plain | value.extra.data


def _check_time(text: str) -> None:
    try:
        if _TIME.fullmatch(text):
            unix(text)
            return
    except ValueError:
        pass
    raise BodyRejected(f"killmail_time: expected an ISO 8601 time, got '{shown(text)}'")
