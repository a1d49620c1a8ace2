"""What a stored killmail costs: CPU beside a bare script and sqlite-utils, and bytes on disk."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from figures import Figure, Scale, at_most, in_pairs, seconds, size
from made import Raw, database, list_all, raws, store_all

from killsync.store import connection

NOW = 1_790_000_000.0


def measure(scale: Scale) -> list[Figure]:
    """Store the same killmails in three ways."""
    with tempfile.TemporaryDirectory(prefix="killsync-benchmark-") as directory:
        many = _Job(Path(directory) / "many.db", raws(scale.of(20_000, 300)))
        few = _Job(Path(directory) / "few.db", raws(scale.of(2_000, 100)))
        bare = in_pairs(scale.runs, many.killsync, partial(many.peer, "bare"))
        common = in_pairs(scale.runs, few.killsync, partial(few.peer, "sqlite-utils"))
        in_wal = in_pairs(scale.runs, few.killsync, partial(few.peer, "sqlite-utils-in-wal"))
        disk = many.bytes_a_killmail()
    json_bytes = sum(len(raw.body) for raw in many.made) / len(many.made)
    return [
        at_most(
            "CPU of a stored killmail",
            bare,
            1.2,
            seconds,
            note="newest first, in batches of 100, checked and counted; peer: json.loads and "
            "executemany into the same tables, which checks and counts nothing",
        ),
        Figure(
            what="the same, beside sqlite-utils",
            measured=seconds(common.measured),
            peer=seconds(common.peer),
            ratio=common.ratio,
            goal="at most 1/8",
            met=common.ratio <= 1 / 8,
            note="peer: insert_all per table, one killmail at a time, in the journal mode that "
            f"such tools leave as it is; in WAL the ratio is {in_wal.ratio:.3f}",
        ),
        Figure(
            what="bytes on disk of a killmail",
            measured=size(disk),
            peer=size(json_bytes),
            ratio=disk / json_bytes,
            goal="at most 0.45",
            met=disk / json_bytes <= 0.45,
            note=f"the whole file after a first sync; peer: minified JSON of {_shape(many.made)}",
        ),
    ]


class _Job:
    """Killmails to store, and a database that lists them."""

    def __init__(self, path: Path, made: Sequence[Raw]) -> None:
        self.made = made
        self._path = path
        self._lines = path.with_suffix(".lines")
        self._copy = path.with_suffix(".copy")
        with database(path, NOW) as store:
            list_all(store, made)
        newest_first = reversed(made)
        self._lines.write_bytes(
            b"".join(
                b"%d %s %s\n" % (r.killmail_id, r.killmail_hash.encode(), r.body)
                for r in newest_first
            )
        )

    def killsync(self) -> float:
        """Return the CPU seconds of a killmail as killsync stores it."""
        shutil.copy(self._path, self._copy)
        with closing(connection.connect(self._copy)) as store:
            began = time.process_time()
            store_all(store, self.made, NOW)
            return (time.process_time() - began) / len(self.made)

    def peer(self, way: str) -> float:
        """Return the CPU seconds of a killmail in a peer's way."""
        shutil.copy(self._path, self._copy)
        script = Path(__file__).with_name("bare_storing.py")
        words = [sys.executable, str(script), way, str(self._copy), str(self._lines)]
        done = subprocess.run(words, check=True, stdout=subprocess.PIPE)
        return float(done.stdout) / len(self.made)

    def bytes_a_killmail(self) -> float:
        """Return what a killmail takes in a database that a first sync has filled."""
        full = self._path.with_suffix(".full")
        with database(full, NOW) as store:
            list_all(store, self.made)
            store_all(store, self.made, NOW)
        return full.stat().st_size / len(self.made)


def _shape(made: Sequence[Raw]) -> str:
    attackers, items = (
        sum(raw.body.count(key) for raw in made) / len(made)
        for key in (b'"final_blow"', b'"item_type_id"')
    )
    return f"{attackers:.1f} attackers and {items:.1f} items on average"
