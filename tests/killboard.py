"""A database to browse, and `killsync browse` on it."""

import html
import http.client
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import commands
from commands import TIMEOUT
from new_store import new_store
from quiet_datasette import import_datasette

from killsync.killmail.body import decode
from killsync.store import connection, game_data, storing, users
from killsync.store.killmails import FetchedKillmail
from killsync.times import iso

if TYPE_CHECKING:
    from killsync.browse.killboard import Killboard as Datasette


HAKON, YLVA = 2_112_005_234, 2_112_005_299
FIRST_ID = 120_000_000
NOVEMBER = 1_793_491_200.0  # 2026-11-01T00:00:00Z
HOUR = 3600
PER_PAGE = 100
KILLMAILS = 230

STRANGER, CORPORATION = 95_000_001, 98_000_001
RIFTER, VEXOR, CAPSULE = 587, 626, 670
JITA, TAMA = 30_000_142, 30_002_813
AUTOCANNON, EMP, DAMAGE_CONTROL, DRONE = 484, 185, 2048, 2454
SCRIPT = "<script>document.title='taken over'</script>"
IMAGE = "\"'><img src=x onerror=\"document.title='taken over'\">"
TURNED = "\u202egnp.exe"
NAMES = {
    HAKON: ("character", "Hakon"),
    YLVA: ("character", "Ylva"),
    STRANGER: ("character", SCRIPT),
    STRANGER + 1: ("character", IMAGE),
    STRANGER + 2: ("character", TURNED),
    STRANGER + 3: ("character", "n" * 10_000),
    CORPORATION: ("corporation", "Wolf Brothers INC"),
}


def body(number: int) -> dict[str, Any]:
    """Return the body of a killmail: each third is a loss, each fifth is Ylva's."""
    ours: dict[str, Any] = {
        "character_id": YLVA if number % 5 == 0 else HAKON,
        "corporation_id": CORPORATION + 1,
    }
    theirs = {"character_id": STRANGER + number % 4, "corporation_id": CORPORATION}
    is_loss = number % 3 == 0
    attacker = {
        "damage_done": 400,
        "final_blow": True,
        "security_status": 0.1,
        "ship_type_id": VEXOR,
        "weapon_type_id": AUTOCANNON,
    }
    helper = attacker | {"damage_done": 100, "final_blow": False, "character_id": STRANGER + 9}
    return {
        "killmail_id": FIRST_ID + number,
        "killmail_time": iso(NOVEMBER + number * HOUR),
        "solar_system_id": TAMA if number % 2 else JITA,
        "attackers": [attacker | (theirs if is_loss else ours), helper],
        "victim": {
            **(ours if is_loss else theirs),
            "damage_taken": 500,
            "ship_type_id": CAPSULE if number % 7 == 0 else RIFTER,
            "items": [
                _item(AUTOCANNON, 27, dropped=1),
                _item(EMP, 27, destroyed=60),
                _item(DAMAGE_CONTROL, 11, destroyed=1),
                _item(DRONE, 87, dropped=2),
            ],
        },
    }


def _item(type_id: int, flag: int, **quantities: int) -> dict[str, int]:
    item = {"item_type_id": type_id, "flag": flag, "singleton": 0}
    return item | {f"quantity_{fate}": number for fate, number in quantities.items()}


def make_database(path: Path) -> None:
    """Make a database of two users with killmails, names and values."""
    with closing(new_store(path)) as store:
        game_data.load_if_outdated(store)
        with store.transaction() as conn:
            users.add(conn, HAKON, "Hakon", NOVEMBER)
            users.add(conn, YLVA, "Ylva", NOVEMBER)
            conn.executemany(
                "INSERT OR REPLACE INTO names VALUES (?, ?, ?, '2026-11-01T00:00:00Z')",
                [(id_, *name) for id_, name in NAMES.items()],
            )
            conn.execute("UPDATE systems SET name = ? WHERE system_id = ?", ["<b>Jita", JITA])
        store_killmails(path, range(1, KILLMAILS + 1))


