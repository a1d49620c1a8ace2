"""A page of a list as ESI sends it: references to killmails, and entries that are none."""

from contextlib import suppress
from typing import Annotated

import msgspec
from msgspec import Meta

from killsync.errors import Misshapen, ServerFault
from killsync.model import LARGEST_ID, KillmailRef

_LARGEST = 1024 * 1024  # a page of 1,000 killmails has 80 kB

_Id = Annotated[int, Meta(ge=1, le=LARGEST_ID)]
# it becomes part of a path
_Hash = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{40}\Z")]


class _ListedKillmail(msgspec.Struct):
    killmail_id: _Id
    killmail_hash: _Hash


class _LooselyListed(msgspec.Struct):
    # 5.0 is the integer 5; above 2**53 a float is not exact
    killmail_id: _Id | Annotated[float, Meta(le=2**53)]
    killmail_hash: _Hash


_decoder = msgspec.json.Decoder(list[_ListedKillmail])
_entries_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_entry_decoder = msgspec.json.Decoder(_LooselyListed)


def decode(body: bytes) -> tuple[list[KillmailRef], int]:
    """Return the references on a page, and how many of its entries are none.

    Raises Misshapen if it is not a list, or none of several entries is a reference, and
    ServerFault if it is not JSON or too large.
    """
    if len(body) > _LARGEST:
        raise ServerFault(f"ESI's list is larger than {_LARGEST >> 20} MiB")
    try:
        return [KillmailRef(e.killmail_id, e.killmail_hash) for e in _decoder.decode(body)], 0
    except msgspec.ValidationError as error:
        return _decode_one_by_one(body, error)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ServerFault("ESI's list is not JSON") from error


def _decode_one_by_one(
    body: bytes, mistake: msgspec.ValidationError
) -> tuple[list[KillmailRef], int]:
    try:
        body.decode()
        entries = _entries_decoder.decode(body)
    except msgspec.ValidationError:
        entries = []
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ServerFault("ESI's list is not JSON") from error
    found = [ref for entry in entries if (ref := _reference(entry)) is not None]
    if not found:
        raise Misshapen(f"ESI's list has the wrong shape: {mistake}") from mistake
    return found, len(entries) - len(found)


def _reference(entry: msgspec.Raw) -> KillmailRef | None:
    with suppress(msgspec.DecodeError, RecursionError):
        listed = _entry_decoder.decode(entry)
        if listed.killmail_id == int(listed.killmail_id) >= 1:
            return KillmailRef(int(listed.killmail_id), listed.killmail_hash)
    return None
