"""The fault matrix: what must follow from each fault at each kind of request."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

REST = 600
A_MINUTE = 60
SCOPE_LACKS = '{"error":"Token is not valid for any required scope"}'
ROLE_LACKS = '{"error":"Character does not have required role(s)"}'
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
    """Who is struck by a fault, and how; whoever is not is done in the same run."""

    USER_FAILS = "the user fails for now"
    NEEDS_LOGIN = "the user needs a new login"
    PUT_OFF = "the user's list is put off, and nobody is blamed"
    LIST_RESTS = "the user's list rests"
    BODY_PUT_OFF = "the killmail is put off"
    ASIDE = "the killmail is set aside"
    BODIES_REST = "all bodies rest"
    ESI_RESTS = "nothing at all is sent to ESI"
    ESI_DOWN = "the run ends early"
    SSO_DOWN = "whoever needs a refresh waits"
    SSO_RESTS = "whoever needs a refresh waits, and nothing is sent to SSO"
    DONE = "a further attempt does it"


EXIT_CODES = {
    Outcome.USER_FAILS: 1,
    Outcome.NEEDS_LOGIN: 1,
    Outcome.BODY_PUT_OFF: 1,
    Outcome.ASIDE: 1,
    Outcome.ESI_DOWN: 75,
    Outcome.SSO_DOWN: 75,
}


@dataclass(frozen=True)
class Expected:
    """What must follow: the outcome, what the message says, and at most how many requests.

    `most` counts the requests like the one that was struck. `rest` is in seconds.
    """

    outcome: Outcome
    why: str = ""
    most: int = 1
    rest: int = 0


Row = dict[str, Expected]

ESI_RESTS = Expected(Outcome.ESI_RESTS, "", 1, REST)


def lists(outcome: Outcome, why: str, most: int = 1, rest: int = 0) -> Row:
    """The same for the first page and a later one."""
    return dict.fromkeys(LISTS, Expected(outcome, why, most, rest))


def sso(why: str, most: int = 1) -> Row:
    """Trouble with the metadata or keys, which concern everybody: SSO counts as down."""
    return dict.fromkeys(DOCUMENTS, Expected(Outcome.SSO_DOWN, why, most))


def refused(status: int) -> Row:
    """A status that belongs to the one request: asked once, since asking again is no use."""
    says = f"ESI says {status}"
    return {
        **lists(Outcome.USER_FAILS, says),
        BODY: Expected(Outcome.BODY_PUT_OFF, says),
        **sso(f"SSO says {status}"),
        REFRESH: Expected(Outcome.PUT_OFF, "SSO refused without a reason", 3),
    }


def outage(esi: str, of_sso: str) -> Row:
    """No answer, or one that says that the game server is away: nobody is to blame."""
    return {
        **lists(Outcome.PUT_OFF, esi, 3),
        BODY: Expected(Outcome.BODY_PUT_OFF, esi, 3),
        **sso(of_sso, 3),
        REFRESH: Expected(Outcome.PUT_OFF, of_sso, 3),
    }


def broken(esi: str, of_sso: str) -> Row:
    """An answer of no use: tried again; then the list or killmail fails, but no refresh does."""
    return {
        **lists(Outcome.USER_FAILS, esi, 3),
        BODY: Expected(Outcome.BODY_PUT_OFF, esi, 3),
        **sso(of_sso, 3),
        REFRESH: Expected(Outcome.PUT_OFF, of_sso, 3),
    }


def gone(why: str) -> Row:
    """The whole address of ESI or SSO does not let anybody connect."""
    at_sso = Expected(Outcome.SSO_DOWN, why, 3)
    at_esi = Expected(Outcome.ESI_DOWN, why, 3)
    return {kind: at_sso if kind in SSO else at_esi for kind in KINDS}


MATRIX: dict[str, Row] = {
    "400": refused(400),
    "400 invalid_grant": {REFRESH: Expected(Outcome.NEEDS_LOGIN, "invalid_grant")},
    # 401 and the odd expiry are asked for once more with a new access token
    "401": refused(401) | lists(Outcome.USER_FAILS, "ESI says 401", 2),
    "403": refused(403) | lists(Outcome.USER_FAILS, "required role"),
    "403 scope": lists(Outcome.NEEDS_LOGIN, "required scope"),
    "403 expiry": lists(Outcome.USER_FAILS, "too far in the future", 2),
    # a page that X-Pages has promised is looked for again, one page back
    "404": refused(404) | {LATER: Expected(Outcome.USER_FAILS, "X-Pages promises page 2", 2)},
    "420": refused(420) | {FIRST: ESI_RESTS, LATER: ESI_RESTS, BODY: ESI_RESTS},
    "422": refused(422) | {BODY: Expected(Outcome.ASIDE, "Invalid killmail_id")},
    "429": {
        **lists(Outcome.LIST_RESTS, "", 1, REST),
        BODY: Expected(Outcome.BODIES_REST, "", 1, REST),
        **dict.fromkeys(SSO, Expected(Outcome.SSO_RESTS, "rest", 1, REST)),
    },
    # without Retry-After a bucket of ESI rests for its window, SSO for a minute
    "429 alone": {
        **lists(Outcome.LIST_RESTS, "", 1, 900),
        BODY: Expected(Outcome.BODIES_REST, "", 1, 900),
        **dict.fromkeys(SSO, Expected(Outcome.SSO_RESTS, "rest", 1, A_MINUTE)),
    },
    "500": broken("ESI says 500", "SSO says 500"),
    "502 HTML": outage("ESI says 502", "SSO says 502"),
    "503": outage("temporarily unavailable", "SSO says 503"),
    "504": outage("Timeout contacting", "SSO says 504"),
    "refused": gone("cannot be reached"),
    "no handshake": gone("no answer in time"),
    "reset": outage("127.0.0.1", "127.0.0.1"),
    "hang": outage("no answer in time", "no answer in time"),
    "cut": broken("cut short", "cut short"),
    "wrong JSON": broken("is not JSON", "SSO's"),
    "wrong shape": {
        **lists(Outcome.USER_FAILS, "killmail_hash"),
        BODY: Expected(Outcome.ASIDE, "victim"),
        **sso("wrong shape", 3),
        REFRESH: Expected(Outcome.PUT_OFF, "cannot be read"),
    },
    "redirect": broken("redirected", "redirected"),
    "huge": broken("larger than", "larger than"),
    "drip": outage("", ""),
    "drip of headers": outage("", ""),
}

_RETRY_AFTER = {"Retry-After": str(REST)}
RULES: dict[str, dict[str, Any]] = {
    "400": {"status": 400},
    "400 invalid_grant": {"status": 400, "body": '{"error":"invalid_grant"}'},
    "401": {"status": 401, "body": '{"error":"Unauthorized - Invalid token"}'},
    "403": {"status": 403, "body": ROLE_LACKS},
    "403 scope": {"status": 403, "body": SCOPE_LACKS},
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
    "wrong shape": {"wrong_json": '[{"killmail_id":1}]'},
    "redirect": {"status": 302},
    "huge": {"huge": 1 << 30},
    "drip": {"drip": 1},
    "drip of headers": {"drip_head": 1},
}

# These wait for time-outs most of their time: many may be played at once.
GONE = ("refused", "no handshake")
SLOW = ("hang", "drip", "drip of headers", "no handshake", "refused")


@dataclass(frozen=True)
class Cell:
    """One fault at one kind of request; `once` lets the fault strike a single time."""

    fault: str
    kind: str
    expected: Expected
    once: bool = False

    @property
    def name(self) -> str:
        return f"{self.fault} at {self.kind}"

    @property
    def waits(self) -> bool:
        """Whether most of the time goes by in time-outs."""
        return self.fault in SLOW or self.expected.rest == A_MINUTE

    @property
    def struck_once(self) -> "Cell":
        """The same with a fault that is over at the second attempt."""
        return replace(self, once=True, expected=Expected(Outcome.DONE, "", 2))


def all_cells() -> list[Cell]:
    """Return every cell of the matrix."""
    return [Cell(f, kind, expected) for f, row in MATRIX.items() for kind, expected in row.items()]


def sample(rng: Any) -> list[Cell]:
    """Return cells that have every fault and every kind at least once, and none too slow."""
    kinds = list(KINDS)
    rng.shuffle(kinds)
    chosen = []
    for number, fault in enumerate(MATRIX):
        # what lasts a minute or more is left to the long form
        quick = [
            cell
            for cell in all_cells()
            if cell.fault == fault
            and cell.expected.rest != A_MINUTE
            and (fault != "no handshake" or cell.kind in SSO)
        ]
        turn = [kinds[(number + k) % len(kinds)] for k in range(len(kinds))]
        cell = min(quick, key=lambda cell: turn.index(cell.kind))
        chosen.append(cell.struck_once if fault in SLOW[:3] else cell)
    return chosen
