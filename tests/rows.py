"""Rows as the store would read them, for tests of what decides about them."""

from typing import Any

from killsync.model import Cursor, User, UserState

NOW = 1_800_000_000.0


def some_user(**changes: Any) -> User:
    """Return an active user synced an hour before NOW, with other fields changed."""
    fields: dict[str, Any] = dict.fromkeys(User.__struct_fields__)
    fields |= {"user_id": 1, "name": "Hakon", "state": UserState.ACTIVE, "cursor": Cursor(9)}
    fields |= {"listed": 0, "killmails": 0, "failures": 0, "last_sync_at": NOW - 3600}
    fields |= {"skipped": 0}
    return User(**(fields | changes))
