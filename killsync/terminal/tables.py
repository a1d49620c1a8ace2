"""The tables that a person looks at; every name in them is shown harmlessly."""

from typing import TYPE_CHECKING, Any

from killsync.model import UserKind, UserState
from killsync.store.runs import LockHolder, Run
from killsync.sync.alerts import Overdue
from killsync.sync.status import RateLimit, Status, UserStatus, was_killed
from killsync.terminal.advice import (
    describe_alert,
    describe_backlog,
    describe_holder,
)
from killsync.terminal.cells import name_cell, new_table
from killsync.terminal.console import console as console
from killsync.terminal.console import show as show
from killsync.terminal.text import count, safe
from killsync.times import ago, duration, unix, unix_or_none

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

_MOST_BUCKETS = 8
_STATES = {
    UserState.ACTIVE: ("active", "green"),
    UserState.NEEDS_LOGIN: ("needs login", "bold red"),
    UserState.DISABLED: ("disabled", "dim"),
    UserState.UNKNOWN: ("damaged: run `killsync check`", "bold red"),
}


def show_users(users: list[UserStatus]) -> None:
    """Print the characters and corporations."""
    table = new_table(
        (_who(users), "left"), ("Id", "right"), ("State", "left"), ("Killmails", "right")
    )
    for user in users:
        table.add_row(
            name_cell(safe(user.name, 40)),
            str(user.user_id),
            _cell(_STATES[user.state][0] + _directors(user), _STATES[user.state][1]),
            f"{user.killmails:,}",
        )
    show(table)


def status_view(status: Status, runs: list[Run], now: float) -> "Group":
    """Return the whole status: users, what is wrong, queue, lock, last runs, rate limits."""
    from rich.console import Group

    parts: list[Any] = [_users(status.users, now), *_corporations(status.users)]
    parts += [*_troubles(status, now), *_queue(status, now), _lock(status, now)]
    if runs:
        parts.append(_runs(runs, status.lock, now))
    spent = [limit for limit in status.rate_limits if limit.retry_at or _share_left(limit) < 1]
    if spent:
        parts.append(_rate_limits(spent))
    return Group(*parts)


def _users(users: list[UserStatus], now: float) -> "Table":
    table = new_table(
        (_who(users), "left"),
        ("Last sync", "right"),
        ("Next due", "right"),
        ("Killmails", "right"),
        ("Pending", "right"),
        ("Stored id", "right"),
        ("State", "left"),
    )
    for user in users:
        table.add_row(
            name_cell(safe(user.name, 40)),
            ago(unix_or_none(user.last_killmail_sync_at), now),
            _next_due(user.next_due_at, now),
            f"{user.killmails:,}",
            f"{user.pending:,}",
            "-" if user.last_killmail_id is None else str(user.last_killmail_id),
            _state(user),
        )
    return table


def _state(user: UserStatus) -> "Text":
    state, style = _STATES[user.state]
    if user.failures:
        state, style = f"failed {user.failures}x", "yellow"
    if user.backfill:
        state += f", page {user.backfill.page}"
    return _cell(state, style)


def _who(users: list[UserStatus]) -> str:
    corporations = any(user.kind is UserKind.CORPORATION for user in users)
    return "User" if corporations else "Character"


def _directors(user: UserStatus) -> str:
    """Return of a corporation how many of its directors work, of a character nothing."""
    if user.kind is not UserKind.CORPORATION:
        return ""
    return f", {user.directors_working} of {count(len(user.directors), 'director')}"


def _corporations(users: list[UserStatus]) -> list["Text"]:
    """Return of each corporation how many directors work, and a line for each who does not."""
    lines = []
    for user in users:
        if user.kind is not UserKind.CORPORATION:
            continue
        working, number = user.directors_working, len(user.directors)
        text = f"{safe(user.name, 40)}: {working} of {count(number, 'director')} can read its list"
        style = "yellow" if working < number else ""
        if working == 0:
            text += "; `killsync login --corporation` adds one, or renews a login"
            style = "red"
        lines.append(_cell(text, style))
        lines += [
            _cell(f"  {safe(one.name, 40)}: {safe(one.error, 300)}", style)
            for one in user.directors
            if one.error
        ]
    return [*lines, _cell("")] if lines else []


