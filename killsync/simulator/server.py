"""The service on a loopback socket: one event loop in one thread, with keep-alive."""

import asyncio
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from itertools import count

import msgspec

from killsync.simulator.archives import date_of
from killsync.simulator.connection import Connection
from killsync.simulator.options import Options
from killsync.simulator.routes import EVEREF_PREFIX, ZKB_PREFIX
from killsync.simulator.service import Service

HOST = "127.0.0.1"
BACKLOG = 1024
FILLERS = 4


class Login(msgspec.Struct, frozen=True):
    """A character that exists at the start, and a refresh token for it."""

    character_id: int
    name: str
    refresh_token: str


class Founded(msgspec.Struct, frozen=True):
    """A corporation that exists at the start, and the ids of its directors."""

    corporation_id: int
    name: str
    directors: list[int]


class Ready(msgspec.Struct, frozen=True):
    """What a client needs to know about a simulator that has just started to listen.

    `everef_url` and `zkb_url` are where it serves what others serve: archives, zKillboard's lists;
    `old_days` are the first and last day of which there are old killmails, if there are any.
    """

    base_url: str
    everef_url: str
    zkb_url: str
    client_id: str
    logins: list[Login]
    corporations: list[Founded] = []
    old_days: list[date] = []


class Listener:
    """The port that clients connect to; it can vanish for a while, with all its connections."""

    def __init__(self, service: Service) -> None:
        self.connections: set[Connection] = set()
        self._service = service
        self._numbers = count(1)
        self._server: asyncio.Server
        self._absence: asyncio.Task[None] | None = None

    async def open(self, port: int) -> int:
        """Start to listen, on a port that the system chooses if `port` is 0; return the port."""
        await self._listen(_bind(port))
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Stop listening."""
        if self._absence:
            self._absence.cancel()
        self._server.close()

    def vanish(self, seconds: float, *, refusing: bool) -> None:
        """Reset every connection; for some seconds, refuse new ones or leave them unanswered."""
        port = self._server.sockets[0].getsockname()[1]
        self._server.close()
        # bound again at once, so that no other process takes the port
        sock = _bind(port)
        # before anybody can learn of it, who would then find a port that refuses
        fillers = [] if refusing else _fill_queue(sock)
        for connection in list(self.connections):
            connection.abort()
        self._absence = asyncio.get_running_loop().create_task(
            self._come_back(sock, seconds, fillers)
        )

    async def _listen(self, sock: socket.socket) -> None:
        self._server = await asyncio.get_running_loop().create_server(
            lambda: Connection(self._service, self, next(self._numbers)), sock=sock, backlog=BACKLOG
        )

    async def _come_back(
        self, sock: socket.socket, seconds: float, fillers: list[socket.socket]
    ) -> None:
        with ExitStack() as held:
            for filler in fillers:
                held.callback(filler.close)
            await asyncio.sleep(seconds)
        await self._listen(sock)


def _bind(port: int) -> socket.socket:
    """Bind a socket that does not listen, so that connections are refused."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((HOST, port))
    return sock


def _fill_queue(sock: socket.socket) -> list[socket.socket]:
    """Listen with a full queue, so that no handshake completes; return the sockets filling it."""
    sock.listen(0)
    fillers = [socket.socket() for _ in range(FILLERS)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(sock.getsockname())
    return fillers


def serve(options: Options, on_ready: Callable[[Ready], None]) -> None:
    """Serve until SIGINT or SIGTERM; call `on_ready` once. Main thread only.

    Raises OSError if the port cannot be listened on.
    """
    asyncio.run(_serve(options, on_ready))


async def _serve(options: Options, on_ready: Callable[[Ready], None]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    service = Service(options, time.time())
    listener = Listener(service)
    port = await listener.open(options.port)
    service.base_url = f"http://{HOST}:{port}"
    on_ready(_describe_ready(service))
    await stop.wait()
    # Not awaited: since Python 3.12, wait_closed() also waits for idle keep-alive connections.
    listener.close()


def _describe_ready(service: Service) -> Ready:
    logins = [
        Login(character.character_id, character.name, token)
        for character in service.world.characters.values()
        if (token := service.tokens.refresh_token(character.character_id))
    ]
    past = service.world.past
    corporations = [
        Founded(corporation.corporation_id, corporation.name, sorted(corporation.directors))
        for corporation in service.world.corporations.values()
    ]
    return Ready(
        service.base_url,
        service.base_url + EVEREF_PREFIX,
        service.base_url + ZKB_PREFIX,
        service.options.client_id,
        logins,
        corporations,
        [date_of(day) for day in (*past.days[:1], *past.days[-1:])],
    )
