"""One client's connection: requests in, answers out, and faults in their delivery."""

import asyncio
import socket
import struct
import time
from typing import Protocol

from killsync.simulator.faults import Fault
from killsync.simulator.service import Outcome, Service
from killsync.simulator.wire import (
    MalformedRequestError,
    Request,
    encode_head,
    error,
    http_date,
    read_request,
)

CHUNK = b" " * 65536

_LINGER_ZERO = struct.pack("ii", 1, 0)


class Address(Protocol):
    """The part of a listener that a connection needs."""

    connections: set["Connection"]

    def vanish(self, seconds: float, *, refusing: bool) -> None:
        """Make the whole address unavailable for some seconds."""


class Connection(asyncio.Protocol):
    """One client's connection; it answers one request at a time, in order."""

    def __init__(self, service: Service, address: Address, number: int) -> None:
        self._service = service
        self._address = address
        self._number = number
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._buffer = bytearray()
        self._peer = ""
        self._outcome: Outcome | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._keep_alive = True
        self._writable = asyncio.Event()
        self._stream: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register the client; disable Nagle's algorithm, so that answers are sent at once."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._peer = transport.get_extra_info("peername")[0]
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._writable.set()
        self._address.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop whatever was still to be sent."""
        self._address.connections.discard(self)
        if self._timer:
            self._timer.cancel()
        if self._stream:
            self._stream.cancel()
        self._finish()

    def pause_writing(self) -> None:
        """Pause streaming while the client is slow to read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Resume streaming."""
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        """Buffer a request, which may arrive in any number of packets."""
        self._buffer += data
        if self._outcome is None:
            self._read_next()

    def _read_next(self) -> None:
        try:
            request = read_request(self._buffer) if self._buffer else None
        except MalformedRequestError as problem:
            answer = error(problem.status, str(problem))
            head = encode_head(answer, http_date(time.time()), keep_alive=False)
            self._buffer.clear()
            self._transport.write(head + answer.body)
            self._transport.close()
            return
        if request:
            self._respond(request)

    def _respond(self, request: Request) -> None:
        request.peer = self._peer
        self._keep_alive = request.keep_alive
        self._outcome = self._service.respond(request, self._number, time.time())
        if self._outcome.latency > 0:
            self._timer = self._loop.call_later(self._outcome.latency, self._deliver)
        else:
            self._deliver()

    def _deliver(self) -> None:
        outcome = self._outcome
        assert outcome is not None
        fault = outcome.fault
        if fault and fault.withholds_answer:
            self._withhold_answer(fault)
        elif fault and fault.streams:
            self._stream = self._loop.create_task(self._send_slowly(outcome, fault))
        elif fault and fault.cut:
            half = outcome.answer.body[: len(outcome.answer.body) // 2]
            self._transport.write(self._encode_head(outcome) + half)
            self._transport.close()
        else:
            self._transport.write(self._encode_head(outcome) + outcome.answer.body)
            self._end_answer()

    def _encode_head(self, outcome: Outcome, length: int | None = None) -> bytes:
        date = http_date(time.time())
        return encode_head(outcome.answer, date, self._keep_alive, length)

    def abort(self) -> None:
        """Reset the connection: closing with zero linger time sends RST instead of FIN."""
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self._transport.abort()

    def _withhold_answer(self, fault: Fault) -> None:
        if fault.refuse is not None:
            self._address.vanish(fault.refuse, refusing=True)
        elif fault.unreachable is not None:
            self._address.vanish(fault.unreachable, refusing=False)
        elif fault.hang is not None:
            self._timer = self._loop.call_later(fault.hang, self._transport.close)
        elif fault.reset:
            self.abort()
        else:
            self._transport.close()

    async def _send_slowly(self, outcome: Outcome, fault: Fault) -> None:
        await self._write(self._encode_head(outcome, fault.huge), fault.drip_head)
        if fault.huge is not None:
            await self._send_spaces(fault.huge, outcome)
        else:
            await self._write(outcome.answer.body, fault.drip)
        self._stream = None
        self._end_answer()

    async def _write(self, content: bytes, drip: float | None) -> None:
        if drip is None:
            self._transport.write(content)
            return
        for byte in content:
            await asyncio.sleep(drip)
            self._transport.write(bytes((byte,)))

    async def _send_spaces(self, length: int, outcome: Outcome) -> None:
        for start in range(0, length, len(CHUNK)):
            await self._writable.wait()
            chunk = CHUNK[: length - start]
            self._transport.write(chunk)
            if outcome.entry:
                outcome.entry.sent += len(chunk)
            # yield, so that other clients are served however fast this one reads
            await asyncio.sleep(0)

    def _end_answer(self) -> None:
        self._finish()
        if not self._keep_alive:
            self._transport.close()
        elif self._buffer:
            self._loop.call_soon(self._read_next_if_idle)

    def _read_next_if_idle(self) -> None:
        if self._outcome is None and not self._transport.is_closing():
            self._read_next()

    def _finish(self) -> None:
        if self._outcome:
            self._service.finish(self._outcome, time.time())
            self._outcome = None
        self._timer = None
