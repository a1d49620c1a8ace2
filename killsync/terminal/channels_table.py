"""What was told and what waits, by channel, as a person or a pipe reads it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from killsync.settings.channels import Channel, Subject
from killsync.store.channels import ChannelState, Counts
from killsync.terminal.cells import name_cell, new_table
from killsync.terminal.moments import near, time_to_come
from killsync.terminal.status_words import Clock
from killsync.terminal.text import count, safe
from killsync.times import iso, iso_or_none, span

if TYPE_CHECKING:
    from rich.console import Group

_LONGEST_NAME = 40
_LONGEST = 400
_OF_KILLMAILS = {Subject.KILLS, Subject.LOSSES}

# heading, side, and whether it stands there even if it is empty
_COLUMNS = (
    ("Channel", "left", True),
    ("Only", "left", False),
    ("Told", "right", True),
    ("Last", "left", True),
    ("Waiting", "right", False),
    ("Next", "left", False),
    ("Given up", "right", False),
    ("Uncertain", "right", False),
)


class ChannelRow(msgspec.Struct, frozen=True):
    """How a channel stands; `channel` is None if it is not in the configuration any more.

    `unclear` are the users that it names and that mean nobody, or several.
    """

    name: str
    channel: Channel | None
    counts: Counts
    state: ChannelState
    is_resting: bool
    unclear: Sequence[str] = ()

    @property
    def next_at(self) -> str | None:
        """When the next is sent, as ISO text; None if nothing waits, or nobody would send it."""
        due, rests = self.counts.next_at, iso_or_none(self.state.not_before)
        if due is None or self.channel is None:
            return None
        return max(due, rests) if self.is_resting and rests is not None else due


def builtins(row: ChannelRow) -> dict[str, Any]:
    """Return a channel as a JSON object."""
    channel, state, counts = row.channel, row.state, row.counts
    return {
        "channel": row.name,
        "by": None if channel is None else "command" if channel.command else "url",
        "what": [] if channel is None else list(channel.what),
        "told": counts.told,
        "waiting": counts.waiting,
        "sending": counts.sending,
        "expired": counts.expired,
        "uncertain": counts.uncertain,
        "uncertain_ids": counts.uncertain_ids,
        "next_at": row.next_at,
        "told_at": iso_or_none(state.told_at),
        "failures": state.failures,
        "failing_since": iso_or_none(state.failing_since),
        "rests_until": iso_or_none(state.not_before) if row.is_resting else None,
        "error": state.error,
        "unclear_users": list(row.unclear),
    }


def lines(rows: Sequence[ChannelRow]) -> Iterator[str]:
    """Yield a line for each channel, for a pipe, in the order of the JSON's keys."""
    for row in rows:
        yield "\t".join(_field(value) for value in builtins(row).values())


def _field(value: object) -> str:
    if isinstance(value, list):
        return safe(" ".join(map(str, value)), _LONGEST)
    return "" if value is None else safe(str(value), _LONGEST)


def view(rows: Sequence[ChannelRow], clock: Clock) -> "Group":
    """Return the same for a terminal, with a sentence for all that is wrong."""
    from rich.console import Group
    from rich.text import Text

    cells = [_cells(row, clock) for row in rows]
    # what nothing stands in takes room that names need
    kept = [n for n, (_, _, always) in enumerate(_COLUMNS) if always or any(c[n] for c in cells)]
    table = new_table(*(_COLUMNS[n][:2] for n in kept))
    for row, texts in zip(rows, cells, strict=True):
        name = name_cell(safe(row.name, _LONGEST_NAME))
        table.add_row(name, *(texts[n] for n in kept[1:]))
    sentences = [line for row in rows for line in _sentences(row, clock)]
    return Group(table, *map(Text, (*sentences, *left_out(rows))))


def left_out(rows: Sequence[ChannelRow]) -> list[str]:
    """Return what is told of by none of the channels that have told nothing yet."""
    ages = [
        f"{safe(row.name, _LONGEST_NAME)}: {span(row.channel.max_age)}"
        for row in rows
        if row.channel is not None and not row.counts.told and set(row.channel.what) & _OF_KILLMAILS
    ]
    if not ages:
        return []
    return [
        "Killmails are told of from now on: none of a first sync or an import, and none that is"
        f" older than its channel's max_age ({', '.join(ages)}) when it is stored."
    ]


def _cells(row: ChannelRow, clock: Clock) -> list[str]:
    counts, what = row.counts, row.channel.what if row.channel else ()
    told_at = row.state.told_at
    numbers = (counts.waiting + counts.sending, counts.expired, counts.uncertain)
    waiting, expired, uncertain = (f"{number:,}" if number else "" for number in numbers)
    return [
        row.name,
        "" if len(what) == len(Subject) else ", ".join(what),
        f"{counts.told:,}",
        "never" if told_at is None else near(told_at, clock.now, clock.zone),
        waiting,
        time_to_come(row.next_at, clock.now, clock.zone, rough=True) if row.next_at else "",
        expired,
        uncertain,
    ]


def _sentences(row: ChannelRow, clock: Clock) -> Iterator[str]:
    name, state, counts = safe(row.name, _LONGEST_NAME), row.state, row.counts
    if row.channel is None:
        yield f"{name}: not in the configuration any more; what waits is given up after a day."
    if state.failing_since is not None:
        lasts, error = span(clock.now - state.failing_since), safe(state.error, _LONGEST)
        until = iso_or_none(state.not_before) or iso(clock.now)
        after = time_to_come(until, clock.now, clock.zone)
        rests = f"; tried again after {after}" if row.is_resting else ""
        yield f"{name}: has failed for {lasts} ({count(state.failures, 'time')}): {error}{rests}."
    if counts.uncertain_ids:
        ids = ", ".join(map(str, counts.uncertain_ids))
        more = ", ..." if counts.uncertain > len(counts.uncertain_ids) else ""
        yield f"{name}: nobody knows whether it told of {ids}{more}; nothing is sent twice."
    if row.unclear:
        yield f"{name}: {describe_unclear(row.unclear)}."


def describe_unclear(words: Sequence[str]) -> str:
    """Return that words among a channel's users mean nobody, or several."""
    quoted = ", ".join(repr(safe(word, 60)) for word in words)
    return f"{quoted} among its users is nobody's name, or that of several"
