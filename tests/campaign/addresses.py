"""Addresses that cannot be reached."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

HOST = "127.0.0.1"


@contextmanager
def refusing() -> Iterator[str]:
    """Yield a URL whose port is bound, but refuses connections."""
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        yield f"http://{HOST}:{sock.getsockname()[1]}"


@contextmanager
def silent() -> Iterator[str]:
    """Yield a URL where no handshake ever completes, since the listener's queue is full."""
    with ExitStack() as stack:
        sock = stack.enter_context(socket.socket())
        sock.bind((HOST, 0))
        sock.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        yield f"http://{HOST}:{sock.getsockname()[1]}"
