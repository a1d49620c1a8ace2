"""`killsync data`: what is shipped and loaded, and newer game data from CCP."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from here import Done, run_here
from new_store import new_store
from test_game_data import BROKEN, NEWER, newer, write_export
from test_game_data_loading import everything
from world import Killsync, run_in_progress

from killsync.errors import ServerFault, TooLarge
from killsync.gamedata import build
from killsync.gamedata.shipped import SHIPPED
from killsync.http import Http
from killsync.store import connection, game_data


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A database that has the shipped game data."""
    path = tmp_path_factory.mktemp("loaded") / "killsync.db"
    with closing(new_store(path)) as store:
        game_data.load_if_outdated(store)
    return path.read_bytes()


class Data:
    """`killsync data` on a database of its own, which nobody else has open."""

    def __init__(self, directory: Path, database: bytes) -> None:
        self.directory = directory
        self.database = directory / "killsync.db"
        self.database.write_bytes(database)
        self.database.chmod(0o600)

    def run(self, *arguments: str, exit_code: int = 0) -> Done:
        environment = {"KILLSYNC_DB": str(self.database), "HOME": str(self.directory)}
        done = run_here("data", *arguments, environment=environment)
        assert done.returncode == exit_code, done
        return done

    def refuse(self, *arguments: str, exit_code: int = 2) -> str:
        """Run what fails, in one line, and see that it changes nothing and leaves nothing."""
        before, files = self.content(), sorted(self.directory.iterdir())
        done = self.run(*arguments, exit_code=exit_code)
        assert (done.stdout, self.content()) == ("", before)
        assert set(self.directory.iterdir()) - set(files) <= {Path(f"{self.database}.lock")}
        *rest, line = done.stderr.splitlines()
        assert all(one.startswith("fetching build") for one in rest)
        return line

    def content(self) -> list[list[Any]]:
        with closing(connection.connect(self.database, read_only=True)) as store:
            return everything(store)


@pytest.fixture
def data(tmp_path: Path, loaded: bytes) -> Data:
    return Data(tmp_path, loaded)


# killsync data


def test_data_says_what_is_shipped_and_loaded(data: Data) -> None:
    shown = data.run().stdout
    assert shown.count(f"build {build.BUILD} of {build.RELEASED_AT[:10]}") == 2
    assert shown.count(f"{build.TYPES:,} types, {build.SYSTEMS:,} systems") == 2
    assert max(map(len, shown.splitlines())) < 80


def test_data_as_json_has_both(data: Data) -> None:
    data.run("update", "--file", str(newer(data.directory / "newer.zip")))
    found = json.loads(data.run("--json").stdout)
    assert found["shipped"] == found["loaded"] | {
        "build": build.BUILD,
        "released_at": build.RELEASED_AT,
        "types": build.TYPES,
        "systems": build.SYSTEMS,
    }
    assert (found["loaded"]["build"], found["loaded"]["types"]) == (NEWER, build.TYPES + 1)


@pytest.mark.parametrize("content", [None, b""])
def test_data_can_be_shown_before_any_are_loaded(tmp_path: Path, content: bytes | None) -> None:
    data = Data(tmp_path, content or b"")
    if content is None:
        data.database.unlink()
    assert "loaded:  none yet; the next scan loads what is shipped" in data.run().stdout
    assert json.loads(data.run("--json").stdout)["loaded"] is None


# killsync data update --file


def test_an_export_is_loaded_from_a_file(data: Data) -> None:
    done = data.run("update", "--file", str(newer(data.directory / "newer.zip")))
    assert done.stdout == f"build {NEWER} is loaded: 1 new type, 0 new systems\n"
    assert data.content()[-1] == [
        ("game_data", NEWER),
        ("game_data_released_at", "2026-11-25T11:00:00Z"),
        ("game_data_rows", build.TYPES + build.SYSTEMS + build.CORPORATIONS + build.FACTIONS + 1),
    ]


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_of_another_form_leaves_what_is_loaded(data: Data, case: str) -> None:
    changed, reason = BROKEN[case]
    path = newer(data.directory / "broken.zip", **changed)
    said = data.refuse("update", "--file", str(path))
    assert said.startswith(f"killsync: {path}: ")
    assert reason in said


def test_a_file_that_is_no_zip_or_is_not_there_leaves_what_is_loaded(data: Data) -> None:
    path = data.directory / "cut.zip"
    path.write_bytes(SHIPPED.read_bytes()[:300_000])
    assert "is not a zip file, or is damaged" in data.refuse("update", "--file", str(path))
    path.unlink()
    assert "No such file" in data.refuse("update", "--file", str(path))


