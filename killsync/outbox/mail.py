"""What becomes of the mails that another library sends with smtplib.

For a process of its own: every one is watched from then on.
"""

import smtplib
from collections.abc import Callable
from functools import wraps
from typing import Any

from killsync.delivery import Outcome
from killsync.http.watched import Watch, describe

_REFUSED: tuple[tuple[type[smtplib.SMTPException], str], ...] = (
    (smtplib.SMTPAuthenticationError, "the user and password"),
    (smtplib.SMTPSenderRefused, "the sender"),
    (smtplib.SMTPDataError, "the mail"),
    (smtplib.SMTPResponseException, "to serve"),
)


def watch_mails(watch: Watch) -> None:
    """Note each mail that this process sends from now on."""
    mail = smtplib.SMTP
    watched = {"__init__": _watched_step, "starttls": _watched_step, "login": _watched_step}
    watched |= {"data": _watched_text, "sendmail": _watched_mail}
    for name, wrap in watched.items():
        setattr(mail, name, wrap(getattr(mail, name), watch))


def describe_failure(error: Exception) -> str:
    """Return what went wrong, without a word of the server's, which may name addresses."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = sorted({str(code) for code, _ in error.recipients.values()})
        return f"the mail server refuses the recipient ({', '.join(codes)})"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return "the connection broke"
    for kind, what in _REFUSED:
        if isinstance(error, kind):
            return f"the mail server refuses {what} ({getattr(error, 'smtp_code', '')})"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return "the mail server does not offer what is asked for, such as TLS or a login"
    return describe(error)


def _watched_step(step: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    @wraps(step)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            with watch.attempting():
                return step(*arguments, **options)
        except Exception as error:
            watch.note(Outcome.REFUSED, describe_failure(error))
            raise

    return run


def _watched_text(step: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    @wraps(step)
    def run(*arguments: Any, **options: Any) -> Any:
        watch.leave()
        return step(*arguments, **options)

    return run


def _watched_mail(step: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    @wraps(step)
    def run(*arguments: Any, **options: Any) -> Any:
        try:
            with watch.attempting():
                refused = step(*arguments, **options)
        except Exception as error:
            answered = isinstance(error, smtplib.SMTPResponseException)
            is_unknown = watch.has_left and not answered
            watch.note(Outcome.UNKNOWN if is_unknown else Outcome.REFUSED, describe_failure(error))
            raise
        watch.note(Outcome.DELIVERED)
        if refused:
            watch.note(Outcome.REFUSED, describe_failure(smtplib.SMTPRecipientsRefused(refused)))
        return refused

    return run
