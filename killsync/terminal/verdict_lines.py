"""What a person reads of a check: a line for each user, note and problem, and the conclusion."""

from collections import Counter
from collections.abc import Iterator

from killsync.check.findings import Finding, Span, UserCompleteness, Verdict
from killsync.model import UserKind, UserState
from killsync.terminal.text import count, safe

FOUND = "found"
_MOST_SHOWN = 20


def everything(verdict: Verdict, before: Verdict | None) -> Iterator[str]:
    """Yield all that a check found; `before` is what it had found before a repair."""
    if verdict.damaged:
        yield from problems(verdict, "damaged")
        yield (
            f"{safe(verdict.database, 400)} is damaged, and was not changed: put a backup back "
            "with `killsync restore`, or save what can be read: "
            "`sqlite3 OLD .recover | sqlite3 NEW`, then check NEW"
        )
        return
    yield (
        f"{count(verdict.killmails, 'killmail')}, {count(verdict.attackers, 'attacker')} and "
        f"{count(verdict.items, 'item')} read, each body compared with its hash"
    )
    for user in verdict.users:
        yield _user(user)
    if verdict.unlisted:
        yield f"{count(verdict.unlisted, 'killmail')} kept that belong to no user"
    for note in verdict.notes:
        yield f"note: {safe(note, 400)}"
    yield from problems(verdict, "problem")
    yield conclusion(verdict, before)


def problems(verdict: Verdict, what: str) -> Iterator[str]:
    """Yield what is wrong and what to do; each line starts with `what` a problem is called now."""
    shown: Counter[str] = Counter()
    for finding in verdict.problems:
        shown[finding.kind] += 1
        if shown[finding.kind] <= _MOST_SHOWN:
            yield _problem(finding, what)
    for kind, number in verdict.found.items():
        if number > _MOST_SHOWN:
            yield f"{what}: {number - _MOST_SHOWN:,} more of the kind '{kind}'"


def conclusion(verdict: Verdict, before: Verdict | None) -> str:
    """Return the last line: what was found or, since `before`, fixed, and what is still to come."""
    left, gone = verdict.total, repaired(verdict, before)
    if not left and not gone:
        return "no problems found"
    if not gone:
        return f"{count(left, 'problem')} {'left' if before else 'found'}"
    if left:
        return f"{count(gone, 'problem')} fixed, {left:,} left"
    return f"{count(gone, 'problem')} fixed; {_still_to_come(verdict, before)}"


def repaired(verdict: Verdict, before: Verdict | None) -> int:
    """Return how many problems fewer there are than before a repair."""
    return 0 if before is None else max(0, before.total - verdict.total)


def _user(user: UserCompleteness) -> str:
    parts = [_complete(user), count(user.killmails, "killmail")]
    parts += [f"{user.pending:,} pending"] if user.pending else []
    parts += [f"{user.set_aside:,} set aside"] if user.set_aside else []
    more = [*_missing(user), *_skipped(user), *_gap(user)]
    more += [user.state.replace("_", " ")] if user.state != UserState.ACTIVE else []
    return f"{safe(user.name, 40)} ({user.user_id}): {'; '.join([', '.join(parts), *more])}"


def _complete(user: UserCompleteness) -> str:
    if not user.synced:
        return "never synced"
    if user.read_again:
        return "the whole list is to be read again"
    if user.complete is None:
        return "not complete yet"
    before = "" if user.complete_before is None else f"{_span(user.complete_before)} and "
    return f"complete {before}{_span(user.complete)}"


def _missing(user: UserCompleteness) -> Iterator[str]:
    if user.missing:
        verb = "is" if user.missing == 1 else "are"
        where = "" if user.complete_before is None else "in between "
        yield f"{where}{count(user.missing, 'listed killmail')} {verb} not stored yet"


def _skipped(user: UserCompleteness) -> Iterator[str]:
    if user.skipped:
        entries = "1 entry is" if user.skipped == 1 else f"{user.skipped:,} entries are"
        yield f"{entries} not valid in ESI's list"


def _gap(user: UserCompleteness) -> Iterator[str]:
    if user.gap_page is not None:
        end = "the end" if user.gap_until_id is None else f"killmail {user.gap_until_id}"
        yield f"gap open at page {user.gap_page:,}, down to {end}"


def _span(span: Span) -> str:
    since = "" if span.since is None else f"from {safe(span.since)} "
    return f"{since}to {safe(span.until)}"


def _problem(finding: Finding, what: str) -> str:
    # while it is being repaired nobody has to do anything about it
    repairing = what == FOUND and finding.repairable
    advice = f"; {finding.advice}" if finding.advice and not repairing else ""
    return f"{what}: {safe(finding.text, 400)}{advice}"


def _still_to_come(verdict: Verdict, before: Verdict | None) -> str:
    scan = [f"asks ESI for {count(verdict.pending, 'killmail')}"] if verdict.pending else []
    lists = sum(user.state == UserState.ACTIVE and _is_behind(user) for user in verdict.users)
    scan += [f"reads {count(lists, 'list')}"] if lists else []
    parts = [f"the next `killsync scan` {' and '.join(scan)}"] if scan else []
    needs = [user.kind for user in verdict.users if user.state == UserState.NEEDS_LOGIN]
    corporations = needs.count(UserKind.CORPORATION)
    if logins := len(needs) - corporations:
        parts.append(_of_users(logins, "needs a login", "need a login", "login"))
    if corporations:
        words = ("needs a director's login", "need a director's login", "login --corporation")
        parts.append(_of_users(corporations, *words))
    # a user that was disabled on purpose and lacks nothing is not news
    was = {} if before is None else {user.user_id: user.state for user in before.users}
    disabled = sum(
        user.state == UserState.DISABLED
        and (_is_behind(user) or was.get(user.user_id) != UserState.DISABLED)
        for user in verdict.users
    )
    if disabled:
        parts.append(_of_users(disabled, "is disabled", "are disabled", "users enable"))
    if not parts and any(user.set_aside for user in verdict.users):
        parts.append("only what is set aside is missing")
    return "; ".join(parts) or "nothing is missing"


def _is_behind(user: UserCompleteness) -> bool:
    return user.read_again or user.gap_page is not None or not user.synced


def _of_users(number: int, one: str, several: str, command: str) -> str:
    what = one if number == 1 else several
    return f"{count(number, 'user')} {what}: `killsync {command}`"
