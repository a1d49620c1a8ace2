"""Sending: against a socket that answers as it was set up, and every error of lower libraries."""

import errno
import gc
import gzip
import json
import socket
import socketserver
import struct
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import requests.exceptions
import urllib3.exceptions

from killsync.errors import (
    KillsyncError,
    NotSent,
    OutOfFiles,
    RateLimited,
    Refused,
    ServerFault,
    TooLarge,
    Unavailable,
    UsageError,
)
from killsync.http import Http
from killsync.http.bounded import DEADLINE, LARGEST_ANSWER
from killsync.http.client import ATTEMPTS
from killsync.http.large import LARGE, OneLarge
from killsync.http.translation import translated_errors

AGENT = "killsync/0 (ops@example.com)"


def answer(body: bytes = b"[]", status: str = "200 OK", **headers: str) -> bytes:
    """Return an answer's bytes; its length is named unless the headers say otherwise."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if "Transfer-Encoding" not in named:
        named.setdefault("Content-Length", str(len(body)))
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in named.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Server(socketserver.ThreadingTCPServer):
    """Gives the answers one after the other, the last one again and again.

    A connection is kept open unless `hangs_up`; what it was asked is in `asked`. If it `drips`,
    the bytes come one at a time.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Conversation)
        self.answers = [answer()]
        self.hangs_up = False
        self.drips = False
        self.connections = 0
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def header(self, name: str) -> str | None:
        """Return a header of the last request."""
        for line in self.asked[-1].splitlines()[1:]:
            key, _, value = line.partition(": ")
            if key.lower() == name.lower():
                return value
        return None


class Conversation(socketserver.StreamRequestHandler):
    server: Server

    def handle(self) -> None:
        self.server.connections += 1
        while request := self._request():
            self.server.asked.append(request)
            answers = self.server.answers
            self._answer(answers.pop(0) if len(answers) > 1 else answers[0])
            if self.server.hangs_up:
                return

    def _answer(self, answer: bytes) -> None:
        if not self.server.drips:
            self.wfile.write(answer)
            return
        with suppress(OSError):
            for byte in answer:
                self.wfile.write(bytes((byte,)))
                time.sleep(0.02)

    def _request(self) -> str:
        lines = []
        try:
            while line := self.rfile.readline().decode("latin-1").rstrip("\r\n"):
                lines.append(line)
        except OSError:
            return ""
        return "\n".join(lines)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def http() -> Iterator[Http]:
    with closing(Http(AGENT)) as sender:
        yield sender


def get(http: Http, url: str, **headers: str) -> bytes:
    return http.send("GET", url, headers).body


def proxied(url: str) -> str:
    """Return another address of a server here: what is asked on loopback goes through no proxy."""
    return url.replace("127.0.0.1", "0.0.0.0")


# what is sent, and what comes back


def test_an_answer_has_its_status_its_headers_by_any_case_and_its_body(
    server: Server, http: Http
) -> None:
    server.answers = [answer(b'["\xc3\xa9"]', "404 Not Found", X_Pages="3")]
    found = http.send("GET", server.url, {})
    assert (found.status, found.headers["x-pages"]) == (404, "3")
    assert json.loads(found.body) == ["é"]


def test_every_request_says_who_asks(server: Server, http: Http) -> None:
    get(http, server.url, Accept="application/json")
    assert server.header("User-Agent") == AGENT
    assert server.header("Accept") == "application/json"


def test_a_compressed_answer_is_decompressed(server: Server, http: Http) -> None:
    server.answers = [answer(gzip.compress(b"[1, 2]"), Content_Encoding="gzip")]
    assert get(http, server.url) == b"[1, 2]"
    assert "gzip" in (server.header("Accept-Encoding") or "")


def test_an_answer_in_chunks_is_put_together(server: Server, http: Http) -> None:
    chunks = b"2\r\n[1\r\n2\r\n,2\r\n1\r\n]\r\n0\r\n\r\n"
    server.answers = [answer(chunks, Transfer_Encoding="chunked")]
    assert get(http, server.url) == b"[1,2]"


def test_a_connection_is_kept_for_the_next_request(server: Server, http: Http) -> None:
    get(http, server.url)
    get(http, server.url)
    assert server.connections == 1


def test_a_connection_that_was_closed_meanwhile_is_opened_again(server: Server, http: Http) -> None:
    server.hangs_up = True
    get(http, server.url)
    time.sleep(0.1)
    get(http, server.url)
    assert server.connections == 2


# what is never done


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_never_followed(server: Server, http: Http, status: str) -> None:
    server.answers = [answer(b"", status, Location=f"{server.url}/elsewhere"), answer()]
    with pytest.raises(ServerFault, match="redirected"):
        get(http, server.url)
    assert len(server.asked) == 1


