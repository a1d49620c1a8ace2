"""Daily archives as EVE Ref makes them, of generated killmails that are the same each time.

Run `python benchmarks/daily_archives.py DIRECTORY --days 30` for a month of them, as `rclone copy`
leaves them: `<year>/killmails-<day>.tar.bz2`, with `totals.json`. What is there already is not
made again.
"""

import argparse
import bz2
import json
import sys
import tarfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any

import msgspec
from made import FIRST_USER

from killsync.simulator import bodies, names
from killsync.times import DAY

FIRST_DAY = date(2024, 1, 1)
# the registered characters, and in which share of the killmails one of them takes part: 30 a day
CHARACTERS = tuple(range(FIRST_USER, FIRST_USER + 5))
SHARE = 500
KILLMAILS = 15_000
_SEED = 11
_FIRST_ID = 114_000_000
_CHUNK = 500
# how long after a killmail EVE Ref has fetched it, in seconds
_FETCHED_AFTER = 420
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class Made(msgspec.Struct, frozen=True):
    """A body without its id and time, which differ from day to day.

    `before` and `after` are its JSON around them; `killmail` is what its hash is made from.
    """

    before: bytes
    after: bytes
    killmail: bodies.Killmail

    def member(self, killmail_id: int, time: int, *, bare: bool) -> bytes:
        """Return what an archive holds of this killmail on another day, at a unix time.

        A `bare` one is ESI's body alone, as in old archives; a new one has its hash, too.
        """
        body = b'%s,"killmail_id":%d,"killmail_time":"%s"%s' % (
            self.before,
            killmail_id,
            _text(time),
            self.after,
        )
        if bare:
            return body
        dated = msgspec.structs.replace(self.killmail, killmail_time=time)
        return b'%s,"killmail_hash":"%s","http_last_modified":"%s"}' % (
            body[:-1],
            bodies.killmail_hash(dated).encode(),
            _text(time + _FETCHED_AFTER),
        )


def make_archives(
    directory: Path, days: int, killmails: int = KILLMAILS, *, bare: bool = False
) -> list[Path]:
    """Make archives of so many days with so many killmails each; return their paths, by day.

    They are kept in a directory of their own below this one, for the next call.
    """
    home = directory / f"{killmails}{'-bare' if bare else ''}"
    dates = [FIRST_DAY + timedelta(number) for number in range(days)]
    paths = [home / f"{day:%Y}" / f"killmails-{day}.tar.bz2" for day in dates]
    missing = [(path, day) for path, day in zip(paths, dates, strict=True) if not path.exists()]
    if missing:
        made = _make_bodies(killmails)
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(2, get_context("fork")) as pool:
            list(pool.map(partial(_write, made, bare), *zip(*missing, strict=True)))
    counts = {f"{day:%Y%m%d}": killmails for day in dates}
    (home / "totals.json").write_text(json.dumps(counts))
    return paths


def _make_bodies(count: int) -> list[Made]:
    chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        return [made for chunk in pool.map(_make_chunk, chunks) for made in chunk]


def _make_chunk(numbers: Sequence[int]) -> list[Made]:
    return [_make(number) for number in numbers]


def _make(number: int) -> Made:
    ours = CHARACTERS[number // SHARE % len(CHARACTERS)] if number % SHARE == 0 else None
    stranger = names.PILOT_BASE + Random(f"{_SEED}:{number}").randrange(names.PILOTS)
    # a registered character is the victim, has the final blow, or is one of several attackers
    helps = ours is not None and number // SHARE % 3 == 2
    owner = stranger if ours is None or helps else ours
    killmail = bodies.make_killmail(_SEED, _FIRST_ID + number, 0, owner)
    body = bodies.make_body(_SEED, killmail)
    if ours is not None and helps:
        body["attackers"].append(_helper(ours))
    raw = msgspec.json.encode(body)
    before, _, rest = raw.partition(b',"killmail_id":')
    # the time is the next one after the id
    after = rest.split(b'Z"', 1)[1]
    return Made(before, after, killmail)


def _helper(character_id: int) -> dict[str, Any]:
    """Make an attacker who did some damage, and not the last of it."""
    return {
        "character_id": character_id,
        "corporation_id": names.corporation_of(character_id),
        "damage_done": 0,
        "final_blow": False,
        "security_status": 0.5,
        "ship_type_id": 587,
        "weapon_type_id": 587,
    }


def _write(made: Sequence[Made], bare: bool, path: Path, day: date) -> None:
    packed = bz2.compress(b"".join(_tar(made, bare, day)))
    part = path.with_suffix(".part")
    part.write_bytes(packed)
    part.replace(path)


def _tar(made: Sequence[Made], bare: bool, day: date) -> Iterator[bytes]:
    """Yield the parts of a tar file with the killmails of a day, the oldest first."""
    midnight = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    first_id = _FIRST_ID + (day - FIRST_DAY).days * len(made) * 2
    for number, one in enumerate(made):
        killmail_id, time = first_id + 2 * number, midnight + int(number * DAY / len(made))
        content = one.member(killmail_id, time, bare=bare)
        header = tarfile.TarInfo(f"killmails/{killmail_id}.json")
        header.size, header.mtime = len(content), time + _FETCHED_AFTER
        yield header.tobuf(tarfile.GNU_FORMAT)
        yield content + bytes(-len(content) % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _text(time: int) -> bytes:
    return datetime.fromtimestamp(time, UTC).strftime(_TIME).encode()


def main() -> None:
    """Make what the command line asks for, and print the paths."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--days", type=int, default=1)
    parser.add_argument("--killmails", type=int, default=KILLMAILS, help="of each day")
    parser.add_argument("--bare", action="store_true", help="without hashes, as old ones are")
    given = parser.parse_args()
    for path in make_archives(given.directory, given.days, given.killmails, bare=given.bare):
        sys.stdout.write(f"{path} {path.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
