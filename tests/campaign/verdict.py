"""What followed from a fault, compared with what its cell of the matrix says."""

import re
from dataclasses import dataclass
from typing import Any

from campaign.case import Case
from campaign.matrix import (
    BODY,
    DOCUMENTS,
    EXIT_CODES,
    FIRST,
    LATER,
    LISTS,
    ROUTES,
    Cell,
    Outcome,
)
from campaign.score import Score

# killsync reads 4 MiB, and the system buffers some more on both sides
MOST_OF_A_HUGE_ANSWER = 32 << 20
# what a loaded machine may take to note when a rest ends
LATE = 240


@dataclass(frozen=True)
class Struck:
    """Whom a fault strikes: the user or killmail, and those who need a refresh."""

    users: list[int]
    ill: int
    killmail: int
    expired: list[int]
    target: dict[str, int]


class Verdict:
    """Judges the runs of one cell."""

    def __init__(self, cell: Cell, program: Case, score: Score, struck: Struck) -> None:
        self.cell = cell
        self.expected = cell.expected
        self.program = program
        self.score = score
        self.struck = struck

    def is_stray(self, entry: dict[str, Any]) -> bool:
        """Tell whether a request should not have been made right after the run."""
        route = entry["route"]
        match self.expected.outcome:
            case Outcome.ESI_RESTS:
                return route in ("list", "body", "names", "status")
            case Outcome.SSO_RESTS:
                return route in ("metadata", "token", "jwks")
            case Outcome.BODIES_REST:
                return bool(route == "body")
        if self.cell.kind in LISTS:
            return bool(route == "list" and entry["character_id"] == self.struck.ill)
        return self._is_struck(entry)

    def is_too_early(self, entry: dict[str, Any], log: list[dict[str, Any]]) -> bool:
        """Tell whether a request comes before the end of the rest, if there is one."""
        refused = [e["start"] for e in log if self._is_struck(e)]
        over = bool(self.expected.rest and entry["start"] >= refused[0] + self.expected.rest)
        return self.is_stray(entry) and not over

    def of_run(self, code: int, said: str, log: list[dict[str, Any]]) -> None:
        """Judge the run that met the fault, by its words, its requests and the database."""
        must, expected = self.score.must, self.expected
        must(code == EXIT_CODES.get(expected.outcome, 0), f"exit {code}: {said}")
        must(expected.why in said, f"{expected.why!r} is not said: {said}")
        struck = [entry for entry in log if self._is_struck(entry)]
        everybody = expected.outcome is Outcome.SSO_DOWN and self.cell.kind in DOCUMENTS
        most = expected.most * (len(self.struck.expired) if everybody else 1)
        must(len(struck) <= most, f"{len(struck)} requests instead of {most} at the most")
        must(not any(e["path"] == "/elsewhere" for e in log), "a redirect was followed")
        sent = max((entry["sent"] for entry in log), default=0)
        must(sent < MOST_OF_A_HUGE_ANSWER, f"{sent >> 20} MiB of a huge answer were taken")
        self._judge_struck(said)
        self._judge_others()
        if expected.rest:
            self._judge_rest(struck, log)

    def _is_struck(self, entry: dict[str, Any]) -> bool:
        target = {"route": ROUTES[self.cell.kind]} | self.struck.target
        return all(entry[name] == value for name, value in target.items())

    def _judge_struck(self, said: str) -> None:
        match self.expected.outcome:
            case Outcome.USER_FAILS | Outcome.NEEDS_LOGIN | Outcome.PUT_OFF:
                self._judge_user(said)
            case Outcome.BODY_PUT_OFF | Outcome.ASIDE:
                self._judge_body(said)
            case Outcome.SSO_DOWN | Outcome.SSO_RESTS:
                for user in self.struck.expired:
                    self._judge_waiting(user)
            case Outcome.LIST_RESTS if self.cell.kind == FIRST:
                self._judge_waiting(self.struck.ill)
            case Outcome.ESI_DOWN | Outcome.ESI_RESTS:
                blamed = self.program.rows(
                    "SELECT 1 FROM users WHERE state <> 'active' OR failures OR error IS NOT NULL"
                )
                self.score.must(not blamed, f"somebody is blamed: {said}")
        page = self.program.rows(
            "SELECT backfill_page FROM users WHERE user_id = ?", self.struck.ill
        )
        if self.cell.kind == LATER and self.expected.outcome is not Outcome.DONE:
            self.score.must(page == [(2,)], f"the gap is not open at page 2 but {page}")

    def _judge_user(self, said: str) -> None:
        must, why = self.score.must, self.expected.why
        (name, state, failures, error) = self.program.rows(
            "SELECT name, state, failures, error FROM users WHERE user_id = ?", self.struck.ill
        )[0]
        job, job_error = self._job(self.struck.ill)
        must(name in said, f"{name} is not named: {said}")
        if self.expected.outcome is Outcome.PUT_OFF:
            must((state, failures, error) == ("active", 0, None), f"{state} {failures} {error}")
            must(job == "queued" and why in (job_error or ""), f"{job} {job_error}")
            return
        login = self.expected.outcome is Outcome.NEEDS_LOGIN
        must(state == ("needs_login" if login else "active"), f"the user is {state}")
        must(login or failures == 1, f"{failures} failures")
        must(why in (error or ""), f"{why!r} is not the error: {error}")
        must(not login or "killsync login" in (error or ""), f"no way out is named: {error}")
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
            must(killmail == self.struck.killmail and attempts == 1, f"pending: {rows}")
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
        waiting = (
            self.struck.expired
            if outcome in (Outcome.SSO_DOWN, Outcome.SSO_RESTS)
            else [self.struck.ill]
        )
        if outcome is Outcome.DONE or self.cell.kind == BODY:
            waiting = []
        for user in self.struck.users:
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
        one = outcome in (Outcome.BODY_PUT_OFF, Outcome.ASIDE) and user == self.struck.ill
        if outcome is not Outcome.BODIES_REST:
            must(stored == len(listed) - one, f"user {user} has {stored} killmails stored")

    def _judge_rest(self, struck: list[dict[str, Any]], log: list[dict[str, Any]]) -> None:
        if not struck:
            self.score.must(False, "nothing was asked")
            return
        refusal, rest = struck[0], self.expected.rest
        later = [e for e in log if e["start"] > refusal["end"] and self.is_stray(e)]
        # a list may be on its way while a body is refused, and the other way round
        others = 2 if self.expected.outcome is Outcome.ESI_RESTS else 0
        self.score.must(len(later) <= others, f"{len(later)} requests after {refusal}: {later}")
        group, key = self._bucket()
        rows = self.program.rows(
            'SELECT retry_at FROM rate_limits WHERE "group" = ? AND "key" = ?', group, key
        )
        until = rows[0][0] if rows and rows[0][0] else 0
        kept = until - refusal["start"]
        self.score.must(rest <= kept <= rest + LATE, f"{group} rests for {kept:.0f} s")

    def _bucket(self) -> tuple[str, str]:
        return {
            Outcome.LIST_RESTS: ("char-killmail", str(self.struck.ill)),
            Outcome.BODIES_REST: ("killmail", ""),
            Outcome.ESI_RESTS: ("error-limit", ""),
            Outcome.SSO_RESTS: ("sso", ""),
        }[self.expected.outcome]
