"""What a stored killmail costs: CPU, compared with a peer, and bytes on disk."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from figures import Figure, Scale, format_seconds, format_size, measure_pairs, within
from made import Raw, list_all, make_database, make_raws, store_all

from killsync.store import connection

NOW = 1_790_000_000.0


def measure(scale: Scale) -> list[Figure]:
    """Store killmails with killsync, and the same with sqlite-utils."""
    with tempfile.TemporaryDirectory(prefix="killsync-benchmark-") as directory:
        many = _Job(Path(directory) / "many.db", make_raws(scale.of(20_000, 300)))
        few = _Job(Path(directory) / "few.db", make_raws(scale.of(2_000, 100)))
        stored = [1000 * many.killsync() for _ in range(scale.runs)]
        common = measure_pairs(scale.runs, few.killsync, partial(few.peer, "sqlite-utils"))
        in_wal = measure_pairs(scale.runs, few.killsync, partial(few.peer, "sqlite-utils-in-wal"))
        disk = many.bytes_per_killmail()
    json_bytes = sum(len(raw.body) for raw in many.made) / len(many.made)
    return [
        within(
            "CPU time of storing 1,000 killmails",
            stored,
            0.3,
            format_seconds,
            note="newest first, in batches of 100, decoded, checked and counted",
        ),
        Figure(
            what="CPU time of a stored killmail",
            measured=format_seconds(common.measured),
            peer=format_seconds(common.peer),
            ratio=common.ratio,
            goal="at most 1/8",
            met=common.ratio <= 1 / 8,
            note="peer: sqlite-utils, insert_all per table, one killmail at a time, in the default "
            f"journal mode, as such tools leave it; in WAL mode the ratio is {in_wal.ratio:.3f}",
        ),
        Figure(
            what="bytes on disk of a killmail",
            measured=format_size(disk),
            peer=format_size(json_bytes),
            ratio=disk / json_bytes,
            goal="at most 0.45",
            met=disk / json_bytes <= 0.45,
            note=f"what a first sync adds to the file; peer: minified JSON of {_shape(many.made)}",
        ),
    ]


class _Job:
    """Killmails to store, and a database that lists them."""

    def __init__(self, path: Path, made: Sequence[Raw]) -> None:
        self.made = made
        self._path = path
        self._lines = path.with_suffix(".lines")
        self._copy = path.with_suffix(".copy")
        with make_database(path, NOW) as store:
            list_all(store, made)
        newest_first = reversed(made)
        self._lines.write_bytes(
            b"".join(
                b"%d %s %s\n" % (r.killmail_id, r.killmail_hash.encode(), r.body)
                for r in newest_first
            )
        )

    def killsync(self) -> float:
        """Return the CPU seconds per killmail that killsync takes."""
        shutil.copy(self._path, self._copy)
        with closing(connection.connect(self._copy)) as store:
            started = time.process_time()
            store_all(store, self.made, NOW)
            return (time.process_time() - started) / len(self.made)

    def peer(self, method: str) -> float:
        """Return the CPU seconds per killmail that a peer takes."""
        shutil.copy(self._path, self._copy)
        script = Path(__file__).with_name("peer_storing.py")
        command = [sys.executable, str(script), method, str(self._copy), str(self._lines)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
        return float(done.stdout) / len(self.made)

    def bytes_per_killmail(self) -> float:
        """Return the bytes per killmail that a first sync adds to a database."""
        full = self._path.with_suffix(".full")
        with make_database(full, NOW) as store:
            store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            empty = full.stat().st_size
            list_all(store, self.made)
            store_all(store, self.made, NOW)
        return (full.stat().st_size - empty) / len(self.made)


def _shape(made: Sequence[Raw]) -> str:
    attackers, items = (
        sum(raw.body.count(key) for raw in made) / len(made)
        for key in (b'"final_blow"', b'"item_type_id"')
    )
    return f"{attackers:.1f} attackers and {items:.1f} items on average"
