"""The text of a configuration file: what is given, and every other setting with its default."""

import json
from collections.abc import Mapping
from typing import Any

from killsync.errors import UsageError
from killsync.settings.channels import Channel
from killsync.settings.config import Settings
from killsync.settings.values import Duration
from killsync.times import duration_text

_HEAD = """\
# The settings of killsync. A line that starts with # and a key has no effect: it shows the default.
# A flag overrides the environment (KILLSYNC_ and the key in capitals), which overrides this file.
# Durations are written 90s, 15m, 9h or 7d. `killsync doctor` says what is wrong here.
"""
# one line for each setting, in the order of the file
DESCRIPTIONS = {
    "client_id": "The client id of your EVE application, from https://developers.eveonline.com",
    "client_secret": "The application's secret; without one PKCE is used, and none is needed",
    "client_secret_file": "A file that holds the secret and nothing else, instead of it",
    "callback_url": "The callback URL, exactly as it is registered with the application",
    "contact": "How ESI's operators can reach you; it is sent with every request",
    "db": "The database; its token file and its lock file stand beside it",
    "token_key": "The key that the stored tokens are encrypted with",
    "token_key_file": "A file that holds the key and nothing else, instead of it",
    "min_age": "A user is due this long after the last sync",
    "max_pages": "The most pages that one job lists in one run",
    "page_delay": "The pause between two pages of one list",
    "full_every": "The whole list is read again after this long, to find what appeared late",
    "max_runtime": "A scan ends in good order after this long",
    "alert_after": "A quiet scan stays silent about a shorter outage",
    "workers": "Users that are synced at a time",
    "connections": "Killmails that are asked for at a time",
    "reserve": "The share of each rate limit that is kept for manual syncs",
    "names": "Whether scans ask for the names of players, corporations and alliances",
    "prices": "Whether scans keep a day's market prices, with which killmails are valued",
    "time_zone": "How times are shown at a terminal: eve (UTC) or local",
    "images": "Whether `browse` shows pictures of EVE's image server, which sees what is looked at",
    "ping_url": "Called when a scan starts and ends, such as https://hc-ping.com/your-uuid",
    "prometheus_file": "Written after each run for node_exporter, such as /srv/prom/killsync.prom",
    "esi_url": "ESI's address",
    "sso_url": "The address of EVE's single sign-on",
    "everef_url": "Where `import everef --days` finds EVE Ref's daily archives",
    "zkb_url": "Where `import zkb` finds zKillboard's lists",
}
# a table must stand below all single keys
_TELL = """\
# Where to tell of new killmails and of trouble: any number of such tables, each with a url of
# Apprise's or a command of your own. `killsync tell` shows what was told and what waits
"""
_EXAMPLE = """\
#   [[tell]]
#   name = "corporation"
#   url = "discord://WEBHOOK_ID/WEBHOOK_TOKEN"
#   what = ["kills", "losses", "trouble"]
"""


def config_text(given: Mapping[str, Any], defaults: Settings) -> str:
    """Return TOML that sets what is `given`, and shows `defaults` for the rest, commented out.

    Raises UsageError if a text cannot be written as UTF-8.
    """
    parts = [_HEAD]
    for key, words in DESCRIPTIONS.items():
        value = given.get(key, getattr(defaults, key))
        parts.append(f"# {words}\n{'' if key in given else '#'}{key} = {toml(key, value)}\n")
    tables = [_table(channel) for channel in given.get("tell", ())]
    return "\n".join([*parts, _TELL + ("\n".join(tables) or _EXAMPLE)])


def _table(channel: Channel) -> str:
    unset = Channel(channel.name)
    values = {key: getattr(channel, key) for key in Channel.__struct_fields__}
    lines = [
        f"{key} = {toml(key, value)}\n"
        for key, value in values.items()
        if key == "name" or value != getattr(unset, key)
    ]
    return f"[[tell]]\n{''.join(lines)}"


def is_text(value: str) -> bool:
    """Return whether a text can stand in the file: a path's bytes need not be UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def toml(key: str, value: object) -> str:
    """Return a key's value as TOML. Raises UsageError if it cannot be written as UTF-8."""
    if isinstance(value, str) and not is_text(value):
        raise UsageError(f"{key} is {value!r}: it cannot be written into the file")
    if isinstance(value, Duration):
        return f'"{duration_text(value)}"'
    if isinstance(value, tuple):
        return f"[{', '.join(toml(key, one) for one in value)}]"
    if isinstance(value, str):
        # JSON escapes what TOML does, but for one character
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)
