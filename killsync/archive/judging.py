"""Whether what was read from elsewhere is a killmail that is believed: no database is asked."""

from killsync.archive.refusals import Refusal
from killsync.errors import BodyRejected, NotAKillmail
from killsync.killmail import archived
from killsync.killmail.body import Killmail
from killsync.model import HashSource, Origin
from killsync.store.killmails import FetchedKillmail


class NotTaken(Exception):
    """A killmail that is refused; `what` says where it stands and what is wrong with it."""

    def __init__(self, reason: Refusal, what: str) -> None:
        super().__init__(reason, what)
        self.reason = reason
        self.what = what


def judge(raw: bytes, killmail_id: int, origin: Origin) -> FetchedKillmail:
    """Return the killmail of a member of an archive, named after this id. Raises NotTaken."""
    return believe(*decode(raw, killmail_id), origin)


def decode(
    raw: bytes,
    killmail_id: int | None = None,
    *,
    form: archived.Decode = archived.decode,
    where: str | None = None,
) -> tuple[Killmail, str | None]:
    """Return the killmail of a body of this `form`, and the hash beside it, if there is one.

    Raises NotTaken if it is no killmail, or not that of this id. `where` says where it stands,
    unless the id does.
    """
    try:
        killmail, killmail_hash = form(raw, killmail_id)
        if killmail.killmail_id < 1:
            raise BodyRejected(f"killmail_id: there is none of {killmail.killmail_id}")
    except NotAKillmail as error:
        raise NotTaken(Refusal.NOT_A_KILLMAIL, _named(killmail_id, where, error)) from None
    except BodyRejected as error:
        raise NotTaken(Refusal.NOT_STORABLE, _named(killmail_id, where, error)) from None
    return killmail, killmail_hash


def believe(killmail: Killmail, killmail_hash: str | None, origin: Origin) -> FetchedKillmail:
    """Return a killmail with its hash, computed if none is given. Raises NotTaken if it is wrong.

    A hash that is given has to fit.
    """
    fetched = FetchedKillmail.computed(killmail, origin)
    if killmail_hash is None:
        return fetched
    if killmail_hash != fetched.killmail_hash:
        raise NotTaken(Refusal.WRONG_HASH, f"killmail {killmail.killmail_id}")
    return FetchedKillmail(killmail, killmail_hash, True, origin, HashSource.ARCHIVE)


def _named(killmail_id: int | None, where: str | None, error: BodyRejected) -> str:
    place = where if killmail_id is None else f"killmail {killmail_id}"
    return str(error) if place is None else f"{place}: {error}"
