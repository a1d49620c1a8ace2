"""Channels that work, refuse, hang, break off and flood: what is said of each, and when."""

import json
import os
import signal
import ssl
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from certificates import certificate_for
from noted import HOSTILE, LOST, NEEDS_LOGIN, WON, won
from played_discord import TOKEN, URL, WEBHOOK, Discord, discord
from played_mail_server import HOST, PASSWORD, MailServer, mail_server
from world import wait_until

from killsync.delivery import Delivery, Outcome
from killsync.outbox.apprise_process import judge
from killsync.outbox.by_command import line
from killsync.outbox.channels import deliver, most_at_once
from killsync.outbox.notes import KillNote, Note, TestNote
from killsync.settings.channels import Channel

pytestmark = [
    pytest.mark.long,
    # the mail server of these tests speaks no TLS, and is new enough
    pytest.mark.filterwarnings(
        "ignore:Requiring AUTH while not requiring TLS", "ignore:Session.login_data is deprecated"
    ),
]

LONG = 60.0
# longer than a process takes to start on a busy machine
SHORT = 8.0


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> Iterator[Discord]:
    with discord() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


@pytest.fixture
def mails() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


def by_url(url: str, *notes: Note, timeout: float = LONG) -> Delivery:
    return deliver(Channel("corp", url=url), notes or [LOST], timeout=timeout)


def by_command(*words: str, notes: tuple[Note, ...] = (LOST,), timeout: float = LONG) -> Delivery:
    return deliver(Channel("corp", command=words), notes, timeout=timeout)


def python(program: str, *words: str, timeout: float = LONG) -> Delivery:
    return by_command(sys.executable, "-c", program, *words, timeout=timeout)


# Discord


@pytest.mark.sample
def test_ten_killmails_are_one_message_in_discord_that_calls_nobody(
    played: Discord, capfd: pytest.CaptureFixture[str]
) -> None:
    notes = [KillNote(won(n, victim=HOSTILE)) for n in range(10)]
    assert by_url(URL, *notes) == Delivery(Outcome.DELIVERED)
    [message] = played.contents
    assert len(message) <= 2000
    assert [f"/kill/{n}/" in message for n in range(10)] == [True] * 10
    assert "@everyone" not in message
    assert "<b>" not in message
    assert "avatar_url" not in played.messages[0]
    assert not any(TOKEN.encode() in words for words in played.command_lines)
    assert any(b"apprise_process" in words for words in played.command_lines)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("habit", "delivery"),
    [
        ("404", Delivery(Outcome.REFUSED, "HTTP 404: that is not there, or was deleted")),
        ("429", Delivery(Outcome.REFUSED, "HTTP 429: too many messages at a time", 7.0)),
        ("504", Delivery(Outcome.UNKNOWN, "HTTP 504")),
        ("reset", Delivery(Outcome.UNKNOWN, "the connection broke")),
    ],
)
def test_what_discord_does_is_said_honestly_and_nothing_is_sent_again(
    played: Discord, habit: str, delivery: Delivery
) -> None:
    played.habits = [habit]
    assert by_url(URL) == delivery
    assert played.requests == 1


def test_what_discord_does_not_answer_in_time_may_have_arrived(played: Discord) -> None:
    played.habits = ["unread", "silent"]
    with ThreadPoolExecutor() as threads:
        both = [threads.submit(by_url, URL, timeout=SHORT) for _ in played.habits]
    assert [one.result() for one in both] == [Delivery(Outcome.UNKNOWN, "timed out")] * 2
    assert played.requests == 2


def test_a_message_that_cannot_leave_is_refused(
    played: Discord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "")
    said = "its certificate cannot be verified"
    assert by_url(URL) == Delivery(Outcome.REFUSED, said)
    assert played.messages == []


@pytest.mark.parametrize("url", [f"discord://{WEBHOOK}", f"discrod://{WEBHOOK}/{TOKEN}", TOKEN])
def test_a_wrong_url_is_refused_without_being_named(url: str) -> None:
    delivery = by_url(url)
    assert delivery.outcome is Outcome.REFUSED
    assert WEBHOOK not in str(delivery.reason)
    assert TOKEN not in str(delivery.reason)


def test_apprise_that_is_missing_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    delivery = by_url(URL)
    assert delivery.outcome is Outcome.REFUSED
    assert f"run `{sys.executable} -m pip install 'apprise>=2.3'`" in str(delivery.reason)


