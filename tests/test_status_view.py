"""The status as a person reads it: its words, and what gives way where there is too little room."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rows import some_user

from killsync.model import Job, JobCounts, JobState, Priority, UserKind, UserState
from killsync.store.jobs import EndedJob
from killsync.store.runs import LockHolder, Run
from killsync.sync.forecast import Backlog
from killsync.sync.status import (
    Backfill,
    DirectorState,
    DirectorStatus,
    ListInProgress,
    RateLimit,
    RunProgress,
    SetAside,
    Status,
    UserDetails,
    UserStatus,
)
from killsync.terminal.moments import Zone, near
from killsync.terminal.status_view import Room, status_lines
from killsync.terminal.status_words import (
    Clock,
    activity,
    ending,
    job_words,
    limits_line,
    standing,
    trouble,
)
from killsync.terminal.text import safe
from killsync.terminal.user_view import user_lines
from killsync.times import DAY, HOUR, MINUTE, iso, span, unix

NOW = unix("2026-11-24T12:00:00Z")
CLOCK = Clock(NOW)
WELL = UserStatus(
    user_id=90000001,
    name="Kestrel Vane",
    kind=UserKind.CHARACTER,
    state=UserState.ACTIVE,
    last_killmail_id=131892207,
    last_killmail_sync_at=iso(NOW - 5 * MINUTE),
    next_due_at=iso(NOW + 10 * MINUTE),
    killmails=1234,
    pending=0,
    backfill=None,
    list_pages=12,
    failures=0,
    error=None,
    directors=[],
)
RUN = Run(
    id=1,
    command="scan",
    pid=7,
    host="vm",
    started_at=iso(NOW - 3 * MINUTE),
    finished_at=iso(NOW - 2 * MINUTE),
    users=1,
    pages=2,
    requests=1300,
    new_killmails=1234,
    errors=0,
    exit_code=0,
    program=None,
    config=None,
    database=None,
    variables=None,
    terminal=None,
    max_runtime_s=None,
)
KILLED = msgspec.structs.replace(RUN, finished_at=None, exit_code=None)
HOLDER = LockHolder(7, "vm", "scan", iso(NOW - 3 * MINUTE), 540.0)


def user(**changes: Any) -> UserStatus:
    return msgspec.structs.replace(WELL, **changes)


def status(*users: UserStatus, **changes: Any) -> Status:
    whole = Status(
        database="killsync.db",
        lock=None,
        users=list(users),
        jobs=JobCounts(0, 0, 0),
        pending_killmails=0,
        set_aside_killmails=0,
        set_aside=[],
        rate_limits=[RateLimit("killmail", "", 3000, 3600, 900.0, None, None)],
        last_run=RUN,
        last_run_killed=False,
        lock_overdue=False,
        unsynced=None,
        unfetched=None,
        backlog=Backlog(),
        progress=None,
        stored_by_hour=[0] * 23 + [7],
    )
    return msgspec.structs.replace(whole, **changes)


def lines(found: Status, room: Room, *, runs: int = 5, verbose: bool = False) -> list[str]:
    shown = status_lines(found, [RUN] * runs, CLOCK, room, verbose=verbose)
    return [line.plain for line in shown]


GAP = Backfill(3, None)
GONE = {"state": UserState.NEEDS_LOGIN, "error": "SSO refuses the token"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "up to date"),
        ({"next_due_at": iso(NOW)}, "waits for the next scan"),
        ({"pending": 1300}, "1,300 killmails to come"),
        ({"last_killmail_sync_at": None}, "waits for its first scan"),
        ({"backfill": GAP}, "reading history, page 3 of 12"),
        ({"backfill": GAP, "list_pages": None}, "reading history, page 3"),
        ({"backfill": GAP, "list_pages": 2}, "reading history, page 3"),
        ({"user_id": 5}, "reading the list"),
        ({"user_id": 5, "backfill": GAP}, "reading history, page 3 of 12"),
        ({"failures": 2, "next_due_at": iso(NOW + 5 * MINUTE)}, "trying again in 5 min"),
        ({"failures": 2, "next_due_at": iso(NOW)}, "trying again at the next scan"),
        (GONE, "needs a login"),
        (GONE | {"kind": UserKind.CORPORATION}, "needs a director's login"),
        ({"state": UserState.DISABLED, "failures": 3}, "disabled"),
        ({"state": UserState.UNKNOWN}, "damaged: run `killsync check`"),
    ],
)
def test_a_user_stands_in_words_that_a_player_knows(changes: dict[str, Any], words: str) -> None:
    assert standing(user(**changes), CLOCK, {5}).text == words


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        (GONE, "Kestrel Vane needs a login: run `killsync login` (SSO refuses the token)"),
        (
            GONE | {"error": "no token; `killsync login` renews it"},
            "Kestrel Vane needs a login: no token; `killsync login` renews it",
        ),
        ({"error": "ESI says \x1b[2Jno"}, r"Kestrel Vane: ESI says \x1b[2Jno"),
    ],
)
def test_what_is_wrong_with_a_user_says_what_to_do(
    changes: dict[str, Any], words: str | None
) -> None:
    assert trouble(user(**changes)) == words


@pytest.mark.parametrize(
    ("run", "holder", "words"),
    [
        (RUN, None, "done"),
        (msgspec.structs.replace(RUN, exit_code=1), None, "done, with errors"),
        (msgspec.structs.replace(RUN, exit_code=75), None, "tries again later"),
        (msgspec.structs.replace(RUN, exit_code=143), None, "was stopped"),
        (msgspec.structs.replace(RUN, exit_code=129), None, "was stopped"),
        (KILLED, None, "was killed"),
        (KILLED, HOLDER, "is running"),
        (KILLED, LockHolder(8, "vm", "sync", iso(NOW)), "was killed"),
    ],
)
def test_a_run_ends_in_words(run: Run, holder: LockHolder | None, words: str) -> None:
    assert ending(run, holder).text == words


@pytest.mark.parametrize(
    ("holder", "run", "users", "words"),
    [
        (HOLDER, KILLED, 1, "Scan (pid 7 on vm) is running, started 3 min ago"),
        (LockHolder(), RUN, 1, "A run has just started"),
        (None, RUN, 1, "Nothing is running; the last scan ended 2 min ago"),
        (None, KILLED, 1, "The last scan, started 3 min ago, was killed; the next run goes on"),
        (None, None, 0, "No characters yet: `killsync login` registers one"),
        (
            None,
            None,
            1,
            "No scan yet: `killsync scan` starts one, `killsync init` shows cron's line",
        ),
    ],
)
def test_what_goes_on_is_one_sentence(
    holder: LockHolder | None, run: Run | None, users: int, words: str
) -> None:
    assert activity(holder, run, CLOCK, users=users).text == words


def test_limits_are_one_line_with_the_least_that_is_left_of_each_kind() -> None:
    def limit(group: str, left: int, retry_at: str | None = None) -> RateLimit:
        return RateLimit(group, "", left, 30, 900.0, retry_at, None)

    kinds = [limit("char-killmail", 27), limit("corp-killmail", 15), limit("killmail", 30)]
    assert limits_line(kinds, CLOCK).text == "ESI's limits: lists 50% left, killmails 100% left"
    rests = [limit("killmail", 3, iso(NOW + 5 * MINUTE))]
    assert limits_line(rests, CLOCK).text == "ESI's limits: killmails rest, and go on in 5 min"
    assert limits_line([], CLOCK).text == "ESI's limits: nothing is spent of them"


def test_a_job_says_what_it_waits_for_and_how_the_last_one_ended() -> None:
    job = Job(1, 90000001, Priority.MANUAL, JobState.QUEUED, full=True)
    assert job_words(job, None, CLOCK) == [
        "waits for the next run before the others, the whole list"
    ]
    job = Job(1, 90000001, 3, JobState.RUNNING, False, pages=2, new_killmails=1200)
    done = EndedJob(JobState.DONE, iso(NOW - HOUR), 1, 50, None)
    assert job_words(job, done, CLOCK) == [
        "being read now: 2 pages so far, 1,200 new",
        "list read 1 h ago: 1 page, 50 new",
    ]
    job = Job(1, 90000001, 3, JobState.QUEUED, False, not_before=NOW + 5 * MINUTE)
    failed = EndedJob(JobState.FAILED, iso(NOW - HOUR), 0, 0, "ESI says no")
    assert job_words(job, failed, CLOCK) == ["goes on in 5 min", "failed 1 h ago: ESI says no"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "just now"),
        (1, "now"),
        (-45, "45 s ago"),
        (-5 * MINUTE, "5 min ago"),
        (3 * HOUR, "in 3 h"),
        (-2 * DAY, "Nov 22 12:00"),
        (-400 * DAY, "2025-10-20"),
    ],
)
def test_times_are_relative_when_near_and_dates_when_far(seconds: float, words: str) -> None:
    assert near(NOW + seconds, NOW, Zone.EVE) == words


def test_times_that_are_far_are_local_where_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "Etc/GMT-5")
    time.tzset()
    try:
        assert near(NOW - 2 * DAY, NOW, Zone.LOCAL) == "Nov 22 17:00"
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (59, "59 s"), (600, "10 min"), (DAY, "24 h"), (3 * DAY, "3 days")],
)
def test_a_span_has_one_unit(seconds: float, words: str) -> None:
    assert span(seconds) == words


NAMES = st.one_of(
    st.text(min_size=1, max_size=50),
    st.sampled_from(["N" * 37, "W" * 50, "漢字" * 20, "[bold red]\x1b[31m\n\u202e", "שלום עולם"]),
)
STANDINGS: list[dict[str, Any]] = [{}, GONE, {"backfill": GAP}, {"pending": 1234567}]


def users_of(names: list[str]) -> Iterator[UserStatus]:
    for number, name in enumerate(names):
        yield user(name=name, user_id=number, **STANDINGS[number % len(STANDINGS)])


@given(st.lists(NAMES, min_size=1, max_size=6), st.integers(40, 200))
def test_no_name_loses_its_end_while_it_fits_the_terminal(names: list[str], width: int) -> None:
    found = status(*users_of(names))
    table = lines(found, Room(width), runs=0)
    table = table[: table.index("")]
    assert max(map(cell_len, table)) <= width
    for number, name in enumerate(names):
        whole = safe(name, 60)
        kept = whole if cell_len(whole) <= width else whole[: width // 2 - 1]
        assert any(line.startswith(kept.rstrip()) for line in table[1:])
        assert any(standing(found.users[number], CLOCK).text in line for line in table)


def test_columns_are_dropped_in_the_order_of_need() -> None:
    titles = ["State", "Last sync", "From ESI", "To come", "Next sync", "Newest id"]
    shown = []
    for width in range(120, 39, -1):
        heading = lines(status(user()), Room(width), runs=0)[0]
        present = [title for title in titles if title in heading]
        assert present == titles[: len(present)]
        shown.append(len(present))
    assert shown == sorted(shown, reverse=True)
    assert set(shown) == {6, 5, 4, 3, 2} or set(shown) == {6, 5, 4, 3}


@pytest.mark.parametrize("height", [5, 8, 12, 24])
def test_the_last_runs_shrink_before_anything_that_is_wrong_goes(height: int) -> None:
    found = status(user(), user(**GONE), set_aside=[SetAside(5, "ESI says no")])
    shown = lines(found, Room(80, height))
    for words in (
        "up to date",
        "needs a login: run",
        "killmail 5 is set aside",
        "Nothing is running",
    ):
        assert any(words in line for line in shown)
    assert len(shown) <= max(height, 7)
    assert sum(line.startswith("scan ") for line in shown) == max(0, min(5, height - 11))


def test_a_picture_that_must_not_scroll_keeps_those_with_whom_something_is_wrong() -> None:
    many = [user(name=f"Pilot {number}") for number in range(40)]
    found = status(*many, user(name="Lost One", **GONE))
    shown = lines(found, Room(80, 12, scrolls=False))
    assert len(shown) <= 12
    assert shown[1].startswith("Lost One")
    more = next(line for line in shown if line.startswith("... and "))
    assert (
        more
        == f"... and {41 - sum(line.startswith(('Pilot', 'Lost One  ')) for line in shown)} more"
    )
    assert len(lines(found, Room(80, 12))) > 41


def test_a_picture_in_which_many_need_a_login_still_says_what_goes_on() -> None:
    found = status(*(user(**GONE | {"name": f"Pilot {number}"}) for number in range(40)))
    shown = lines(found, Room(80, 24, scrolls=False))
    assert len(shown) <= 24
    assert sum("run `killsync login`" in line for line in shown) == 10
    assert "... and 30 more lines of what is wrong" in shown
    assert any(line.startswith("Nothing is running") for line in shown)


def test_directors_who_were_never_asked_are_not_said_to_work() -> None:
    new = [DirectorStatus(n, f"Boss {n}", DirectorState.WORKING, None, None) for n in (1, 2)]
    company = user(kind=UserKind.CORPORATION, directors=new)
    assert "Kestrel Vane: 2 directors; nobody has read its list yet" in lines(
        status(company), Room()
    )
    asked = [msgspec.structs.replace(new[0], asked_at=iso(NOW)), new[1]]
    company = user(kind=UserKind.CORPORATION, directors=asked)
    assert "Kestrel Vane: 2 of 2 directors can read its list" in lines(status(company), Room())


def test_killmails_set_aside_for_one_reason_share_a_line() -> None:
    aside = [SetAside(7, "a"), SetAside(6, "b"), SetAside(5, "a")]
    shown = lines(status(user(), set_aside=aside), Room())
    assert "killmails 7, 5 are set aside: a" in shown
    assert "killmail 6 is set aside: b" in shown


def test_a_running_scan_says_whose_list_it_reads_and_how_many_killmails_are_done() -> None:
    left = Backlog(ready=1000)
    progress = RunProgress(234, [ListInProgress(1, "Kestrel Vane", 3, 1200)])
    shown = lines(status(user(), lock=HOLDER, progress=progress, backlog=left), Room())
    assert "  Kestrel Vane: 3 pages read, 1,200 new killmails" in shown
    assert "  234 killmails stored so far" in shown
    assert any(line.startswith("0 of 1,000 stored") for line in shown)


def test_where_the_terminal_has_no_blocks_the_day_is_drawn_in_ascii() -> None:
    found = status(user(), stored_by_hour=[0, 1, 1234])
    assert "Stored in the last 3 h: ·▁█ 1,235" in lines(found, Room())
    assert "Stored in the last 3 h: _.@ 1,235" in lines(found, Room(plain=True))
    assert all(line.isascii() for line in lines(found, Room(80, 24, plain=True)))


def test_each_limit_stands_in_a_table_only_if_more_is_asked_for() -> None:
    assert not any("3,000 of 3,600" in line for line in lines(status(user()), Room()))
    assert any("3,000 of 3,600" in line for line in lines(status(user()), Room(), verbose=True))


def test_a_row_that_counts_more_stored_than_listed_has_none_to_come() -> None:
    assert some_user(listed=3, killmails=5).pending == 0


@pytest.mark.parametrize("width", [10, 20, 30])
def test_a_narrow_terminal_breaks_no_line_of_a_table(width: int) -> None:
    new = user(last_killmail_sync_at=None)
    assert max(map(cell_len, lines(status(new), Room(width), runs=0)[:4])) <= width


def test_a_user_in_full_fits_the_terminal() -> None:
    gone = user(**GONE | {"name": "漢字" * 20, "error": "no " * 60})
    details = UserDetails(
        added_at=iso(NOW - 3 * DAY),
        last_full_at=iso(NOW - 2 * HOUR),
        backlog=Backlog(set_aside=2),
        open_job=None,
        ended_job=None,
    )
    for width in (40, 60, 80):
        shown = [line.plain for line in user_lines(status(gone), [details], CLOCK, Room(width))]
        assert max(map(cell_len, shown)) <= width
        whole = " ".join(" ".join(shown).split())
        for words in (
            "needs a login: run `killsync login`",
            "Newest killmail 131892207",
            "the whole list was last read 2 h ago",
            "1,234 from ESI's list stored, 0 to come, 2 of them set aside",
            "Registered Nov 21 12:00",
        ):
            assert words in whole
