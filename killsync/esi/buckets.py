"""The rate-limit buckets, each full, with what is documented of it.

Source: ESI's documentation of rate limits, compatibility date 2026-07-21.
"""

from killsync.esi.ratelimit import SSO_GROUP, Bucket
from killsync.model import Reader, UserKind

_NAMES, _PRICES, _PUBLIC = "names", "market-prices", "public"
# ESI documents no limit for these routes but its limit on errors
OWN_GROUPS = frozenset({_NAMES, _PRICES, _PUBLIC})


def list_bucket(reader: Reader) -> Bucket:
    """Return the bucket that reading a list takes from, full: 30 tokens in 15 minutes.

    It is the character's whose token is sent; for corporations' lists each has another one.
    """
    group = "corp-killmail" if reader.kind is UserKind.CORPORATION else "char-killmail"
    return Bucket(group, str(reader.character_id), 30, 900.0)


def body_bucket() -> Bucket:
    """Return the bucket of killmail bodies, full: 3,600 tokens in 15 minutes per address."""
    return Bucket("killmail", "", 3600, 900.0)


def status_bucket() -> Bucket:
    """Return the bucket of ESI's own status, full: 600 tokens in 15 minutes."""
    return Bucket("status", "", 600, 900.0)


def names_bucket() -> Bucket:
    """Return the bucket of names, full: 600 tokens in 15 minutes, a limit of killsync's own.

    ESI documents none for them but its limit on errors.
    """
    return Bucket(_NAMES, "", 600, 900.0)


def prices_bucket() -> Bucket:
    """Return the bucket of market prices, full: 100 tokens in 15 minutes, also killsync's own."""
    return Bucket(_PRICES, "", 100, 900.0)


def public_bucket() -> Bucket:
    """Return the bucket of what is public of players, 100 tokens in 15 minutes: killsync's own."""
    return Bucket(_PUBLIC, "", 100, 900.0)


def sso_bucket() -> Bucket:
    """Return what SSO is counted as: it has no bucket, but may ask for a rest."""
    return Bucket(SSO_GROUP, "", 1_000_000, 60.0)
