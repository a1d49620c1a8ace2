"""Faults that pass: each may leave a mark behind, and none may stay longer than was decided.

How long that is: items 30 to 34 of the decisions, in seconds from the end of the fault.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from campaign.case import ADDED
from campaign.ticks import DAY, HOUR, TWO_TICKS

# what an answer asks for counts as an hour; refused again in the same way, as up to six
ONE_REST = HOUR + TWO_TICKS
LONGEST_REST = 6 * HOUR + TWO_TICKS
# a body that is refused is asked for again after 10 minutes, then an hour, then six
LADDER = 6 * HOUR + TWO_TICKS
# a user's own failures
BACK_OFF = 6 * HOUR + TWO_TICKS
# a refused login is tried once a day
NEXT_DAY = DAY + TWO_TICKS

LIST, LATER, BODY, REFRESH = "list", "later page", "body", "refresh"
CORPORATION = "corporation's list"
AGES = "99999999"
ANOTHER_CLIENT = "another-application"
# in a rule, the hash of a user's newest killmail
NEWEST = "NEWEST"


class Span(StrEnum):
    """How many answers a fault hits."""

    ONCE = "once"
    HOURS = "for hours"
    HOURS_OF_ONE = "for hours, one only"


@dataclass(frozen=True)
class Passing:
    """What a fault does to which answers, and how long its consequences may last, by its span."""

    name: str
    at: str
    within: dict[Span, float]
    rule: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Trial:
    """A fault, and how long it lasts."""

    fault: Passing
    span: Span

    @property
    def name(self) -> str:
        return f"{self.fault.at}: {self.fault.name}, {self.span}"

    @property
    def within(self) -> float:
        return self.fault.within[self.span]


def _json(error: str) -> str:
    return f'{{"error":"{error}"}}'


def _refusal(status: int, error: str) -> dict[str, Any]:
    return {"status": status, "body": _json(error)}


_JUNK: dict[str, dict[str, Any]] = {
    "{}": {"wrong_json": "{}"},
    "null": {"wrong_json": "null"},
    "[]": {"wrong_json": "[]"},
    "an error with 200": {"wrong_json": _json("Timeout contacting tranquility")},
    "cut": {"cut": True},
}

_BODIES: dict[str, dict[str, Any]] = {
    "422": _refusal(422, "Invalid killmail_id and/or killmail_hash"),
    "404": _refusal(404, "Not found"),
    **_JUNK,
    "larger than any killmail": {"huge": 64 << 20},
    "an unknown huge integer": {
        "edit": {'"solar_system_id"': f'"{ADDED}":{10**30},"solar_system_id"'}
    },
    "an integer written as a float": {"edit": {',"victim":': '.0,"victim":'}},
}

# not of all bodies: the database would be too large for the trials that follow
_LARGE: dict[str, dict[str, Any]] = {
    "4.5 MB": {"edit": {'"solar_system_id"': f'"{ADDED}":"{"x" * 4_500_000}","solar_system_id"'}}
}

_LISTS: dict[str, dict[str, Any]] = {
    "401": _refusal(401, "Unauthorized - Invalid token"),
    "403 scope": _refusal(403, "Token is not valid for any required scope"),
    "403 microscope": _refusal(403, "look at it under a microscope"),
    "403 roles": _refusal(403, "Character does not have required role(s)"),
    "404": _refusal(404, "Character not found"),
    "422": _refusal(422, "Invalid character_id"),
    "500": _refusal(500, "Internal error"),
    "502": {"status": 502, "html": True},
    "504": _refusal(504, "Timeout contacting tranquility"),
    "a null hash": {"edit": {NEWEST: "null"}},
    **_JUNK,
}
# of a director: another one is asked
_OF_A_DIRECTOR = {
    "401": _LISTS["401"],
    "403 scope": _LISTS["403 scope"],
    "403 roles": _LISTS["403 roles"],
    "403 corporation": _refusal(403, "Character is not in the corporation"),
}
_OF_A_CORPORATION = ("404", "500", "502", "a null hash", "{}", "[]", "cut")
_LATER = ("403 roles", "404", "500", "504", "{}", "[]", "cut")

_REFUSED: dict[str, dict[str, Any]] = {
    "invalid_grant": _refusal(400, "invalid_grant"),
    "invalid_token": _refusal(400, "invalid_token"),
}
_FAILED: dict[str, dict[str, Any]] = {
    "invalid_client": _refusal(401, "invalid_client"),
    "500": _refusal(500, "server_error"),
}

_HEADERS = {
    "X-Ratelimit-Limit 1/7d": {"X-Ratelimit-Limit": "1/7d"},
    "X-Ratelimit-Limit 1/1s": {"X-Ratelimit-Limit": "1/1s"},
    "X-Ratelimit-Limit 0/15m": {"X-Ratelimit-Limit": "0/15m"},
    "X-Ratelimit-Remaining 0": {"X-Ratelimit-Remaining": "0"},
    "Cache-Control for years": {"Cache-Control": f"max-age={AGES}"},
    "Retry-After for years": {"Retry-After": AGES},
}
_RESTS: dict[str, dict[str, Any]] = {
    "429 for years": {"status": 429, "headers": {"Retry-After": AGES}},
    "429 without a time": {"status": 429, "keep_limit_headers": False},
    "503 for years": {"status": 503, "headers": {"Retry-After": AGES}},
    "420 for years": {"status": 420, "headers": {"X-ESI-Error-Limit-Reset": AGES}},
}


ONCE, HOURS, OF_ONE = Span


def _within(once: float, hours: float, of_one: float | None = None) -> dict[Span, float]:
    return {ONCE: once, HOURS: hours} | ({} if of_one is None else {OF_ONE: of_one})


def _faults(at: str, rules: dict[str, dict[str, Any]], within: dict[Span, float]) -> list[Passing]:
    return [Passing(name, at, within, rule) for name, rule in rules.items()]


_OF_A_LIST = _within(TWO_TICKS, TWO_TICKS, BACK_OFF)
# to read a list of a dozen pages again takes two windows of its limit
_OF_A_LONG_LIST = _within(2 * TWO_TICKS, 2 * TWO_TICKS, BACK_OFF)
_RESTING = _within(ONE_REST, LONGEST_REST)
_ODD = {name: {"headers": headers} for name, headers in _HEADERS.items()}

FAULTS = [
    *_faults(BODY, _BODIES, _within(TWO_TICKS, LADDER, LADDER)),
    *_faults(BODY, _LARGE, {ONCE: TWO_TICKS, OF_ONE: LADDER}),
    *_faults(LIST, _LISTS, _OF_A_LIST),
    *_faults(LATER, {name: _LISTS[name] for name in _LATER}, _OF_A_LONG_LIST),
    # a director that was refused is asked once a day, whoever else is asked
    *_faults(CORPORATION, _OF_A_DIRECTOR, _within(TWO_TICKS, NEXT_DAY, NEXT_DAY)),
    *_faults(
        CORPORATION,
        {name: _LISTS[name] for name in _OF_A_CORPORATION},
        _within(TWO_TICKS, BACK_OFF, BACK_OFF),
    ),
    *_faults(REFRESH, _REFUSED, _within(TWO_TICKS, TWO_TICKS, NEXT_DAY)),
    *_faults(REFRESH, _FAILED, _within(TWO_TICKS, TWO_TICKS, BACK_OFF)),
    *_faults(REFRESH, {"429 for years": _RESTS["429 for years"]}, _RESTING),
    Passing(
        "another client id",
        REFRESH,
        _within(TWO_TICKS, TWO_TICKS),
        environment={"KILLSYNC_CLIENT_ID": ANOTHER_CLIENT},
    ),
    *(fault for at in (LIST, CORPORATION, BODY) for fault in _faults(at, _ODD | _RESTS, _RESTING)),
]
TRIALS = [Trial(fault, span) for fault in FAULTS for span in fault.within]
