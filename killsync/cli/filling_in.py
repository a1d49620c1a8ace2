"""What is said while an upgrade has not found out yet whose the stored killmails are."""

from killsync.cli.invocation import Invocation
from killsync.store import roles
from killsync.store.connection import Store


def warn(call: Invocation, store: Store) -> None:
    """Warn, unless the call is quiet, if killmails may be missing from what was asked for."""
    if not call.quiet and roles.any_to_look_up(store.conn):
        call.warn(
            "your users' parts in stored killmails are still being looked up; "
            "`killsync scan` continues"
        )
