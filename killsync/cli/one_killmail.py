"""`killsync kills ID`: stored killmails, each of them whole."""

import sys

from killsync.cli.invocation import Invocation, exit_with, print_result
from killsync.errors import UsageError
from killsync.settings.config import Settings
from killsync.store.connection import Store
from killsync.terminal.text import safe, safe_json


def show(
    call: Invocation,
    settings: Settings,
    store: Store,
    killmail_ids: list[int],
    *,
    form: str | None = None,
) -> None:
    """Print these killmails in the given order, and a line of each that is not stored.

    `form` is `eft`, `dna` or `json`; None: as a person reads it. Ends the program with 2 if any is
    not stored.
    """
    is_first, missing = True, False
    for killmail_id in dict.fromkeys(killmail_ids):
        if _print(store, settings, killmail_id, form, is_first=is_first):
            is_first = False
        else:
            call.warn(_why_not(store, killmail_id))
            missing = True
    if missing:
        exit_with(UsageError.exit_code)


def _print(
    store: Store, settings: Settings, killmail_id: int, form: str | None, *, is_first: bool
) -> bool:
    """Print a killmail; return whether it is stored."""
    if form is not None:
        return _print_text(store, killmail_id, form, is_first=is_first)
    from killsync.board.killmail import compose
    from killsync.store import one_killmail

    known = one_killmail.read(store.conn, killmail_id)
    if known is not None:
        from killsync.terminal.killmail_view import show_killmail

        if not is_first:
            print_result("")
        show_killmail(compose(known), local=settings.time_zone == "local")
    return known is not None


def _print_text(store: Store, killmail_id: int, form: str, *, is_first: bool) -> bool:
    from killsync.killmail import body, fit
    from killsync.store import killmails, one_killmail

    found = killmails.read(store.conn, [killmail_id])
    if not found:
        return False
    if form == "json":
        line = body.encode(found[0]).decode()
        print_result(safe_json(line) if sys.stdout.isatty() else line)
        return True
    types = one_killmail.read_types(store.conn, found[0])
    lost = fit.fit_of(found[0], types)
    if form == "dna":
        print_result(fit.dna(lost, types))
        return True
    title = f"{one_killmail.read_victim(store.conn, found[0])} {killmail_id}"
    print_result(("" if is_first else "\n") + fit.eft(lost, types, title))
    return True


def _why_not(store: Store, killmail_id: int) -> str:
    from killsync.store import one_killmail

    state = one_killmail.pending_state(store.conn, killmail_id)
    if state is None:
        return f"killmail {killmail_id}: not stored, and no character's list has shown it"
    why = f" ({safe(state.error)})" if state.error else ""
    if state.is_set_aside:
        return (
            f"killmail {killmail_id}: not stored; it is set aside{why}: `killsync retry` has the"
            " next run try it again"
        )
    when = f"from {state.not_before} on" if state.not_before else "at the next run"
    return f"killmail {killmail_id}: not stored yet; it is pending, and fetched {when}{why}"
