"""The fault matrix: the expected outcome of each fault at each kind of request."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

REST = 600
ONE_MINUTE = 60
SCOPE_MISSING = '{"error":"Token is not valid for any required scope"}'
ROLE_MISSING = '{"error":"Character does not have required role(s)"}'
UNAVAILABLE = '{"error":"The datasource tranquility is temporarily unavailable"}'
TIMED_OUT = '{"error":"Timeout contacting tranquility"}'

FIRST, LATER, BODY, METADATA, REFRESH, KEYS = KINDS = (
    "first page",
    "later page",
    "body",
    "metadata",
    "refresh",
    "keys",
)
LISTS = (FIRST, LATER)
DOCUMENTS = (METADATA, KEYS)
SSO = (METADATA, REFRESH, KEYS)
ROUTES = {
    FIRST: "list",
    LATER: "list",
    BODY: "body",
    METADATA: "metadata",
    REFRESH: "token",
    KEYS: "jwks",
}


class Outcome(Enum):
    """Who is affected by a fault, and how; everyone else is done in the same run."""

    USER_FAILS = "the next run tries again, and only then the user fails for now"
    REFUSED = "the next run tries again, and nobody needs a new login yet"
    LIST_RESTS = "the user's list rests"
    BODY_PUT_OFF = "the killmail is postponed"
    BODIES_REST = "all bodies rest"
    ESI_RESTS = "nothing at all is sent to ESI"
    ESI_DOWN = "the run ends early"
    SSO_DOWN = "users who need a refresh wait"
    SSO_RESTS = "users who need a refresh wait, and nothing is sent to SSO"
    DONE = "another attempt succeeds"


EXIT_CODES = {
    Outcome.BODY_PUT_OFF: 1,
    Outcome.ESI_DOWN: 75,
    Outcome.SSO_DOWN: 75,
}


@dataclass(frozen=True)
class Expected:
    """The outcome, and the text that must be part of the message.

    `max_requests` limits the requests that meet the fault; `rest` is in seconds.
    """

    outcome: Outcome
    reason: str = ""
    max_requests: int = 1
    rest: int = 0


Row = dict[str, Expected]

ESI_RESTS = Expected(Outcome.ESI_RESTS, "", 1, REST)


def lists(outcome: Outcome, reason: str, max_requests: int = 1, rest: int = 0) -> Row:
    """The first page and a later one, with the same outcome."""
    return dict.fromkeys(LISTS, Expected(outcome, reason, max_requests, rest))


def sso(reason: str, max_requests: int = 1) -> Row:
    """The metadata and keys, which every refresh needs: SSO counts as down."""
    return dict.fromkeys(DOCUMENTS, Expected(Outcome.SSO_DOWN, reason, max_requests))


def refused(status: int) -> Row:
    """A status that concerns one request only: sent once, since a retry would not help."""
    reason = f"ESI says {status}"
    return {
        **lists(Outcome.USER_FAILS, reason),
        BODY: Expected(Outcome.BODY_PUT_OFF, reason),
        **sso(f"SSO says {status}"),
        REFRESH: Expected(Outcome.USER_FAILS, "SSO refused without a reason", 3),
    }


def outage(esi_reason: str, sso_reason: str) -> Row:
    """No answer, or a useless one: retried, and then left to the next run."""
    return {
        **lists(Outcome.USER_FAILS, esi_reason, 3),
        BODY: Expected(Outcome.BODY_PUT_OFF, esi_reason, 3),
        **sso(sso_reason, 3),
        REFRESH: Expected(Outcome.USER_FAILS, sso_reason, 3),
    }


def gone(reason: str) -> Row:
    """The address of ESI or SSO accepts no connections at all."""
    at_sso = Expected(Outcome.SSO_DOWN, reason, 3)
    at_esi = Expected(Outcome.ESI_DOWN, reason, 3)
    return {kind: at_sso if kind in SSO else at_esi for kind in KINDS}


MATRIX: dict[str, Row] = {
    "400": refused(400),
    "400 invalid_grant": {REFRESH: Expected(Outcome.REFUSED, "invalid_grant")},
    # 401 and the odd expiry are retried once with a new access token
    "401": refused(401) | lists(Outcome.USER_FAILS, "ESI says 401", 2),
    "403": refused(403) | lists(Outcome.USER_FAILS, "required role"),
    "403 scope": lists(Outcome.USER_FAILS, "required scope"),
    "403 expiry": lists(Outcome.USER_FAILS, "too far in the future", 2),
    # when a page that X-Pages promised is missing, the page before it is read again, then it
    "404": refused(404) | {LATER: Expected(Outcome.USER_FAILS, "X-Pages promises page 2", 2)},
    "420": refused(420) | {FIRST: ESI_RESTS, LATER: ESI_RESTS, BODY: ESI_RESTS},
    "422": refused(422) | {BODY: Expected(Outcome.BODY_PUT_OFF, "Invalid killmail_id")},
    "429": {
        **lists(Outcome.LIST_RESTS, "", 1, REST),
        BODY: Expected(Outcome.BODIES_REST, "", 1, REST),
        **dict.fromkeys(SSO, Expected(Outcome.SSO_RESTS, "rest", 1, REST)),
    },
    # without Retry-After, an ESI bucket rests for its window, and SSO for a minute
    "429 alone": {
        **lists(Outcome.LIST_RESTS, "", 1, 900),
        BODY: Expected(Outcome.BODIES_REST, "", 1, 900),
        **dict.fromkeys(SSO, Expected(Outcome.SSO_RESTS, "rest", 1, ONE_MINUTE)),
    },
    "500": outage("ESI says 500", "SSO says 500"),
    "502 HTML": outage("ESI says 502", "SSO says 502"),
    "503": outage("temporarily unavailable", "SSO says 503"),
    "504": outage("Timeout contacting", "SSO says 504"),
    "refused": gone("cannot be reached"),
    "no handshake": gone("no answer in time"),
    "reset": outage("127.0.0.1", "127.0.0.1"),
    "hang": outage("no answer in time", "no answer in time"),
    "cut": outage("cut short", "cut short"),
    "wrong JSON": outage("is not JSON", "SSO's"),
    "wrong shape": {
        **lists(Outcome.USER_FAILS, "wrong shape"),
        BODY: Expected(Outcome.BODY_PUT_OFF, "victim"),
        **sso("wrong shape", 3),
        REFRESH: Expected(Outcome.USER_FAILS, "holds no tokens"),
    },
    "redirect": outage("redirected", "redirected"),
    "huge": outage("larger than", "larger than"),
    "drip": outage("", ""),
    "drip of headers": outage("", ""),
}

_RETRY_AFTER = {"Retry-After": str(REST)}
RULES: dict[str, dict[str, Any]] = {
    "400": {"status": 400},
    "400 invalid_grant": {"status": 400, "body": '{"error":"invalid_grant"}'},
    "401": {"status": 401, "body": '{"error":"Unauthorized - Invalid token"}'},
    "403": {"status": 403, "body": ROLE_MISSING},
    "403 scope": {"status": 403, "body": SCOPE_MISSING},
    "403 expiry": {"status": 403, "body": '{"error":"token expiry is too far in the future"}'},
    "404": {"status": 404, "body": '{"error":"Requested page does not exist!"}'},
    "420": {"status": 420, "headers": {"X-ESI-Error-Limit-Reset": str(REST)}},
    "422": {"status": 422, "body": '{"error":"Invalid killmail_id and/or killmail_hash"}'},
    "429": {"status": 429, "headers": _RETRY_AFTER},
    "429 alone": {"status": 429, "keep_limit_headers": False},
    "500": {"status": 500},
    "502 HTML": {"status": 502, "html": True},
    "503": {"status": 503, "body": UNAVAILABLE},
    "504": {"status": 504, "body": TIMED_OUT},
    "refused": {"refuse": 40, "times": 1},
    "no handshake": {"unreachable": 90, "times": 1},
    "reset": {"reset": True},
    "hang": {"hang": 300},
    "cut": {"cut": True},
    "wrong JSON": {"wrong_json": '[{"killmail_id":'},
    "wrong shape": {"wrong_json": '{"killmail_id":1}'},
    "redirect": {"status": 302},
    "huge": {"huge": 1 << 30},
    "drip": {"drip": 1},
    "drip of headers": {"drip_head": 1},
}

# These spend most of their time in timeouts, so many can be played at once.
GONE = ("refused", "no handshake")
SLOW = ("hang", "drip", "drip of headers", "no handshake", "refused")


@dataclass(frozen=True)
class Cell:
    """One fault at one kind of request; with `once` the fault occurs a single time."""

    fault: str
    kind: str
    expected: Expected
    once: bool = False

    @property
    def name(self) -> str:
        return f"{self.fault} at {self.kind}"

    @property
    def waits(self) -> bool:
        """Whether most of the time is spent in timeouts."""
        return self.fault in SLOW or self.expected.rest == ONE_MINUTE

    @property
    def with_single_fault(self) -> "Cell":
        """The same cell with a fault that is over by the second attempt."""
        return replace(self, once=True, expected=Expected(Outcome.DONE, "", 2))


def all_cells() -> list[Cell]:
    """Return every cell of the matrix."""
    return [Cell(f, kind, expected) for f, row in MATRIX.items() for kind, expected in row.items()]


def sample(rng: Any) -> list[Cell]:
    """Return cells that cover every fault and every kind, without the slowest ones."""
    kinds = list(KINDS)
    rng.shuffle(kinds)
    chosen = []
    for number, fault in enumerate(MATRIX):
        # cells of a minute or more are left to the long form
        quick = [
            cell
            for cell in all_cells()
            if cell.fault == fault
            and cell.expected.rest != ONE_MINUTE
            and (fault != "no handshake" or cell.kind in SSO)
        ]
        turn = [kinds[(number + k) % len(kinds)] for k in range(len(kinds))]
        cell = min(quick, key=lambda cell: turn.index(cell.kind))
        chosen.append(cell.with_single_fault if fault in SLOW[:3] else cell)
    return chosen
