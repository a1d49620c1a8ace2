"""A server of the test's own that plays Discord: as a proxy it takes what is sent to discord.com.

The whole way is real: proxy, certificate, request. Nothing of Apprise's is changed.
"""

import json
import socket
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from certificates import certificate_for

HOST = "discord.com"
TOKEN = "Zm9vYmFyLXdlYmhvb2stdG9rZW4"
WEBHOOK = "417429632418316298"
URL = f"discord://{WEBHOOK}/{TOKEN}"
"""The channel's secret, of which nothing may be seen anywhere."""

_ANSWERS = {
    "204": "204 No Content\r\n",
    "404": "404 Not Found\r\nContent-Type: application/json\r\n",
    "429": "429 Too Many Requests\r\nRetry-After: 7\r\nX-RateLimit-Remaining: 0\r\n"
    "X-RateLimit-Reset: 4102444800\r\n",
    "500": "500 Internal Server Error\r\n",
    "504": "504 Gateway Timeout\r\n",
}
_LONG = 60.0


class Discord:
    """What it is to do next, and the messages that it has taken.

    `habits` are played one by one, the last one for ever: a status, `unread` (it takes nothing
    and says nothing), `silent` (it takes a message and says nothing), `reset` (it takes one and
    breaks off).
    """

    def __init__(self, listener: socket.socket, directory: Path) -> None:
        self.habits = ["204"]
        self.requests = 0
        self.messages: list[dict[str, Any]] = []
        self.command_lines: list[bytes] = []
        self.environment = {
            "HTTPS_PROXY": f"http://127.0.0.1:{listener.getsockname()[1]}",
            "REQUESTS_CA_BUNDLE": str(directory / "certificate.pem"),
            "NO_PROXY": "",
        }
        self._listener = listener
        self._directory = directory
        self._over = threading.Event()

    @property
    def contents(self) -> list[str]:
        """The texts of the messages."""
        return [message["content"] for message in self.messages]

    def serve(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def close(self) -> None:
        self._over.set()
        self._listener.close()

    def _serve(self, plain: socket.socket) -> None:
        with suppress(OSError), plain:
            plain.settimeout(_LONG)
            asked = _head(plain)
            assert asked.startswith(f"CONNECT {HOST}:443 ".encode()), asked
            plain.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(
                self._directory / "certificate.pem", self._directory / "key.pem"
            )
            with context.wrap_socket(plain, server_side=True) as connection:
                self._answer(connection)

    def _answer(self, connection: ssl.SSLSocket) -> None:
        self.requests += 1
        self.command_lines += list(_command_lines())
        habit = self.habits.pop(0) if len(self.habits) > 1 else self.habits[0]
        if habit == "unread":
            self._over.wait(_LONG)
            return
        head, _, body = _head(connection).partition(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        assert head.startswith(f"POST /api/webhooks/{WEBHOOK}/{TOKEN} ".encode()), head
        if habit in ("204", "silent", "reset"):
            self.messages.append(json.loads(body))
        if habit == "silent":
            self._over.wait(_LONG)
        elif habit == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            answer = f"HTTP/1.1 {_ANSWERS[habit]}Content-Length: 0\r\nConnection: close\r\n\r\n"
            connection.sendall(answer.encode())


@contextmanager
def discord() -> Iterator[Discord]:
    """Play Discord for whoever has its environment."""
    with TemporaryDirectory() as name, socket.create_server(("127.0.0.1", 0)) as listener:
        directory = Path(name)
        certificate, key = certificate_for(HOST)
        (directory / "certificate.pem").write_bytes(certificate)
        (directory / "key.pem").write_bytes(key)
        played = Discord(listener, directory)
        threading.Thread(target=played.serve, daemon=True).start()
        try:
            yield played
        finally:
            played.close()


def _command_lines() -> Iterator[bytes]:
    """Yield what a list of processes shows, as long as each is there."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield file.read_bytes()


def _head(connection: socket.socket) -> bytes:
    read = b""
    while b"\r\n\r\n" not in read:
        piece = connection.recv(65536)
        if not piece:
            raise OSError("broken off")
        read += piece
    return read
