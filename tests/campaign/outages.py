"""Outages: a whole service is away, as ESI is each day at 11:00 UTC."""

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
PATIENCE = 700.0


@dataclass(frozen=True)
class Outage:
    """Which service is away, and how it shows: by a fault, or by an address without anybody."""

    name: str
    why: str
    route: str = "any"
    rule: dict[str, Any] = field(default_factory=dict)
    url: str = ""
    away: Callable[[], AbstractContextManager[str]] = addresses.refusing
    waits: bool = False

    @property
    def of_sso(self) -> bool:
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
        away=addresses.silent,
        waits=True,
    ),
    Outage("SSO says 503", "SSO says 503", route="token", rule=RULES["503"]),
    Outage("SSO refuses", "cannot be reached", url="KILLSYNC_SSO_URL"),
    Outage("SSO hangs", "no answer in time", route="token", rule=RULES["hang"], waits=True),
]


def play(outage: Outage, seed: int) -> Score:
    """Scan 30 users during the outage and after it."""
    score = Score(outage.name, cases=1)
    rng = random.Random(f"{seed} {outage.name}")
    options: dict[str, Any] = {"characters": USERS, "killmails": 2, "shared": 0}
    with case(rng, **options) as program, ExitStack() as stack:
        environment = {}
        if outage.of_sso:
            _let_tokens_expire(program, forget_documents=bool(outage.url))
        if outage.url:
            environment[outage.url] = stack.enter_context(outage.away())
        else:
            program.simulator.fault(outage.route, **outage.rule)
        program.simulator.clear_log()
        code = program.launch("scan", **environment).wait(PATIENCE)
        _judge(program, score, outage, code)
        struck = sum(entry["fault"] for entry in program.simulator.log())
        score.must(struck > 0 or bool(outage.url), "the fault never struck")
        score.faults += struck or MOST_REQUESTS
        program.simulator.clear_faults()
        program.let_all_be_tried()
        code = program.call("scan")
        score.must(code == 0, f"exit {code} after the outage: {program.heard()}")
        program.judge(score)
    return score


def _judge(program: Case, score: Score, outage: Outage, code: int) -> None:
    said = program.heard()
    score.must(code == 75, f"exit {code}: {said}")
    score.must(outage.why in said, f"{outage.why!r} is not said: {said}")
    users = program.rows("SELECT DISTINCT state, failures, error FROM users")
    score.must(users == [("active", 0, None)], f"somebody is blamed: {users}")
    queued = program.rows("SELECT state, count(*) FROM jobs GROUP BY state")
    score.must(queued == [("queued", USERS)], f"the jobs are {queued}")
    requests = len(program.simulator.log())
    score.must(requests <= MOST_REQUESTS, f"{requests} requests")


def _let_tokens_expire(program: Case, *, forget_documents: bool) -> None:
    program.expire_access()
    if forget_documents:
        program.forget_sso_documents()
