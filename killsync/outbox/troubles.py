"""Which troubles a channel is to be told of, and which are over: decided here, from the evidence.

A trouble is told once, and once more when it is over, if it was told at all; and again if many more
users have it by now.
"""

from collections.abc import Iterable, Sequence

import msgspec

from killsync.model import UserState
from killsync.outbox.notes import TroubleKind, TroubleNote
from killsync.settings.config import Settings
from killsync.store import facts, troubles, users
from killsync.store.connection import Store
from killsync.store.outbox import OutboxState
from killsync.store.troubles import NOBODY, OpenTrouble
from killsync.sync import alerts
from killsync.times import iso, iso_or_none, span, unix

_MOST_SINGLE = 3
"""So many users who need a login get a note each; of more, one note names the number."""

_MOST_NAMED = 5
# with or without --corporation
_LOGIN = "`killsync login"
# what was told, or may have been
_TOLD = (OutboxState.TOLD, OutboxState.UNCERTAIN)


class Current(msgspec.Struct, frozen=True):
    """A trouble that there is now; `user_id` is NOBODY if it is of no single user.

    Since `grew_at` it is about many more users than before, if that is known.
    """

    what: TroubleKind
    user_id: int
    name: str | None
    text: str
    since: str
    grew_at: str | None = None


class Announcement(msgspec.Struct, frozen=True):
    """A note to queue, and the troubles that it begins, or, if it is `over`, ends."""

    note: TroubleNote
    of: list[Current]


class Evidence(msgspec.Struct, frozen=True):
    """What troubles have passed that are not there any more, and whether somebody needs a login.

    Others have turned into another trouble, or there is nobody left to have them.
    """

    passed: frozenset[tuple[str, int]]
    logins_needed: bool


class Decision(msgspec.Struct, frozen=True):
    """What to queue, which open troubles to forget, and which of these to give up unsent."""

    announcements: list[Announcement]
    closed: list[OpenTrouble]
    unsent: list[OpenTrouble]


def current(store: Store, settings: Settings, now: float) -> list[Current]:
    """Return the troubles that there are now."""
    found = [
        Current(
            TroubleKind.NEEDS_LOGIN,
            user_id,
            name,
            login_needed(name, error),
            refused_at or iso(now),
        )
        for user_id, name, error, refused_at in troubles.without_login(store.conn)
    ]
    for what, alert in (
        (TroubleKind.UNSYNCED, alerts.unsynced(store, settings, now)),
        (TroubleKind.UNFETCHED, alerts.unfetched(store, settings, now)),
    ):
        if alert is not None:
            wrong, cure = alerts.describe(alert, now)
            alone = isinstance(alert, alerts.Unsynced) and not alert.others
            name = alert.name if isinstance(alert, alerts.Unsynced) and alone else None
            grown = facts.alert_grew_at(store.conn) if what is TroubleKind.UNSYNCED else None
            text = f"{wrong}; {cure}"
            found.append(Current(what, NOBODY, name, text, alert.since, iso_or_none(grown)))
    return found


def login_needed(name: str, error: str | None) -> str:
    """Return that a user needs a new login, why, and what to do: once, if `error` says it too."""
    why = error or "it was refused"
    cure = "" if _LOGIN in why else f"; run {_LOGIN}`"
    return f"{name} needs a new login: {why}{cure}"


def evidence(
    store: Store, still_open: Sequence[OpenTrouble], now_there: Sequence[Current]
) -> Evidence:
    """Return which of these troubles have passed, if they are not among all that there are now."""
    passed = frozenset(one.key for one in still_open if _has_passed(store, one))
    needed = any(one.what is TroubleKind.NEEDS_LOGIN for one in now_there)
    return Evidence(passed, logins_needed=needed)


def _has_passed(store: Store, trouble: OpenTrouble) -> bool:
    if trouble.what not in list(TroubleKind):
        return False  # a later version knows it
    match TroubleKind(trouble.what):
        case TroubleKind.NEEDS_LOGIN:
            return True
        case TroubleKind.UNFETCHED:
            # those that could never be had may have been set aside meanwhile
            return facts.bodies_fail_since(store.conn) is None
        case TroubleKind.UNSYNCED if trouble.name is None:
            return users.any_active(store.conn)
    named = users.named(store.conn, trouble.name or "")
    return any(user.state is UserState.ACTIVE for user in named)


def decide(
    still_open: Sequence[OpenTrouble], now_there: Sequence[Current], known: Evidence, now: float
) -> Decision:
    """Return what a channel is to be told, given what it knows and what there is."""
    there = {(one.what.value, one.user_id): one for one in now_there}
    # of what is being sent it is not known yet whether it is told
    settled = [one for one in still_open if one.state is not OutboxState.SENDING]
    over = [one for one in settled if one.key not in there]
    outgrown = [one for one in settled if one.key in there and _is_outgrown(one, there[one.key])]
    # of what was given up nobody has heard
    heard = {one.key for one in still_open if one.state is not OutboxState.EXPIRED}
    heard -= {one.key for one in outgrown}
    new = [one for key, one in there.items() if key not in heard]
    told = [
        _ended(one, known, now) for one in over if one.state in _TOLD and one.key in known.passed
    ]
    return Decision(
        announcements=[*_announcements(new, over=False), *_announcements(told, over=True)],
        closed=[*over, *outgrown],
        unsent=[one for one in [*over, *outgrown] if one.state is OutboxState.WAITING],
    )


def _is_outgrown(trouble: OpenTrouble, now_there: Current) -> bool:
    """Return whether what was told is about so few users that it would hide a larger trouble."""
    return now_there.grew_at is not None and trouble.queued_at < now_there.grew_at


def _announcements(of: Sequence[Current], *, over: bool) -> list[Announcement]:
    logins = [one for one in of if one.what is TroubleKind.NEEDS_LOGIN]
    single = [one for one in of if one not in logins or len(logins) <= _MOST_SINGLE]
    found = [Announcement(_note(one, over=over), [one]) for one in single]
    if len(logins) > _MOST_SINGLE:
        found.append(Announcement(_note(_together(logins, over=over), over=over), logins))
    return found


def _note(of: Current, *, over: bool) -> TroubleNote:
    return TroubleNote(of.what, of.text, of.name, of.since, over)


def _together(logins: Sequence[Current], *, over: bool) -> Current:
    names = _named([one.name or str(one.user_id) for one in logins])
    text = f"{len(logins):,} users need a new login: {names}; `killsync status` says why"
    if over:
        text = f"{len(logins):,} users no longer need a new login: {names}"
    return Current(TroubleKind.NEEDS_LOGIN, NOBODY, None, text, min(one.since for one in logins))


def _named(names: Iterable[str]) -> str:
    listed = list(names)
    others = len(listed) - _MOST_NAMED
    return ", ".join(listed[:_MOST_NAMED]) + (f" and {others:,} more" if others > 0 else "")


def _ended(trouble: OpenTrouble, known: Evidence, now: float) -> Current:
    """Return the end of a trouble, in words that are true whatever ended it."""
    what, lasted = TroubleKind(trouble.what), span(now - unix(trouble.since))
    match what:
        case TroubleKind.NEEDS_LOGIN:
            text = f"{trouble.name} no longer needs a new login"
        case TroubleKind.UNSYNCED:
            of_whom = " whose login works" if known.logins_needed else ""
            text = f"everybody{of_whom} is synced again, after {lasted}"
        case TroubleKind.UNFETCHED:
            text = f"killmails can be fetched again, after {lasted}"
    return Current(what, trouble.user_id, trouble.name, text, trouble.since)
