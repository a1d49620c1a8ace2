"""What the log says of a sync: as much as the reference shows, and nothing that can do harm."""

import json
import re
import signal
from collections.abc import Callable
from subprocess import Popen
from typing import Any

import pytest
from world import TIMEOUT, Killsync, read_until, run_in_progress, wait_until

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]
Background = Callable[..., Popen[str]]

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def log(program: Killsync, *arguments: str) -> list[str]:
    """Return the log lines of a command, without their times."""
    lines = program.run(*arguments).stderr.splitlines()
    return [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", "", line) for line in lines]


NOTHING_LEFT = {
    "ready": 0,
    "put_off": 0,
    "set_aside": 0,
    "resumes_at": None,
    "done_at": None,
    "again_at": None,
    "open_lists": 0,
    "lists_at": None,
    "resumes_after": None,
    "expected": 0,
    "unread_lists": 0,
    "stored": 0,
    "scan_every_s": 600,
}


def nothing_left(backlog: dict[str, Any]) -> bool:
    """Return whether a backlog is empty; whether scans come by themselves does not matter."""
    return {k: v for k, v in backlog.items() if k != "scans_seen"} == NOTHING_LEFT


def only(lines: list[str], *parts: str) -> str:
    """Return the one line that holds all parts."""
    found = [line for line in lines if all(part in line for part in parts)]
    assert len(found) == 1, lines
    return found[0]


def one_user(killsync: Make, killmails: int, page_size: int) -> tuple[Killsync, int, str]:
    program = killsync(characters=1, killmails=killmails, page_size=page_size)
    login = program.simulator.logins[0]
    return program, login["character_id"], login["name"]


def later(program: Killsync, user_id: int, new: int) -> None:
    """Let new killmails happen, and time pass."""
    if new:
        program.simulator.add_killmails(user_id, new)
    program.simulator.thaw()
    program.make_due()


def test_a_first_sync_shows_user_each_page_and_the_total(killsync: Make) -> None:
    program, _, name = one_user(killsync, killmails=12, page_size=5)
    lines = log(program, "scan")
    only(lines, name, "full sync")
    pages = [line for line in lines if ": page " in line]
    assert [re.findall(r"page (\d) of 3, (\d) killmails, (\d) new", line) for line in pages] == [
        [("1", "5", "5")],
        [("2", "5", "5")],
        [("3", "2", "2")],
    ]
    assert all(name in line for line in pages)
    only(lines, name, "12 new killmails on 3 pages")
    assert any("12 killmails" in line and "stored" in line for line in lines)


def test_a_second_sync_shows_the_stored_id_where_it_was_met_and_what_is_new(
    killsync: Make,
) -> None:
    program, user_id, name = one_user(killsync, killmails=12, page_size=5)
    program.run("scan")
    stored = str(program.simulator.listed(user_id)[0])
    later(program, user_id, new=7)
    lines = log(program, "sync", name)
    only(lines, name, f"incremental sync, down to killmail {stored}")
    pages = [line for line in lines if ": page " in line]
    assert len(pages) == 2
    assert "page 1 of 4, 5 killmails, 5 new" in pages[0]
    assert stored not in pages[0]
    assert f"page 2 of 4, 5 killmails, 2 new; met killmail {stored}" in pages[1]
    only(lines, name, "7 new killmails on 2 pages")


def test_a_sync_with_nothing_new_says_so(killsync: Make) -> None:
    program, user_id, name = one_user(killsync, killmails=3, page_size=5)
    program.run("scan")
    later(program, user_id, new=0)
    lines = log(program, "scan")
    only(lines, name, "incremental sync")
    only(lines, name, "nothing new")


def test_full_says_that_it_reads_the_whole_list(killsync: Make) -> None:
    program, user_id, name = one_user(killsync, killmails=7, page_size=5)
    program.run("scan")
    later(program, user_id, new=1)
    lines = log(program, "sync", "--full", name)
    only(lines, name, "full sync")
    only(lines, name, "page 2 of 2, 3 killmails, 0 new")


def test_an_open_gap_says_where_later_runs_go_on(killsync: Make) -> None:
    program, _, name = one_user(killsync, killmails=6, page_size=2)
    program.environment["KILLSYNC_MAX_PAGES"] = "2"
    only(log(program, "scan"), name, "4 new killmails on 2 pages", "page 3")


def test_due_users_are_shown_with_their_last_sync(killsync: Make) -> None:
    program = killsync(characters=3, killmails=1, shared=0)
    never, minutes, hours = (login["character_id"] for login in program.simulator.logins)
    for user_id, ago in ((minutes, "-1230 seconds"), (hours, "-185 minutes")):
        program.execute(
            """UPDATE users SET last_killmail_sync_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now', ?)
            WHERE user_id = ?""",
            ago,
            user_id,
        )
    lines = log(program, "scan")
    assert only(lines, str(never), "due").endswith("last: never")
    assert only(lines, str(minutes), "due").endswith("last: 20m ago")
    assert only(lines, str(hours), "due").endswith("last: 3h ago")
    for login in program.simulator.logins:
        only(lines, login["name"], str(login["character_id"]), "due")


HOSTILE = {
    "escape": "Red\x1b[31mBaron\x1b]0;title\x07",
    "newline": "First\nkillsync: all is well\r\nSecond",
    "right-to-left": "abc\u202edcba\u2066",
    "separators": "one\u2028two\u2029three\x85four",
    "c1": "csi\x9b31m",
    "zero-width": "in\u200bvisible\ufeff",
    "nul": "zero\x00byte",
}
ALLOWED = re.compile(r"[\x20-\x7e]*")


@pytest.mark.sample
def test_a_hostile_name_is_escaped_wherever_it_is_written(killsync: Make) -> None:
    program = killsync(users=False, page_size=2)
    logins = [program.simulator.add_character(name=name, killmails=3) for name in HOSTILE.values()]
    added = program.run(
        "users", "add", given="".join(f"{token['refresh_token']}\n" for token in logins)
    )
    scanned = program.run("scan")
    synced = program.run("sync", *(str(login["character_id"]) for login in logins))
    listed = program.run("users")
    for login in logins:
        user = str(login["character_id"])
        assert user in added.stdout
        assert user in scanned.stderr
        assert user in listed.stdout
    assert len(synced.stdout.splitlines()) == len(logins)
    written = [added.stdout, added.stderr, scanned.stdout, scanned.stderr]
    written += [synced.stdout, synced.stderr, listed.stderr]
    for line in "".join(written).split("\n"):
        assert ALLOWED.fullmatch(line), line
    for line in scanned.stderr.splitlines():
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", line)
    hostile = set("".join(HOSTILE.values()))
    assert hostile & set(listed.stdout) <= {*map(chr, range(0x20, 0x7F)), "\n"}
    names = program.rows("SELECT name FROM users ORDER BY user_id")
    assert [name for (name,) in names] == list(HOSTILE.values())


def test_markup_in_a_name_is_shown_as_it_is(killsync: Make) -> None:
    program = killsync(users=False)
    names = ("[bold]Bob[/bold]", "[/]", "[link=http://x]y", ":skull: %s {0}")
    tokens = [
        program.simulator.add_character(name=name, killmails=1)["refresh_token"] for name in names
    ]
    added = program.run("users", "add", given="".join(f"{token}\n" for token in tokens)).stdout
    lines = log(program, "scan")
    synced = program.run("sync", *names).stdout
    users = program.run("users").stdout
    status = program.run("status", COLUMNS="120").stdout
    for name in names:
        only(lines, f"{name} (", "due")
        only(lines, f"{name}: full sync")
        for shown in (added, synced, users, status):
            assert name in shown


def test_a_failure_names_user_reason_and_next_try_with_what_esi_says_escaped(
    killsync: Make,
) -> None:
    program, _, name = one_user(killsync, killmails=1, page_size=5)
    said = r'{"error":"bad\u001b[31m [bold]luck[/]\nkillsync: all is well"}'
    program.simulator.fault("list", status=400, body=said)
    errors = program.run("scan", exit_code=75).stderr
    assert "\x1b" not in errors
    line = only(errors.splitlines(), name, "tried again by the next run")
    assert "[bold]luck[/]" in line


def test_no_secret_is_logged(killsync: Make) -> None:
    program = killsync(characters=1, killmails=2, rotate=True)
    done = program.run("-v", "scan")
    token = program.simulator.truth()["characters"]["90000001"]["refresh_token"]
    for secret in (token, program.simulator.logins[0]["refresh_token"], "Bearer", "eyJ"):
        assert secret not in done.stdout + done.stderr


# events, a JSON object each


def events(program: Killsync, *arguments: str, exit_code: int = 0) -> list[dict[str, Any]]:
    """Return the events of a command, those of its result last; every line is to be one."""
    done = program.run("--log-format", "json", *arguments, exit_code=exit_code)
    return parsed(done.stderr + done.stdout)


def parsed(lines: str) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in lines.splitlines()]
    for event in found:
        assert ISO.fullmatch(event.pop("time"))
    return found


