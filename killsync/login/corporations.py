"""Registering corporations: in which one a character is, and whether it may read its list.

The character and its tokens are on disk before: what ESI answers here costs neither.
"""

from functools import partial

import msgspec

from killsync.errors import (
    Blame,
    CorporationRefused,
    KillsyncError,
    RateLimited,
    Refused,
    TryLater,
)
from killsync.esi.buckets import list_bucket, public_bucket
from killsync.esi.client import CORPORATION_SCOPE, Esi
from killsync.esi.corporations import (
    NPC_CORPORATIONS,
    corporation_name,
    corporations_of,
    denies_role,
)
from killsync.esi.ratelimit import Limits
from killsync.http import Http
from killsync.login.access import Character
from killsync.model import Priority, Reader, UserKind, UserState
from killsync.settings.config import Settings
from killsync.store import directors, users
from killsync.store import limits as stored_limits
from killsync.store.connection import Store
from killsync.store.names import names_of

_LONGEST_SHOWN = 60
# an incident costs few requests, however many characters are registered in it
_MOST_UNANSWERED = 3


class Registered(msgspec.Struct, frozen=True):
    """A corporation that a director's login has registered, or renewed.

    `new` says whether it is a new user, `new_director` whether the director is a new one of it,
    `disabled` that it is not synced until it is enabled.
    """

    corporation_id: int
    name: str
    new: bool
    new_director: bool
    disabled: bool


class Corporations:
    """Registers corporations, for one command; what it spends of rate limits is kept."""

    def __init__(self, store: Store, http: Http, settings: Settings) -> None:
        self._store = store
        self._http = http
        self._limits = Limits(settings.reserve)
        self._limits.add(stored_limits.load_shared(store.conn))
        public = public_bucket()
        self._limits.add(stored_limits.load(store.conn, public.group, public.key))
        self._esi = Esi(http, settings.esi_url, self._limits)
        # several directors of one corporation come one after the other
        self._names: dict[int, str] = {}
        # by character
        self._corporations_today: dict[int, int] = {}
        self._unanswered = 0

    def register(self, character: Character, access_token: str, now: float) -> Registered:
        """Register the corporation of a registered character, which must be a director of it.

        Its list is read once, with the character's own token. Raises CorporationRefused, TryLater
        if ESI cannot be asked now, and what blames the run; then nothing is registered.
        """
        if CORPORATION_SCOPE not in character.scopes:
            raise CorporationRefused(
                f"the login of {_shown(character.name)} lacks the scope {CORPORATION_SCOPE}: give "
                "it to your EVE application at https://developers.eveonline.com, then run "
                "`killsync login --corporation`"
            )
        corporation_id, name = self._answered(character, access_token)
        return self._store_as_user(character, corporation_id, name, now)

    def note_departures(self, character: Character, now: float) -> list[str]:
        """Record that a director is in some corporations no more; return their names.

        It is asked for their lists again when it is its turn, in case ESI has said it in error.
        Nothing is recorded if ESI has not said in which corporation the character is.
        """
        today = self._corporations_today.get(character.character_id)
        if today is None:
            return []
        with self._store.transaction() as conn:
            of_character = directors.of_character(conn, character.character_id)
            left = [one for one in of_character if one.corporation_id != today]
            joined = self._names.get(today) or names_of(conn, [today]).get(today, "corporation")
            for one in left:
                if not one.is_refused:
                    error = f"has joined {joined} ({today})"
                    refused = msgspec.structs.replace(one, refused_at=now, error=error)
                    directors.set_refused(conn, refused)
            known = [users.get(conn, one.corporation_id) for one in left]
        return [corporation.name for corporation in known if corporation is not None]

    def _answered(self, character: Character, access_token: str) -> tuple[int, str]:
        """Return what ESI answers, as `_ask_esi` does.

        It is asked no more once it has answered nothing for several characters in a row.
        """
        if self._unanswered >= _MOST_UNANSWERED:
            raise _later(character, "it has not answered for those before")
        try:
            found = self._ask_esi(character, access_token)
        except CorporationRefused:
            self._unanswered = 0
            raise
        except KillsyncError as error:
            if error.blame is Blame.RUN:
                raise
            # a limit may be this character's own
            self._unanswered += not isinstance(error, RateLimited)
            raise _later(character, str(error)) from error
        finally:
            self._keep_spending()
        self._unanswered = 0
        return found

    def _ask_esi(self, character: Character, access_token: str) -> tuple[int, str]:
        """Return the id and the name of the character's corporation, whose list it reads."""
        corporation_id = self._corporation_of(character)
        name = self._names.get(corporation_id)
        if name is None:
            name = self._http.patiently(partial(corporation_name, self._esi, corporation_id))
            self._names[corporation_id] = name
        self._read_list(character, access_token, corporation_id, name)
        return corporation_id, name

    def _corporation_of(self, character: Character) -> int:
        asked = character.character_id
        found = self._http.patiently(partial(corporations_of, self._esi, [asked]))
        corporation_id = found[asked]
        self._corporations_today[asked] = corporation_id
        if corporation_id in NPC_CORPORATIONS:
            known = names_of(self._store.conn, [corporation_id])
            name = known.get(corporation_id, str(corporation_id))
            raise CorporationRefused(
                f"{_shown(character.name)} is in {_shown(name)}, an NPC corporation, which has no "
                "directors: nobody can read its killmails"
            )
        return corporation_id

    def _read_list(
        self, character: Character, access_token: str, corporation_id: int, name: str
    ) -> None:
        """Raise CorporationRefused unless the character reads the corporation's list."""
        reader = Reader(corporation_id, UserKind.CORPORATION, character.character_id)
        bucket = list_bucket(reader)
        self._limits.add(stored_limits.load(self._store.conn, bucket.group, bucket.key))
        try:
            self._esi.killmails(reader, 1, access_token, None, Priority.MANUAL)
        except Refused as error:
            if not denies_role(error):
                raise
            raise CorporationRefused(
                f"{_shown(character.name)} is not a director of {_shown(name)} ({error}): ask its "
                "CEO for that role, or let a director log in, with `killsync login --corporation`"
            ) from error

    def _keep_spending(self) -> None:
        with self._store.transaction() as conn:
            stored_limits.save(conn, self._limits.take_changed())

    def _store_as_user(
        self, character: Character, corporation_id: int, name: str, now: float
    ) -> Registered:
        with self._store.transaction() as conn:
            if users.get(conn, character.character_id) is None:
                raise CorporationRefused(f"{_shown(character.name)} was removed meanwhile")
            known = users.get(conn, corporation_id)
            if known is not None and known.kind is not UserKind.CORPORATION:
                raise TryLater(
                    f"ESI calls {corporation_id} a corporation, which is the user "
                    f"{_shown(known.name)}: try again later"
                )
            new = users.add(conn, corporation_id, name, now, UserKind.CORPORATION)
            new_director = directors.add(conn, corporation_id, character.character_id)
        disabled = known is not None and known.state is UserState.DISABLED
        return Registered(corporation_id, name, new, new_director, disabled)


def _later(character: Character, why: str) -> TryLater:
    return TryLater(
        f"ESI could not be asked for the corporation of {_shown(character.name)}: {why}; "
        "try again later with `killsync login --corporation`"
    )


def _shown(name: str) -> str:
    """Return a name short enough to leave room for what is said of it."""
    return name if len(name) <= _LONGEST_SHOWN else name[:_LONGEST_SHOWN] + "…"
