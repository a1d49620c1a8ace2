"""An export as JSON lines, compared with json.dumps of the same killmails in memory."""

import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from figures import Figure, Scale, at_most, format_seconds, measure_pairs
from made import list_all, make_database, make_raws, multiply, store_all
from spending import killsync, run_measured
from start_up import make_environment

_COPIES = 5
_APART = 60.0
_DUMP = """
import json, sys, time
bodies = [json.loads(line) for line in open(sys.argv[1], "rb")]
started = time.process_time()
for body in bodies:
    json.dumps(body)
print(time.process_time() - started)
"""


def measure(scale: Scale) -> list[Figure]:
    """Measure an export of everything into a file."""
    made = make_raws(scale.of(20_000, 200), apart=_APART)
    with tempfile.TemporaryDirectory(prefix="killsync-benchmark-") as directory:
        path, template = Path(directory) / "killsync.db", Path(directory) / "template.db"
        now = time.time()
        with make_database(template, now) as store:
            list_all(store, made)
            store_all(store, made, now)
        with make_database(path, now):
            pass
        multiply(template, path, _COPIES, len(made) * _APART)
        exported = Path(directory) / "exported.jsonl"
        pairs = measure_pairs(
            scale.of(3, 1), partial(_export, path, exported), partial(_dump, path, exported)
        )
    return [
        at_most(
            f"export of {_COPIES * len(made):,} killmails",
            pairs,
            2.0,
            format_seconds,
            note="CPU of the whole process, from database to file; peer: json.dumps, in memory",
        )
    ]


def _export(database: Path, exported: Path) -> float:
    return run_measured(killsync("export", "-o", str(exported)), make_environment(database)).cpu


def _dump(database: Path, exported: Path) -> float:
    if not exported.exists():
        _export(database, exported)
    command = [sys.executable, "-c", _DUMP, str(exported)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
