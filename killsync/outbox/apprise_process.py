"""The process that sends one message by Apprise, and says what became of it.

Apprise itself says only yes or no, and at times too much: it writes addresses into its log. What
its requests and mails have met is therefore watched, and nothing of its own words gets out.
"""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from killsync.delivery import Delivery, Outcome
from killsync.http.environment import find_certificates
from killsync.http.watched import Watch, watch_requests
from killsync.outbox.by_url import SENDING, Order
from killsync.outbox.mail import watch_mails
from killsync.outbox.markup import HTML, MARKDOWN, PLAIN, Markup
from killsync.outbox.messages import Mood, compose

_HOME = "https://appriseit.com/services/"
_UNUSABLE = f"its url is not one that Apprise knows: compare it with {_HOME}"
_LACKS = "Apprise needs another library for this service: see " + _HOME
_NOT_TAKEN = "Apprise does not send it"
_IN_PART = "a part of it was accepted, but then: "
_TOOK_OFFENCE = "it was accepted, but not as Apprise expects it"
_LOST_SIGHT = "Apprise says that it failed, and not how far it came"
# what the length of a message is counted in differs a little
_SPARE = 100
_KINDS = {
    Mood.GOOD: "success",
    Mood.NEUTRAL: "info",
    Mood.BAD: "failure",
    Mood.WARNING: "warning",
}


def main() -> None:
    """Send what standard input orders; the last line of standard output says what became of it."""
    answer = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    logging.disable(logging.CRITICAL)
    with open(0, "rb") as given:
        order = msgspec.json.decode(given.read(), type=Order)
    _trust_the_same()
    watch = Watch(order.ends_at, lambda: _say(answer, SENDING))
    watch_requests(watch)
    watch_mails(watch)
    _say(answer, msgspec.json.encode(_send(order, watch)))


def judge(attempts: Sequence[Delivery], *, says_yes: bool, elsewhere: bool) -> Delivery:
    """Return what became of a message that was handed over like that.

    `elsewhere`: something was connected to in a way that is not watched.
    """
    if says_yes:
        return Delivery(Outcome.DELIVERED)
    of = {each: [a for a in attempts if a.outcome is each] for each in Outcome}
    if of[Outcome.UNKNOWN]:
        return Delivery(Outcome.UNKNOWN, of[Outcome.UNKNOWN][-1].reason)
    if of[Outcome.DELIVERED]:
        last = of[Outcome.REFUSED][-1:]
        reason = f"{_IN_PART}{last[0].reason}" if last else _TOOK_OFFENCE
        return Delivery(Outcome.UNKNOWN, reason)
    if of[Outcome.REFUSED]:
        after = [a.retry_after for a in attempts if a.retry_after is not None]
        return Delivery(Outcome.REFUSED, of[Outcome.REFUSED][-1].reason, max(after, default=None))
    if elsewhere:
        return Delivery(Outcome.UNKNOWN, _LOST_SIGHT)
    return Delivery(Outcome.REFUSED, _NOT_TAKEN)


def _trust_the_same() -> None:
    """Let mails, too, trust the certificates that the environment names for requests."""
    found = find_certificates(os.environ)
    if found is not None:
        is_directory = Path(found.path).is_dir()
        os.environ["SSL_CERT_DIR" if is_directory else "SSL_CERT_FILE"] = found.path


def _send(order: Order, watch: Watch) -> Delivery:
    import apprise

    asset = apprise.AppriseAsset(
        app_id="killsync",
        app_desc="killsync",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        async_mode=False,
        http_redirects=False,
        service_timeout=0,
        storage_mode="memory",
    )
    service = apprise.Apprise.instantiate(order.url, asset=asset)
    if service is None:
        return Delivery(Outcome.REFUSED, _UNUSABLE)
    if not service.enabled:
        return Delivery(Outcome.REFUSED, _LACKS)
    service.retry = 0
    # it would sleep until the other side wants to hear from it again
    service.throttle = _not_waiting  # type: ignore[method-assign]
    service.optional = False
    service.overflow_mode = apprise.OverflowMode.SPLIT
    service.socket_connect_timeout = service.socket_read_timeout = watch.seconds_left
    markup = _markup(service)
    has_title = service.title_maxlen > 0 and not service.overflow_amalgamate_title
    message = compose(order.notes, markup, service.body_maxlen - _SPARE)
    sender = apprise.Apprise(asset=asset)
    sender.add(service)
    says_yes = sender.notify(
        body=message.body,
        title=message.title if has_title else "",
        notify_type=_KINDS[message.mood],
        body_format=markup.name,
    )
    return judge(watch.attempts, says_yes=bool(says_yes), elsewhere=watch.went_elsewhere)


def _not_waiting(*_: Any, **__: Any) -> None:
    pass


def _markup(service: Any) -> Markup:
    """Return the markup that a service reads by default, or that its URL asks for."""
    own = service.resolve_format(None).value
    reads = {m.name for m in (HTML, MARKDOWN) if service.resolve_format(m.name) == m.name}
    # chats that take plain text read it as Markdown, if they have that
    if own == PLAIN.name and reads == {MARKDOWN.name}:
        return MARKDOWN
    return next(m for m in (HTML, MARKDOWN, PLAIN) if m.name == own)


def _say(answer: int, words: bytes) -> None:
    os.write(answer, words + b"\n")
