"""What is in a lake: how far it has come, what it was made of, and what a killed call has left."""

from collections.abc import Iterable, Iterator
from operator import attrgetter

import msgspec

from killsync.errors import TryLater, UsageError
from killsync.lake import target_footer, target_names
from killsync.lake.target_files import Entry, Files, has
from killsync.lake.target_footer import Note
from killsync.lake.target_names import UNFINISHED
from killsync.store.changes import Place

# at the root of a file system of its own
_OF_THE_SYSTEM = {"lost+found"}
# tables whose parts tell how far a lake has come; others have none without these
_NUMBERED = (target_names.KILLMAILS, target_names.ARCHIVES, target_names.REMOVED)


class Newest(msgspec.Struct):
    """The parts with the highest numbers, by their names: None where there is none."""

    stored: str | None = None
    stored_seq: int = 0
    removed: str | None = None
    removed_seq: int = 0


def is_marked(files: Files) -> bool:
    """Return whether a directory has had a lake in it, even if only its beginning."""
    return has(files, "", target_names.LOCK)


def newest(files: Files) -> Newest:
    """Return the newest parts of a lake, from names alone; nothing for an empty directory.

    Raises UsageError if a directory is another's, or if there is what killsync has not written.
    """
    top = {entry.name for entry in files.names("")}
    if not top & {target_names.LOCK, UNFINISHED, *_NUMBERED}:
        _refuse_foreign(files, top)
    found = Newest()
    for table in target_names.TABLES:
        if table in top:
            for name, seq in parts(files, table):
                if table in _NUMBERED:
                    _take(found, table, name, seq)
    if found.stored is found.removed is None and not top & {target_names.LOCK, UNFINISHED}:
        # empty directories that happen to have names of ours
        _refuse_foreign(files, top)
    return found


def _take(found: Newest, table: str, name: str, seq: int) -> None:
    if table == target_names.REMOVED:
        if seq > found.removed_seq or found.removed is None:
            found.removed, found.removed_seq = name, seq
    elif seq > found.stored_seq or found.stored is None:
        found.stored, found.stored_seq = name, seq


def _refuse_foreign(files: Files, top: set[str]) -> None:
    for name in sorted(top - _OF_THE_SYSTEM):
        if not name.startswith("."):
            raise UsageError(
                f"{files.shown}: has other files in it, such as {name}; name a new directory"
            )


def parts(files: Files, table: str) -> Iterator[tuple[str, int]]:
    """Yield name and number of each part of a table; none if the table is not there.

    Raises UsageError if there is anything else that an engine would read.
    """
    for entry in files.deep_names(table):
        folder, _, name = entry.name.rpartition("/")
        if target_names.is_hidden(entry.name) or target_names.is_hidden(name):
            continue
        if _is_months(table, entry):
            continue
        seq = None if entry.is_folder else target_names.seq_of(name)
        if seq is None or not _may_hold(table, folder):
            raise UsageError(
                f"{files.shown}/{table}/{entry.name}: was not written by killsync; move it away, "
                "or name another directory"
            )
        yield f"{table}/{entry.name}", seq


def _is_months(table: str, entry: Entry) -> bool:
    return entry.is_folder and table in target_names.BY_MONTH and _may_hold(table, entry.name)


def _may_hold(table: str, folder: str) -> bool:
    """Return whether a table has parts in a directory within its own, or `""` for its own."""
    if table in target_names.BY_MONTH:
        return target_names.month_of(folder) is not None
    return not folder


def note_of(files: Files, found: Newest) -> Note | None:
    """Return what the newest part says, and how far the lake has come; None of an empty one.

    Raises UsageError if that part is damaged, not killsync's, or newer than this program; so for
    all parts of its call where they are at hand, and not behind a request for each.
    """
    name = found.stored or found.removed
    if name is None:
        return None
    shown = f"{files.shown}/{name}"
    with files.input(name) as file:
        note = target_footer.read(file, shown)
    place = note.place
    seq = place.stored_seq if found.stored else place.removed_seq
    if target_names.seq_of(name.rpartition("/")[2]) != seq:
        raise UsageError(
            f"{shown}: is not what it is named; put it back from a copy, or export to a new "
            "directory"
        )
    if files.is_lockable:
        _check_footers(files, found)
    if found.stored is None:
        # all that the call would have brought was deleted while it read
        place = Place()
    place = msgspec.structs.replace(place, removed_seq=max(place.removed_seq, found.removed_seq))
    return msgspec.structs.replace(note, place=place)