def store_killmails(path: Path, numbers: Sequence[int]) -> None:
    """Store killmails as a scan does, each worth its number in millions of ISK."""
    with closing(connection.connect(path)) as store, store.transaction() as conn:
        made = [decode(json.dumps(body(n)).encode(), FIRST_ID + n) for n in numbers]
        storing.store(
            conn, [FetchedKillmail.compared(one, "0" * 40) for one in made], iso(NOVEMBER)
        )
        conn.executemany(
            """INSERT OR REPLACE INTO killmail_values
                (killmail_id, hull, fitted, cargo, dropped, destroyed, total, unpriced, priced_on)
            VALUES (?, 1e6, 0, 0, ?, 1e6, ?, 0, '2026-11-01')""",
            [(FIRST_ID + n, (n - 1) * 1e6, n * 1e6) for n in numbers],
        )


class _Fetched(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = {"src", "srcset", "action", "poster", "data"} | (
            {"href"} if tag == "link" else set()
        )
        self.found += [value for name, value in attrs if name in names and value is not None]


class Page:
    """An answer of the killboard."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self.text = answer.read().decode()

    @property
    def killmails(self) -> list[int]:
        """The ids that the list shows, in its order."""
        return [int(id_) for id_ in re.findall(r'class="whole" href="/killmail/(\d+)"', self.text)]

    @property
    def words(self) -> str:
        """What a person reads, with single spaces."""
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", self.text)).split())

    @property
    def fetched(self) -> list[str]:
        """Whatever a browser fetches by itself, or sends a form to."""
        parser = _Fetched()
        parser.feed(self.text)
        return parser.found + re.findall(r"url\((?![\"']?data:)([^)]*)", self.text)

    def link(self, label: str) -> str | None:
        """Return where the link with this label leads."""
        found = re.search(rf'href="([^"]*)"[^>]*>{label}<', self.text)
        return html.unescape(found[1]) if found else None


class Killboard:
    """`killsync browse` while it runs."""

    def __init__(self, process: subprocess.Popen[str], address: str, database: Path) -> None:
        self.process = process
        self.address = address
        self.database = database

    def get(self, path: str, method: str = "GET", **headers: str) -> Page:
        """Ask for a page as a browser does; `Sec_Fetch_Site` stands for Sec-Fetch-Site.

        One redirection is followed: Datasette 1.0 has moved its page for SQL.
        """
        with closing(
            http.client.HTTPConnection(urlsplit(self.address).netloc, timeout=TIMEOUT)
        ) as connected:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connected.request(method, path, headers=given)
            answer = connected.getresponse()
            if answer.status != http.HTTPStatus.FOUND:
                return Page(answer)
            answer.read()
            connected.request(method, str(answer.headers["Location"]), headers=given)
            return Page(connected.getresponse())

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Send a signal; return the exit code and what stood on standard error."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, said


@contextmanager
def browse(database: Path, *arguments: str, **environment: str) -> Iterator[Killboard]:
    """Run `killsync browse` on a free port, without a browser unless one is given."""
    words = ["browse", "--port", "0", *([] if "BROWSER" in environment else ["--no-open"])]
    with commands.start(
        *words,
        *arguments,
        environment=minimal_environment(database) | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield Killboard(process, process.stdout.readline().strip(), database)
        finally:
            process.kill()


def minimal_environment(database: Path) -> dict[str, str]:
    """Return an environment in which killsync finds nothing but this database."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(database.parent),
        "KILLSYNC_DB": str(database),
    }


def datasette(database: Path) -> "Datasette":
    """Return what serves the pages; it is read late, since that takes as long as many tests."""
    import_datasette()
    from killsync.browse.killboard import Killboard as Datasette

    return Datasette(database)


def without_datasette(directory: Path) -> dict[str, str]:
    """Return variables with which Python finds no Datasette."""
    (directory / "datasette.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'datasette'\", name='datasette')\n"
    )
    return {"PYTHONPATH": os.pathsep.join([str(directory), *sys.path])}


def rows(database: Path, sql: str) -> list[Any]:
    """Return the first column of a query."""
    with closing(sqlite3.connect(database)) as conn:
        return [row[0] for row in conn.execute(sql)]
