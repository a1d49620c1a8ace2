"""CPU per request of the whole program, compared with a bare loop over the same requests."""

import json
import sys
from pathlib import Path
from typing import Any

from figures import Figure, Pairs, Scale, at_most, format_seconds
from installation import UNLIMITED, installation, scan
from spending import run_measured
from world import Killsync

BARE = """
import json, sys, requests
urls, headers = json.load(sys.stdin)
session = requests.Session()
session.headers.update(headers)
for url in urls:
    answer = session.get(url)
    assert answer.status_code == 200
    answer.content
"""


def measure(scale: Scale) -> list[Figure]:
    """Measure a whole first sync: startup, lists, bodies and storing."""
    killmails = scale.of(10_000, 100)
    ours, peers = [], []
    for _ in range(scale.runs):
        with installation(characters=1, killmails=killmails, **UNLIMITED) as program:
            spent = scan(program)
            log = program.simulator.log()
            ours.append(spent.cpu / len(log))
            peers.append(bare_loop(program, [e for e in log if e["route"] == "body"]))
    return [
        at_most(
            f"CPU per request of a first sync of {killmails:,}",
            Pairs(ours, peers),
            1.3,
            format_seconds,
            note="peer: a process that calls requests.Session().get for the same bodies",
        )
    ]


def bare_loop(program: Killsync, log: list[dict[str, Any]]) -> float:
    """Return the CPU seconds per request of a process that only requests the same bodies."""
    script = Path(program.directory) / "bare.py"
    script.write_text(BARE)
    urls = [program.simulator.url + entry["path"] for entry in log]
    given = json.dumps([urls, {"X-Compatibility-Date": log[0]["compatibility_date"]}])
    command = [sys.executable, str(script)]
    return run_measured(command, program.environment, given=given).cpu / len(urls)
