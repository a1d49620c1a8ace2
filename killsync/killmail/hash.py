"""The hash of a killmail, which proves that a stored body is the one that ESI listed."""

import hashlib

from killsync.killmail.body import Killmail
from killsync.times import unix

_FILETIME_OF_1970 = 116444736000000000
_TICKS = 10_000_000  # of a Windows FILETIME in a second


def expected_hash(killmail: Killmail) -> str:
    """Return the hash that follows from a body: 40 hex digits of SHA-1.

    It covers the victim, the character of the final blow, the ship, and the time as a Windows
    FILETIME. Without a final blow the first attacker counts. Nobody documents this, but all 425
    published hashes that were checked agree.
    """
    final = next((a for a in killmail.attackers if a.final_blow), None)
    if final is None and killmail.attackers:
        final = killmail.attackers[0]
    victim = killmail.victim
    killer = None if final is None else final.character_id
    filetime = int(unix(killmail.killmail_time)) * _TICKS + _FILETIME_OF_1970
    text = f"{victim.character_id}{killer}{victim.ship_type_id}{filetime}"
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