def test_the_last_line_of_a_json_scan_counts_what_it_has_done(killsync: Make) -> None:
    program = killsync(characters=2, killmails=6, page_size=2, shared=0)
    ended = events(program, "scan")[-1]
    assert ended.pop("seconds") > 0
    assert ended.pop("requests") >= 2 * (3 + 6)
    assert nothing_left(ended.pop("backlog"))
    assert ended == {
        "event": "Ended",
        "users": 2,
        "pages": 6,
        "stored": 12,
        "errors": 0,
        "queued": 0,
        "stopped": None,
    }


def test_when_a_due_user_was_last_synced_is_a_time_and_a_number_of_seconds(killsync: Make) -> None:
    program = killsync(characters=2, killmails=1, shared=0)
    never, long_ago = (login["character_id"] for login in program.simulator.logins)
    program.execute(
        "UPDATE users SET last_killmail_sync_at = '2026-01-02T03:04:05Z' WHERE user_id = ?",
        long_ago,
    )
    due = {e["user_id"]: e for e in events(program, "scan") if e["event"] == "UserDue"}
    assert (due[never]["last_sync_at"], due[never]["age_s"]) == (None, None)
    assert due[long_ago]["last_sync_at"] == "2026-01-02T03:04:05Z"
    assert due[long_ago]["age_s"] > 86400


