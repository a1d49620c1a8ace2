"""What a name means that a person gives: the ids of ships, systems or players."""

import sqlite3

from killsync.board.nearest import nearest
from killsync.errors import UsageError
from killsync.store import named
from killsync.store.meant import folded
from killsync.store.named import Named

_MOST_NAMED = 5
_MOST_BEGUN = 100
_LONGEST_ID = 18

Ids = tuple[int, ...]


def ships(conn: sqlite3.Connection, word: str) -> Ids:
    """Return the types that the name of a ship or of a group of ships means, or an id.

    Raises UsageError.
    """
    found = _by_name(conn, word, (Named.SHIP, Named.SHIP_GROUP))
    groups = found.get(Named.SHIP_GROUP)
    of_groups = named.ships_of_groups(conn, groups) if groups else []
    return tuple(dict.fromkeys([*found.get(Named.SHIP, []), *of_groups]))


def systems(conn: sqlite3.Connection, word: str) -> Ids:
    """Return the systems that a name or an id means. Raises UsageError."""
    return tuple(_by_name(conn, word, (Named.SYSTEM,))[Named.SYSTEM])


def systems_of_region(conn: sqlite3.Connection, word: str) -> Ids:
    """Return the systems of the region that a name or an id means. Raises UsageError."""
    regions = _by_name(conn, word, (Named.REGION,))[Named.REGION]
    return tuple(named.systems_of_regions(conn, regions))


def parties(conn: sqlite3.Connection, word: str) -> Ids:
    """Return the pilots, corporations, alliances and factions that a name or an id means.

    Raises UsageError.
    """
    return tuple(_by_name(conn, word, (Named.PARTY,))[Named.PARTY])


def kinds_of(conn: sqlite3.Connection, word: str) -> list[Named]:
    """Return what bears exactly this name."""
    return [kind for kind in Named if _exactly(conn, kind, word)]


def _by_name(
    conn: sqlite3.Connection, given: str, kinds: tuple[Named, ...]
) -> dict[Named, list[int]]:
    """Return the ids that a word means among things of these kinds, at least one.

    It is a whole name, of everything that bears it, else an id, else the beginning of one name
    only. The kinds are asked in order for an id or a beginning, all together for a whole name.
    """
    # an argument that is not UTF-8 names nothing, and SQLite takes none
    word = given.encode(errors="replace").decode().strip()
    exact = {kind: ids for kind in kinds if (ids := _exactly(conn, kind, word))}
    if exact:
        return exact
    is_id = word.isascii() and word.isdecimal() and len(word) <= _LONGEST_ID
    if is_id and (of_id := _kind_of_id(conn, int(word), kinds)):
        return {of_id: [int(word)]}
    for kind in kinds if word else ():
        if begun := _begun(conn, kind, word):
            return {kind: begun}
    raise UsageError(_unknown(conn, word, kinds))


def _exactly(conn: sqlite3.Connection, kind: Named, word: str) -> list[int]:
    found = named.exactly(conn, kind, word)
    if not word.isascii():
        others = named.with_other_letters(conn, kind)
        found += [id_ for id_, name in others if folded(name) == folded(word)]
    return list(dict.fromkeys(found))


def _kind_of_id(conn: sqlite3.Connection, id_: int, kinds: tuple[Named, ...]) -> Named | None:
    """Return what an id is of; of one without a name the first kind, unless it occurs nowhere."""
    known = (kind for kind in kinds if named.has_name(conn, kind, id_))
    return next(known, kinds[0] if named.may_occur(conn, id_) else None)


def _begun(conn: sqlite3.Connection, kind: Named, word: str) -> list[int]:
    """Return the ids of the one name that begins so, of ships the hull's among its editions'."""
    found = named.beginning(conn, kind, word, _MOST_BEGUN)
    if not word.isascii():
        others = named.with_other_letters(conn, kind)
        found = [one for one in others if folded(one[1]).startswith(folded(word))]
    if not found:
        return []
    first = found[0][1]
    is_hull = kind is Named.SHIP and len(found) < _MOST_BEGUN
    if any(name != first and not (is_hull and name.startswith(first)) for _, name in found):
        raise UsageError(_ambiguous(word, kind, found))
    return [id_ for id_, name in found if name == first]


def _ambiguous(word: str, kind: Named, begun: list[tuple[int, str]]) -> str:
    names = list(dict.fromkeys(name[:60] for _, name in begun))
    more = ", ..." if len(names) > _MOST_NAMED else ""
    listed = ", ".join(names[:_MOST_NAMED])
    return f"{word[:60]!r} begins the name of more than one {kind}: {listed}{more}"


def _unknown(conn: sqlite3.Connection, word: str, kinds: tuple[Named, ...]) -> str:
    what = f"no {' or '.join(kinds)} {word[:60]!r}"
    known = [name for kind in kinds for name in named.similar(conn, kind, word)]
    if not known and Named.PARTY not in kinds:
        return f"{what}: no such names are known yet; give an id, or run `killsync scan` first"
    near = nearest(word, known)
    return f"{what} is known" if near is None else f"{what}; the nearest is {near[:60]!r}"
