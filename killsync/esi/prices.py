"""The market prices of all types as ESI sends them: entries with a price, and what is none.

ESI's OpenAPI document, compatibility date 2026-07-21: `GET /markets/prices` needs no token, is
cached for an hour, and answers `[{"type_id", "average_price"?, "adjusted_price"?}]`, about 18,000
entries in 1 MB. It has no rate-limit group of its own, only the legacy limit on errors.
"""

from contextlib import suppress
from typing import Annotated

import msgspec
from msgspec import Meta

from killsync.errors import Misshapen, ServerFault
from killsync.esi.buckets import prices_bucket
from killsync.esi.client import Esi, raise_for_status
from killsync.killmail.raw import has_too_many_parts
from killsync.killmail.value import DEAREST
from killsync.model import LARGEST_ID, Priority, TypePrice

_PATH = "/markets/prices"

_Id = Annotated[int, Meta(ge=1, le=LARGEST_ID)]
_Isk = Annotated[float, Meta(ge=0, le=DEAREST)]


class _Entry(msgspec.Struct, gc=False):
    type_id: _Id
    average_price: _Isk | None = None
    adjusted_price: _Isk | None = None


_decoder = msgspec.json.Decoder(list[_Entry])
_entries_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_entry_decoder = msgspec.json.Decoder(_Entry)


def prices(esi: Esi) -> list[TypePrice]:
    """Ask once for the prices of all types, which needs no token.

    A fault is not tried again: each would count against the limit on errors, which is everybody's.

    Raises Misshapen if the answer is no list of prices, and whatever `Esi.ask` raises.
    """
    answer = esi.ask(_PATH, prices_bucket(), Priority.KEPT, {})
    raise_for_status(answer)
    return decode(answer.body)


def decode(body: bytes) -> list[TypePrice]:
    """Return the prices, each type once, by rising id.

    Entries that are none are left out: a negative price, one above 1e15 ISK, text, an unknown
    shape, no price at all. So the last price of such a type stands. Of two entries of a type the
    first counts.

    Raises Misshapen if the answer is not a list, is far too long, or holds no price at all, and
    ServerFault if it is not JSON.
    """
    if has_too_many_parts(body):
        raise Misshapen("ESI's list of prices is far too long")
    try:
        found = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        found = _decode_one_by_one(body, error)
    by_type: dict[int, TypePrice] = {}
    for entry in found:
        average, adjusted = entry.average_price, entry.adjusted_price
        if average is not None or adjusted is not None:
            by_type.setdefault(entry.type_id, TypePrice(entry.type_id, average, adjusted))
    if not by_type:
        raise Misshapen("ESI's list of prices holds no price")
    return [by_type[type_id] for type_id in sorted(by_type)]


def _decode_one_by_one(body: bytes, mistake: Exception) -> list[_Entry]:
    try:
        body.decode()
        entries = _entries_decoder.decode(body)
    except msgspec.ValidationError:
        raise Misshapen(f"ESI's list of prices has the wrong shape: {mistake}") from mistake
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ServerFault("ESI's list of prices is not JSON") from error
    return [price for entry in entries if (price := _price(entry)) is not None]


def _price(entry: msgspec.Raw) -> _Entry | None:
    with suppress(msgspec.DecodeError, RecursionError):
        return _entry_decoder.decode(entry)
    return None