def test_a_scan_with_nothing_to_do_is_an_event_that_says_why(killsync: Make) -> None:
    program = killsync(characters=1, killmails=1, users=False)
    (idle,) = events(program, "scan")
    assert nothing_left(idle.pop("backlog"))
    assert idle == {"event": "Idle", "waiting": []}
    program.add_users()
    program.run("scan")
    until = program.user(program.simulator.logins[0]["character_id"])["next_due_at"]
    for words, why in ((("scan",), "synced"), (("scan", "--force"), "cached")):
        (event,) = events(program, *words)
        (waiters,) = event.pop("waiting")
        assert nothing_left(event.pop("backlog"))
        assert event == {"event": "Idle"}
        assert (waiters["why"], waiters["users"]) == (why, 1)
        assert waiters["until"] <= until


def test_a_scan_that_gives_way_is_an_event_that_names_the_other_run(
    killsync: Make, background: Background
) -> None:
    program = killsync(characters=1, killmails=1)
    program.simulator.fault("list", hang=60)
    other = background(program, "scan")
    read_until(other, "full sync")
    (event,) = events(program, "scan")
    lock = program.status()["lock"]
    assert lock.pop("max_runtime_s") == 540
    assert event == {"event": "GaveWay"} | lock
    assert event["pid"] == other.pid
    other.kill()


def test_a_scan_that_gives_way_to_an_unknown_run_is_an_event_too(killsync: Make) -> None:
    program = killsync(characters=1, killmails=1)
    with run_in_progress(program):
        (event,) = events(program, "scan")
    assert (event["event"], event["pid"]) == ("GaveWay", None)


def test_what_a_sync_has_done_is_an_event_for_each_user(killsync: Make) -> None:
    program = killsync(characters=2, killmails=3, shared=0)
    users = [(login["character_id"], login["name"]) for login in program.simulator.logins]
    done = events(program, "sync", *(name for _, name in users))
    synced = [event for event in done if event["event"] == "Synced"]
    assert all(nothing_left(event.pop("backlog")) for event in synced)
    assert synced == [
        {
            "event": "Synced",
            "user_id": user_id,
            "name": name,
            "stored": 3,
            "killmails": 3,
            "stopped": None,
        }
        for user_id, name in users
    ]