def _is_unread(user: UserStatus) -> bool:
    """Return whether a corporation has no director who reads it, as its own line says."""
    is_corporation = user.kind is UserKind.CORPORATION
    return is_corporation and user.state is UserState.NEEDS_LOGIN and not user.directors_working


def _next_due(text: str | None, now: float) -> str:
    if text is None:
        return "-"
    left = unix(text) - now
    return "now" if left <= 0 else f"in {duration(left)}"


def _troubles(status: Status, now: float) -> list["Text"]:
    lines = []
    if status.unsynced is not None:
        lines.append(_cell(describe_alert(status.unsynced, now), "bold red"))
    if status.unfetched is not None:
        lines.append(_cell(describe_alert(status.unfetched, now), "bold red"))
    lines += [
        _cell(f"{safe(user.name, 40)}: {safe(user.error)}", "red")
        for user in status.users
        if user.error and not _is_unread(user)
    ]
    lines += [
        _cell(f"killmail {aside.killmail_id} is set aside: {safe(aside.error)}", "red")
        for aside in status.set_aside
    ]
    return [*lines, _cell("")] if lines else []


def _queue(status: Status, now: float) -> list["Text"]:
    jobs, aside = status.jobs, status.set_aside_killmails
    line = (
        f"Queue: {jobs.queued:,} queued, {jobs.running:,} running, {jobs.failed:,} failed;"
        f" {count(status.pending_killmails, 'killmail')} pending"
    )
    lines = [_cell(line + (f", {aside:,} set aside" if aside else ""))]
    left = describe_backlog(status.backlog, now)
    return [*lines, _cell(left)] if left else lines


def _lock(status: Status, now: float) -> "Text":
    holder = status.lock
    if holder is None:
        return _cell("Lock: free")
    if holder.since is None:
        return _cell(f"Lock: held by {describe_holder(holder)}")
    if status.lock_overdue:
        return _cell(f"Lock: {describe_alert(Overdue(holder, now), now)}", "bold red")
    since = ago(unix(holder.since), now)
    return _cell(f"Lock: held by {describe_holder(holder)} since {holder.since}, {since}", "cyan")


def _runs(runs: list[Run], holder: LockHolder | None, now: float) -> "Table":
    table = new_table(
        ("Last runs", "left"),
        ("Started", "right"),
        ("Took", "right"),
        ("Users", "right"),
        ("Pages", "right"),
        ("Killmails", "right"),
        ("Requests", "right"),
        ("Errors", "right"),
        ("Exit", "right"),
    )
    for run in runs:
        numbers = (run.users, run.pages, run.new_killmails, run.requests, run.errors)
        table.add_row(
            safe(run.command),
            ago(unix(run.started_at), now),
            _took(run),
            *(f"{number:,}" for number in numbers),
            _exit(run, holder),
        )
    return table


def _exit(run: Run, holder: LockHolder | None) -> str:
    if run.exit_code is not None:
        return str(run.exit_code)
    return "killed" if was_killed(run, holder) else "running"


def _took(run: Run) -> str:
    if run.finished_at is None:
        return "-"
    return duration(unix(run.finished_at) - unix(run.started_at))


def _rate_limits(limits: list[RateLimit]) -> "Table":
    table = new_table(
        ("Rate limit", "left"), ("Left", "right"), ("Window", "right"), ("Goes on at", "left")
    )
    for limit in sorted(limits, key=_share_left)[:_MOST_BUCKETS]:
        table.add_row(
            name_cell(safe(f"{limit.group} {limit.key}")),
            f"{limit.remaining:,} of {limit.limit:,}",
            duration(limit.window_s),
            limit.retry_at or limit.ready_at or "",
        )
    return table


def _share_left(limit: RateLimit) -> float:
    return limit.remaining / limit.limit


def _cell(text: str, style: str = "") -> "Text":
    from rich.text import Text

    return Text(text, style=style)
