"""Telling what waits: each channel in its own time, each row at most once, and soon over.

No lock is held: a row is claimed in a transaction of its own before it is sent, so that of two
processes one gets it, and what a killed one has left is found by its state. Each channel's
deliveries run in a thread, one at a time; all that is read, decided and written is here, in one.
"""

import threading
import time
from queue import Empty, SimpleQueue
from threading import Thread

import msgspec

from killsync.delivery import LONGEST_DELIVERY, Delivery, Outcome
from killsync.events import Report
from killsync.outbox import resting
from killsync.outbox.channels import deliver, most_at_once
from killsync.outbox.child import GRACE
from killsync.outbox.events import (
    Delivered,
    DeliveriesExpired,
    DeliveryFailed,
    DeliveryUncertain,
    UsersUnclear,
)
from killsync.outbox.notes import Note
from killsync.outbox.queue_troubles import queue_troubles
from killsync.outbox.reading import notes_of
from killsync.settings.channels import Channel
from killsync.settings.config import Settings
from killsync.store import channels, outbox, queueing, users
from killsync.store.channels import ChannelState
from killsync.store.connection import Store
from killsync.store.outbox import Entry, OutboxState
from killsync.times import iso, iso_or_none

MOST_SECONDS = 45.0
"""So long all channels together may take."""

_SHORTEST_DELIVERY = 5.0
# from so many on, those that wait go into as few messages as may be
_MANY = 10
_LOOK = 0.2
# a delivery that has to end is heard of so soon after its end
_SPARE = 1.0
_STATES = {
    Outcome.DELIVERED: OutboxState.TOLD,
    Outcome.REFUSED: OutboxState.WAITING,
    Outcome.UNKNOWN: OutboxState.UNCERTAIN,
}
_UNREADABLE = "it cannot be read"
_UNWANTED = "the killmail was deleted, or the channel does not ask for it any more"
_STOPPED = Delivery(Outcome.UNKNOWN, "it was stopped before there was an answer")


class _Batch(msgspec.Struct, frozen=True):
    """What is handed to a channel at once."""

    channel: Channel
    entries: list[Entry]
    notes: list[Note]

    @property
    def ids(self) -> list[int]:
        return [entry.id for entry in self.entries]

    @property
    def killmail_ids(self) -> list[int]:
        return [entry.killmail_id for entry in self.entries if entry.killmail_id is not None]


def tell(store: Store, settings: Settings, report: Report, stopping: threading.Event) -> None:
    """Tell what is due by every channel, for at most 45 seconds, or until it is stopped.

    What a channel does is reported, and never raised.
    """
    now = time.time()
    _find_lost(store, report, now)
    _give_up_strangers(store, settings, report, now)
    _warn_of_unclear(store, settings, report, now)
    queue_troubles(store, settings, now)
    _Round(store, settings, report, stopping).run()
    if outbox.any_to_prune(store.conn, now):
        with store.transaction() as conn:
            outbox.prune(conn, now)
            channels.forget_unused(conn, [channel.name for channel in settings.tell])


def _find_lost(store: Store, report: Report, now: float) -> None:
    """Report what a killed process was sending."""
    if not outbox.any_sending(store.conn):
        return
    with store.transaction() as conn:
        found = outbox.find_lost(conn, now)
    for lost in found:
        report(
            DeliveryUncertain(
                channel=lost.channel,
                reason=outbox.LOST,
                killmail_ids=lost.killmail_ids,
                troubles=lost.troubles,
            )
        )


def _give_up_strangers(store: Store, settings: Settings, report: Report, now: float) -> None:
    """Give up what has waited for a day for channels that are not configured any more."""
    known, before = [channel.name for channel in settings.tell], resting.given_up_before(now)
    for name in outbox.waiting_channels(store.conn):
        if name in known:
            _bring_forward(store, name, now)
        elif outbox.any_due(store.conn, name, before):
            reason = "the channel is not in the configuration any more"
            with store.transaction() as conn:
                number = outbox.expire(conn, name, before, now, reason)
            report(DeliveriesExpired(channel=name, number=number))


def _bring_forward(store: Store, name: str, now: float) -> None:
    if outbox.any_out_of_reach(store.conn, name, now):
        with store.transaction() as conn:
            outbox.bring_forward(conn, name, now)


def _warn_of_unclear(store: Store, settings: Settings, report: Report, now: float) -> None:
    """Report whom channels name and nobody is, or several are; a quiet run says it once a day."""
    if not users.any_user(store.conn):
        return
    for channel in settings.tell:
        words = queueing.unclear_users(store.conn, channel)
        if not words:
            continue
        with store.transaction() as conn:
            if news := channels.is_unclear_news(conn, channel.name, now):
                channels.note_unclear(conn, channel.name, now)
        report(UsersUnclear(first=news, channel=channel.name, words=words))