def test_what_a_sync_has_only_queued_is_an_event_too(killsync: Make) -> None:
    program, user_id, name = one_user(killsync, killmails=1, page_size=5)
    about = {"user_id": user_id, "name": name}
    queued = events(program, "sync", "--no-wait", name)
    assert queued == [{"event": "SyncQueued", "priority": 5, "behind": 0} | about]
    program.run("scan")
    cached = events(program, "sync", "--full", name)[-1]
    assert ISO.fullmatch(cached.pop("until"))
    assert cached == {"event": "FullPassQueued"} | about


def test_a_sync_that_could_not_be_done_names_user_and_time_in_fields(killsync: Make) -> None:
    program, user_id, name = one_user(killsync, killmails=1, page_size=5)
    program.simulator.fault("list", status=429, headers={"Retry-After": "300"})
    warning = events(program, "sync", name, exit_code=75)[-1]
    assert (warning["event"], warning["user_id"]) == ("Warning", user_id)
    assert warning["until"] is None or ISO.fullmatch(warning["until"])


def test_a_sync_that_waits_says_in_fields_for_whom_and_how_far_that_is(
    killsync: Make, background: Background
) -> None:
    program, user_id, name = one_user(killsync, killmails=2, page_size=5)
    program.simulator.fault("list", hang=60)
    other = background(program, "scan")
    read_until(other, "full sync")
    waiting = background(program, "--log-format", "json", "sync", name)
    (held,) = parsed(read_until(waiting, "Held"))
    (progress,) = held.pop("users")
    assert held == {"event": "Held", "command": "scan", "pid": other.pid}
    assert progress.pop("state") in ("queued", "running")
    assert progress == {"user_id": user_id, "name": name, "pages": 0, "new": 0, "pending": 0}
    for process in (other, waiting):
        process.kill()


@pytest.mark.sample
def test_an_error_with_its_traceback_is_one_json_object(killsync: Make) -> None:
    program = killsync()
    process = program.start("--log-format", "json", "--verbose", "sync", "nobody")
    (warning,) = parsed(process.communicate(timeout=TIMEOUT)[1])
    assert "Traceback" in warning["traceback"]


# a run that was stopped


STOPPED = pytest.mark.parametrize(
    ("command", "number"), [("scan", signal.SIGINT), ("sync", signal.SIGTERM)]
)


def stopped(
    killsync: Make, background: Background, route: str, command: str, number: int, *options: str
) -> tuple[str, str]:
    """Stop a run amid its requests for one user; return its name and all that was written."""
    program = killsync(characters=1, killmails=30, page_size=10, latency_body=0.2, latency_list=0.2)
    name = program.simulator.logins[0]["name"]
    words = (command, name) if command == "sync" else (command,)
    process = background(program, *options, *words, KILLSYNC_CONNECTIONS="1")
    wait_until(lambda: program.simulator.log(route))
    process.send_signal(number)
    written, logged = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 128 + number
    return name, logged + written


@STOPPED
def test_the_last_line_of_a_run_stopped_among_bodies_names_the_signal(
    killsync: Make, background: Background, command: str, number: int
) -> None:
    _, lines = stopped(killsync, background, "body", command, number)
    last = lines.splitlines()[-1]
    assert f"stopped by {signal.Signals(number).name}: " in last
    assert re.search(r"\d+ of (about )?\d+ stored; the rest by about ", last)
    assert last.endswith("; the rest stays queued")


@STOPPED
def test_the_last_line_of_a_run_stopped_among_pages_names_the_signal(
    killsync: Make, background: Background, command: str, number: int
) -> None:
    _, lines = stopped(killsync, background, "list", command, number)
    last = lines.splitlines()[-1]
    assert f"stopped by {signal.Signals(number).name}" in last
    assert "stays queued" in last


@pytest.mark.sample
@STOPPED
def test_the_last_event_of_a_stopped_run_names_the_signal(
    killsync: Make, background: Background, command: str, number: int
) -> None:
    _, lines = stopped(killsync, background, "body", command, number, "--log-format", "json")
    assert parsed(lines)[-1]["stopped"] == signal.Signals(number).name


def test_a_run_that_nobody_stopped_does_not_speak_of_stopping(killsync: Make) -> None:
    program, _, name = one_user(killsync, killmails=3, page_size=5)
    for command in (("scan",), ("sync", name)):
        program.make_due()
        done = program.run(*command)
        assert "stopped" not in done.stdout + done.stderr
