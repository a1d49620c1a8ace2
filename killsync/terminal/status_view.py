"""The whole status as lines: who stands how, what is wrong, what goes on; as high as there is room.

What matters least gives way first: the last runs shrink, then what is said of the day and the
limits goes; in a picture that must not scroll, then users with whom nothing is wrong, and lines of
what is wrong beyond half of it.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from msgspec import Struct

from killsync.model import UserKind
from killsync.store.runs import LockHolder, Run
from killsync.sync.alerts import Overdue
from killsync.sync.status import RateLimit, SetAside, Status, UserStatus
from killsync.terminal.advice import describe_alert, describe_backlog
from killsync.terminal.cells import Words, styled
from killsync.terminal.columns import aligned, cells_taken, cut_to, first_fitting
from killsync.terminal.sparks import spark
from killsync.terminal.status_words import (
    Clock,
    activity,
    ending,
    limits_line,
    needs_attention,
    trouble,
)
from killsync.terminal.text import count, safe
from killsync.terminal.users_table import status_table
from killsync.times import span, unix

if TYPE_CHECKING:
    from rich.text import Text

SHOWN_RUNS = 5
_FEWEST_LINES = 4
_MOST_LISTS = 3
_MOST_BUCKETS = 8
_RUN_LAYOUTS = (
    "run started took users pages stored requests errors ended",
    "run started took users stored requests errors ended",
    "run started took users stored errors ended",
    "run started took stored errors ended",
    "run started took stored ended",
    "run started stored ended",
)
_RUN_NUMBERS = ("took", "users", "pages", "stored", "requests", "errors")
_LIMIT_LAYOUTS = ("limit left window again",)


class Room(Struct, frozen=True):
    """How much room there is: None is as much as it takes, as in a pipe.

    `scrolls`: more lines than `height` may be shown where users take them. `plain`: only ASCII.
    """

    width: int | None = None
    height: int | None = None
    scrolls: bool = True
    plain: bool = False


def status_lines(
    status: Status, runs: Sequence[Run], clock: Clock, room: Room, *, verbose: bool = False
) -> list["Text"]:
    """Return the whole status for so much room; `verbose`: with each rate limit and the queue."""
    now = wrapped(_now(status, clock), room)
    wrong = _as_far_as_fits(wrapped(_wrong(status, clock.now), room), room, len(now))
    more = wrapped([styled(line) for line in _more(status, clock, room, verbose=verbose)], room)
    if verbose and status.rate_limits:
        more += [styled(Words("")), *_rate_limits(status.rate_limits, clock, room)]
    must = len(wrong) + len(now)
    users = _users(status, clock, room, must)
    left = None if room.height is None else room.height - must - len(users)
    shown = more if left is None or len(more) <= left else more[: max(0, left)]
    left = None if left is None else left - len(shown)
    return [*users, *wrong, *now, *shown, *_runs(runs, status.lock, clock, room, left)]


def _as_far_as_fits(wrong: list["Text"], room: Room, others: int) -> list["Text"]:
    """Return what is wrong; where it must not scroll, in half of what `others` leave at most."""
    if room.height is None or room.scrolls:
        return wrong
    most = max(_FEWEST_LINES, (room.height - others) // 2)
    if len(wrong) <= most:
        return wrong
    hidden = count(len(wrong) - most + 1, "more line")
    return [*wrong[: most - 1], styled(Words(f"... and {hidden} of what is wrong", "red"))]


def _users(status: Status, clock: Clock, room: Room, others: int) -> list["Text"]:
    """Return the table of users; where it must not scroll, as many as `others` leave room for."""
    if not status.users:
        return []

    def table(users: Sequence[UserStatus]) -> list["Text"]:
        return status_table(users, clock, room.width, reading=status.reading)

    lines = table(status.users)
    if room.height is None or room.scrolls or len(lines) + others < room.height:
        return [*lines, styled(Words(""))]
    return _cropped(status.users, max(_FEWEST_LINES, room.height - others), table)


def _cropped(
    users: Sequence[UserStatus], height: int, table: Callable[[Sequence[UserStatus]], list["Text"]]
) -> list["Text"]:
    """Return a table of as many users as fit, those with whom something is wrong first."""
    shown, lines = sorted(users, key=lambda user: not needs_attention(user)), []
    # a heading, and a line that says how many there are more
    for number in range(min(len(users), height - 2), 0, -1):
        lines = table(shown[:number])
        if len(lines) < height:
            break
    if number == len(users):
        return lines
    return [*lines, styled(Words(f"... and {len(users) - number:,} more", "dim"))]


def _wrong(status: Status, now: float) -> list["Text"]:
    lines = [
        Words(describe_alert(alert, now), "bold red")
        for alert in (status.unsynced, status.unfetched)
        if alert is not None
    ]
    if status.lock is not None and status.lock_overdue:
        lines.append(Words(describe_alert(Overdue(status.lock, now), now), "bold red"))
    for user in status.users:
        lines += _directors_lines(user)
        if (said := trouble(user)) is not None:
            lines.append(Words(said, "red"))
    lines += _set_aside(status.set_aside)
    return [styled(line) for line in lines]


def directors_words(user: UserStatus) -> Words:
    """Return how many of a corporation's directors can read its list, as far as that is known."""
    working, number = user.directors_working, len(user.directors)
    if working == 0:
        cure = "`killsync login --corporation` adds one, or renews a login"
        return Words(f"0 of {count(number, 'director')} can read its list; {cure}", "red")
    style = "yellow" if working < number else ""
    if not any(one.asked_at for one in user.directors):
        return Words(f"{count(number, 'director')}; nobody has read its list yet", style)
    return Words(f"{working} of {count(number, 'director')} can read its list", style)


