"""Pings: what a scan sends to `ping_url`, when, and what it never costs."""

import signal
from collections.abc import Callable, Iterator
from subprocess import Popen

import pytest
from ping_server import KEY, PingServer, ping_server
from terminal import at_terminal
from world import Killsync, run_in_progress, wait_for_exit, wait_until

from killsync.outbox.ping import Pings, path_of
from killsync.store import lock
from killsync.terminal.transcript import Transcript, last_lines

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]
Background = Callable[..., Popen[str]]


@pytest.fixture
def server() -> Iterator[PingServer]:
    with ping_server() as running:
        yield running


@pytest.fixture
def make(killsync: Make, server: PingServer) -> Make:
    """Make a killsync whose scans ping the server."""

    def pinging(**options: object) -> Killsync:
        program = killsync(**options)
        program.environment["KILLSYNC_PING_URL"] = server.url
        return program

    return pinging


def some_user(program: Killsync) -> int:
    return int(program.simulator.logins[0]["character_id"])


# what a scan sends


@pytest.mark.sample
def test_a_scan_sends_its_start_and_its_end_with_what_it_printed(
    make: Make, server: PingServer
) -> None:
    program = make(characters=1, killmails=2)
    done = program.run("scan")
    assert server.paths == ["/start", ""]
    assert server.pings[0].body == ""
    assert sorted(server.pings[1].body.splitlines()) == sorted(
        (done.stdout + done.stderr).splitlines()
    )


def test_a_quiet_scan_sends_the_line_that_it_does_not_print(make: Make, server: PingServer) -> None:
    program = make(characters=1, killmails=2)
    done = program.run("scan", "--quiet")
    assert done.stdout + done.stderr == ""
    assert server.paths == ["/start", ""]
    assert "2 killmails stored" in server.pings[1].body


@pytest.mark.sample
def test_what_is_drawn_at_a_terminal_is_not_sent(make: Make, server: PingServer) -> None:
    program = make(characters=2, killmails=20, latency_body=0.02)
    shown = "\n".join(at_terminal(program, "scan"))
    assert "━" in shown
    assert "━" not in server.pings[1].body
    assert "40 killmails stored" in server.pings[1].body.splitlines()[-1]


def test_a_scan_with_nothing_due_sends_that_it_is_well(make: Make, server: PingServer) -> None:
    program = make(characters=0)
    program.run("scan")
    assert server.paths == ["/start", ""]


def test_a_scan_in_which_something_fails_sends_1(make: Make, server: PingServer) -> None:
    program = make(characters=1, killmails=1)
    program.simulator.fault("body", status=422)
    done = program.run("scan", "--quiet", exit_code=1)
    assert server.paths == ["/start", "/1"]
    assert done.stderr
    assert done.stderr in server.pings[1].body


def test_a_scan_that_can_do_nothing_now_sends_a_log(make: Make, server: PingServer) -> None:
    program = make(characters=1, killmails=1)
    program.simulator.fault("list", status=503, times=100)
    program.run("scan", exit_code=75)
    assert server.paths == ["/start", "/log"]


def test_a_wrong_setting_sends_2_and_no_start(make: Make, server: PingServer) -> None:
    program = make(characters=0)
    program.run("scan", exit_code=2, KILLSYNC_WORKERS="many")
    assert server.paths == ["/2"]
    assert "workers is 'many'" in server.pings[0].body


@pytest.mark.parametrize(
    ("number", "last"),
    [(signal.SIGTERM, ["/log"]), (signal.SIGKILL, [])],
    ids=["TERM", "KILL"],
)
def test_a_stop_sends_a_log_and_a_kill_nothing(
    make: Make, server: PingServer, background: Background, number: int, last: list[str]
) -> None:
    program = make(characters=1, killmails=30, latency_body=0.2)
    process = background(program, "scan", KILLSYNC_CONNECTIONS="2")
    wait_until(lambda: program.simulator.log("body") and server.paths)
    wait_for_exit(process, number)
    assert server.paths == ["/start", *last]


def test_a_scan_that_gives_way_sends_nothing(make: Make, server: PingServer) -> None:
    program = make(characters=1)
    with run_in_progress(program):
        program.run("scan")
    assert server.paths == []


def test_only_scans_ping(make: Make, server: PingServer) -> None:
    program = make(characters=1, killmails=1)
    program.run("sync", str(some_user(program)))
    program.run("status")
    assert server.paths == []


@pytest.mark.parametrize(
    ("code", "path"),
    [(0, ""), (1, "/1"), (2, "/2"), (75, "/log"), (130, "/log"), (143, "/log"), (129, "/log")],
)
def test_what_an_exit_code_adds_to_the_address(code: int, path: str) -> None:
    assert path_of(code) == path


# what a ping never costs


@pytest.mark.sample
def test_a_server_that_hangs_holds_neither_the_work_nor_the_lock(
    make: Make, server: PingServer, background: Background
) -> None:
    program = make(characters=1, killmails=3)
    server.hangs = True
    process = background(program, "scan")
    wait_until(lambda: program.rows("SELECT 1 FROM runs WHERE finished_at IS NOT NULL"))
    wait_until(lambda: not lock.is_held(program.database))
    program.assert_equals_truth()
    assert process.poll() is None
    # it waits for the server alone, and a signal ends that
    wait_until(lambda: server.paths == ["/start", ""])
    assert wait_for_exit(process) == -signal.SIGTERM


