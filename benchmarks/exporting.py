"""An export as JSON lines, beside json.dumps of the same killmails in memory."""

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from figures import Figure, Scale, at_most, in_pairs, seconds
from made import database, list_all, multiply, raws, store_all
from spending import killsync, spent_by
from start_up import environment_of

_COPIES = 5
_APART = 60.0
_DUMP = """
import json, sys, time
bodies = [json.loads(line) for line in open(sys.argv[1], "rb")]
began = time.process_time()
for body in bodies:
    json.dumps(body)
print(time.process_time() - began)
"""


def measure(scale: Scale) -> list[Figure]:
    """Measure an export of everything into a file."""
    made = raws(scale.of(20_000, 200), apart=_APART)
    with tempfile.TemporaryDirectory(prefix="killsync-benchmark-") as directory:
        path, template = Path(directory) / "killsync.db", Path(directory) / "template.db"
        now = time.time()
        with database(template, now) as store:
            list_all(store, made)
            store_all(store, made, now)
        with database(path, now):
            pass
        multiply(template, path, _COPIES, len(made) * _APART)
        exported = Path(directory) / "exported.jsonl"
        pairs = in_pairs(
            scale.of(3, 1), partial(_export, path, exported), partial(_dump, path, exported)
        )
    return [
        at_most(
            f"export of {_COPIES * len(made):,} killmails",
            pairs,
            2.0,
            seconds,
            note="CPU of the whole process, from database to file; peer: json.dumps, in memory",
        )
    ]


def _export(database: Path, exported: Path) -> float:
    return spent_by(killsync("export", "-o", str(exported)), environment_of(database)).cpu


def _dump(database: Path, exported: Path) -> float:
    if not exported.exists():
        _export(database, exported)
    words = [sys.executable, "-c", _DUMP, str(exported)]
    return float(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