def test_a_netrc_does_not_replace_the_authorization(
    server: Server, http: Http, tmp_path: Path
) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    get(http, server.url, Authorization="Bearer abc")
    assert server.header("Authorization") == "Bearer abc"
    get(http, server.url)
    assert server.header("Authorization") is None


@pytest.mark.parametrize("token", ["abc\r\nX-Other: 1", "abc\u20ac"])
def test_a_header_that_cannot_be_written_is_never_sent_nor_quoted(
    server: Server, http: Http, token: str
) -> None:
    with pytest.raises(Refused, match="header") as error:
        get(http, server.url, Authorization=f"Bearer {token}")
    assert server.asked == []
    assert "abc" not in "".join(traceback.format_exception(error.value))


def test_a_cookie_is_never_sent_back(server: Server, http: Http) -> None:
    server.answers = [answer(Set_Cookie="session=of-one-user; Path=/")]
    get(http, server.url)
    get(http, server.url)
    assert server.header("Cookie") is None


# proxies


@pytest.mark.parametrize(
    "proxy",
    [
        "http://user:hunter2@127.0.0.1:99999",
        "http://user:hunter2@",
        "socks9://user:hunter2@127.0.0.1:9",
    ],
)
def test_an_invalid_proxy_is_named_without_its_password(
    http: Http, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    with pytest.raises(UsageError, match="http_proxy is not a valid address") as error:
        get(http, "http://esi.example/")
    assert "hunter2" not in "".join(traceback.format_exception(error.value))


def test_a_proxy_of_the_environment_is_used(
    server: Server, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("http_proxy", server.url)
    get(http, "http://esi.example.test/status")
    assert server.asked[0].startswith("GET http://esi.example.test/status HTTP/1.1")


def test_no_proxy_is_honoured(server: Server, http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "0.0.0.0")
    get(http, proxied(server.url) + "/status")
    assert server.asked[0].startswith("GET /status HTTP/1.1")


class Socks(socketserver.StreamRequestHandler):
    """A SOCKS5 proxy for one connection (RFC 1928), to whatever address it is asked for."""

    server: "SocksProxy"

    def handle(self) -> None:
        self.server.connections += 1
        _, methods = self.rfile.read(2)
        self.rfile.read(methods)
        self.wfile.write(b"\x05\x00")
        *_, kind = self.rfile.read(4)
        assert kind == 1
        host, port = socket.inet_ntoa(self.rfile.read(4)), int.from_bytes(self.rfile.read(2))
        with socket.create_connection((host, port)) as onward:
            self.wfile.write(b"\x05\x00\x00\x01" + bytes(6))
            back = threading.Thread(target=self._pass_on, args=(onward,))
            back.start()
            with suppress(OSError):
                while data := self.connection.recv(4096):
                    onward.sendall(data)
            with suppress(OSError):
                onward.shutdown(socket.SHUT_RDWR)
            back.join()

    def _pass_on(self, onward: socket.socket) -> None:
        with suppress(OSError):
            while data := onward.recv(4096):
                self.connection.sendall(data)


class SocksProxy(socketserver.ThreadingTCPServer):
    daemon_threads = True
    connections = 0


@pytest.fixture
def socks(monkeypatch: pytest.MonkeyPatch) -> Iterator[SocksProxy]:
    """Send everything through a SOCKS proxy."""
    with SocksProxy(("127.0.0.1", 0), Socks) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{proxy.server_address[1]}")
        yield proxy
        proxy.shutdown()
        thread.join()


def assert_a_drip_is_given_up(
    url: str, server: Server, http: Http, patch: pytest.MonkeyPatch
) -> None:
    patch.setattr("killsync.http.bounded.DEADLINE", 0.5)
    server.answers, server.drips = [answer(X_Long="x" * 1000)], True
    with pytest.raises(Unavailable, match="no answer in time"):
        get(http, url)


def test_a_socks_proxy_is_used(server: Server, http: Http, socks: "SocksProxy") -> None:
    server.answers = [answer(b"[7]")]
    assert get(http, f"{proxied(server.url)}/status") == b"[7]"
    assert server.asked[0].startswith("GET /status HTTP/1.1")
    assert socks.connections == 1


@pytest.mark.usefixtures("socks")
def test_an_answer_that_drips_through_a_socks_proxy_is_given_up(
    server: Server, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_a_drip_is_given_up(proxied(server.url), server, http, monkeypatch)


# invalid answers


def test_an_answer_that_decompresses_to_too_much_is_refused(server: Server, http: Http) -> None:
    bomb = gzip.compress(b"\0" * (LARGEST_ANSWER + 1), compresslevel=1)
    server.answers = [answer(bomb, Content_Encoding="gzip")]
    with pytest.raises(TooLarge, match="larger than 8 MiB"):
        get(http, server.url)


def test_after_an_answer_that_was_refused_the_next_one_is_read(server: Server, http: Http) -> None:
    bomb = gzip.compress(b"\0" * (LARGEST_ANSWER + 1), compresslevel=1)
    server.answers = [answer(bomb, Content_Encoding="gzip"), answer(b"[7]")]
    with pytest.raises(TooLarge):
        get(http, server.url)
    assert get(http, server.url) == b"[7]"


CUT = {
    "length": answer(b"[1,", Content_Length="99"),
    "chunk": answer(b"9\r\n[1,", Transfer_Encoding="chunked"),
    "last chunk": answer(b"3\r\n[1,\r\n", Transfer_Encoding="chunked"),
    "gzip": answer(gzip.compress(b"[1, 2]")[:-9], Content_Encoding="gzip", Content_Length="99"),
}


@pytest.mark.parametrize("cut", CUT.values(), ids=CUT.keys())
def test_an_answer_cut_short_is_the_servers_fault(server: Server, http: Http, cut: bytes) -> None:
    server.answers, server.hangs_up = [cut], True
    with pytest.raises(ServerFault, match="cut short"):
        get(http, server.url)


LARGE_AND_CUT = answer(b" " * (LARGE + 1), Content_Length=str(2 * LARGE))


class LongTurn(OneLarge):
    """Something happens while a large answer waits for its turn."""

    def __init__(self, meanwhile: Callable[[], object]) -> None:
        super().__init__(threading.Event())
        self._meanwhile = meanwhile

    def take(self) -> None:
        self._meanwhile()
        super().take()


def test_a_deadline_that_passes_while_an_answer_waits_for_its_turn_is_no_silence(
    server: Server, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    late: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + sum(late))
    monkeypatch.setattr("killsync.http.bounded.time", clock)
    http.large = LongTurn(lambda: late.append(DEADLINE))
    server.answers = [LARGE_AND_CUT]
    with pytest.raises(ServerFault, match="a large answer was cut short"):
        get(http, server.url)


def test_a_server_that_hangs_up_while_an_answer_waits_for_its_turn_is_not_silent(
    http: Http,
) -> None:
    hang_up = threading.Event()

    def serve() -> None:
        conversation, _ = listening.accept()
        with conversation:
            conversation.recv(4096)
            conversation.sendall(LARGE_AND_CUT)
            hang_up.wait()
            at_once = struct.pack("ii", 1, 0)
            conversation.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)

    def let_it_hang_up() -> None:
        hang_up.set()
        thread.join()

    http.large = LongTurn(let_it_hang_up)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(ServerFault, match="a large answer was cut short"):
            get(http, f"http://127.0.0.1:{listening.getsockname()[1]}")


def test_an_answer_that_cannot_be_decompressed_is_the_servers_fault(
    server: Server, http: Http
) -> None:
    server.answers = [answer(b"no gzip at all", Content_Encoding="gzip")]
    with pytest.raises(ServerFault, match="decompressed"):
        get(http, server.url)


@pytest.mark.parametrize("sent", [b"", b"good morning\r\n\r\n", b"\0\0\0"])
def test_an_invalid_answer_means_unavailable(server: Server, http: Http, sent: bytes) -> None:
    server.answers, server.hangs_up = [sent], True
    with pytest.raises(Unavailable):
        get(http, server.url)


def test_an_answer_of_two_lengths_is_the_servers_fault_not_the_requests(
    server: Server, http: Http
) -> None:
    server.answers = [answer(b"[]", Content_Length="2, 3")]
    with pytest.raises(Unavailable):
        get(http, server.url)
    # urllib3 drops an answer that it refuses without closing it: collect it here, not anywhere
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()


def test_an_answer_whose_headers_drip_is_given_up(
    server: Server, http: Http, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert_a_drip_is_given_up(server.url, server, http, monkeypatch)


def test_a_closed_port_means_unavailable(http: Http) -> None:
    with Server() as gone:
        url = gone.url
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:\d+: cannot be reached"):
        get(http, url)


def test_a_server_without_tls_means_unavailable(http: Http) -> None:
    def refuse() -> None:
        conversation, _ = listening.accept()
        with conversation:
            conversation.recv(4096)
            conversation.sendall(answer(status="400 Bad Request"))

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=refuse)
        thread.start()
        with pytest.raises(Unavailable, match="certificate"):
            get(http, f"https://127.0.0.1:{listening.getsockname()[1]}")
        thread.join()


# every error of the lower libraries


def subclasses(kind: type[BaseException]) -> set[type[BaseException]]:
    return {kind}.union(*(subclasses(below) for below in kind.__subclasses__()))


def declared(module: ModuleType) -> set[type[BaseException]]:
    members = {m for m in vars(module).values() if isinstance(m, type)}
    return {m for m in members if issubclass(m, Exception) and m.__module__ == module.__name__}


LOWER = sorted(
    {
        kind
        for kind in declared(requests.exceptions)
        | declared(urllib3.exceptions)
        | subclasses(requests.exceptions.RequestException)
        | subclasses(urllib3.exceptions.HTTPError)
        | {OSError, ConnectionError, TimeoutError, BrokenPipeError, ConnectionResetError}
        if not issubclass(kind, Warning | requests.exceptions.InvalidHeader)
    },
    key=lambda kind: (kind.__module__, kind.__qualname__),
)


@pytest.mark.parametrize("kind", LOWER, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_no_error_of_the_lower_libraries_escapes(kind: type[BaseException]) -> None:
    # not all can be made without a pool, a request or a response
    error = kind.__new__(kind)
    with (
        pytest.raises(KillsyncError) as raised,
        translated_errors("https://esi.example.test/x?token=abc"),
    ):
        raise error
    assert isinstance(raised.value, Unavailable | ServerFault)
    assert raised.value.__cause__ is error
    assert str(raised.value).startswith("esi.example.test: ")
    assert "abc" not in str(raised.value)


def test_there_are_errors_to_be_turned() -> None:
    assert {requests.exceptions.ChunkedEncodingError, urllib3.exceptions.ProtocolError} < set(LOWER)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_running_out_of_files_is_recognised(number: int) -> None:
    error = requests.exceptions.ConnectionError()
    error.__cause__ = OSError(number, "Too many open files")
    with pytest.raises(OutOfFiles), translated_errors("https://esi.example.test"):
        raise error


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(KeyError), translated_errors("https://esi.example.test"):
        raise KeyError


# trying again


class Attempts:
    """A request that fails with these errors, one after the other, and then succeeds."""

    def __init__(self, *errors: Exception, then: Callable[[], object] = lambda: None) -> None:
        self.errors = list(errors)
        self.times: list[float] = []
        self.then = then

    def __call__(self) -> str:
        self.times.append(time.monotonic())
        self.then()
        if self.errors:
            raise self.errors.pop(0)
        return "answered"


@pytest.mark.parametrize("error", [Unavailable("503"), ServerFault("502", 502)], ids=repr)
def test_what_may_work_later_is_tried_again(http: Http, error: Exception) -> None:
    attempts = Attempts(error, error)
    assert http.patiently(attempts) == "answered"
    assert len(attempts.times) == 3


def test_after_three_attempts_the_last_error_is_raised(http: Http) -> None:
    attempts = Attempts(*(Unavailable(str(number)) for number in range(9)))
    with pytest.raises(Unavailable, match="2"):
        http.patiently(attempts)
    assert len(attempts.times) == ATTEMPTS == 3


@pytest.mark.parametrize(
    "error", [Refused("403", 403), RateLimited("429", 0.0), KeyError("bug")], ids=repr
)
def test_what_will_not_work_later_is_tried_once(http: Http, error: Exception) -> None:
    attempts = Attempts(error)
    with pytest.raises(type(error)):
        http.patiently(attempts)
    assert len(attempts.times) == 1


def test_retry_after_is_waited_for(http: Http) -> None:
    attempts = Attempts(Unavailable("503", retry_after=1.5))
    http.patiently(attempts)
    first, second = attempts.times
    assert second - first >= 1.5


def test_a_run_that_stops_tries_nothing_again() -> None:
    stopping = threading.Event()
    stopping.set()
    attempts = Attempts(Unavailable("503"))
    with pytest.raises(Unavailable):
        Http(AGENT, stopping).patiently(attempts)
    assert len(attempts.times) == 1


def test_a_run_that_stops_sends_nothing(server: Server) -> None:
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(NotSent):
        get(Http(AGENT, stopping), server.url)
    assert server.asked == []


def test_a_stop_ends_the_wait_for_the_next_attempt() -> None:
    stopping = threading.Event()
    timer = threading.Timer(0.2, stopping.set)
    attempts = Attempts(*[Unavailable("503", retry_after=3600)] * 9, then=timer.start)
    with pytest.raises(Unavailable):
        Http(AGENT, stopping).patiently(attempts)
    timer.join()
    assert len(attempts.times) == 1
