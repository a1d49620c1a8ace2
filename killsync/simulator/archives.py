"""EVE Ref's daily archives of killmails, as its documentation describes them.

Each is a tar in bzip2 of one file for each killmail, made when it is asked for.
"""

import io
import tarfile
from collections import Counter, OrderedDict
from datetime import UTC, date, datetime
from random import Random

import msgspec

from killsync.simulator.bodies import Killmail
from killsync.simulator.caching import conditional
from killsync.simulator.lists import etag_of
from killsync.simulator.options import Count, Options
from killsync.simulator.past import DAY
from killsync.simulator.wire import Answer, Request, error, http_date
from killsync.simulator.world import World, WorldError

_KEPT = 4
# when a day's archive is made, in seconds of the day after
_MADE_AT = 4 * 3600
_EPOCH = date(1970, 1, 1)
_MEDIA_TYPE = "application/x-bzip2"


class NewArchive(msgspec.Struct, forbid_unknown_fields=True):
    """What changes about a day's archive; what is left out stays as it is.

    `killmails` more are found of an old day, and `also` are those of other days that it holds too.
    `rewrite` makes another file of the same killmails. `raw` is served instead, as it is. An
    `untagged` archive has no ETag, and a `bare` one no Last-Modified either.
    """

    day: date
    killmails: Count = 0
    also: list[int] = []
    with_hash: bool | None = None
    rewrite: bool = False
    missing: bool | None = None
    raw: bytes | None = None
    untagged: bool | None = None
    bare: bool | None = None


class _Edition(msgspec.Struct):
    """How a day's archive differs from what its killmails alone would make of it."""

    number: int = 0
    modified: float = 0
    also: dict[int, Killmail] = {}
    with_hash: bool | None = None
    missing: bool = False
    raw: bytes | None = None
    untagged: bool = False
    bare: bool = False


class Archives:
    """The archives of one world; `now` is when its past was written down, in unix time."""

    def __init__(self, options: Options, world: World, now: float) -> None:
        self._options = options
        self._world = world
        self._started = now
        self._editions: dict[int, _Edition] = {}
        self._packed: OrderedDict[str, bytes] = OrderedDict()

    def change(self, new: NewArchive, now: float) -> None:
        """Change a day's archive; raises WorldError if its killmails cannot be had."""
        day = (new.day - _EPOCH).days
        also = {killmail_id: self._of_another_day(killmail_id, day) for killmail_id in new.also}
        if new.killmails and day not in self._world.past.days:
            raise WorldError(f"{new.day} is none of the old days")
        self._world.past.grow(day, new.killmails)
        edition = self._editions.setdefault(day, _Edition())
        edition.also = edition.also | also
        # in whole seconds, as headers have it
        edition.modified = max(int(now), edition.modified + 1)
        edition.number += new.rewrite
        for name in ("with_hash", "missing", "raw", "untagged", "bare"):
            given = getattr(new, name)
            if given is not None:
                setattr(edition, name, given)

    def _of_another_day(self, killmail_id: int, day: int) -> Killmail:
        killmail = self._world.find(killmail_id)
        if killmail is None:
            raise WorldError(f"no killmail {killmail_id}")
        if killmail.killmail_time // DAY == day:
            raise WorldError(f"killmail {killmail_id} is of that day anyway")
        return killmail

    def totals(self, request: Request) -> Answer:
        """Answer how many killmails each day's archive holds."""
        past = self._world.past
        counts = Counter(k.killmail_time // DAY for k in self._world.killmails.values())
        counts.update({day: past.count(day) for day in past.days})
        counts.update({day: len(edition.also) for day, edition in self._editions.items()})
        named = {f"{date_of(day):%Y%m%d}": counts[day] for day in sorted(counts) if counts[day]}
        body = msgspec.json.encode(named)
        return conditional(request, body, etag_of(body), {"ETag": etag_of(body)})

    def archive(self, request: Request, day: date) -> Answer:
        """Answer with a day's archive; 404 if it is missing, or nothing happened."""
        number = (day - _EPOCH).days
        edition = self._editions.get(number, _Edition())
        killmails = self._killmails(number, edition)
        if edition.missing or not (killmails or edition.raw):
            return error(404, "Not Found")
        etag = etag_of(edition.raw) if edition.raw else self._etag(edition, killmails)
        headers = {"Content-Type": _MEDIA_TYPE}
        if not edition.bare:
            headers["Last-Modified"] = http_date(self._modified(number, edition, killmails))
            if not edition.untagged:
                headers["ETag"] = etag
            if _is_known(request, headers):
                return Answer(304, headers=headers)
        return Answer(200, edition.raw or self._packed_file(etag, edition, killmails), headers)

    def _modified(self, day: int, edition: _Edition, killmails: list[Killmail]) -> float:
        made = min((day + 1) * DAY + _MADE_AT, self._started)
        newest = max((killmail.killmail_time for killmail in killmails), default=0)
        return max(made, newest, edition.modified)

    def _killmails(self, day: int, edition: _Edition) -> list[Killmail]:
        """Return what a day's archive holds, by id."""
        recent = self._world.killmails.values()
        found = self._world.past.day(day) | edition.also
        found |= {k.killmail_id: k for k in recent if k.killmail_time // DAY == day}
        return [found[killmail_id] for killmail_id in sorted(found)]

    def _etag(self, edition: _Edition, killmails: list[Killmail]) -> str:
        held = [(k.killmail_id, k.killmail_hash, k.text) for k in killmails]
        made_of = msgspec.json.encode((edition.number, self._has_hashes(edition), held))
        return etag_of(made_of)

    def _has_hashes(self, edition: _Edition) -> bool:
        return self._options.archive_hashes if edition.with_hash is None else edition.with_hash

    def _packed_file(self, etag: str, edition: _Edition, killmails: list[Killmail]) -> bytes:
        """Make the file, or take it from those made last."""
        if etag not in self._packed:
            # no order is promised, and another edition has another one
            Random(edition.number).shuffle(killmails)
            self._packed[etag] = self._pack(killmails, with_hash=self._has_hashes(edition))
            if len(self._packed) > _KEPT:
                self._packed.popitem(last=False)
        return self._packed[etag]

    def _pack(self, killmails: list[Killmail], *, with_hash: bool) -> bytes:
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:bz2", format=tarfile.USTAR_FORMAT) as archive:
            for killmail in killmails:
                content = self._content(killmail, with_hash=with_hash)
                member = tarfile.TarInfo(f"killmails/{killmail.killmail_id}.json")
                member.size, member.mtime = len(content), killmail.killmail_time
                archive.addfile(member, io.BytesIO(content))
        return packed.getvalue()

    def _content(self, killmail: Killmail, *, with_hash: bool) -> bytes:
        """Return a member's bytes: ESI's body, or that of a hostile killmail as it is."""
        body, _ = self._world.encode_body(killmail)
        if not with_hash or killmail.text is not None:
            return body
        changed = datetime.fromtimestamp(killmail.killmail_time, UTC)
        added = {"http_last_modified": changed, "killmail_hash": killmail.killmail_hash}
        return body[:-1] + b"," + msgspec.json.encode(added)[1:]


def _is_known(request: Request, headers: dict[str, str]) -> bool:
    """Return whether the client has this file; a date counts only where it names no ETag."""
    if "if-none-match" in request.headers:
        return "ETag" in headers and request.has_etag(headers["ETag"])
    since = request.headers.get("if-modified-since")
    return since is not None and since == headers["Last-Modified"]


def date_of(day: int) -> date:
    """Return the date of a day, counted from 1970."""
    return date.fromordinal(_EPOCH.toordinal() + day)
