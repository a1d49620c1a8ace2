"""One cell of the fault matrix, played: the fault, what followed from it, and the healing."""

import json
import random
import urllib.request
from contextlib import ExitStack
from subprocess import Popen
from typing import Any

from world import wait_until

from campaign import addresses
from campaign.case import Case, case
from campaign.matrix import (
    A_MINUTE,
    BODY,
    DOCUMENTS,
    FIRST,
    GONE,
    KEYS,
    LATER,
    METADATA,
    REFRESH,
    ROUTES,
    RULES,
    SLOW,
    SSO,
    Cell,
    Outcome,
)
from campaign.running import Running
from campaign.score import Score
from campaign.verdict import Struck, Verdict

USERS, KILLMAILS, PAGE_SIZE = 3, 5, 2
QUICK, PATIENT = 240.0, 700.0
HURRIED = (
    "from killsync.http import bounded; bounded.DEADLINE = 20.0; "
    "from killsync.__main__ import main; main()"
)
_LIES = {REFRESH: "token_endpoint", KEYS: "jwks_uri"}


def play(cell: Cell, seed: int) -> Score:
    """Play one cell; return what it has counted, and every problem."""
    rng = random.Random(f"{seed} {cell.name}")
    options: dict[str, Any] = {
        "characters": USERS,
        "killmails": KILLMAILS,
        "page_size": PAGE_SIZE,
        "shared": 0,
    }
    with case(rng, **options) as program, ExitStack() as stack:
        return _Play(cell, program, stack).play()


