"""Judges the consequences of a fault by what its cell of the matrix expects."""

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

# killsync reads 8 MiB, and the kernel buffers some more on both sides
MOST_OF_A_HUGE_ANSWER = 32 << 20
# seconds that a loaded machine may take to record when a rest ends
LATE = 240


@dataclass(frozen=True)
class Targets:
    """What a fault hits: a user or killmail, and who needs a token refresh.

    `filters` are the fields of a log entry that a request affected by the fault has.
    """

    all_users: list[int]
    user: int
    killmail: int
    expired_users: list[int]
    filters: dict[str, int]


class Verdict:
    """Judges the runs of one cell."""

    def __init__(self, cell: Cell, program: Case, score: Score, targets: Targets) -> None:
        self.cell = cell
        self.expected = cell.expected
        self.program = program
        self.score = score
        self.targets = targets

    def is_stray(self, entry: dict[str, Any]) -> bool:
        """Return whether a request should not have been sent right after the run."""
        route = entry["route"]
        match self.expected.outcome:
            case Outcome.ESI_RESTS:
                return route in ("list", "body", "names", "status")
            case Outcome.SSO_RESTS:
                return route in ("metadata", "token", "jwks")
            case Outcome.BODIES_REST:
                return bool(route == "body")
        if self.cell.kind in LISTS:
            return bool(route == "list" and entry["character_id"] == self.targets.user)
        return self._meets_fault(entry)

    def is_too_early(self, entry: dict[str, Any], log: list[dict[str, Any]]) -> bool:
        """Return whether a stray request came before the rest, if any, was over."""
        refused = [e["start"] for e in log if self._meets_fault(e)]
        over = bool(self.expected.rest and entry["start"] >= refused[0] + self.expected.rest)
        return self.is_stray(entry) and not over

    def judge_run(self, code: int, output: str, log: list[dict[str, Any]]) -> None:
        """Judge the run that met the fault by its output, its requests and the database."""
        check, expected = self.score.check, self.expected
        check(code == EXIT_CODES.get(expected.outcome, 0), f"exit {code}: {output}")
        check(expected.reason in output, f"{expected.reason!r} is not in the output: {output}")
        struck = [entry for entry in log if self._meets_fault(entry)]
        everybody = expected.outcome is Outcome.SSO_DOWN and self.cell.kind in DOCUMENTS
        most = expected.max_requests * (len(self.targets.expired_users) if everybody else 1)
        check(len(struck) <= most, f"{len(struck)} requests instead of at most {most}")
        check(not any(e["path"] == "/elsewhere" for e in log), "a redirect was followed")
        sent = max((entry["sent"] for entry in log), default=0)
        check(sent < MOST_OF_A_HUGE_ANSWER, f"{sent >> 20} MiB of a huge answer were read")
        self._judge_struck(output)
        self._judge_others()
        if expected.rest:
            self._judge_rest(struck, log)

    def _meets_fault(self, entry: dict[str, Any]) -> bool:
        filters = {"route": ROUTES[self.cell.kind]} | self.targets.filters
        return all(entry[name] == value for name, value in filters.items())

    def _judge_struck(self, output: str) -> None:
        match self.expected.outcome:
            case Outcome.USER_FAILS | Outcome.REFUSED:
                self._judge_user(output)
            case Outcome.BODY_PUT_OFF:
                self._judge_body(output)
            case Outcome.SSO_DOWN | Outcome.SSO_RESTS:
                for user in self.targets.expired_users:
                    self._judge_waiting(user)
            case Outcome.LIST_RESTS if self.cell.kind == FIRST:
                self._judge_waiting(self.targets.user)
            case Outcome.ESI_DOWN | Outcome.ESI_RESTS:
                blamed = self.program.rows(
                    "SELECT 1 FROM users WHERE state <> 'active' OR failures"
                )
                self.score.check(not blamed, f"somebody is blamed: {output}")
        page = self.program.rows(
            "SELECT backfill_page FROM users WHERE user_id = ?", self.targets.user
        )
        if self.cell.kind == LATER and self.expected.outcome is not Outcome.DONE:
            self.score.check(page == [(2,)], f"the backfill is at {page}, not at page 2")

    def _judge_user(self, output: str) -> None:
        check, reason = self.score.check, self.expected.reason
        (name, state, failures, error) = self.program.rows(
            "SELECT name, state, failures, error FROM users WHERE user_id = ?", self.targets.user
        )[0]
        job, job_error = self._job(self.targets.user)
        check(name in output, f"{name} is not named: {output}")
        check((state, failures) == ("active", 0), f"blamed after one run: {state} {failures}")
        check(reason in (error or ""), f"{reason!r} is not the error: {error}")
        check(job == "queued" and reason in (job_error or ""), f"{job} {job_error}")
        if self.expected.outcome is Outcome.REFUSED:
            check("killsync login" in output, f"no remedy is named: {output}")

    def judge_failure(self, code: int, output: str) -> None:
        """Judge the second run that met the fault: now it is the user who fails."""
        check, reason = self.score.check, self.expected.reason
        check(code == 1, f"exit {code} at the second run: {output}")
        check(reason in output, f"{reason!r} is not in the second output: {output}")
        (found,) = self.program.rows(
            "SELECT state, failures FROM users WHERE user_id = ?", self.targets.user
        )
        check(found == ("active", 1), f"after two runs the user is {found}")
        job, _ = self._job(self.targets.user)
        check(job == "failed", f"after two runs the job is {job}")

    def _judge_waiting(self, user: int) -> None:
        found = self.program.rows("SELECT state, failures FROM users WHERE user_id = ?", user)
        self.score.check(found == [("active", 0)], f"a waiting user is {found}")
        self.score.check(self._job(user)[0] == "queued", f"the job is {self._job(user)}")

    def _judge_body(self, output: str) -> None:
        check, reason = self.score.check, self.expected.reason
        rows = self.program.rows(
            "SELECT killmail_id, attempts, error, set_aside_at, not_before FROM pending_killmails"
        )
        check(len(rows) == 1, f"pending: {rows}")
        for killmail, attempts, error, aside, not_before in rows:
            check(killmail == self.targets.killmail and attempts == 1, f"pending: {rows}")
            check(reason in (error or ""), f"{reason!r} is not the error: {error}")
            check(not aside and bool(not_before), f"aside: {aside}, put off until {not_before}")
            check(re.search(rf"killmail {killmail}\b", output) is not None, f"not named: {output}")

    def _job(self, user: int) -> tuple[str | None, str | None]:
        rows = self.program.rows(
            "SELECT state, error FROM jobs WHERE user_id = ? ORDER BY id DESC LIMIT 1", user
        )
        return rows[0] if rows else (None, None)

    def _judge_others(self) -> None:
        """Check that every user not hit by the fault is done."""
        outcome = self.expected.outcome
        if outcome in (Outcome.ESI_DOWN, Outcome.ESI_RESTS):
            return
        waiting = (
            self.targets.expired_users
            if outcome in (Outcome.SSO_DOWN, Outcome.SSO_RESTS)
            else [self.targets.user]
        )
        if outcome is Outcome.DONE or self.cell.kind == BODY:
            waiting = []
        for user in self.targets.all_users:
            if user not in waiting:
                self._judge_done(user)

    def _judge_done(self, user: int) -> None:
        check = self.score.check
        listed = self.program.simulator.listed(user)
        check(self.program.recorded(user) == listed, f"user {user} is not listed")
        (failures, error, stored) = self.program.rows(
            "SELECT failures, error, killmails FROM users WHERE user_id = ?", user
        )[0]
        check((failures, error) == (0, None), f"user {user} is blamed: {error}")
        outcome = self.expected.outcome
        missing = outcome is Outcome.BODY_PUT_OFF and user == self.targets.user
        if outcome is not Outcome.BODIES_REST:
            check(stored == len(listed) - missing, f"user {user} has {stored} killmails stored")

    def _judge_rest(self, struck: list[dict[str, Any]], log: list[dict[str, Any]]) -> None:
        if not struck:
            self.score.check(False, "no request was sent")
            return
        refusal, rest = struck[0], self.expected.rest
        later = [e for e in log if e["start"] > refusal["end"] and self.is_stray(e)]
        # a list may be in flight while a body is refused, and vice versa
        others = 2 if self.expected.outcome is Outcome.ESI_RESTS else 0
        self.score.check(len(later) <= others, f"{len(later)} requests after {refusal}: {later}")
        group, key = self._bucket()
        rows = self.program.rows(
            'SELECT retry_at FROM rate_limits WHERE "group" = ? AND "key" = ?', group, key
        )
        until = rows[0][0] if rows and rows[0][0] else 0
        lasts = until - refusal["start"]
        self.score.check(rest <= lasts <= rest + LATE, f"{group} rests for {lasts:.0f} s")

    def _bucket(self) -> tuple[str, str]:
        return {
            Outcome.LIST_RESTS: ("char-killmail", str(self.targets.user)),
            Outcome.BODIES_REST: ("killmail", ""),
            Outcome.ESI_RESTS: ("error-limit", ""),
            Outcome.SSO_RESTS: ("sso", ""),
        }[self.expected.outcome]
