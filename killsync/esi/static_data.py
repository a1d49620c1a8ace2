"""CCP's static data, which stand beside ESI: which build is the newest, and fetching it.

Source: developers.eveonline.com/docs/services/static-data, "Automation".
"""

from typing import BinaryIO
from urllib.parse import urlsplit

from killsync.errors import Refused, Unavailable
from killsync.gamedata import reading
from killsync.gamedata.form import Release
from killsync.http import Http

# 100 MB over a slow line
DEADLINE = 3600.0


def newest(http: Http, address: str) -> Release:
    """Return what CCP says of its newest export.

    Raises GameDataBroken if that is of an unknown form, Refused or Unavailable, and what `http`
    raises.
    """

    def attempt() -> bytes:
        answer = http.send("GET", f"{address}/latest.jsonl", {})
        _raise_for_status(address, answer.status)
        return answer.body

    return reading.newest_release(http.patiently(attempt))


def download(http: Http, address: str, build: int, into: BinaryIO) -> None:
    """Write the export of a build, as JSON lines, into a file.

    Raises Refused or Unavailable, what `http` raises, and OSError if it cannot be written.
    """

    def attempt() -> None:
        into.seek(0)
        into.truncate()
        url = f"{address}/eve-online-static-data-{build}-jsonl.zip"
        _raise_for_status(address, http.download(url, into, reading.LARGEST_FILE).status)

    http.patiently(attempt)
    into.flush()


def _raise_for_status(address: str, status: int) -> None:
    if status == 200:
        return
    text = f"{urlsplit(address).netloc} says {status}; CCP's export can also be given by --file"
    if status == 429 or status >= 500:
        raise Unavailable(text)
    raise Refused(text, status)
