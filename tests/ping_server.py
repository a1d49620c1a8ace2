"""A server on this machine that records pings, as healthchecks.io would."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

KEY = "6a5b9d1e-0f5c-4f3e-8a51-2b8f0c4a7d11"


class Ping(NamedTuple):
    """What was added to the address, and what was sent with it."""

    path: str
    body: str


class PingServer:
    """Takes pings until it is told to do otherwise."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/{KEY}"
        self.pings: list[Ping] = []
        self.status = 200
        self.answer = b"OK"
        self.hangs = False
        self.over = threading.Event()

    @property
    def paths(self) -> list[str]:
        """What was added to the address, ping by ping."""
        return [ping.path for ping in self.pings]


@contextmanager
def ping_server() -> Iterator[PingServer]:
    """Run a server for pings on a free port."""

    class Recorder(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            ours.pings.append(Ping(self.path.removeprefix(f"/{KEY}"), body))
            if ours.hangs:
                ours.over.wait()
                return
            self.send_response(ours.status)
            self.send_header("Content-Length", str(len(ours.answer)))
            self.end_headers()
            self.wfile.write(ours.answer)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        server.daemon_threads = True
        ours = PingServer(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield ours
        finally:
            ours.over.set()
            server.shutdown()
            thread.join()
