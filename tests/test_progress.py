"""What a person sees while it goes on: bars, one line that changes, and until when it waits."""

import inspect
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from campaign import forecast
from terminal import Terminal, at_terminal
from world import Killsync, run_in_progress

from killsync.cli.bars import Looks
from killsync.esi.ratelimit import Rest
from killsync.outbox import events as outbox_events
from killsync.sync import events
from killsync.sync.forecast import Backlog
from killsync.sync.schedule import Waits
from killsync.sync.selection import Waiters
from killsync.terminal import import_lines, lines, zkb_lines
from killsync.terminal.advice import describe_backlog, describe_waiting
from killsync.terminal.lines import sentence
from killsync.terminal.moments import Zone, time_to_come
from killsync.terminal.text import time_left
from killsync.times import unix

Make = Callable[..., Killsync]

NOW = unix("2026-11-26T22:00:30Z")
FIRST = {"ready": 1334, "stored": 1295, "done_at": "2026-11-26T22:59:10Z"}


def test_the_bar_counts_a_killmail_on_two_lists_once(killsync: Make) -> None:
    program = killsync(users=False, latency_body=0.6)
    esi = program.simulator
    first, second = (esi.add_character(killmails=5)["character_id"] for _ in range(2))
    esi.add_killmails(first, 20, shared_with=second)
    program.add_users()
    shown = "\n".join(at_terminal(program, "scan"))
    totals = {int(total) for total in re.findall(r"\d+ of (\d+) ", shown) if int(total) > 2}
    assert max(totals) == 30
    assert "2 of 2" in shown, "the bar of the lists"


def test_looking_at_what_is_pending_takes_a_twentieth_of_a_run_at_most() -> None:
    looks = Looks()
    assert looks.is_due(50.0, at_once=False)
    looks.ended(50.0, 50.5)
    # a page that was listed changes nothing about that
    assert not looks.is_due(60.4, at_once=True)
    assert looks.is_due(60.5, at_once=True)
    looks.ended(60.5, 60.501)
    assert not looks.is_due(61.0, at_once=False)
    assert looks.is_due(61.0, at_once=True)
    assert looks.is_due(61.6, at_once=False)


def test_a_rest_that_esi_asks_for_is_called_so(killsync: Make) -> None:
    program = killsync(characters=1, killmails=3)
    program.simulator.fault("body", status=429, headers={"Retry-After": "3"}, times=1)
    done = program.run("scan", KILLSYNC_CONNECTIONS="1")
    assert re.search(r"waiting until \d\d:\d\d:\d\dZ: ESI asked for a rest", done.stderr)


def test_a_long_rest_ends_a_run_that_says_so_and_until_when(killsync: Make) -> None:
    program = killsync(characters=1, killmails=3)
    program.simulator.fault("body", status=429, headers={"Retry-After": "300"}, times=1)
    shown = "\n".join(at_terminal(program, "scan", KILLSYNC_CONNECTIONS="1"))
    assert re.search(r"0 of 3 stored; the rest by about .*; ESI asked for a rest until", shown)


def test_at_a_terminal_a_waiting_sync_shows_one_line(killsync: Make) -> None:
    program = killsync(characters=1, killmails=3)
    user = str(program.simulator.logins[0]["character_id"])
    with run_in_progress(program):
        shown = Terminal(program, "sync", user, "--timeout", "2s").to_end()
    assert len([line for line in shown.split("\n") if "waiting for another run" in line]) == 1


def test_a_sync_behind_another_says_how_many_are_before_it(killsync: Make) -> None:
    program = killsync(characters=2, killmails=1)
    first, second = (str(login["character_id"]) for login in program.simulator.logins)
    assert "queued before all others" in program.run("sync", first, "--no-wait").stdout
    assert "queued behind another asked" in program.run("sync", second, "--no-wait").stdout


def test_what_is_said_of_a_first_sync_is_how_long_it_takes() -> None:
    """Play one as cron does, with a small limit; the campaign does so with many others."""
    score = forecast.play(1, long=False, only="one user", killmails=200)
    assert score.problems == []
    assert score.figures


def test_every_sentence_takes_the_clock_that_it_is_shown_by() -> None:
    # as no type checker sees of functions that are registered
    shown = {module.sentence for module in (lines, import_lines, zkb_lines, outbox_events)}
    assert shown == {sentence}
    for word in sentence.registry.values():
        assert list(inspect.signature(word).parameters) == ["event", "zone"]


def test_a_person_reads_lengths_of_time_alike_and_a_log_keeps_its_own() -> None:
    due = events.UserDue(1, "Ada", "2026-11-26T19:00:00Z", 11)
    assert sentence(due, Zone.EVE).endswith("last: 11 s ago")
    assert sentence(due, Zone.LOG).endswith("last: 11s ago")


