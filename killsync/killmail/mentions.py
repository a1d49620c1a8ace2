"""Whether a killmail may be somebody's, seen from its bytes alone."""

from collections.abc import Callable, Collection

_MOST = 6
"""As many ids are found in a body as fast as it is decoded."""


def finder(ids: Collection[int]) -> Callable[[bytes], bool]:
    """Return what tells from a body's JSON whether one of a few ids may be on it.

    False is certain for ids that are written as whole numbers, as all programs write them. Of many
    ids it says nothing: decoding finds them faster.
    """
    if len(ids) > _MOST:
        return _anything
    digits = [str(id_).encode() for id_ in ids]

    def may_mention(raw: bytes) -> bool:
        # a key may be written with escapes, but not the digits of a number
        return any(map(raw.__contains__, digits))

    return may_mention


def _anything(raw: bytes) -> bool:
    return True
