"""The name that a person may have meant."""

from collections.abc import Sequence

from killsync.store.meant import folded

# a name in EVE has 37 characters at most; comparing long texts takes long
_LONGEST_COMPARED = 100
_NEAR = 0.7
_NEAR_FOR_ONE_WORD = 0.8


def nearest(word: str, names: Sequence[str]) -> str | None:
    """Return the name that a word is a slip of: of all of it, or of one of its words."""
    if len(word) > _LONGEST_COMPARED:
        return None
    # only a mistake needs it
    import difflib

    names = [name for name in names if len(name) <= _LONGEST_COMPARED]
    whole = {folded(name): name for name in names}
    words = {folded(part): name for name in names for part in name.split()}
    for compared, cutoff in ((whole, _NEAR), (words, _NEAR_FOR_ONE_WORD)):
        found = difflib.get_close_matches(folded(word), compared, n=1, cutoff=cutoff)
        if found:
            return compared[found[0]]
    return None
