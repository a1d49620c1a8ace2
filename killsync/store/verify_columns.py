"""Columns that hold only some values: times as killsync writes them, and words that it knows."""

import sqlite3
from collections.abc import Iterator
from typing import Any

from killsync.model import JobState, Origin, UserState
from killsync.store.outbox import OutboxState

# a time that SQLite would write in another way is not one that killsync wrote
BAD_TIME = "{0} IS NOT NULL AND strftime('%Y-%m-%dT%H:%M:%SZ', {0}) IS NOT {0}"
TIMES = {
    "users": (
        "added_at last_killmail_sync_at last_full_at backfill_full_from backfill_cached_until"
        " list_cached_until not_before refused_at refreshed_at troubled_since complete_since"
    ),
    "jobs": "queued_at not_before started_at finished_at",
    "pending_killmails": "not_before set_aside_at refused_at",
    "runs": "started_at finished_at",
    "directors": "asked_at refused_at not_before",
    "imports": "read_at",
    "zkb_lists": "empty_at read_at",
    "outbox": "queued_at not_before sending_at ended_at",
    "channels": "told_at failing_since not_before warned_at unclear_at",
    "troubles": "since",
}

# SQLite forgets CHECK constraints of a file that it may only read
WORDS = {
    "users.state": tuple(s.value for s in UserState if s is not UserState.UNKNOWN),
    "users.kind": ("character", "corporation"),
    "jobs.state": tuple(s.value for s in JobState if s is not JobState.UNKNOWN),
    "pending_killmails.origin": (Origin.ESI.value, Origin.ZKB.value),
    "imports.source": (Origin.EVEREF.value,),
    "zkb_lists.side": ("kills", "losses"),
    "outbox.state": tuple(OutboxState),
}
# what says whose a word is
_KEYS = {"pending_killmails": "killmail_id", "imports": "name", "outbox": "channel"}


def unknown_words(conn: sqlite3.Connection) -> Iterator[tuple[Any, str, str]]:
    """Yield (whose, key of `WORDS`, word) for words that no command knows.

    Whose is a user, a killmail, an archive or a channel.
    """
    for name in WORDS:
        table, column = name.split(".")
        key = _KEYS.get(table, "user_id")
        for whose, word in conn.execute(
            f"SELECT {key}, {column} FROM {table} WHERE {is_unknown(name)}"
        ):
            yield whose, name, str(word)


def is_unknown(name: str) -> str:
    """Return the condition that a column of `WORDS` holds a word that no command knows."""
    known = ", ".join(f"'{word}'" for word in WORDS[name])
    return f"{name} NOT IN ({known})"


def bad_times(conn: sqlite3.Connection) -> Iterator[tuple[str, str, int, str]]:
    """Yield (table, column, how many, one of them) where a time is not valid."""
    for table, columns in TIMES.items():
        for column in columns.split():
            count, example = conn.execute(
                f"SELECT count(*), min({column}) FROM {table} WHERE {BAD_TIME.format(column)}"
            ).fetchone()
            if count:
                yield table, column, count, str(example)
