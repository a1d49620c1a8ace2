"""One cell of the fault matrix, played: the fault, its consequences, and the recovery."""

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
    BODY,
    DOCUMENTS,
    FIRST,
    GONE,
    KEYS,
    LATER,
    METADATA,
    ONE_MINUTE,
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
from campaign.verdict import Targets, Verdict

USERS, KILLMAILS, PAGE_SIZE = 3, 5, 2
SHORT_TIMEOUT, LONG_TIMEOUT = 240.0, 700.0
WITH_SHORT_DEADLINE = (
    "from killsync.http import bounded; bounded.DEADLINE = 20.0; "
    "from killsync.__main__ import main; main()"
)
_MISDIRECTED = {REFRESH: "token_endpoint", KEYS: "jwks_uri"}


def play(cell: Cell, seed: int, *, encrypted: bool) -> Score:
    """Play one cell; return its counts and problems."""
    rng = random.Random(f"{seed} {cell.name}")
    options: dict[str, Any] = {
        "characters": USERS,
        "killmails": KILLMAILS,
        "page_size": PAGE_SIZE,
        "shared": 0,
        "encrypted": encrypted,
    }
    with case(rng, **options) as program, ExitStack() as stack:
        return _Play(cell, program, stack).play()


class _Play:
    def __init__(self, cell: Cell, program: Case, stack: ExitStack) -> None:
        self.cell = cell
        self.expected = cell.expected
        self.program = program
        self.score = Score(cell.name, cases=1)
        self.targets = self._choose_targets()
        self._expire_tokens()
        self.verdict = Verdict(cell, program, self.score, self.targets)
        self.environment = self._environment(stack)

    def play(self) -> Score:
        """Play the fault, a scan right after it, and the scan that recovers."""
        simulator = self.program.simulator
        simulator.clear_log()
        code = self._scan()
        wait_until(lambda: _is_reachable(simulator.url))
        self.verdict.judge_run(code, self.program.heard(), simulator.log())
        if self.expected.outcome not in (Outcome.DONE, Outcome.ESI_DOWN, Outcome.SSO_DOWN):
            self._scan_right_after()
        struck = sum(entry["fault"] for entry in simulator.log())
        # an address that is gone sees no requests
        self.score.check(struck > 0 or self.cell.fault in GONE, "the fault never occurred")
        self.score.faults += struck or 1
        self._heal()
        return self.score

    def _choose_targets(self) -> Targets:
        simulator, kind = self.program.simulator, self.cell.kind
        users = sorted(login["character_id"] for login in simulator.logins)
        # a fault that affects all later users is sure to affect the others if it hits the first
        first = self.expected.outcome in (Outcome.ESI_DOWN, Outcome.SSO_RESTS)
        target = users[0] if first else self.program.rng.choice(users)
        others = [user for user in users if user != target]
        expired: list[int] = []
        if kind in SSO:
            # where each user takes minutes, one is enough
            only_target = kind in DOCUMENTS and self.cell.fault in SLOW
            expired = [target] if only_target else [target, others[0]]
        killmail = simulator.listed(target)[0]
        filters = {
            FIRST: {"character_id": target, "page": 1},
            LATER: {"character_id": target, "page": 2},
            BODY: {"killmail_id": killmail},
            REFRESH: {"character_id": target},
        }
        return Targets(users, target, killmail, expired, filters.get(kind, {}))

    def _expire_tokens(self) -> None:
        if not self.targets.expired_users:
            return
        self.program.expire_access(*self.targets.expired_users)
        if self.cell.kind in DOCUMENTS or self.is_misdirected:
            self.program.forget_sso_documents()

    @property
    def is_misdirected(self) -> bool:
        """Whether SSO's metadata is to name an address that cannot be reached."""
        return self.cell.kind in _MISDIRECTED and self.cell.fault in ("refused", "no handshake")

    def _environment(self, stack: ExitStack) -> dict[str, str]:
        """Set up the fault; return the environment for the runs that meet it."""
        simulator, kind = self.program.simulator, self.cell.kind
        if kind in SSO and self.cell.fault in ("refused", "no handshake"):
            open_address = addresses.refusing if self.cell.fault == "refused" else addresses.silent
            dead_url = stack.enter_context(open_address())
            if kind == METADATA:
                return {"KILLSYNC_SSO_URL": dead_url}
            metadata = _metadata(simulator.url) | {_MISDIRECTED[kind]: dead_url}
            simulator.fault("metadata", wrong_json=json.dumps(metadata))
            return {}
        simulator.fault(ROUTES[kind], **self.targets.filters, **self._rule())
        # one at a time, so that nothing else is in flight when ESI asks killsync to wait
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
            body = self.program.simulator.truth()["bodies"][str(self.targets.killmail)]
            return json.dumps(body | {"victim": 7})
        return '{"keys":[{}]}' if self.cell.kind == KEYS else '{"issuer":7}'

    def _scan(self) -> int:
        """Scan, and check what must hold for any run: it ends, without a traceback or much memory.

        Return the exit code, or -1 if the run did not end.
        """
        timeout = LONG_TIMEOUT if self.cell.waits else SHORT_TIMEOUT
        running = Running(self._launch(), timeout)
        try:
            code = running.wait()
        except TimeoutError:
            self.score.check(False, f"the run did not end within {timeout:.0f} s")
            return -1
        running.check_memory(self.score)
        self.score.check("Traceback" not in self.program.heard(), self.program.heard())
        return code

    def _launch(self) -> Popen[bytes]:
        if self.expected.rest == ONE_MINUTE:
            # otherwise a run may wait out such a short rest
            return self.program.launch("scan", "--max-runtime", "30s", **self.environment)
        if not self.cell.once:
            return self.program.launch("scan", **self.environment)
        return self.program.launch("scan", program=("-c", WITH_SHORT_DEADLINE), **self.environment)

    def _scan_right_after(self) -> None:
        """Scan again right away: it must not touch what has failed or has to rest."""
        simulator = self.program.simulator
        if self.expected.outcome is Outcome.REFUSED:
            code = self._scan()
            self.score.check(code == 75, f"exit {code} when all are refused")
            return
        if self.expected.outcome is Outcome.USER_FAILS:
            if not self.cell.waits:
                code = self._scan()
                self.verdict.judge_failure(code, self.program.heard())
            return
        before = len(simulator.log())
        if self.expected.rest:
            self._make_users_due()
        code = self._scan()
        self.score.check(code == 0, f"exit {code} right after: {self.program.heard()}")
        log = simulator.log()
        strays = [entry for entry in log[before:] if self.verdict.is_too_early(entry, log)]
        self.score.check(not strays, f"{len(strays)} requests right after: {strays[:1]}")

    def _make_users_due(self) -> None:
        """Clear every other reason to wait, so that only the rest itself holds requests back."""
        self.program.make_due()
        for table in ("users", "jobs", "pending_killmails"):
            self.program.execute(f"UPDATE {table} SET not_before = NULL")

    def _heal(self) -> None:
        """End the fault and let an hour pass: one scan must then do all that is left."""
        program, check = self.program, self.score.check
        program.simulator.clear_faults()
        program.renew_logins()
        program.let_all_be_tried()
        program.simulator.thaw()
        # as one window later, when all tokens have been returned
        program.simulator.options(list_tokens=0, body_tokens=0)
        if self.is_misdirected:
            # as a day later, when they are no longer cached
            self.program.forget_sso_documents()
        code = program.call("scan")
        check(code == 0, f"exit {code} after the fault: {program.heard()}")
        blamed = program.rows(
            "SELECT name, error FROM users"
            " WHERE state <> 'active' OR failures OR error IS NOT NULL OR backfill_page"
        )
        check(not blamed, f"not recovered: {blamed}")
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
