"""How many ids have names, and which have none, as a person or a pipe reads it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from killsync.store.facts import Failure
from killsync.store.names import NameCounts, UnnamedId
from killsync.terminal.text import count, safe
from killsync.times import ago, clock, unix

if TYPE_CHECKING:
    from rich.console import Group


def lines(
    found: NameCounts, without: Sequence[UnnamedId], failure: Failure | None
) -> Iterator[str]:
    """Yield a line for each kind and each id without a name, for a pipe: tab-separated.

    And one that says since when names fail, and why, if they do.
    """
    if failure is not None:
        yield f"failing\t{safe(failure.since)}\t{safe(failure.reason)}"
    for kind, number in found.named.items():
        yield f"named\t{kind}\t{number}"
    yield f"unnamed\tall\t{found.unnamed}"
    for one in without:
        yield f"unnamed\t{one.id}\t{one.attempts}\t{one.not_before or ''}"


def view(
    found: NameCounts, without: Sequence[UnnamedId], failure: Failure | None, now: float
) -> "Group":
    """Return the same for a terminal."""
    from rich.console import Group
    from rich.text import Text

    kinds = _table("Names of", "How many")
    for kind, number in found.named.items():
        kinds.add_row(f"{kind}s", f"{number:,}")
    parts: list[Any] = [kinds, *(Text(line) for line in _sentences(found, failure, now))]
    if without:
        parts.append(_unnamed(without, now))
    if len(without) < found.unnamed:
        parts.append(Text(f"... and {found.unnamed - len(without):,} more; --limit 0 shows all"))
    return Group(*parts)


def _sentences(found: NameCounts, failure: Failure | None, now: float) -> Iterator[str]:
    if found.oldest is not None and found.newest is not None:
        oldest, newest = (ago(unix(at), now) for at in (found.oldest, found.newest))
        yield f"The newest name was given {newest}, the oldest {oldest}."
    if failure is not None:
        yield f"Requests for names have failed since {safe(failure.since)}: {safe(failure.reason)}."
    if found.renewing:
        yield f"{count(found.renewing, 'old name')} kept until ESI gives it again."
    if not found.unnamed:
        yield "Every id has a name."
        return
    text = f"{count(found.unnamed, 'id')} without a name"
    parts = []
    if untried := found.unnamed - found.unknown:
        parts.append(f"{untried:,} not asked for yet")
    if found.unknown:
        parts.append(f"{found.unknown:,} unknown to ESI")
    yield f"{text}: {', '.join(parts)}."


def _unnamed(without: Sequence[UnnamedId], now: float) -> Any:
    table = _table("Without a name", "Why", "Asked for again")
    for one in without:
        why = f"unknown to ESI, {count(one.attempts, 'time')}" if one.attempts else "not asked yet"
        again = "next scan" if one.not_before is None else clock(safe(one.not_before), now)
        table.add_row(str(one.id), why, again)
    return table


def _table(*columns: str) -> Any:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name == "How many" else "left")
    return table