def test_older_data_are_not_loaded(data: Data) -> None:
    path = write_export(data.directory / "older.zip")
    assert f"build 9, older than build {build.BUILD}" in data.refuse("update", "--file", str(path))


def test_a_run_in_progress_is_not_disturbed(
    killsync: Callable[..., Killsync], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = killsync(users=False)
    program.run("scan")
    monkeypatch.setattr("killsync.cli.data._PATIENCE", 0.0)
    path = newer(tmp_path / "newer.zip")
    with run_in_progress(program):
        done = run_here("data", "update", "--file", str(path), environment=program.environment)
    assert (done.returncode, done.stdout) == (75, "")
    assert program.rows("SELECT value FROM facts WHERE name = 'game_data'") == [(build.BUILD,)]


# killsync data update, as CCP's server answers


class Publisher(ThreadingHTTPServer):
    """CCP's server: `answers` by path, each a status and a body; `cut` promises one byte more."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answering)
        self.answers: dict[str, tuple[int, bytes]] = {}
        self.asked: list[str] = []
        self.cut = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def publish(self, export: Path, number: int = NEWER) -> str:
        """Publish an export; return its path."""
        newest = f'{{"_key": "sde", "buildNumber": {number}, "releaseDate": ""}}\r\n'
        path = f"/eve-online-static-data-{number}-jsonl.zip"
        self.answers = {"/latest.jsonl": (200, newest.encode()), path: (200, export.read_bytes())}
        return path


class _Answering(BaseHTTPRequestHandler):
    server: Publisher

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, body = self.server.answers.get(self.path, (404, b"no"))
        self.send_response(status)
        self.send_header("Location", "/latest.jsonl")
        self.send_header("Content-Length", str(len(body) + self.server.cut))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def ccp() -> Iterator[Publisher]:
    with Publisher() as server:
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_the_newest_export_is_fetched_once(data: Data, ccp: Publisher, tmp_path: Path) -> None:
    path = ccp.publish(newer(tmp_path / "newer.zip"))
    done = data.run("update", "--url", ccp.url)
    assert done.stdout == f"build {NEWER} is loaded: 1 new type, 0 new systems\n"
    done = data.run("update", "--url", ccp.url)
    assert done.stdout == f"there is nothing newer than build {NEWER}, which is loaded\n"
    assert ccp.asked == ["/latest.jsonl", path, "/latest.jsonl"]
    assert [file for file in tmp_path.iterdir() if "draft" in file.name] == []


def test_a_broken_export_of_ccp_leaves_what_is_loaded(
    data: Data, ccp: Publisher, tmp_path: Path
) -> None:
    ccp.publish(newer(tmp_path / "broken.zip", groups=None))
    said = data.refuse("update", "--url", ccp.url)
    assert said.startswith("killsync: CCP's export: has no groups.jsonl")
    ccp.answers["/latest.jsonl"] = (200, b"<html>")
    assert "latest.jsonl is of an unknown form" in data.refuse("update", "--url", ccp.url)


def test_a_redirect_or_an_error_leaves_what_is_loaded(
    data: Data, ccp: Publisher, tmp_path: Path
) -> None:
    path = ccp.publish(newer(tmp_path / "newer.zip"))
    ccp.answers[path] = (404, b"")
    assert "says 404" in data.refuse("update", "--url", ccp.url, exit_code=1)
    ccp.answers["/latest.jsonl"] = (403, b"")
    assert "says 403" in data.refuse("update", "--url", ccp.url, exit_code=1)


def test_an_address_without_tls_is_not_asked(data: Data) -> None:
    said = data.refuse("update", "--url", "http://example.org")
    assert "http:// only for a loopback address" in said


def test_a_download_is_bounded_whole_and_never_redirected(ccp: Publisher) -> None:
    ccp.answers = {"/large": (200, b"x" * 100_000), "/moved": (302, b"")}
    into = BytesIO()
    with closing(Http("test")) as http:
        with pytest.raises(TooLarge, match="larger than"):
            http.download(f"{ccp.url}/large", into, 99_999)
        into = BytesIO()
        assert http.download(f"{ccp.url}/large", into, 100_000).status == 200
        assert into.getvalue() == b"x" * 100_000
        assert http.download(f"{ccp.url}/none", into, 100_000).status == 404
        with pytest.raises(ServerFault, match="never followed"):
            http.download(f"{ccp.url}/moved", into, 100_000)
    ccp.cut = True
    with closing(Http("test")) as http, pytest.raises(ServerFault, match="cut short"):
        http.download(f"{ccp.url}/large", BytesIO(), 200_000)
