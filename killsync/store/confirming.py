"""What ESI's lists say of killmails that came from elsewhere: a hash confirmed, or contradicted.

The hash covers the victim, the character of the final blow, the ship and the time. Where a list
shows the stored one, ESI vouches for it and need not be asked for the body; where it shows another
one, the stored body is not what ESI has listed.
"""

import json
import sqlite3
from collections.abc import Sequence

from killsync.model import KillmailRef
from killsync.store import changes, killmails

_UNCONFIRMED = """
SELECT killmail_id, killmail_hash FROM killmails
WHERE killmail_id IN (SELECT value FROM json_each(?)) AND hash_source <> 'esi'
"""
_CONFIRM = "UPDATE killmails SET hash_source = 'esi' WHERE killmail_id = ?"
_IMPORTED = """
SELECT count(*) FROM killmails
WHERE killmail_id IN (SELECT value FROM json_each(?)) AND origin <> 'esi'
"""


def compare(conn: sqlite3.Connection, refs: Sequence[KillmailRef]) -> list[int]:
    """Compare what a page of ESI's shows with what was imported; return what ESI contradicts.

    Those bodies are deleted: recorded after this, in the same transaction, they are pending with
    ESI's hash. What ESI has confirmed once, or has served itself, is never touched.
    """
    shown = {ref.killmail_id: ref.killmail_hash for ref in refs}
    unconfirmed = conn.execute(_UNCONFIRMED, [json.dumps(list(shown))]).fetchall()
    same = [[killmail_id] for killmail_id, hash_ in unconfirmed if hash_ == shown[killmail_id]]
    conn.executemany(_CONFIRM, same)
    changes.note_rewritten(conn, [killmail_id for (killmail_id,) in same])
    other = [killmail_id for killmail_id, hash_ in unconfirmed if hash_ != shown[killmail_id]]
    if other:
        killmails.remove(conn, other)
    return other


def imported(conn: sqlite3.Connection, killmail_ids: Sequence[int]) -> int:
    """Return how many of these are stored and came from elsewhere."""
    return int(conn.execute(_IMPORTED, [json.dumps(list(killmail_ids))]).fetchone()[0])
