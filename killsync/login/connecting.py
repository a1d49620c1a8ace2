"""What speaks to SSO with the stored tokens, connected for one command."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from killsync.http import Http
from killsync.login.sso import Sso
from killsync.settings import application
from killsync.settings.config import Settings, client_secret, token_keys
from killsync.tokens.sealing import Keyring
from killsync.tokens.tokens import Tokens


@contextmanager
def connected(
    path: Path, settings: Settings, stopping: threading.Event
) -> Iterator[tuple[Http, Tokens, Sso]]:
    """Yield a sender, the tokens of the database at `path`, and SSO; all are closed at the end.

    Raises TokenKeyMissing before anything is sent if a stored token could not be opened, and
    UsageError if the settings do not say who asks.
    """
    secret = application.check_client_secret(client_secret(settings))
    with (
        closing(Http(application.user_agent(settings.contact), stopping)) as http,
        closing(Tokens(path, Keyring(partial(token_keys, settings)))) as tokens,
    ):
        tokens.require_keys()
        yield http, tokens, Sso(http, settings.sso_url, settings.client_id, secret, tokens)