class _Round:
    """One call of `tell`: what is in flight, and until when it may last."""

    def __init__(
        self, store: Store, settings: Settings, report: Report, stopping: threading.Event
    ) -> None:
        self._store = store
        self._channels = settings.tell
        self._patience = settings.alert_after
        self._report = report
        self._stopping = stopping
        self._ends_at = time.monotonic() + MOST_SECONDS
        self._is_stopped = False
        self._returned: SimpleQueue[tuple[_Batch, Delivery]] = SimpleQueue()
        self._in_flight: dict[str, _Batch] = {}
        self._at_once: dict[str, int] = {}

    def run(self) -> None:
        """Send until nothing is due, or the time is over."""
        for channel in self._channels:
            self._send_next(channel)
        while self._in_flight and (left := self._left()) > 0:
            try:
                batch, delivery = self._returned.get(timeout=min(_LOOK, left))
            except Empty:
                continue
            self._settle(batch, delivery)
            if delivery.outcome is Outcome.DELIVERED:
                self._send_next(batch.channel)
        for batch in list(self._in_flight.values()):
            self._settle(batch, _STOPPED)

    def _left(self) -> float:
        """Return for how many seconds it may last."""
        now = time.monotonic()
        if self._stopping.is_set() and not self._is_stopped:
            self._is_stopped, self._ends_at = True, min(self._ends_at, now + GRACE + _SPARE)
        return self._ends_at - now

    def _may_send(self) -> bool:
        return self._left() >= _SHORTEST_DELIVERY and not self._stopping.is_set()

    def _send_next(self, channel: Channel) -> None:
        if not self._may_send():
            return
        now = time.time()
        state = channels.get(self._store.conn, channel.name)
        if resting.is_resting(state, now):
            self._note_rest(channel, state, now)
            return
        batch = self._claim(channel, now)
        if batch is not None:
            self._in_flight[channel.name] = batch
            timeout = min(LONGEST_DELIVERY, self._left() - _SPARE)
            Thread(target=self._deliver, args=(batch, timeout), daemon=True).start()

    def _claim(self, channel: Channel, now: float) -> _Batch | None:
        """Return what is to be sent next: a trouble, else killmails; None if nothing is due."""
        name, conn = channel.name, self._store.conn
        for killmails in (False, True):
            while self._may_send() and (number := outbox.due(conn, name, now, killmails=killmails)):
                limit = self._limit(channel, number) if killmails else 1
                with self._store.transaction():
                    entries = outbox.claim(conn, name, now, limit, killmails=killmails)
                found = notes_of(conn, channel, entries)
                there = [entry for entry, _ in found]
                self._give_up([entry for entry in entries if entry not in there], now)
                if found:
                    return _Batch(channel, there, [note for _, note in found])
        return None

    def _limit(self, channel: Channel, number: int) -> int:
        """Return how many killmails go out at once: one, unless many wait or a command takes them.

        That is decided by how many wait at first, so that the last of many do not come one by one.
        """
        most = most_at_once(channel)
        alone = number < _MANY and not channel.command
        return self._at_once.setdefault(channel.name, 1 if alone else most)

    def _give_up(self, entries: list[Entry], now: float) -> None:
        """Give up what there is nothing to tell of."""
        if not entries:
            return
        with self._store.transaction() as conn:
            for reason, is_trouble in ((_UNREADABLE, True), (_UNWANTED, False)):
                ids = [one.id for one in entries if (one.trouble is not None) is is_trouble]
                outbox.settle(conn, ids, OutboxState.EXPIRED, now, reason)

    def _deliver(self, batch: _Batch, timeout: float) -> None:
        try:
            delivery = deliver(batch.channel, batch.notes, timeout=timeout, stopping=self._stopping)
        except Exception as error:
            # its words may hold a secret
            delivery = Delivery(Outcome.UNKNOWN, f"it failed by a {type(error).__name__}")
        self._returned.put((batch, delivery))

    def _settle(self, batch: _Batch, delivery: Delivery) -> None:
        """Record what became of a batch, and how its channel fares.

        A channel that was cut short by a signal has not failed.
        """
        name, now = batch.channel.name, time.time()
        del self._in_flight[name]
        cut_short = self._stopping.is_set()
        if cut_short and delivery.outcome is Outcome.UNKNOWN:
            delivery = _STOPPED
        ended, reason = _STATES[delivery.outcome], delivery.reason or "no reason was given"
        with self._store.transaction() as conn:
            outbox.settle(conn, batch.ids, ended, now, delivery.reason)
            state = channels.get(conn, name)
            if delivery.outcome is Outcome.DELIVERED:
                state = resting.after_success(state, now)
            elif not cut_short:
                state = resting.after_failure(state, reason, delivery.retry_after, now)
            channels.save(conn, state)
        if delivery.outcome is Outcome.DELIVERED:
            killmails = len(batch.killmail_ids)
            self._report(Delivered(name, killmails, len(batch.entries) - killmails))
            return
        if delivery.outcome is Outcome.UNKNOWN:
            self._report_unknown(batch, reason)
        if not cut_short:
            self._note_rest(batch.channel, state, now, failed=True)

    def _report_unknown(self, batch: _Batch, reason: str) -> None:
        killmails = batch.killmail_ids
        self._report(
            DeliveryUncertain(
                channel=batch.channel.name,
                reason=reason,
                killmail_ids=killmails,
                troubles=len(batch.entries) - len(killmails),
            )
        )

    def _note_rest(
        self, channel: Channel, state: ChannelState, now: float, *, failed: bool = False
    ) -> None:
        """Report a channel that rests, and give up what has waited for it for a day."""
        expired, news = 0, resting.is_news(state, self._patience, now)
        reason, before = state.error or "", resting.given_up_before(now)
        if resting.gives_up(state, now) and outbox.any_due(self._store.conn, channel.name, before):
            with self._store.transaction() as conn:
                # another process may have told by it since
                if resting.gives_up(channels.get(conn, channel.name), now):
                    expired = outbox.expire(conn, channel.name, before, now, reason)
        if news:
            with self._store.transaction() as conn:
                news = channels.note_warned(conn, state, now)
        if failed or expired or news:
            self._report(
                DeliveryFailed(
                    first=news,
                    channel=channel.name,
                    reason=reason,
                    until=iso_or_none(state.not_before) or iso(now),
                    waiting=channels.counts(self._store.conn, channel.name, 0).waiting,
                    expired=expired,
                )
            )