def test_a_server_that_hangs_is_asked_twice_and_waited_for_a_while(server: PingServer) -> None:
    server.hangs = True
    pings = Pings(server.url, deadline=0.2, patience=30.0)
    pings.begin()
    failure = pings.end(1, "")
    assert failure is not None
    assert KEY not in failure
    assert server.paths == ["/start", "/1", "/1"]
    impatient = Pings(server.url, deadline=30.0, patience=0.1)
    assert impatient.end(0, "") == f"127.0.0.1:{server.port}: no answer in 0 s"


def test_what_a_server_refuses_is_one_warning_that_cron_never_mails(
    make: Make, server: PingServer
) -> None:
    program = make(characters=0)
    server.status = 500
    done = program.run("scan")
    assert "the ping was not taken: 127.0.0.1:" in done.stderr
    assert "answers 500" in done.stderr
    assert KEY not in done.stderr
    assert server.paths == ["/start", "", ""]
    done = program.run("scan", "--quiet")
    assert done.stdout + done.stderr == ""
    shown = program.run("scan", "--quiet", "--verbose").stderr
    assert "answers 500" in shown
    assert KEY not in shown


def test_an_address_that_healthchecks_does_not_know_is_a_warning(
    make: Make, server: PingServer
) -> None:
    program = make(characters=0)
    server.answer = b"OK (not found)"
    assert "answers 'OK (not found)'" in program.run("scan").stderr
    assert server.paths == ["/start", ""]


def test_a_server_that_is_not_there_costs_nothing(make: Make) -> None:
    program = make(characters=0)
    done = program.run("scan", KILLSYNC_PING_URL=f"http://127.0.0.1:9/{KEY}")
    assert "the ping was not taken: 127.0.0.1:9: cannot be reached" in done.stderr
    assert KEY not in done.stderr


def test_doctor_says_whether_pings_arrive_and_shows_no_address(
    make: Make, server: PingServer
) -> None:
    program = make(users=False)
    well = program.run("doctor", exit_code=None).stdout
    assert f"ok      ping_url: 127.0.0.1:{server.port} takes pings" in well
    assert server.paths == ["/log"]
    server.answer = b"OK (not found)"
    ill = program.run("doctor", exit_code=None).stdout
    assert "problem ping_url: 127.0.0.1:" in ill
    assert "answers 'OK (not found)'" in ill
    assert KEY not in well + ill


# what is sent with it


def test_the_last_lines_are_whole_and_of_a_bounded_size() -> None:
    lines = [f"line {number}" for number in range(2000)]
    body = last_lines("\n".join(lines) + "\n", 9_999)
    assert len(body.encode()) <= 9_999
    kept = body.splitlines()
    assert kept == lines[-len(kept) :]
    assert len(kept) > 900


def test_of_much_that_is_printed_the_last_lines_are_kept() -> None:
    transcript = Transcript()
    for number in range(50_000):
        transcript.add(b"line %d\n\rdrawn" % number)
        transcript.add(b"\r\x1b[2K")
    lines = transcript.text.splitlines()
    assert lines[-1] == "line 49999"
    assert 100 < len(lines) < 20_000
    assert not any("drawn" in line for line in lines)


def test_what_is_drawn_over_is_gone() -> None:
    transcript = Transcript()
    transcript.add(b"first\none bar\ntwo bars\r\x1b[2K\x1b[1A\x1b[2Ksecond\n50%\r100%")
    assert transcript.text == "first\nsecond\n100%"


def test_of_letters_that_take_several_bytes_each_byte_counts() -> None:
    assert last_lines("ääää\nüüü\n", 7) == "üüü\n"
    assert last_lines("ääää\nüüü\n", 6) == ""


@pytest.mark.parametrize(
    ("printed", "sent"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("50%\r100%", "100%"),
        ("a name: \x07\u202e\x1b]0;title\x07", "a name: \\x07\\u202e"),
        ("a \x1b[2K\x1b", "a \\x1b"),
        ("scanned in 2.50 s", "scanned in 2.50 s"),
        ("see https://developers.eveonline.com", "see https://developers.eveonline.com"),
        ("https://hooks.example/T0/B0/xyz refused", "https://hooks.example/(hidden) refused"),
        ("discord://4711/abc-token", "discord://(hidden)"),
        ("mailto://me:secret@example.com", "mailto://(hidden)"),
        ("https://me:secret@example.com/", "https://(hidden)"),
        (f"ping {KEY}", "ping (hidden)"),
        ("token 1|CfDJ8HHFK7sOe1-2xOQx_r5w7g==", "token 1|(hidden)"),
        ("a.eyJhbGciOiJSUzI1NiIsImtpZCI6.b", "a.(hidden).b"),
        ("last_killmail_sync_at_and_more", "last_killmail_sync_at_and_more"),
    ],
)
def test_what_is_sent_is_harmless_and_holds_no_secret(printed: str, sent: str) -> None:
    assert last_lines(printed, 9_999) == f"{sent}\n"