# mail


def test_a_mail_has_a_subject_and_the_same_in_two_forms(mails: MailServer) -> None:
    assert by_url(mails.url("a@corp.example"), WON) == Delivery(Outcome.DELIVERED)
    [mail] = mails.mails
    assert mail["Subject"] == "Sabre killed, 91m ISK: Ada Vale in Tama"
    plain, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    assert "zkillboard.com/kill/126440216/" in plain.get_content()
    assert "<b>Sabre</b>" in html.get_content()


def test_a_mail_server_that_refuses_is_named_by_what_it_refuses(mails: MailServer) -> None:
    mails.refused = {"b@corp.example"}
    told = [
        by_url(mails.url("a@corp.example", password="wrong" + PASSWORD)),
        by_url(mails.url("b@corp.example")),
        by_url(mails.url("a@corp.example", "b@corp.example")),
    ]
    recipient = "the mail server refuses the recipient (550)"
    assert told == [
        Delivery(Outcome.REFUSED, "the mail server refuses the user and password (535)"),
        Delivery(Outcome.REFUSED, recipient),
        Delivery(Outcome.UNKNOWN, f"a part of it was accepted, but then: {recipient}"),
    ]
    assert mails.recipients == ["a@corp.example"]


def test_a_mail_server_that_breaks_off_may_have_taken_the_mail(mails: MailServer) -> None:
    mails.breaks_off = True
    assert by_url(mails.url("a@corp.example")).outcome is Outcome.UNKNOWN
    mails.port = 1
    assert by_url(mails.url("a@corp.example")) == Delivery(Outcome.REFUSED, "connection refused")


@pytest.mark.sample
def test_a_mail_goes_by_tls_to_a_server_that_the_environment_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    for file, content in zip((certificate, key), certificate_for(HOST), strict=True):
        file.write_bytes(content)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with mail_server(tls) as mails:
        strange = by_url(mails.url("a@corp.example"))
        assert strange == Delivery(Outcome.REFUSED, "its certificate cannot be verified")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
        assert by_url(mails.url("a@corp.example")) == Delivery(Outcome.DELIVERED)
        assert mails.recipients == ["a@corp.example"]


# what attempts mean together

ACCEPTED = Delivery(Outcome.DELIVERED)
BUSY = Delivery(Outcome.REFUSED, "HTTP 429", 3.0)
GONE = Delivery(Outcome.REFUSED, "HTTP 404")
LOST_SIGHT = Delivery(Outcome.UNKNOWN, "timed out")


@pytest.mark.parametrize(
    ("attempts", "elsewhere", "outcome", "retry_after"),
    [
        ([], False, Outcome.REFUSED, None),
        ([], True, Outcome.UNKNOWN, None),
        ([GONE], False, Outcome.REFUSED, None),
        ([GONE, BUSY], False, Outcome.REFUSED, 3.0),
        ([GONE, LOST_SIGHT], False, Outcome.UNKNOWN, None),
        ([ACCEPTED], False, Outcome.UNKNOWN, None),
        ([ACCEPTED, BUSY], False, Outcome.UNKNOWN, None),
    ],
)
def test_what_may_have_arrived_in_part_is_not_refused(
    attempts: list[Delivery], elsewhere: bool, outcome: Outcome, retry_after: float | None
) -> None:
    delivery = judge(attempts, says_yes=False, elsewhere=elsewhere)
    assert (delivery.outcome, delivery.retry_after) == (outcome, retry_after)
    assert judge(attempts, says_yes=True, elsewhere=elsewhere) == Delivery(Outcome.DELIVERED)


# a command


def test_a_command_gets_a_line_of_json_for_each_note(tmp_path: Path) -> None:
    file = tmp_path / "lines"
    notes = (LOST, NEEDS_LOGIN, TestNote())
    program = "import sys; open(sys.argv[1], 'w').write(sys.stdin.read())"
    assert by_command(sys.executable, "-c", program, str(file), notes=notes) == Delivery(
        Outcome.DELIVERED
    )
    lines = [json.loads(one) for one in file.read_text().splitlines()]
    kill = {"event": "killmail"} | msgspec.to_builtins(LOST.kill)
    assert lines[0] == kill
    assert list(lines[0]) == list(kill)
    assert lines[1] == {
        "event": "trouble",
        "what": "needs_login",
        "text": NEEDS_LOGIN.text,
        "user": "Ada Vale",
        "since": "2026-11-26T21:00:00Z",
        "over": False,
    }
    assert lines[2] == {"event": "test"}


