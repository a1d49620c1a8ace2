"""How killsync identifies itself: the EVE application, and a way to reach its operator.

ESI asks every client for a User-Agent that names a way to reach its operator.
"""

from urllib.parse import urlsplit

from killsync import __version__
from killsync.errors import UsageError
from killsync.settings.config import Settings
from killsync.settings.values import is_loopback


def require(settings: Settings) -> None:
    """Raise UsageError unless ESI and SSO may be called with these settings."""
    require_contact(settings)
    if not settings.client_id:
        raise UsageError(
            "client_id is not set: run `killsync init`, which explains how to create an "
            "application at https://developers.eveonline.com, or set KILLSYNC_CLIENT_ID"
        )


def require_contact(settings: Settings) -> None:
    """Raise UsageError if the real ESI would be called without a way to reach the operator."""
    if needs_contact(settings) and not settings.contact:
        raise UsageError(
            "contact is not set: ESI asks for a way to reach you; run `killsync init`, or "
            "set KILLSYNC_CONTACT=you@example.com or contact in the configuration file"
        )
    user_agent(settings.contact)


def require_contact_for(url: str, contact: str) -> None:
    """Raise UsageError if somebody else's server would be asked without a way to reach us."""
    if not contact and not is_loopback(url):
        raise UsageError(
            f"contact is not set: {urlsplit(url).hostname} asks for a way to reach you; run "
            "`killsync init`, or set KILLSYNC_CONTACT=you@example.com"
        )


def needs_contact(settings: Settings) -> bool:
    """Return whether a contact must be set: for everything but a simulator."""
    return not is_loopback(settings.esi_url)


def user_agent(contact: str) -> str:
    """Return how killsync introduces itself.

    Raises UsageError if `contact` cannot be part of a header.
    """
    if not contact:
        return f"killsync/{__version__}"
    return f"killsync/{__version__} ({_plain('contact', contact)})"


def check_contact(text: str) -> str:
    """Return a contact as it was typed. Raises UsageError if it is empty or not plain ASCII."""
    if not text.strip():
        raise UsageError("contact is empty: give something such as you@example.com")
    return _plain("contact", text)


def check_client_id(text: str) -> str:
    """Return a client id as it was typed. Raises UsageError if it cannot be one."""
    if not text:
        raise UsageError("client_id is empty: the page of your application shows it")
    return _one_word("client_id", text)


def check_client_secret(text: str) -> str:
    """Return a client secret as it was typed; it may be empty. Raises UsageError if invalid."""
    return text and _one_word("client_secret", text)


def _plain(key: str, text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise UsageError(f"{key} is {text!r}: it must be plain ASCII, such as you@example.com")
    return text


def _one_word(key: str, text: str) -> str:
    if not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError(f"{key} must be one word of plain ASCII, as the application's page has it")
    return text