def _check_footers(files: Files, found: Newest) -> None:
    for table in target_names.BY_MONTH:
        for name, seq in parts(files, table):
            if seq == found.stored_seq:
                with files.input(name) as file:
                    target_footer.read(file, f"{files.shown}/{name}")


def check_tables(files: Files) -> None:
    """Raise UsageError if a lake without killmails has what belongs to some."""
    for entry in files.names(""):
        if entry.name in target_names.BY_MONTH and any(files.names(entry.name)):
            raise UsageError(
                f"{files.shown}: its killmails are gone; put them back from a copy, or export to "
                "a new directory"
            )


def recover(files: Files) -> bool:
    """Finish, or clear away, what killed calls have left; return whether there was any.

    A call that has its mark had written everything that the mark names. If any of it is neither
    there nor at its place, somebody cleared the call away while it set the mark, and it has moved
    nothing. Raises UsageError of something that a newer killsync must have left, and TryLater if
    another killsync is at it.
    """
    found = sorted(files.names(UNFINISHED), key=attrgetter("name"))
    for entry in found:
        if target_names.sequences_of(entry.name) is None or not entry.is_folder:
            raise UsageError(
                f"{files.shown}/{UNFINISHED}/{entry.name}: is unknown; upgrade killsync if a newer "
                "one has written there, else move it away"
            )
    calls = [entry.name for entry in found]
    for call in calls:
        if not has(files, f"{UNFINISHED}/{call}", target_names.COMPLETE):
            clear(files, call)
        elif not finish(files, call):
            _sweep(files, call)
    files.tidy(UNFINISHED)
    return bool(calls)


def unfinished(files: Files) -> list[str]:
    """Return the names of the directories of all calls that go on or were killed."""
    return sorted(entry.name for entry in files.names(UNFINISHED))


def clear(files: Files, call: str) -> None:
    """Delete what a call has written that has no mark, and nothing of others.

    Where nothing is locked, the call may be at work: it looks for its beginning once its mark is
    set, and here one looks for the mark once the beginning is gone. So one of both sees the other.
    Raises TryLater if the call has set its mark meanwhile; then all of its parts are left.
    """
    folder = f"{UNFINISHED}/{call}"
    files.delete(f"{folder}/{target_names.BEGUN}")
    if has(files, folder, target_names.COMPLETE):
        raise TryLater(f"{files.shown}: another killsync is writing there; try again")
    _sweep(files, call)


def _sweep(files: Files, call: str) -> None:
    files.remove(f"{UNFINISHED}/{call}")
    files.tidy(UNFINISHED)
    files.settle()


def mark(files: Files, call: str, waiting: Iterable[str]) -> None:
    """Set the mark of a call, which names all parts that it has brought."""
    named = sorted(waiting, key=target_names.order_of)
    files.mark(f"{UNFINISHED}/{call}/{target_names.COMPLETE}", msgspec.json.encode(named))


def finish(files: Files, call: str) -> bool:
    """Move what the mark of a call names to its place; then clear the call away.

    They go one by one, the killmails last: who reads meanwhile, or after a kill, may see attackers
    and items without their killmails. Return whether all was there; if not, nothing is moved.
    """
    folder = f"{UNFINISHED}/{call}"
    numbers = target_names.sequences_of(call)
    assert numbers is not None
    places = {
        name: target_names.part(table, month, numbers.of(table))
        for name, (table, month) in _named(files, call).items()
    }
    # before what is at its place: others may be moving them, too
    waiting = {entry.name for entry in files.names(folder)}
    for name, place in places.items():
        if name not in waiting and not has(files, *place.rsplit("/", 1)):
            return False
    for name, place in places.items():
        if name in waiting:
            files.move(f"{folder}/{name}", place)
    # before the mark is gone
    files.settle()
    _sweep(files, call)
    return True


def _named(files: Files, call: str) -> dict[str, tuple[str, str | None]]:
    """Return table and month of each part that the mark of a call names, in their order."""
    name = f"{UNFINISHED}/{call}/{target_names.COMPLETE}"
    with files.input(name) as file:
        content = file.read()
    try:
        named = msgspec.json.decode(content, type=list[str])
    except (msgspec.DecodeError, UnicodeDecodeError):
        named = [""]
    found = {one: parsed for one in named if (parsed := target_names.parse_waiting(one))}
    if len(found) < len(named):
        raise UsageError(
            f"{files.shown}/{name}: cannot be read; upgrade killsync if a newer one has written "
            "there, else export to a new directory"
        )
    return found