def test_no_shell_reads_a_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = deliver(Channel("corp", command=("touch", "a b", "$HOME;x")), [LOST], timeout=LONG)
    assert made.outcome is Outcome.DELIVERED
    assert {file.name for file in tmp_path.iterdir()} == {"a b", "$HOME;x"}


@pytest.mark.sample
def test_a_command_gets_none_of_our_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KILLSYNC_CLIENT_SECRET", "s3cret")
    monkeypatch.setenv("KILLSYNC_TOKEN_KEY", "s3cret")
    monkeypatch.setenv("KILLSYNC_DB", "kept")
    file = tmp_path / "environment"
    python("import os, sys; open(sys.argv[1], 'w').write(repr(dict(os.environ)))", str(file))
    assert "s3cret" not in file.read_text()
    assert "'KILLSYNC_DB': 'kept'" in file.read_text()


def test_a_command_that_fails_is_quoted_without_its_secrets() -> None:
    program = "import sys; sys.exit(f'no {sys.argv[1]} at https://x.y/z \\x1b[31m\\nmore')"
    delivery = python(program, TOKEN)
    assert delivery.outcome is Outcome.REFUSED
    assert str(delivery.reason).endswith(
        " ended with exit code 1: no (hidden) at (hidden) \\x1b[31m"
    )


def test_a_command_that_a_signal_ends_may_have_sent_before() -> None:
    delivery = by_command("sh", "-c", "cat > /dev/null; kill -TERM $$")
    assert delivery == Delivery(Outcome.UNKNOWN, "sh was ended by signal 15")


def test_a_secret_is_hidden_whole_if_another_word_begins_it() -> None:
    delivery = python("import sys; sys.exit(sys.argv[2])", "secret", f"secret-{TOKEN}")
    assert str(delivery.reason).endswith(" ended with exit code 1: (hidden)")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("no-such-program",), "no-such-program cannot be run: there is no such program"),
        (("/etc/passwd",), "passwd cannot be run: it is not executable"),
        (("true", "\0"), "true cannot be run: its words hold what no program can be given"),
    ],
)
def test_a_command_that_cannot_start_is_refused(words: tuple[str, ...], reason: str) -> None:
    assert by_command(*words) == Delivery(Outcome.REFUSED, reason)


@pytest.mark.sample
def test_a_command_that_hangs_is_killed_with_all_that_it_started(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    program = f"sleep 600 & echo $! > {file}; wait"
    delivery = by_command("sh", "-c", program, timeout=1.0)
    assert delivery == Delivery(Outcome.UNKNOWN, "sh had not ended after 1 s, and was killed")
    pid = int(file.read_text())
    wait_until(lambda: not _runs(pid))


def test_a_command_may_leave_a_process_that_keeps_its_output(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    program = f"sleep 600 & echo $! > {file}"
    assert by_command("sh", "-c", program, timeout=20) == Delivery(Outcome.DELIVERED)
    os.kill(int(file.read_text()), signal.SIGKILL)


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_may_say_too_much_and_read_nothing(code: int) -> None:
    flood = (
        "import os, sys\n"
        "for _ in range(200): os.write(1, b'x' * 65536); os.write(2, b'y' * 65536)\n"
        f"sys.exit({code})"
    )
    notes = tuple(KillNote(won(n, victim="v" * 4000)) for n in range(100))
    delivery = by_command(sys.executable, "-c", flood, notes=notes)
    assert delivery.outcome is (Outcome.REFUSED if code else Outcome.DELIVERED)
    assert len(delivery.reason or "") < 300


def test_no_call_takes_more_notes_than_a_channel_can() -> None:
    channel = Channel("corp", command=("true",))
    assert most_at_once(channel) == 100
    with pytest.raises(ValueError, match="101 notes"):
        deliver(channel, [LOST] * 101, timeout=LONG)
    with pytest.raises(ValueError, match="0 notes"):
        deliver(channel, [], timeout=LONG)


def test_a_line_is_one_line_whatever_a_name_holds() -> None:
    name = "a\nb\u2028\u2029\x85\x1b[31m"
    (whole,) = line(KillNote(won(victim=name))).decode().splitlines()
    assert name in str(json.loads(whole)["victim"])


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):
        return False