def test_all_numbers_of_a_line_have_their_commas() -> None:
    listed = events.PageListed(1, "Ada", 1, 1200, 1000, 1000, None)
    assert sentence(listed, Zone.LOG) == "Ada: page 1 of 1,200, 1,000 killmails, 1,000 new"


def test_when_nothing_is_due_it_says_when_the_next_is() -> None:
    until = "2026-11-26T22:45:08Z"
    waiting = [
        Waiters(Waits.SYNCED, 4, until),
        Waiters(Waits.CACHED, 1, until),
        Waiters(Waits.LOGIN, 1, None),
    ]
    assert describe_waiting(waiting, NOW) == (
        "4 users were synced not long ago, the next is due at 22:45:08Z;"
        " 1 user has a list that ESI caches, due at 22:45:08Z; 1 user needs a new login"
    )


@pytest.mark.parametrize(
    ("backlog", "expected"),
    [
        ({}, ""),
        (FIRST, "1,295 of 2,629 stored; the rest by about 23:00Z"),
        (
            FIRST | {"resumes_at": "2026-11-26T22:14:50Z", "resumes_after": Rest.SPENT},
            "1,295 of 2,629 stored; the rest by about 23:00Z;"
            " ESI's rate limit lets them go on at 22:14:50Z",
        ),
        (
            FIRST | {"resumes_at": "2026-11-26T22:14:50Z", "scans_seen": False},
            "1,295 of 2,629 stored; the rest by about 23:00Z if a scan runs every 10 minutes;"
            " ESI's rate limit lets them go on at 22:14:50Z",
        ),
        (
            FIRST | {"open_lists": 1, "expected": 2000, "lists_at": "2026-11-26T22:14:50Z"},
            "1,295 of about 4,629 stored; the rest by about 23:00Z;"
            " 1 list is still being read, from 22:14:50Z on",
        ),
        (
            FIRST | {"unread_lists": 2},
            "1,295 of about 2,629 stored; the rest by about 23:00Z; 2 lists are not read yet",
        ),
        ({"unread_lists": 2}, ""),
        (
            FIRST | {"stored": None},
            "1,334 killmails still pending; all stored by about 23:00Z",
        ),
        (
            {"put_off": 2, "stored": 8, "again_at": "2026-11-27T03:00:00Z"},
            "8 of 10 stored; 2 killmails put off after errors, until 2026-11-27 03:00:00Z",
        ),
    ],
)
def test_what_is_pending_and_when_it_is_there_is_one_line(
    backlog: dict[str, Any], expected: str
) -> None:
    found = Backlog(**{"scans_seen": True} | backlog)
    assert describe_backlog(found, NOW) == expected


@pytest.mark.parametrize(
    ("moment", "eve", "local"),
    [
        ("2026-11-26T22:04:10Z", "22:05 EVE time", "23:05"),
        ("2026-11-26T21:00:00Z", "22:01 EVE time", "23:01"),
        ("2026-11-26T23:30:00Z", "23:30 EVE time", "tomorrow 00:30"),
        ("2026-11-27T03:00:00Z", "tomorrow 03:00 EVE time", "tomorrow 04:00"),
        ("2026-11-29T03:00:00Z", "Nov 29 03:00 EVE time", "Nov 29 04:00"),
        ("2027-01-02T03:00:00Z", "2027-01-02 03:00 EVE time", "2027-01-02 04:00"),
    ],
)
def test_a_time_to_come_is_shown_as_the_settings_say(
    moment: str, eve: str, local: str, in_berlin: None
) -> None:
    assert time_to_come(moment, NOW, Zone.EVE) == eve
    assert time_to_come(moment, NOW, Zone.LOCAL) == local


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-5, "1 s left"),
        (12.3, "12 s left"),
        (100, "about 2 min left"),
        (1500, "about 25 min left"),
        (7900, "about 2 h 10 min left"),
        (7210, "about 2 h left"),
        (3 * 86400, "about 3 days left"),
    ],
)
def test_a_time_left_is_no_more_exact_than_it_is_known(seconds: float, expected: str) -> None:
    assert time_left(seconds) == expected


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_every_time_to_come_is_shown_by_the_clock_of_the_terminal(in_berlin: None) -> None:
    put_off = events.ListPutOff(1, "Anna", "ESI's rate limit", "2100-01-01T22:04:10Z")
    shown = sentence(put_off, Zone.LOCAL)
    assert shown == "Anna: ESI's rate limit; put off until 2100-01-01 23:05"
    assert sentence(put_off, Zone.LOG).endswith("until 2100-01-01T22:04:10Z")