class _Play:
    def __init__(self, cell: Cell, program: Case, stack: ExitStack) -> None:
        self.cell = cell
        self.expected = cell.expected
        self.program = program
        self.score = Score(cell.name, cases=1)
        self.struck = self._struck()
        self._let_tokens_expire()
        self.verdict = Verdict(cell, program, self.score, self.struck)
        self.environment = self._environment(stack)

    def play(self) -> Score:
        """Play the fault, a scan right after it, and the scan that heals."""
        simulator = self.program.simulator
        simulator.clear_log()
        code = self._scan()
        wait_until(lambda: _is_reachable(simulator.url))
        self.verdict.of_run(code, self.program.heard(), simulator.log())
        if self.expected.outcome not in (Outcome.DONE, Outcome.ESI_DOWN, Outcome.SSO_DOWN):
            self._scan_at_once()
        struck = sum(entry["fault"] for entry in simulator.log())
        # an address that is gone sees nobody
        self.score.must(struck > 0 or self.cell.fault in GONE, "the fault never struck")
        self.score.faults += struck or 1
        self._heal()
        return self.score

    def _struck(self) -> Struck:
        simulator, kind = self.program.simulator, self.cell.kind
        users = sorted(login["character_id"] for login in simulator.logins)
        # what concerns all who come later is certain to concern them if it strikes the first
        first = self.expected.outcome in (Outcome.ESI_DOWN, Outcome.SSO_RESTS)
        ill = users[0] if first else self.program.rng.choice(users)
        others = [user for user in users if user != ill]
        expired: list[int] = []
        if kind in SSO:
            # of what takes minutes for each of them, one user is enough
            alone = kind in DOCUMENTS and self.cell.fault in SLOW
            expired = [ill] if alone else [ill, others[0]]
        killmail = simulator.listed(ill)[0]
        target = {
            FIRST: {"character_id": ill, "page": 1},
            LATER: {"character_id": ill, "page": 2},
            BODY: {"killmail_id": killmail},
            REFRESH: {"character_id": ill},
        }
        return Struck(users, ill, killmail, expired, target.get(kind, {}))

    def _let_tokens_expire(self) -> None:
        if not self.struck.expired:
            return
        if not self.struck.expired:
            return
        self.program.expire_access(*self.struck.expired)
        if self.cell.kind in DOCUMENTS or self.is_a_lie:
            self.program.forget_sso_documents()

    @property
    def is_a_lie(self) -> bool:
        """Whether SSO's metadata names an address at which nobody can be reached."""
        return self.cell.kind in _LIES and self.cell.fault in ("refused", "no handshake")

    def _environment(self, stack: ExitStack) -> dict[str, str]:
        """Set the fault up; return the environment of the runs that meet it."""
        simulator, kind = self.program.simulator, self.cell.kind
        if kind in SSO and self.cell.fault in ("refused", "no handshake"):
            away = addresses.refusing if self.cell.fault == "refused" else addresses.silent
            nowhere = stack.enter_context(away())
            if kind == METADATA:
                return {"KILLSYNC_SSO_URL": nowhere}
            lie = _metadata(simulator.url) | {_LIES[kind]: nowhere}
            simulator.fault("metadata", wrong_json=json.dumps(lie))
            return {}
        simulator.fault(ROUTES[kind], **self.struck.target, **self._rule())
        # one at a time, so that nothing is in flight when ESI asks for a rest
        return {"KILLSYNC_CONNECTIONS": "1"} if self.expected.rest else {}

    def _rule(self) -> dict[str, Any]:
        rule = dict(RULES[self.cell.fault])
        if self.cell.fault == "redirect":
            rule["redirect"] = f"{self.program.simulator.url}/elsewhere"
        if self.cell.fault == "wrong shape" and self.cell.kind in (BODY, *DOCUMENTS, REFRESH):
            rule["wrong_json"] = self._misshapen()
        if self.cell.once:
            rule["times"] = 1
        return rule

    def _misshapen(self) -> str:
        if self.cell.kind == BODY:
            body = self.program.simulator.truth()["bodies"][str(self.struck.killmail)]
            return json.dumps(body | {"victim": 7})
        return '{"keys":[{}]}' if self.cell.kind == KEYS else '{"issuer":7}'

    def _scan(self) -> int:
        """Scan; note what must hold of any run: its end, its memory."""
        patience = PATIENT if self.cell.waits else QUICK
        running = Running(self._launch(), patience)
        try:
            code = running.wait()
        except TimeoutError:
            self.score.must(False, f"the run has not ended after {patience:.0f} s")
            return -1
        running.judge_memory(self.score)
        self.score.must("Traceback" not in self.program.heard(), self.program.heard())
        return code

    def _launch(self) -> Popen[bytes]:
        if self.expected.rest == A_MINUTE:
            # a run may wait for the end of so short a rest
            return self.program.launch("scan", "--max-runtime", "30s", **self.environment)
        if not self.cell.once:
            return self.program.launch("scan", **self.environment)
        return self.program.launch("scan", program=("-c", HURRIED), **self.environment)

    def _scan_at_once(self) -> None:
        """A second run right after: it leaves alone what has failed or has to rest."""
        simulator = self.program.simulator
        before = len(simulator.log())
        if self.expected.rest:
            self._let_users_be_tried()
        code = self._scan()
        self.score.must(code == 0, f"exit {code} at once: {self.program.heard()}")
        log = simulator.log()
        strays = [entry for entry in log[before:] if self.verdict.is_too_early(entry, log)]
        self.score.must(not strays, f"{len(strays)} requests at once: {strays[:1]}")

    def _let_users_be_tried(self) -> None:
        """Let only the rest itself stand between killsync and a request."""
        self.program.make_due()
        for table in ("users", "jobs", "pending_killmails"):
            self.program.execute(f"UPDATE {table} SET not_before = NULL")

    def _heal(self) -> None:
        """After the fault, and an hour, one scan does all that is left."""
        program, must = self.program, self.score.must
        program.simulator.clear_faults()
        program.renew_logins()
        program.let_all_be_tried()
        program.simulator.thaw()
        # a window later all tokens have come back
        program.simulator.options(list_tokens=0, body_tokens=0)
        # only the user can decide that ESI may have changed its mind
        program.execute("UPDATE pending_killmails SET set_aside_at = NULL")
        if self.is_a_lie:
            # a day later
            self.program.forget_sso_documents()
        code = program.call("scan")
        must(code == 0, f"exit {code} after the fault: {program.heard()}")
        blamed = program.rows(
            "SELECT name, error FROM users"
            " WHERE state <> 'active' OR failures OR error IS NOT NULL OR backfill_page"
        )
        must(not blamed, f"not healed: {blamed}")
        program.judge(self.score)


def _metadata(url: str) -> dict[str, Any]:
    address = f"{url}/.well-known/oauth-authorization-server"
    with urllib.request.urlopen(address, timeout=30) as answer:
        metadata: dict[str, Any] = json.load(answer)
    return metadata


def _is_reachable(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_control/options", timeout=5):
            return True
    except OSError:
        return False
