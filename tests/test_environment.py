"""The way to a server as the environment has it: proxies and certificates, tried for real."""

import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from requests.utils import DEFAULT_CA_BUNDLE_PATH
from world import Killsync

from killsync.errors import Blame, KillsyncError, Unavailable, WrongEnvironment
from killsync.http import Http

Start = Callable[..., Killsync]
ESI = "https://esi.example.test"
PASSWORD = "hunter2"
VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@contextmanager
def proxy(*replies: bytes) -> Iterator[str]:
    """Run a proxy that gives each connection these replies, and hangs up; yield its address."""

    def serve() -> None:
        while True:
            try:
                conversation, _ = listening.accept()
            except OSError:
                return
            with conversation:
                for reply in replies:
                    conversation.recv(4096)
                    conversation.sendall(reply)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"user:{PASSWORD}@127.0.0.1:{listening.getsockname()[1]}"
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port: int = gone.getsockname()[1]
        return port


def failure(url: str = ESI) -> KillsyncError:
    """Return how a request fails; nothing of it holds the proxy's password."""
    with closing(Http("killsync/0")) as http, pytest.raises(KillsyncError) as raised:
        http.send("GET", url, {})
    assert PASSWORD not in "".join(traceback.format_exception(raised.value))
    return raised.value


def assert_wrong(error: KillsyncError, *words: str) -> None:
    assert isinstance(error, WrongEnvironment), error
    assert (error.exit_code, error.blame) == (2, Blame.RUN)
    assert [word for word in words if word not in str(error)] == [], error
    assert PASSWORD not in str(error)


def assert_passing(error: KillsyncError, *words: str) -> None:
    assert isinstance(error, Unavailable), error
    assert [word for word in words if word not in str(error)] == [], error
    assert PASSWORD not in str(error)


# proxies that refuse


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h", "socks4a"])
def test_a_proxy_that_refuses_the_connection_is_named(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    address = f"127.0.0.1:{closed_port()}"
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://user:{PASSWORD}@{address}")
    assert_wrong(failure(), address, "HTTPS_PROXY", "refuses the connection")


@pytest.mark.parametrize("scheme", ["http", "https", "socks5", "socks5h"])
def test_a_proxy_whose_name_is_unknown_is_named(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    # what a resolver says of such a name (RFC 6761), also where there is none
    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://user:{PASSWORD}@proxy.invalid:3128")
    assert_wrong(failure(), "proxy.invalid:3128", "ALL_PROXY", "no host of that name")


def test_a_proxy_whose_name_cannot_be_looked_up_now_is_a_passing_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{PASSWORD}@proxy.invalid:3128")
    assert_passing(failure(), "proxy.invalid:3128")


def answered(status: str) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("407 Proxy Authentication Required", ["does not accept its user and password", "407"]),
        ("403 Forbidden", ["refuses to connect to esi.example.test", "403"]),
        ("405 Method Not Allowed", ["refuses to connect", "405"]),
    ],
)
def test_a_proxy_that_refuses_to_connect_is_named(
    monkeypatch: pytest.MonkeyPatch, status: str, words: Sequence[str]
) -> None:
    with proxy(answered(status)) as address:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
        assert_wrong(failure(), address.partition("@")[2], "HTTPS_PROXY", *words)


