"""How many refreshes go at a time: one to four, by what SSO answers. Pure.

SSO answers 500 to more than five refreshes at once, and names no limit. So a run starts with two;
a 500, 503 or 429 halves them, and after twenty successes there is one more. Those that were in
flight when they were halved say what was said already, whatever their answer: they change nothing.
Every run starts with two again: what SSO had to bear ten minutes ago says little of now.

A 503 counts as a 500 does, since HTTP uses it for an overload as well as for maintenance: after
the first, less is wanted, and after the second nothing is lost. Nothing else says how much SSO can
bear, and changes nothing: 502, 504 and no answer come from the way to SSO, and what is answered
with invalid_grant or another 4xx was handled.

A refresh that is refused beside others blames nobody, and is sent again when fewer go at a time.
One that was sent while only one may go, and beside which no other was meanwhile (what a person
waits for does not wait), is judged like any other request.
"""

import msgspec

from killsync.errors import RateLimited, TooManyAtOnce

FEWEST = 1
AT_FIRST = 2
MOST = 4
# of the requests that a person waits for, so many go beside the others,
URGENT = 2
# but in all no more than SSO bears
BORNE = 5
_SUCCESSES = 20


class Refreshes(msgspec.Struct, frozen=True):
    """How many may be in flight `at_a_time`, and how many succeeded since that was decided.

    `halved` counts how often they were halved.
    """

    at_a_time: int = AT_FIRST
    succeeded: int = 0
    halved: int = 0


def after_success(refreshes: Refreshes) -> Refreshes:
    """Return what holds after a success: one more at a time for each twenty, four at most."""
    at_a_time, succeeded = refreshes.at_a_time, refreshes.succeeded + 1
    if succeeded >= _SUCCESSES:
        at_a_time, succeeded = min(at_a_time + 1, MOST), 0
    return Refreshes(at_a_time, succeeded, refreshes.halved)


def after_refusal(refreshes: Refreshes) -> Refreshes:
    """Return what holds after a 500, 503 or 429: half as many at a time, but one."""
    return Refreshes(max(refreshes.at_a_time // 2, FEWEST), 0, refreshes.halved + 1)


def after(refreshes: Refreshes, sent: Refreshes, error: BaseException | None) -> Refreshes:
    """Return what holds after a refresh that ended with this error, None for a success.

    `sent` is what held when it was sent.
    """
    match error:
        case None if sent.halved == refreshes.halved:
            return after_success(refreshes)
        case TooManyAtOnce() | RateLimited() if sent.halved == refreshes.halved:
            return after_refusal(refreshes)
    return refreshes


def room(at_a_time: int, busy: int, busy_urgent: int, *, urgent: bool) -> int:
    """Return how many more may be sent beside those in flight, urgent ones among the `busy`.

    Urgent ones need not wait for others, which wait for them: one always goes at once.
    """
    shared = max(0, at_a_time - busy)
    return max(shared, min(URGENT - busy_urgent, BORNE - busy)) if urgent else shared
