"""Names of ids: characters, corporations, alliances, types, systems and factions.

Source of every fact: ESI's OpenAPI document, compatibility date 2026-07-21, and what was seen of
it: one id that ESI does not know costs the names of all that it was asked with.
"""

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from killsync.errors import IdsUnknown, Misshapen, ServerFault
from killsync.esi.buckets import names_bucket
from killsync.esi.client import Esi, raise_for_status, reason_or_none
from killsync.esi.headers import errors_left
from killsync.http import Answer
from killsync.model import LARGEST_ID, Priority

AT_ONCE = 1000
NAMES_PRIORITY = Priority.KEPT
_LONGEST_NAME = 10 * 1024
# how ESI refuses a batch because of what is in it; 404 is what it documents
_REFUSALS = (400, 404, 422)


class Named(msgspec.Struct, frozen=True, gc=False):
    """What ESI calls an id; the category is a word such as `character` or `solar_system`."""

    id: Annotated[int, Meta(ge=1, le=LARGEST_ID)]
    name: Annotated[str, Meta(max_length=_LONGEST_NAME)]
    category: Annotated[str, Meta(max_length=100)]


class Names(msgspec.Struct, frozen=True):
    """ESI's answer, at most one name for each id that was asked for.

    `errors_left` is how many errors ESI still allows, None if it does not say.
    """

    named: list[Named]
    errors_left: int | None


_decoder = msgspec.json.Decoder(list[Named])


def names(esi: Esi, ids: Sequence[int]) -> Names:
    """Ask once what up to 1,000 distinct ids are called, which needs no token.

    Raises IdsUnknown if one of them is unknown, Misshapen if the answer names none of them or
    others, and whatever `Esi.ask` raises; a fault is not tried again.
    """
    body = msgspec.json.encode(list(ids)).decode()
    answer = esi.ask("/universe/names", names_bucket(), NAMES_PRIORITY, {}, body=body)
    if answer.status in _REFUSALS:
        raise _refusal(answer)
    raise_for_status(answer)
    return Names(_decode(answer.body, frozenset(ids)), errors_left(answer.headers))


def _refusal(answer: Answer) -> IdsUnknown | ServerFault:
    reason, status = reason_or_none(answer), answer.status
    if reason is None:
        # a page of somebody else's on the way: it says nothing about the ids
        return ServerFault(f"ESI says {status}, and not why", status)
    text = f"one of these ids is unknown: ESI says {status}: {reason}"
    return IdsUnknown(text, status, errors_left(answer.headers))


def _decode(body: bytes, asked: frozenset[int]) -> list[Named]:
    try:
        named = _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Misshapen(f"ESI's names have the wrong shape: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if "surrogate" in str(error):
            raise Misshapen("one of ESI's names is half a surrogate pair") from error
        raise ServerFault("ESI's names are not JSON") from error
    found = {one.id for one in named}
    if not found <= asked:
        raise Misshapen("ESI's names are of other ids than those asked for")
    if not found or len(found) < len(named):
        raise Misshapen("ESI's names are none, or several for one id")
    return named
