"""One user in full: how far the list is read, what is stored, what failed, who reads it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from killsync.model import UserKind, UserState
from killsync.sync.status import DirectorState, DirectorStatus, Status, UserDetails, UserStatus
from killsync.terminal.advice import describe_backlog
from killsync.terminal.cells import Words, styled
from killsync.terminal.status_view import Room, directors_words, wrapped
from killsync.terminal.status_words import (
    Clock,
    activity,
    job_words,
    last_sync,
    next_sync,
    page,
    standing,
)
from killsync.terminal.text import safe

if TYPE_CHECKING:
    from rich.text import Text

_LABEL = 20


def user_lines(
    status: Status, details: Sequence[UserDetails], clock: Clock, room: Room
) -> list["Text"]:
    """Return everything that is known of the users of a status, each with its details."""
    lines = []
    for user, more in zip(status.users, details, strict=True):
        title = styled(Words(f"{safe(user.name)} ({user.user_id})", "bold"))
        lines += wrapped([title], room)
        facts = [("State", _state(user, clock, status.reading)), *_facts(user, more, clock)]
        lines += [line for label, words in facts for line in _labelled(label, words, room)]
        lines.append(styled(Words("")))
    now = activity(status.lock, status.last_run, clock, users=len(status.users))
    return [*lines, *wrapped([styled(now)], room)]


def _state(user: UserStatus, clock: Clock, reading: set[int]) -> Words:
    words = standing(user, clock, reading)
    if user.state is UserState.NEEDS_LOGIN and user.kind is UserKind.CHARACTER:
        return Words(f"{words.text}: run `killsync login`", words.style)
    return words


def _facts(user: UserStatus, details: UserDetails, clock: Clock) -> Iterator[tuple[str, Words]]:
    newest = user.last_killmail_id
    yield "Newest killmail", Words("none yet" if newest is None else str(newest))
    yield "History", Words(_history(user, details, clock))
    yield "Last sync", Words(last_sync(user, clock))
    waits = user.failures or user.state is UserState.NEEDS_LOGIN
    yield "Next attempt" if waits else "Next sync", Words(next_sync(user, clock))
    left = details.backlog
    stored = f"{user.killmails:,} from ESI's list stored, {user.pending:,} to come"
    aside = f", {left.set_aside:,} of them set aside" if left.set_aside else ""
    yield "Killmails", Words(stored + aside)
    if said := describe_backlog(left, clock.now, clock.zone):
        yield "To come", Words(said)
    yield "Last error", _last_error(user)
    if user.kind is UserKind.CORPORATION:
        yield from _directors(user, clock)
    for number, words in enumerate(job_words(details.open_job, details.ended_job, clock)):
        yield "" if number else "Jobs", Words(words)
    if details.added_at is not None:
        yield "Registered", Words(clock.near(details.added_at))


def _last_error(user: UserStatus) -> Words:
    if user.error is None:
        return Words("none")
    failed = f" (failed {user.failures:,} times in a row)" if user.failures > 1 else ""
    return Words(f"{safe(user.error, 300)}{failed}", "red")


def _history(user: UserStatus, details: UserDetails, clock: Clock) -> str:
    if user.backfill is not None:
        end = user.backfill.until_id
        to = "the end of the list" if end is None else f"killmail {end}"
        return f"{page(user.backfill.page, user.list_pages)} is next, down to {to}"
    if user.last_killmail_id is None:
        return "not read yet"
    if details.last_full_at is None:
        return "complete"
    return f"complete; the whole list was last read {clock.near(details.last_full_at)}"


def _directors(user: UserStatus, clock: Clock) -> Iterator[tuple[str, Words]]:
    yield "Directors", Words(directors_words(user).text)
    for one in user.directors:
        yield "", Words(f"{safe(one.name)}: {_director(one, clock)}")


def _director(one: DirectorStatus, clock: Clock) -> str:
    asked = "not asked yet" if one.asked_at is None else f"last asked {clock.near(one.asked_at)}"
    if one.state is not DirectorState.WORKING:
        return f"refused: {safe(one.error, 300)}, {asked}"
    return asked if one.asked_at is None else f"works, {asked}"


def _labelled(label: str, words: Words, room: Room) -> list["Text"]:
    """Return a fact behind its label, broken into lines as wide as the room."""
    inner = room if room.width is None else Room(max(1, room.width - _LABEL))
    parts = wrapped([styled(words)], inner) or [styled(Words(""))]
    labels = [f"  {label}", *[""] * (len(parts) - 1)]
    return [
        styled(Words(f"{start:{_LABEL}}", "dim")).append_text(part)
        for start, part in zip(labels, parts, strict=True)
    ]