@pytest.mark.parametrize("status", ["500 Oops", "502 Bad Gateway", "503 Busy", "504 Timeout"])
def test_a_proxy_that_cannot_connect_now_is_a_passing_fault(
    monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    with proxy(answered(status)) as address:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
        assert_passing(failure(), address.partition("@")[2], f"the proxy says {status[:3]}")


@pytest.mark.parametrize("reply", [b"", b"\0\0\0\r\n"], ids=["cut", "garbage"])
def test_a_proxy_that_breaks_off_is_a_passing_fault(
    monkeypatch: pytest.MonkeyPatch, reply: bytes
) -> None:
    with proxy(reply) as address:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
        assert_passing(failure(), address.partition("@")[2], "the connection broke")


def test_a_plain_proxy_that_is_addressed_by_https_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with proxy(answered("400 Bad Request")) as address:
        monkeypatch.setenv("HTTPS_PROXY", f"https://{address}")
        assert_wrong(failure(), "HTTPS_PROXY", "plain HTTP", "http://")


SOCKS_REPLY = b"\x05%c\0\x01\0\0\0\0\0\0"


@pytest.mark.parametrize(
    "replies",
    [(b"\x05\xff",), (b"\x05\x02", b"\x01\x01")],
    ids=["no method", "wrong password"],
)
def test_a_socks_proxy_that_does_not_accept_the_password_is_named(
    monkeypatch: pytest.MonkeyPatch, replies: Sequence[bytes]
) -> None:
    with proxy(*replies) as address:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://{address}")
        assert_wrong(failure(), "ALL_PROXY", "user and password")


def test_a_socks_proxy_that_refuses_by_its_rules_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(b"\x05\0", SOCKS_REPLY % 2) as address:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://{address}")
        assert_wrong(failure(), "ALL_PROXY", "refuses to connect to esi.example.test")


@pytest.mark.parametrize("code", [1, 3, 4, 5, 6])
def test_a_socks_proxy_that_cannot_connect_now_is_a_passing_fault(
    monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    with proxy(b"\x05\0", SOCKS_REPLY % code) as address:
        monkeypatch.setenv("ALL_PROXY", f"socks5h://{address}")
        assert_passing(failure(), address.partition("@")[2])


def test_a_server_whose_name_is_unknown_is_not_the_proxys_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look_up = socket.getaddrinfo

    def resolve(host: str, *rest: object, **named: object) -> object:
        if host.startswith("esi."):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return look_up(host, *rest, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with proxy(b"\x05\0") as address:
        # this kind of proxy is given an address, which is looked up here
        monkeypatch.setenv("ALL_PROXY", f"socks5://{address}")
        assert_passing(failure(), "cannot be reached")


def test_a_socks_proxy_without_its_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socks", None)
    monkeypatch.setenv("ALL_PROXY", f"socks5h://user:{PASSWORD}@127.0.0.1:9")
    assert_wrong(failure(), "ALL_PROXY", "SOCKS", "PySocks")


@pytest.mark.parametrize("host", ["socks-gw.corp", "socks5", "user:hunter2@socks-gw"])
def test_a_proxy_without_a_scheme_is_no_socks_proxy_whatever_its_name(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    def resolve(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setitem(sys.modules, "socks", None)
    monkeypatch.setenv("ALL_PROXY", f"{host}:1080")
    name = host.rpartition("@")[2]
    assert_wrong(failure(), f"{name}:1080", "ALL_PROXY", "no host of that name")


@pytest.mark.parametrize("user", ["", f"user:{PASSWORD}@"])
def test_a_proxy_without_a_scheme_is_used_though_its_name_could_be_one(
    monkeypatch: pytest.MonkeyPatch, user: str
) -> None:
    with proxy(answered("503 Busy")) as address:
        port = address.rpartition(":")[2]
        monkeypatch.setenv("HTTPS_PROXY", f"{user}localhost:{port}")
        assert_passing(failure(), f"localhost:{port}", "the proxy says 503")


def test_a_proxy_of_another_scheme_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTP_PROXY", "socks9://")
    monkeypatch.setenv("HTTP_PROXY", "socks9://")
    with proxy(answered("503 Busy")) as address:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{address}")
        assert_passing(failure(), "the proxy says 503")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.9.9.9", "[::1]"])
def test_what_is_asked_on_loopback_goes_through_no_proxy(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    with proxy(answered("200 OK")) as address:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://{address}")
        error = failure(f"http://{host}:{closed_port()}")
    assert_passing(error, f"{host}:", "cannot be reached")
    assert "proxy" not in str(error)


# certificates


def test_certificates_that_are_not_there_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = str(tmp_path / "ca.pem")
    for name in VARIABLES:
        with monkeypatch.context() as patch:
            patch.setenv(name, missing)
            assert_wrong(failure(), name, missing)


def test_certificates_that_are_none_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    empty, text = tmp_path / "certs", tmp_path / "ca.pem"
    empty.mkdir()
    text.write_text("not a certificate\n")
    for path in (empty, text):
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        assert_wrong(failure(), "SSL_CERT_FILE", str(path), "holds no certificates")


def test_the_first_variable_that_is_set_names_the_certificates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in reversed(VARIABLES):
        monkeypatch.setenv(name, str(tmp_path / name))
        assert_wrong(failure(), str(tmp_path / name))


def test_certificates_that_are_missing_do_not_matter_without_tls(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert_passing(failure(f"http://127.0.0.1:{closed_port()}"), "cannot be reached")


def test_an_answer_whose_certificate_is_not_trusted_names_what_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", DEFAULT_CA_BUNDLE_PATH)
    with proxy(answered("400 Bad Request")) as address:
        error = failure(f"https://{address.partition('@')[2]}")
    assert_passing(
        error, f"certificate cannot be verified with SSL_CERT_FILE={DEFAULT_CA_BUNDLE_PATH}"
    )


def test_of_several_directories_the_first_with_certificates_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    holding = tmp_path / "certs"
    holding.mkdir()
    (holding / "0a1b2c3d.0").touch()
    monkeypatch.setenv("SSL_CERT_DIR", f"{tmp_path / 'missing'}:{holding}")
    with proxy(answered("400 Bad Request")) as address:
        assert_passing(failure(f"https://{address.partition('@')[2]}"), f"SSL_CERT_DIR={holding}")


# what a run makes of it


def away(program: Killsync) -> dict[str, str]:
    """Move a database to an ESI elsewhere; return the environment for it."""
    program.execute("UPDATE facts SET value = 'esi.example.test' WHERE name = 'esi_url'")
    return {"KILLSYNC_ESI_URL": ESI, "KILLSYNC_CONTACT": "ops@example.com"}


def test_a_run_that_a_proxy_refuses_ends_with_2_and_loses_nothing(killsync: Start) -> None:
    program = killsync(characters=2, killmails=5)
    environment = away(program) | {"HTTPS_PROXY": f"http://u:{PASSWORD}@127.0.0.1:{closed_port()}"}
    done = program.run("scan", exit_code=2, **environment)
    assert "refuses the connection" in done.stderr
    assert PASSWORD not in done.stderr + done.stdout
    status = program.status()
    assert [(u["failures"], u["state"]) for u in status["users"]] == [(0, "active")] * 2
    assert status["jobs"] == {"queued": 2, "running": 0, "failed": 0}
    program.execute("UPDATE facts SET value = '127.0.0.1' WHERE name = 'esi_url'")
    dead = environment["HTTPS_PROXY"]
    program.run("scan", HTTP_PROXY=dead, HTTPS_PROXY=dead, ALL_PROXY=dead)
    program.assert_equals_truth()


def test_a_run_without_its_certificates_ends_with_2_and_loses_nothing(
    killsync: Start, tmp_path: Path
) -> None:
    program = killsync(characters=1, killmails=5)
    missing = str(tmp_path / "ca.pem")
    done = program.run("scan", exit_code=2, **away(program), SSL_CERT_FILE=missing)
    assert f"SSL_CERT_FILE names {missing}, which is not there" in done.stderr
    assert program.status()["users"][0]["failures"] == 0


def test_doctor_says_what_is_wrong_with_a_proxy_and_with_certificates(
    killsync: Start, tmp_path: Path
) -> None:
    program = killsync(characters=1, killmails=0)
    for name, value, says in (
        ("HTTPS_PROXY", f"http://u:{PASSWORD}@127.0.0.1:{closed_port()}", "refuses the connection"),
        ("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"), "is not there"),
    ):
        done = program.run("doctor", exit_code=1, **away(program), **{name: value})
        assert f"correct or unset {name}" in done.stdout
        assert says in done.stdout
        assert "firewall" not in done.stdout
        assert PASSWORD not in done.stdout + done.stderr
