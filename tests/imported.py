"""Killmails from elsewhere, stored as an import stores them, for tests of what follows later."""

import json
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import msgspec
from world import Killsync

from killsync.killmail.body import decode
from killsync.model import HashSource, Origin
from killsync.store import connection, storing
from killsync.store.killmails import FetchedKillmail

IMPORTED_AT = "2026-11-24T12:00:00Z"


def put(
    program: Killsync,
    bodies: Iterable[dict[str, Any]],
    origin: Origin = Origin.EVEREF,
    hash_source: HashSource = HashSource.COMPUTED,
) -> None:
    """Store bodies, each with the hash that follows from it."""
    fetched = [
        msgspec.structs.replace(
            FetchedKillmail.computed(decode(json.dumps(one).encode(), one["killmail_id"]), origin),
            hash_source=hash_source,
        )
        for one in bodies
    ]
    with closing(connection.connect(program.database)) as store, store.transaction() as conn:
        storing.store(conn, fetched, IMPORTED_AT)


def forged(body: dict[str, Any]) -> dict[str, Any]:
    """Return a killmail of the same id with another victim's ship, and so with another hash."""
    return body | {"victim": body["victim"] | {"ship_type_id": 670_000}}
