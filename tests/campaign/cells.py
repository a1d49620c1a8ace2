"""One cell of the fault matrix, played: the fault, what followed from it, and the healing."""

import json
import os
import random
import re
import sqlite3
import time
import urllib.request
from contextlib import ExitStack, closing
from subprocess import Popen
from typing import Any

from world import wait_until

from campaign import addresses
from campaign.case import Case, case
from campaign.matrix import (
    BODY,
    DOCUMENTS,
    EXIT_CODES,
    FIRST,
    KEYS,
    LATER,
    LISTS,
    METADATA,
    REFRESH,
    ROUTES,
    RULES,
    SLOW,
    SSO,
    Cell,
    Outcome,
)
from campaign.score import Score

USERS, KILLMAILS, PAGE_SIZE = 3, 5, 2
QUICK, PATIENT = 240.0, 700.0
# the issue allows 150 MB of resident memory
MOST_MEMORY = 150 * 1024
# killsync reads 4 MiB, and the system buffers some more on both sides
MOST_OF_A_HUGE_ANSWER = 32 << 20
HURRIED = "import killsync.http as h; h.DEADLINE = 20.0; from killsync.__main__ import main; main()"
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
        self.users = sorted(login["character_id"] for login in program.simulator.logins)
        # an address that has gone is noticed for certain if nobody has been answered before
        down = self.expected.outcome is Outcome.ESI_DOWN
        self.ill = self.users[0] if down else program.rng.choice(self.users)
        self.killmail = program.simulator.listed(self.ill)[0]
        self.expired = self._expired()
        self.environment = self._environment(stack)

    def play(self) -> Score:
        """Play the fault, a scan right after it, and the scan that heals."""
        simulator = self.program.simulator
        simulator.clear_log()
        code = self._scan()
        wait_until(lambda: _is_reachable(simulator.url))
        self._judge_run(code, simulator.log())
        if self.expected.outcome not in (Outcome.DONE, Outcome.ESI_DOWN, Outcome.SSO_DOWN):
            self._scan_at_once()
        self.score.faults += sum(entry["fault"] for entry in simulator.log()) or 1
        self._heal()
        return self.score

    def _expired(self) -> list[int]:
        """Let the access tokens of some be over; return whose."""
        if self.cell.kind not in SSO:
            return []
        others = [user for user in self.users if user != self.ill]
        # of what takes minutes, one user is enough
        expired = [self.ill] if self.cell.fault in SLOW else [self.ill, others[0]]
        with closing(sqlite3.connect(f"{self.program.database}.tokens")) as conn, conn:
            for user in expired:
                conn.execute("UPDATE tokens SET access_token = NULL WHERE user_id = ?", [user])
            if self.cell.kind in DOCUMENTS or self.is_a_lie:
                conn.execute("DELETE FROM sso_documents")
        return expired

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
        simulator.fault(ROUTES[kind], **self._target(), **self._rule())
        # one at a time, so that nothing is in flight when ESI asks for a rest
        return {"KILLSYNC_CONNECTIONS": "1"} if self.expected.rest else {}

    def _target(self) -> dict[str, int]:
        match self.cell.kind:
            case "first page":
                return {"character_id": self.ill, "page": 1}
            case "later page":
                return {"character_id": self.ill, "page": 2}
            case "body":
                return {"killmail_id": self.killmail}
            case "refresh":
                return {"character_id": self.ill}
        return {}

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
            body = self.program.simulator.truth()["bodies"][str(self.killmail)]
            return json.dumps(body | {"victim": 7})
        return '{"keys":[{}]}' if self.cell.kind == KEYS else '{"issuer":7}'

    def _scan(self) -> int:
        """Scan; note what must hold of any run: its end, its memory."""
        patience = PATIENT if self.cell.waits else QUICK
        process = self._launch()
        code, memory = _finished(process, patience)
        self.score.must(code is not None, f"the run has not ended after {patience:.0f} s")
        self.score.must(memory < MOST_MEMORY, f"the run took {memory >> 10} MiB")
        self.score.must("Traceback" not in self.program.heard(), self.program.heard())
        return -1 if code is None else code

    def _launch(self) -> Popen[bytes]:
        if not self.cell.once:
            return self.program.launch("scan", **self.environment)
        return self.program.launch("scan", program=("-c", HURRIED), **self.environment)

    def _judge_run(self, code: int, log: list[dict[str, Any]]) -> None:
        must, expected, said = self.score.must, self.expected, self.program.heard()
        must(code == EXIT_CODES.get(expected.outcome, 0), f"exit {code}: {said}")
        must(expected.why in said, f"{expected.why!r} is not said: {said}")
        struck = [entry for entry in log if self._is_struck(entry)]
        most = expected.most * max(1, len(self.expired) if self.cell.kind in DOCUMENTS else 1)
        must(len(struck) <= most, f"{len(struck)} requests instead of {most} at the most")
        must(not any(e["path"] == "/elsewhere" for e in log), "a redirect was followed")
        sent = max((entry["sent"] for entry in log), default=0)
        must(sent < MOST_OF_A_HUGE_ANSWER, f"{sent >> 20} MiB of a huge answer were taken")
        self._judge_struck(said)
        self._judge_others()
        if expected.rest:
            self._judge_rest(struck)

    def _is_struck(self, entry: dict[str, Any]) -> bool:
        target = {"route": ROUTES[self.cell.kind]} | self._target()
        return all(entry[name] == value for name, value in target.items())

    def _judge_struck(self, said: str) -> None:
        match self.expected.outcome:
            case Outcome.USER_FAILS | Outcome.NEEDS_LOGIN | Outcome.PUT_OFF:
                self._judge_user(said)
            case Outcome.BODY_PUT_OFF | Outcome.ASIDE:
                self._judge_body(said)
            case Outcome.SSO_DOWN | Outcome.SSO_RESTS:
                for user in self.expired:
                    self._judge_waiting(user)
            case Outcome.LIST_RESTS if self.cell.kind == FIRST:
                self._judge_waiting(self.ill)
            case Outcome.ESI_DOWN | Outcome.ESI_RESTS:
                blamed = self.program.rows(
                    "SELECT 1 FROM users WHERE state <> 'active' OR failures OR error IS NOT NULL"
                )
                self.score.must(not blamed, f"somebody is blamed: {said}")
        page = self.program.rows("SELECT backfill_page FROM users WHERE user_id = ?", self.ill)
        if self.cell.kind == LATER and self.expected.outcome is not Outcome.DONE:
            self.score.must(page == [(2,)], f"the gap is not open at page 2 but {page}")

    def _judge_user(self, said: str) -> None:
        must, why = self.score.must, self.expected.why
        (name, state, failures, error) = self.program.rows(
            "SELECT name, state, failures, error FROM users WHERE user_id = ?", self.ill
        )[0]
        job, job_error = self._job(self.ill)
        must(name in said, f"{name} is not named: {said}")
        if self.expected.outcome is Outcome.PUT_OFF:
            must((state, failures, error) == ("active", 0, None), f"{state} {failures} {error}")
            must(job == "queued" and why in (job_error or ""), f"{job} {job_error}")
            return
        login = self.expected.outcome is Outcome.NEEDS_LOGIN
        must(state == ("needs_login" if login else "active"), f"the user is {state}")
        must(login or failures == 1, f"{failures} failures")
        must(why in (error or ""), f"{why!r} is not the error: {error}")
        must(not login or "killsync users add" in (error or ""), f"no way out is named: {error}")
        must(job == "failed", f"the job is {job}")

    def _judge_waiting(self, user: int) -> None:
        found = self.program.rows(
            "SELECT state, failures, error FROM users WHERE user_id = ?", user
        )
        self.score.must(found == [("active", 0, None)], f"a user who has to wait is {found}")
        self.score.must(self._job(user)[0] == "queued", f"the job is {self._job(user)}")

    def _judge_body(self, said: str) -> None:
        must, why = self.score.must, self.expected.why
        rows = self.program.rows(
            "SELECT killmail_id, attempts, error, set_aside_at, not_before FROM pending_killmails"
        )
        must(len(rows) == 1, f"pending: {rows}")
        for killmail, attempts, error, aside, not_before in rows:
            must(killmail == self.killmail and attempts == 1, f"pending: {rows}")
            must(why in (error or ""), f"{why!r} is not the error: {error}")
            must(bool(aside) == (self.expected.outcome is Outcome.ASIDE), f"aside: {aside}")
            must(bool(aside) != bool(not_before), f"put off until {not_before}")
            must(re.search(rf"killmail {killmail}\b", said) is not None, f"not named: {said}")

    def _job(self, user: int) -> tuple[str | None, str | None]:
        rows = self.program.rows(
            "SELECT state, error FROM jobs WHERE user_id = ? ORDER BY id DESC LIMIT 1", user
        )
        return rows[0] if rows else (None, None)

    def _judge_others(self) -> None:
        """Whoever is not struck must be done."""
        outcome = self.expected.outcome
        if outcome in (Outcome.ESI_DOWN, Outcome.ESI_RESTS):
            return
        waiting = self.expired if outcome in (Outcome.SSO_DOWN, Outcome.SSO_RESTS) else [self.ill]
        if outcome is Outcome.DONE or self.cell.kind == BODY:
            waiting = []
        for user in self.users:
            if user not in waiting:
                self._judge_done(user)

    def _judge_done(self, user: int) -> None:
        must = self.score.must
        listed = self.program.simulator.listed(user)
        must(self.program.recorded(user) == listed, f"user {user} is not listed")
        (failures, error, stored) = self.program.rows(
            "SELECT failures, error, killmails FROM users WHERE user_id = ?", user
        )[0]
        must((failures, error) == (0, None), f"user {user} is blamed: {error}")
        outcome = self.expected.outcome
        one = outcome in (Outcome.BODY_PUT_OFF, Outcome.ASIDE) and user == self.ill
        if outcome is not Outcome.BODIES_REST:
            must(stored == len(listed) - one, f"user {user} has {stored} killmails stored")

    def _judge_rest(self, struck: list[dict[str, Any]]) -> None:
        if not struck:
            self.score.must(False, "nothing was asked")
            return
        refusal, rest = struck[0], self.expected.rest
        if self.expected.outcome is Outcome.DONE:
            pauses = [later["start"] - refusal["start"] for later in struck[1:]]
            self.score.must(all(p >= rest for p in pauses), f"asked again after {pauses}")
            return
        group, key = self._bucket()
        rows = self.program.rows(
            'SELECT retry_at FROM rate_limits WHERE "group" = ? AND "key" = ?', group, key
        )
        until = rows[0][0] if rows and rows[0][0] else 0
        kept = until - refusal["start"]
        self.score.must(rest <= kept <= rest + QUICK, f"{group} rests for {kept:.0f} s")

    def _bucket(self) -> tuple[str, str]:
        return {
            Outcome.LIST_RESTS: ("char-killmail", str(self.ill)),
            Outcome.BODIES_REST: ("killmail", ""),
            Outcome.ESI_RESTS: ("error-limit", ""),
            Outcome.SSO_RESTS: ("sso", ""),
        }[self.expected.outcome]

    def _scan_at_once(self) -> None:
        """A second run right after: it leaves alone what has failed or has to rest."""
        simulator = self.program.simulator
        before = len(simulator.log())
        if self.expected.rest:
            self._let_users_be_tried()
        code = self._scan()
        self.score.must(code == 0, f"exit {code} at once: {self.program.heard()}")
        strays = [entry for entry in simulator.log()[before:] if self._is_stray(entry)]
        self.score.must(not strays, f"{len(strays)} requests at once: {strays[:1]}")

    def _let_users_be_tried(self) -> None:
        """Let only the rest itself stand between killsync and a request."""
        self.program.make_due()
        for table in ("users", "jobs", "pending_killmails"):
            self.program.execute(f"UPDATE {table} SET not_before = NULL")

    def _is_stray(self, entry: dict[str, Any]) -> bool:
        route = entry["route"]
        match self.expected.outcome:
            case Outcome.ESI_RESTS:
                return route in ("list", "body", "names", "status")
            case Outcome.SSO_RESTS:
                return route in ("metadata", "token", "jwks")
            case Outcome.BODIES_REST:
                return bool(route == "body")
        if self.cell.kind in LISTS:
            return bool(route == "list" and entry["character_id"] == self.ill)
        return self._is_struck(entry)

    def _heal(self) -> None:
        """After the fault, and an hour, one scan does all that is left."""
        program, must = self.program, self.score.must
        program.simulator.clear_faults()
        program.renew_logins()
        program.let_all_be_tried()
        program.simulator.thaw()
        # only the user can decide that ESI may have changed its mind
        program.execute("UPDATE pending_killmails SET set_aside_at = NULL")
        if self.is_a_lie:
            self._forget_documents()
        code = program.call("scan")
        must(code == 0, f"exit {code} after the fault: {program.heard()}")
        blamed = program.rows(
            "SELECT name, error FROM users"
            " WHERE state <> 'active' OR failures OR error IS NOT NULL OR backfill_page"
        )
        must(not blamed, f"not healed: {blamed}")
        program.judge(self.score)

    def _forget_documents(self) -> None:
        """A day later: what SSO publishes is asked for again."""
        with closing(sqlite3.connect(f"{self.program.database}.tokens")) as conn, conn:
            conn.execute("DELETE FROM sso_documents")


def _finished(process: Popen[bytes], patience: float) -> tuple[int | None, int]:
    """Wait for a process; return its exit code, and the most memory it had, in KiB."""
    deadline = time.monotonic() + patience
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_maxrss
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            return None, 0
        time.sleep(0.02)


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
