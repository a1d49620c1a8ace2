"""Serving the killboard on the loopback interface until it is told to end."""

import errno
import socket
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import uvicorn

from killsync.browse.killboard import Killboard
from killsync.errors import UsageError

_LOOPBACK = "127.0.0.1"
# what is still sent when Ctrl-C is pressed may come to its end
_GRACE_S = 2


def serve(database: Path, *, port: int, images: bool, ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called with the address once it answers.

    Port 0 takes a free one. Raises UsageError if the port cannot be listened on. The signal comes
    again, to whoever handled it before, after everything has ended.
    """
    with closing(_listen(port)) as listener:
        address = f"http://{_LOOPBACK}:{listener.getsockname()[1]}/"
        killboard = Killboard(database, images=images)
        config = uvicorn.Config(
            killboard.app(),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
            ws="none",
            lifespan="off",
        )
        _Server(config, lambda: ready(address), killboard.interrupt).run(sockets=[listener])


class _Server(uvicorn.Server):
    def __init__(
        self, config: uvicorn.Config, ready: Callable[[], None], interrupt: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ready = ready
        self._interrupt = interrupt

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # a thread that reads would be waited for
        self._interrupt()
        await super().shutdown(sockets)


def _listen(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        # the port of a killboard that has just ended
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_LOOPBACK, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise UsageError(_why_not(error, port)) from error
    return listener


def _why_not(error: OSError, port: int) -> str:
    other = "choose another with --port, or let --port 0 take a free one"
    if error.errno == errno.EADDRINUSE:
        return f"port {port} is in use, perhaps by another `killsync browse`: {other}"
    return f"port {port} cannot be listened on ({error.strerror}): {other}"
