"""Which refresh tokens are kept when SSO has answered one: no single answer may lose a login.

SSO may replace a refresh token, so its answer is kept. It may also be wrong once, so the token that
brought it is kept too, until what came of it has proved itself: SSO has accepted it, and granted
access to the character. Everything here is pure.
"""

from collections.abc import Sequence
from enum import Enum, auto

_LONGEST = 4096
# the newest, the one that brought it, and one before them that has not been refuted
_MOST = 3


class Whose(Enum):
    """What the access token says that SSO has granted beside a refresh token."""

    OURS = auto()  # the character's, and it may read killmails
    UNCLEAR = auto()  # nobody's that can be read, or it may not read killmails
    ANOTHERS = auto()


def may_be_refresh_token(text: str) -> bool:
    """Return whether a text can be a refresh token: printable ASCII, no spaces, not too long."""
    return 0 < len(text) <= _LONGEST and text.isascii() and text.isprintable() and " " not in text


def kept(tokens: Sequence[str], sent: str, answered: str, whose: Whose) -> tuple[str, ...]:
    """Return the refresh tokens to keep, in the order in which to send them.

    `tokens` were kept before, `sent` is the one of them that SSO has accepted, and `answered` came
    with it: the same one, or a new one.
    """
    if whose is Whose.OURS:
        return tuple(dict.fromkeys((answered, sent)))
    # the others had no turn, or were refused: the one that was sent is not better for this answer
    others = [token for token in tokens if token not in (sent, answered)]
    new = [answered] if whose is Whose.UNCLEAR and answered != sent else []
    return tuple([*others, *new, sent][-_MOST:])


def beside(tokens: Sequence[str], stored: Sequence[str]) -> tuple[str, ...]:
    """Return the refresh tokens to keep when `tokens` are stored where others are already."""
    return tuple(dict.fromkeys((*tokens, *stored)))[:_MOST]