def _directors_lines(user: UserStatus) -> list[Words]:
    """Return of a corporation how many directors work, and a line for each who does not."""
    if user.kind is not UserKind.CORPORATION:
        return []
    words = directors_words(user)
    refused = [one for one in user.directors if one.error]
    return [
        Words(f"{safe(user.name)}: {words.text}", words.style),
        *(Words(f"  {safe(one.name)}: {safe(one.error, 300)}", words.style) for one in refused),
    ]


def _set_aside(set_aside: Sequence[SetAside]) -> list[Words]:
    """Return a line for each reason why killmails were set aside."""
    lines = []
    by_reason = sorted(set_aside, key=lambda one: one.error)
    for reason, alike in groupby(by_reason, lambda one: one.error):
        ids = [str(one.killmail_id) for one in alike]
        which = f"killmail {ids[0]} is" if len(ids) == 1 else f"killmails {', '.join(ids)} are"
        lines.append(Words(f"{which} set aside: {safe(reason)}", "red"))
    return lines


def _now(status: Status, clock: Clock) -> list["Text"]:
    lines = [activity(status.lock, status.last_run, clock, users=len(status.users))]
    if status.progress is not None:
        lines += _progress(status)
    lines.append(Words(describe_backlog(status.backlog, clock.now, clock.zone)))
    return [styled(line) for line in lines if line.text]


def _progress(status: Status) -> list[Words]:
    progress = status.progress
    assert progress is not None
    lines = []
    for one in progress.lists[:_MOST_LISTS]:
        read = f"{count(one.pages, 'page')} read, {count(one.new, 'new killmail')}"
        lines.append(Words(f"  {safe(one.name)}: {read}", "cyan"))
    if len(progress.lists) > _MOST_LISTS:
        lines.append(Words(f"  and {len(progress.lists) - _MOST_LISTS:,} more lists", "cyan"))
    if progress.stored:
        lines.append(Words(f"  {count(progress.stored, 'killmail')} stored so far", "cyan"))
    return lines


