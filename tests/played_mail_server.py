"""A mail server of the test's own."""

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

HOST = "localhost"
PASSWORD = "c2VjcmV0LW9mLXRoZS1tYWlsYm94"


class MailServer:
    """The mails it took; of `refused` addresses it takes none, and in a mood it breaks off."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.refused: set[str] = set()
        self.breaks_off = False
        self.port = 0
        self.kind = "mailto"

    def url(self, *to: str, password: str = PASSWORD) -> str:
        """The channel that sends by it, a secret."""
        recipients = ",".join(to)
        return (
            f"{self.kind}://ada:{password}@corp.example:{self.port}"
            f"?smtp={HOST}&from=killsync@corp.example&to={recipients}"
        )

    async def handle_RCPT(  # noqa: N802, what aiosmtpd calls
        self, server: Any, session: Any, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.refused:
            return f"550 5.1.1 {address}: no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802, what aiosmtpd calls
        self, server: Any, session: Any, envelope: Envelope
    ) -> str:
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append(message_from_bytes(content, policy=default))
        self.recipients += envelope.rcpt_tos
        if self.breaks_off:
            server.transport.abort()
        return "250 OK"


@contextmanager
def mail_server(tls: ssl.SSLContext | None = None) -> Iterator[MailServer]:
    """Serve mail on loopback, to whoever logs in; with `tls`, by STARTTLS."""

    def authenticate(
        server: Any, session: Any, envelope: Envelope, mechanism: str, given: Any
    ) -> AuthResult:
        assert isinstance(given, LoginPassword)
        return AuthResult(success=given.password == PASSWORD.encode(), handled=False)

    played = MailServer()
    played.kind = "mailtos" if tls else "mailto"
    with socket.create_server(("127.0.0.1", 0)) as free:
        played.port = free.getsockname()[1]
    controller = Controller(
        played,
        hostname="127.0.0.1",
        port=played.port,
        authenticator=authenticate,
        auth_required=True,
        auth_require_tls=tls is not None,
        require_starttls=tls is not None,
        tls_context=tls,
    )
    controller.start()
    try:
        yield played
    finally:
        controller.stop()
