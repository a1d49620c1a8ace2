"""A page of a list of killmails, as a service writes it: references, and entries that are none.

ESI's own form stands here; another is a `PageForm`.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from killsync.errors import Misshapen, ServerFault
from killsync.model import LARGEST_ID, KillmailRef

ListedId = Annotated[int, Meta(ge=1, le=LARGEST_ID)]
# it becomes part of a path
ListedHash = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{40}\Z")]

_NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_entries_decoder = msgspec.json.Decoder(list[msgspec.Raw])


class PageForm(msgspec.Struct, frozen=True):
    """How a service writes a page of at most so many bytes.

    `page` decodes what it is as a rule; `entry` decodes one entry by itself, and may understand
    more. `reference` returns what an entry refers to, None if that is no killmail.
    """

    service: str
    largest: int
    page: msgspec.json.Decoder[list[Any]]
    entry: msgspec.json.Decoder[Any]
    reference: Callable[[Any], KillmailRef | None]


def decode_page(body: bytes, form: PageForm) -> tuple[list[KillmailRef], int]:
    """Return the references on a page, and how many of its entries are none.

    Raises Misshapen if it is not a list, or has entries of which none is a reference, and
    ServerFault if it is not JSON or too large.
    """
    if len(body) > form.largest:
        raise ServerFault(f"{form.service}'s list is larger than {form.largest >> 20} MiB")
    try:
        entries = form.page.decode(body)
    except msgspec.ValidationError as error:
        return _decode_one_by_one(body, form, error)
    except _NOT_JSON as error:
        raise ServerFault(f"{form.service}'s list is not JSON") from error
    refs = [ref for entry in entries if (ref := form.reference(entry)) is not None]
    return refs, len(entries) - len(refs)


def _decode_one_by_one(
    body: bytes, form: PageForm, mistake: msgspec.ValidationError
) -> tuple[list[KillmailRef], int]:
    try:
        body.decode()
        entries = _entries_decoder.decode(body)
    except msgspec.ValidationError:
        entries = []
    except _NOT_JSON as error:
        raise ServerFault(f"{form.service}'s list is not JSON") from error
    found = [ref for entry in entries if (ref := _reference(entry, form)) is not None]
    if not found:
        raise Misshapen(f"{form.service}'s list has the wrong shape: {mistake}") from mistake
    return found, len(entries) - len(found)


def _reference(entry: msgspec.Raw, form: PageForm) -> KillmailRef | None:
    with suppress(msgspec.DecodeError, RecursionError):
        return form.reference(form.entry.decode(entry))
    return None


class _ListedKillmail(msgspec.Struct):
    killmail_id: ListedId
    killmail_hash: ListedHash


class _LooselyListed(msgspec.Struct):
    # 5.0 is the integer 5; above 2**53 a float is not exact
    killmail_id: ListedId | Annotated[float, Meta(le=2**53)]
    killmail_hash: ListedHash


def _listed(entry: _ListedKillmail | _LooselyListed) -> KillmailRef | None:
    if entry.killmail_id == int(entry.killmail_id) >= 1:
        return KillmailRef(int(entry.killmail_id), entry.killmail_hash)
    return None


_ESI = PageForm(
    "ESI",
    1024 * 1024,  # a page of 1,000 killmails has 80 kB
    msgspec.json.Decoder(list[_ListedKillmail]),
    msgspec.json.Decoder(_LooselyListed),
    _listed,
)


def decode(body: bytes) -> tuple[list[KillmailRef], int]:
    """Return the references on a page of ESI's, and how many of its entries are none.

    Raises what `decode_page` raises.
    """
    return decode_page(body, _ESI)
