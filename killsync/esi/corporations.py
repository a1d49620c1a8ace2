"""What is public of corporations, who is in which and what one is called; and their lists.

Source of every fact: ESI's OpenAPI document, compatibility date 2026-07-21. Neither public route
has a rate-limit group, only the legacy limit on errors.
"""

from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta

from killsync.errors import DirectorRefused, KillsyncError, Misshapen, Refused, ServerFault
from killsync.esi.buckets import public_bucket
from killsync.esi.client import Esi, raise_for_status
from killsync.model import LARGEST_ID, Page, Priority, Reader, UserKind

# NPC corporations have these ids, and nobody is their director
NPC_CORPORATIONS = range(1_000_000, 2_000_000)
_LONGEST_NAME = 10 * 1024
# source: ESI's answers 403 to this route
_WITHOUT_ROLE = ("have required role", "not in the corporation")

_Id = Annotated[int, Meta(ge=1, le=LARGEST_ID)]
_T = TypeVar("_T")


class _Affiliation(msgspec.Struct, gc=False):
    character_id: _Id
    corporation_id: _Id


class _Corporation(msgspec.Struct, gc=False):
    name: Annotated[str, Meta(min_length=1, max_length=_LONGEST_NAME)]


_affiliations = msgspec.json.Decoder(list[_Affiliation])
_corporation = msgspec.json.Decoder(_Corporation)


def corporations_of(esi: Esi, character_ids: Sequence[int]) -> dict[int, int]:
    """Ask once in which corporation each of up to 1,000 characters is today, by character.

    Raises Misshapen or ServerFault if the answer says nothing of them, and whatever `Esi.ask`
    raises; a fault is not tried again.
    """
    body = msgspec.json.encode(list(character_ids)).decode()
    answer = esi.ask("/characters/affiliation", public_bucket(), Priority.MANUAL, {}, body=body)
    raise_for_status(answer)
    asked = set(character_ids)
    found = {
        one.character_id: one.corporation_id
        for one in _decode(_affiliations, answer.body, "affiliations")
        if one.character_id in asked
    }
    if not found:
        raise Misshapen("ESI's affiliations are of other characters than those asked for")
    return found


def corporation_name(esi: Esi, corporation_id: int) -> str:
    """Ask once what a corporation is called; one whose name shows nothing, by its id.

    Raises Refused if there is none, Misshapen or ServerFault if the answer has no name, and
    whatever `Esi.ask` raises; a fault is not tried again.
    """
    answer = esi.ask(f"/corporations/{corporation_id}", public_bucket(), Priority.MANUAL, {})
    if answer.status == 404:
        raise Refused(f"ESI knows no corporation {corporation_id}", 404)
    raise_for_status(answer)
    name = _decode(_corporation, answer.body, "a corporation").name
    shows = any(letter.isprintable() and not letter.isspace() for letter in name)
    return name if shows else f"corporation {corporation_id}"


def read_list(
    esi: Esi, reader: Reader, page: int, access_token: str, etag: str | None, priority: int
) -> Page:
    """Return one page of a user's list; of a director who is refused say why, as far as known.

    Raises as `Esi.killmails`, and DirectorRefused, which says whether the character has joined
    another corporation: that is asked at once, and costs nothing if it cannot be answered. A 403
    that speaks of no role, from a character that has joined no other, is an incident's.
    """
    try:
        return esi.killmails(reader, page, access_token, etag, priority)
    except Refused as error:
        is_forbidden = error.status == 403 and type(error) is Refused
        if reader.kind is not UserKind.CORPORATION or not is_forbidden:
            raise
        joined = _joined(esi, reader)
        if joined is None and not denies_role(error):
            raise
        text = f"{error}" if joined is None else f"has joined {joined}; {error}"
        raise DirectorRefused(text, error.status) from error


def denies_role(error: Refused) -> bool:
    """Return whether ESI says that a character is no director of the corporation, or not in it."""
    return error.status == 403 and any(words in str(error) for words in _WITHOUT_ROLE)


def _joined(esi: Esi, reader: Reader) -> str | None:
    """Return which other corporation a character has joined, in words, None if none is known."""
    try:
        found = corporations_of(esi, [reader.character_id]).get(reader.character_id)
    except KillsyncError:
        return None
    if found is None or found == reader.user_id:
        return None
    try:
        return f"{corporation_name(esi, found)} ({found})"
    except KillsyncError:
        return f"corporation {found}"


def _decode(decoder: msgspec.json.Decoder[_T], body: bytes, what: str) -> _T:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise Misshapen(f"ESI's answer about {what} has the wrong shape: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if "surrogate" in str(error):
            raise Misshapen(f"ESI's answer about {what} holds half a surrogate pair") from error
        raise ServerFault(f"ESI's answer about {what} is not JSON") from error
