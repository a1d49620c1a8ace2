"""Outages: a whole service is down, as ESI is each day at 11:00 UTC."""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any

from campaign import addresses
from campaign.case import Case, case
from campaign.matrix import RULES
from campaign.score import Score

USERS = 30
# three requests in a row without an answer, each of them tried three times
MOST_REQUESTS = 9
SCAN_TIMEOUT = 700.0


@dataclass(frozen=True)
class Outage:
    """Which service is down, and how: by a fault, or at an address where nothing answers."""

    name: str
    reason: str
    route: str = "any"
    rule: dict[str, Any] = field(default_factory=dict)
    url: str = ""
    open_address: Callable[[], AbstractContextManager[str]] = addresses.refusing
    waits: bool = False

    @property
    def is_sso(self) -> bool:
        return self.route == "token" or self.url == "KILLSYNC_SSO_URL"


OUTAGES = [
    Outage("ESI says 503", "temporarily unavailable", rule=RULES["503"]),
    Outage("ESI says 504", "Timeout contacting tranquility", rule=RULES["504"]),
    Outage("ESI resets", "127.0.0.1", rule=RULES["reset"]),
    Outage("ESI refuses", "cannot be reached", url="KILLSYNC_ESI_URL"),
    Outage("ESI hangs", "no answer in time", rule=RULES["hang"], waits=True),
    Outage(
        "ESI is silent",
        "no answer in time",
        url="KILLSYNC_ESI_URL",
        open_address=addresses.silent,
        waits=True,
    ),
    Outage("SSO says 503", "SSO says 503", route="token", rule=RULES["503"]),
    Outage("SSO refuses", "cannot be reached", url="KILLSYNC_SSO_URL"),
    Outage("SSO hangs", "no answer in time", route="token", rule=RULES["hang"], waits=True),
]


def play(outage: Outage, seed: int, *, encrypted: bool) -> Score:
    """Scan many users during the outage and after it; return the score."""
    score = Score(outage.name, cases=1)
    rng = random.Random(f"{seed} {outage.name}")
    options: dict[str, Any] = {"characters": USERS, "killmails": 2, "shared": 0}
    with case(rng, encrypted=encrypted, **options) as program, ExitStack() as stack:
        environment = {}
        if outage.is_sso:
            _expire_tokens(program, forget_documents=bool(outage.url))
        if outage.url:
            environment[outage.url] = stack.enter_context(outage.open_address())
        else:
            program.simulator.fault(outage.route, **outage.rule)
        program.simulator.clear_log()
        code = program.launch("scan", **environment).wait(SCAN_TIMEOUT)
        _judge(program, score, outage, code)
        struck = sum(entry["fault"] for entry in program.simulator.log())
        score.check(struck > 0 or bool(outage.url), "the fault never occurred")
        score.faults += struck or MOST_REQUESTS
        program.simulator.clear_faults()
        program.let_all_be_tried()
        code = program.call("scan")
        score.check(code == 0, f"exit {code} after the outage: {program.heard()}")
        program.judge(score)
    return score


def _judge(program: Case, score: Score, outage: Outage, code: int) -> None:
    output = program.heard()
    score.check(code == 75, f"exit {code}: {output}")
    score.check(outage.reason in output, f"{outage.reason!r} is not in the output: {output}")
    users = program.rows("SELECT DISTINCT state, failures FROM users")
    score.check(users == [("active", 0)], f"somebody is blamed: {users}")
    queued = program.rows("SELECT state, count(*) FROM jobs GROUP BY state")
    score.check(queued == [("queued", USERS)], f"the jobs are {queued}")
    requests = len(program.simulator.log())
    score.check(requests <= MOST_REQUESTS, f"{requests} requests")


def _expire_tokens(program: Case, *, forget_documents: bool) -> None:
    program.expire_access()
    if forget_documents:
        program.forget_sso_documents()