def _more(status: Status, clock: Clock, room: Room, *, verbose: bool) -> list[Words]:
    if not status.users:
        return []
    lines = [_day(status.stored_by_hour, plain=room.plain), limits_line(status.rate_limits, clock)]
    if verbose:
        jobs = status.jobs
        queue = f"{jobs.queued:,} queued, {jobs.running:,} running, {jobs.failed:,} failed"
        lines.append(Words(f"Jobs: {queue} in the last 30 days"))
    return lines


def _day(by_hour: Sequence[int], *, plain: bool) -> Words:
    most, hours = max(by_hour), f"last {len(by_hour)} h"
    if not most:
        return Words(f"No killmail was stored in the {hours}")
    blocks = "".join(spark(number, most, plain=plain) for number in by_hour)
    return Words(f"Stored in the {hours}: {blocks} {sum(by_hour):,}")


def _runs(
    runs: Sequence[Run], holder: LockHolder | None, clock: Clock, room: Room, left: int | None
) -> list["Text"]:
    """Return the last runs below a heading: as many as there are lines left for."""
    shown = list(runs[:SHOWN_RUNS] if left is None else runs[: min(SHOWN_RUNS, max(0, left - 2))])
    if not shown:
        return []
    rows = [_run(run, holder, clock) for run in shown]
    titles = {name: name.capitalize() for name in rows[0]} | {"run": "Last runs"}
    return [styled(Words("")), *_table(titles, rows, _RUN_LAYOUTS, _RUN_NUMBERS, room)]


def _run(run: Run, holder: LockHolder | None, clock: Clock) -> dict[str, Words]:
    def number(of: int) -> Words:
        # a run records what it did when it ends
        return Words("-" if run.finished_at is None else f"{of:,}")

    took = 0.0 if run.finished_at is None else unix(run.finished_at) - unix(run.started_at)
    return {
        "run": Words(safe(run.command)),
        "started": Words(clock.near(run.started_at)),
        "took": Words("-" if run.finished_at is None else span(took)),
        "users": number(run.users),
        "pages": number(run.pages),
        "stored": number(run.new_killmails),
        "requests": number(run.requests),
        "errors": number(run.errors),
        "ended": ending(run, holder),
    }


def _rate_limits(limits: Sequence[RateLimit], clock: Clock, room: Room) -> list["Text"]:
    rows = [
        {
            "limit": Words(safe(f"{one.group} {one.key}".strip())),
            "left": Words(f"{one.remaining:,} of {one.limit:,}"),
            "window": Words(span(one.window_s)),
            "again": Words(_again(one, clock)),
        }
        for one in sorted(limits, key=lambda one: one.remaining / max(1, one.limit))
    ]
    titles = {"limit": "Rate limit", "left": "Left", "window": "Window", "again": "Goes on"}
    return _table(titles, rows[:_MOST_BUCKETS], _LIMIT_LAYOUTS, ("left", "window"), room)


def _again(limit: RateLimit, clock: Clock) -> str:
    moment = limit.retry_at or limit.ready_at
    return "" if moment is None else clock.near(moment)


def _table(
    titles: dict[str, str],
    rows: Sequence[dict[str, Words]],
    layouts: Sequence[str],
    right: Sequence[str],
    room: Room,
) -> list["Text"]:
    cells = [{name: styled(words) for name, words in row.items()} for row in rows]
    cells.insert(0, {name: styled(Words(title, "bold")) for name, title in titles.items()})
    needed = {name: max(row[name].cell_len for row in cells) for name in titles}
    shown = first_fitting(layouts, lambda names: cells_taken(names, needed), room.width)
    widths = {name: needed[name] for name in shown}
    lines = [aligned({name: row[name] for name in shown}, widths, right=right) for row in cells]
    cut_to(lines, room.width)
    return lines


def wrapped(lines: Sequence["Text"], room: Room) -> list["Text"]:
    """Return prose broken into lines as wide as the room."""
    if room.width is None:
        return list(lines)
    from rich.console import Console

    console = Console(width=room.width)
    return [part for line in lines for part in line.wrap(console, room.width)]
