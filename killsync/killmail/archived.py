"""A killmail as archives and exports write it: ESI's body, and a few keys of their own beside it.

EVE Ref adds `killmail_hash` and `http_last_modified` to recent killmails, zKillboard `zkb`;
`killsync export --with-hash` writes `killmail_hash`. None of these is a part of the body.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from killsync.errors import BodyRejected
from killsync.killmail import body
from killsync.killmail.body import Extra, Killmail
from killsync.killmail.raw import has_too_many_parts

Decode = Callable[[bytes, int | None], tuple[Killmail, str | None]]

_HASH = "killmail_hash"
_IS_HASH = re.compile("[0-9a-fA-F]{40}")
_BESIDE = (_HASH, "http_last_modified", "zkb")


class _Archived(Killmail, frozen=True):
    """A body with what stands beside it, of which only the hash is looked at."""

    killmail_hash: str | None = None
    http_last_modified: msgspec.Raw = msgspec.Raw()
    zkb: msgspec.Raw = msgspec.Raw()


_strict = msgspec.json.Decoder(_Archived)


def decode(raw: bytes, killmail_id: int | None = None) -> tuple[Killmail, str | None]:
    """Return the killmail of an archived or exported body, and the hash beside it, if there is one.

    Without an id whichever killmail it is will do. A hash that is null is none.

    Raises what `body.decode` raises of the same body, and BodyRejected if the hash is no text.
    """
    archived = _decode_fast(raw)
    if archived is None:
        return _without_keys_beside(body.decode(raw, killmail_id))
    body.check(archived, killmail_id)
    killmail = Killmail(
        killmail_id=archived.killmail_id,
        killmail_time=archived.killmail_time,
        solar_system_id=archived.solar_system_id,
        victim=archived.victim,
        attackers=archived.attackers,
        moon_id=archived.moon_id,
        war_id=archived.war_id,
    )
    return killmail, archived.killmail_hash


def _decode_fast(raw: bytes) -> _Archived | None:
    """Return a body that has known keys only; None if it is for `body.decode` to say what it is."""
    if not body.is_shallow(raw) or has_too_many_parts(raw):
        return None
    try:
        return _strict.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _without_keys_beside(killmail: Killmail) -> tuple[Killmail, str | None]:
    extra: dict[str, Any] = dict(killmail.extra or {})
    beside = {name: extra.pop(name, None) for name in _BESIDE}
    found = beside[_HASH]
    if not isinstance(found, str | None):
        raise BodyRejected(f"{_HASH}: expected a text")
    kept = Extra(extra) if extra else None
    return msgspec.structs.replace(killmail, extra=kept), found


def decode_exported(raw: bytes, killmail_id: int | None = None) -> tuple[Killmail, str | None]:
    """Return the killmail of a line of `killsync export`, and the hash that `--with-hash` added.

    An export has no other keys of its own: what ESI has sent beside the known fields is kept,
    whatever it is called, and so is a `killmail_hash` that is no hash. Raises what `body.decode`
    raises.
    """
    killmail = body.decode(raw, killmail_id)
    kept: dict[str, Any] = dict(killmail.extra or {})
    added = kept.pop(_HASH, None)
    if not (isinstance(added, str) and _IS_HASH.fullmatch(added)):
        return killmail, None
    return msgspec.structs.replace(killmail, extra=Extra(kept) if kept else None), added
