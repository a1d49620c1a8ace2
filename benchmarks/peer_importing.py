"""The peer that `import everef --all` is compared with: an archive, read and stored by hand.

`python peer_importing.py DATABASE ARCHIVE` decompresses the archive, decodes each member by
json.loads, and stores all by executemany in the tables of the database. It knows these, but
imports nothing of killsync.
"""

import bz2
import io
import json
import sqlite3
import sys
import tarfile
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from peer_storing import COLUMNS, Body, Row, attacker_rows, item_rows, killmail_row

_BATCH = 1000


def read(archive: Path) -> Iterator[Body]:
    """Yield what the members of an archive hold."""
    unpacked = io.BytesIO(bz2.decompress(archive.read_bytes()))
    with tarfile.open(fileobj=unpacked) as members:
        for member in members:
            content = members.extractfile(member)
            assert content is not None
            yield json.load(content)


def main() -> None:
    database, archive = sys.argv[1:]
    statements = {table: _insert(table, columns) for table, columns in COLUMNS.items()}
    numbered = enumerate(read(Path(archive)), 1)
    with closing(sqlite3.connect(database)) as conn:
        while batch := list(islice(numbered, _BATCH)):
            rows: dict[str, list[Row]] = {table: [] for table in COLUMNS}
            for seq, body in batch:
                rows["killmails"].append(killmail_row(body, body["killmail_hash"], seq))
                rows["attackers"] += attacker_rows(body)
                rows["items"] += item_rows(body)
            with conn:
                for table, statement in statements.items():
                    conn.executemany(statement, rows[table])


def _insert(table: str, columns: str) -> str:
    names = columns.split()
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"


if __name__ == "__main__":
    main()
