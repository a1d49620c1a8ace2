"""A lake in an object store: an object is moved in two steps, and much can be refused."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from here import run_here
from lakes import SCHEMA, TABLES, Feed, Rows
from new_store import new_store
from pyarrow import fs
from stored import attacker, body, pilot

from killsync.errors import TryLater, UsageError
from killsync.killmail.body import decode
from killsync.lake.layout import Maker, Where, open_target
from killsync.model import Origin
from killsync.store import storing
from killsync.store.changes import Place
from killsync.store.killmails import FetchedKillmail

if TYPE_CHECKING:
    from object_store import ObjectStore

pytestmark = pytest.mark.engines


@pytest.fixture(scope="module")
def serving() -> Iterator["ObjectStore"]:
    pytest.importorskip("moto")
    pytest.importorskip("boto3")
    from object_store import ObjectStore

    store = ObjectStore()
    yield store
    store.close()


@pytest.fixture
def store(serving: "ObjectStore", monkeypatch: pytest.MonkeyPatch) -> Iterator["ObjectStore"]:
    from object_store import KEYS

    for name, text in KEYS.items():
        monkeypatch.setenv(name, text)
    yield serving
    serving.seen = lambda method, path: None


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """Give each test a place of its own."""
    return "".join(c for c in request.node.name if c.isalnum())


@pytest.fixture
def feed() -> Feed:
    return Feed.of_three()


def rows(store: "ObjectStore", prefix: str, column: str = "") -> Rows:
    """Return of each table how often each number is there, and in which month."""
    filesystem = fs.S3FileSystem(endpoint_override=store.endpoint, scheme="http", region="x")
    found: Rows = {table: Counter() for table in (*TABLES, "removed")}
    for key in store.keys(prefix):
        if key.endswith(".parquet"):
            table, *month = key.split("/")[:-1]
            file = pq.read_table(f"lakes/{prefix}/{key}", filesystem=filesystem, partitioning=None)
            numbers = file.column(column or 0).to_pylist()
            found[table].update((n, "".join(month).removeprefix("month=")) for n in numbers)
    return found


def refusal(address: str, feed: Feed, kind: type[Exception] = UsageError) -> str:
    with pytest.raises(kind) as refused:
        feed.export(address)
    text = str(refused.value)
    assert "\n" not in text
    assert "AKIA" not in text
    assert "hunter2" not in text
    return text


def test_calls_add_to_a_lake_in_a_bucket(store: "ObjectStore", prefix: str, feed: Feed) -> None:
    feed.export(store.url(prefix))
    assert store.keys(prefix) == [
        *(f"{t}/month={m}/part-3.parquet" for t in sorted(TABLES) for m in ("2026-10", "2026-11")),
        "removed/part-1.parquet",
    ]
    feed.store("2026-11")
    feed.remove()
    feed.export(f"s3://lakes/{prefix}/?{store.url('').partition('?')[2]}")
    assert rows(store, prefix) == feed.expected()
    with open_target(store.url(prefix), Maker.DATABASE, with_hash=False) as target:
        assert target.place == feed.place
        assert len(target.parts("killmails")) == 3
        with target.reading(target.parts("removed")[1]) as part:
            assert part.read().column(0).to_pylist() == [2]


def test_a_prefix_is_percent_encoded_as_in_any_url(store: "ObjectStore", feed: Feed) -> None:
    feed.export(store.url("my lake/a%23b/month%3D%C3%A9"))
    feed.store("2026-11")
    feed.export(store.url("my%20lake//a%23b/month=é/"))
    assert rows(store, "my lake/a#b/month=é") == feed.expected()


def test_a_whole_bucket_may_be_the_lake(store: "ObjectStore", feed: Feed) -> None:
    store.client.create_bucket(Bucket="whole")
    for address in (store.url("", "whole"), store.url("", "whole").replace("/?", "?")):
        feed.export(address)
    listed = store.client.list_objects_v2(Bucket="whole")["Contents"]
    assert "killmails/month=2026-10/part-3.parquet" in [entry["Key"] for entry in listed]


def test_the_environment_may_say_where_the_store_is(
    store: "ObjectStore", prefix: str, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as for all who use S3, the first of these overrides the second
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{store.endpoint}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    feed.export(f"s3://lakes/{prefix}?region=eu-west-1")
    assert rows(store, prefix) == feed.expected()
    with (
        open_target(f"s3://lakes/{prefix}", Maker.DATABASE, with_hash=False) as target,
        target.call(Place(9, 1, 1009, "2026-11-24T12:00:00Z")) as call,
    ):
        where = call.where()
        # the environment of another machine need not
        monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
        with where.write("killmails", "2026-12", SCHEMA):
            pass
        call.commit([("killmails", "2026-12")])
    assert "killmails/month=2026-12/part-9.parquet" in store.keys(prefix)


def test_other_processes_write_there_too(store: "ObjectStore", prefix: str) -> None:
    with (
        open_target(store.url(prefix), Maker.ARCHIVES, with_hash=True) as target,
        target.call(Place(7)) as call,
    ):
        where: Where = call.where()
        for _ in range(2):
            with where.write("killmails", "2026-11", SCHEMA):
                pass
        with pytest.raises(ZeroDivisionError), where.write("killmails", "2026-11", SCHEMA):
            _ = 1 // 0
        call.commit([("killmails", "2026-11")])
    assert store.keys(prefix) == [
        "killmails/month=2026-11/part-7.parquet",
        "removed/part-0.parquet",
    ]


def test_a_call_that_fails_leaves_nothing(store: "ObjectStore", prefix: str, feed: Feed) -> None:
    with (
        open_target(store.url(prefix), Maker.DATABASE, with_hash=False) as target,
        pytest.raises(ZeroDivisionError),
        target.call(feed.place) as call,
        call.part("killmails", "2026-11", SCHEMA),
    ):
        _ = 1 // 0
    assert store.keys(prefix) == []


# killed

EXPORT = """
import sys
from lakes import Feed

Feed.of_three().export(sys.argv[1])
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("method", "key", "comes"),
    [
        ("POST", "/items.2026-10", False),  # before the first part
        ("POST", "/complete", False),
        ("PUT", "/items/month=2026-10/part-3.parquet", True),  # before the first copy
        ("DELETE", "/items.2026-10", True),  # between copy and delete
        ("DELETE", "/removed", True),  # likewise, the last
    ],
)
def test_wherever_a_call_is_killed_the_next_leaves_each_row_once(
    store: "ObjectStore", prefix: str, feed: Feed, method: str, key: str, comes: bool
) -> None:
    store.seen = killer = Killer(method, key)
    export = subprocess.Popen(
        [sys.executable, "-c", EXPORT, store.url(prefix)], cwd=Path(__file__).parent
    )
    killer.process = export
    assert export.wait(60) == -signal.SIGKILL
    store.seen = lambda method, path: None
    waiting = [name.rpartition("/")[2] for name in store.keys(prefix) if "_unfinished" in name]
    assert len(waiting) > 1
    with open_target(store.url(prefix), Maker.DATABASE, with_hash=False) as target:
        assert target.place == (feed.place if comes else Place())
    assert rows(store, prefix) == (feed.expected() if comes else Feed().expected())
    feed.export(store.url(prefix))
    assert rows(store, prefix) == feed.expected()
    assert not [name for name in store.keys(prefix) if "_unfinished" in name]


class Killer:
    """Kills a process instead of answering one of its requests."""

    process: "subprocess.Popen[bytes]"

    def __init__(self, method: str, key: str) -> None:
        self.method = method
        self.key = key

    def __call__(self, method: str, path: str) -> str | None:
        if method == self.method and path.endswith(self.key):
            self.process.kill()
            self.process.wait(60)
            return "503 Gone"
        return None


def test_a_store_that_fails_amid_the_moves_is_brought_to_the_end_next_time(
    store: "ObjectStore", prefix: str, feed: Feed
) -> None:
    store.seen = lambda method, path: (
        "503 Slow Down" if method == "PUT" and "/killmails/" in path else None
    )
    assert "try again later" in refusal(store.url(prefix), feed, TryLater)
    store.seen = lambda method, path: None
    assert rows(store, prefix) != feed.expected()
    with open_target(store.url(prefix), Maker.DATABASE, with_hash=False) as target:
        assert target.place == feed.place
    assert rows(store, prefix) == feed.expected()


def test_a_part_that_somebody_else_has_moved_already_is_where_it_should_be(
    store: "ObjectStore", prefix: str, feed: Feed
) -> None:
    def moved(method: str, path: str) -> None:
        if method == "PUT" and path.endswith("/items/month=2026-10/part-3.parquet"):
            store.seen = lambda method, path: None
            with open_target(store.url(prefix), Maker.DATABASE, with_hash=False) as target:
                assert target.place == feed.place

    store.seen = moved
    feed.export(store.url(prefix))
    assert rows(store, prefix) == feed.expected()


@pytest.mark.parametrize("ends", ["amid", "after"])
def test_of_two_calls_that_begin_alike_at_most_one_comes(
    store: "ObjectStore", prefix: str, feed: Feed, ends: str
) -> None:
    address = store.url(prefix)
    with (
        open_target(address, Maker.DATABASE, with_hash=False) as first,
        open_target(address, Maker.DATABASE, with_hash=False) as second,
    ):
        if ends == "amid":
            with first.call(feed.place) as call:
                feed.write(first.place, call)
                with pytest.raises(TryLater, match="another killsync has written there meanwhile"):
                    feed.bring(second)
                call.commit()
        else:
            feed.bring(first)
            with pytest.raises(TryLater, match="another killsync has written there meanwhile"):
                feed.bring(second)
    assert rows(store, prefix) == feed.expected()
    assert not [name for name in store.keys(prefix) if "_unfinished" in name]


# refused


def test_a_bucket_that_is_not_there(store: "ObjectStore", feed: Feed) -> None:
    told = refusal(store.url("x", "nowhere"), feed)
    assert told == "s3://nowhere/x: there is no such bucket; create it, or check the address"


def test_a_bucket_with_other_things_in_it(store: "ObjectStore", prefix: str, feed: Feed) -> None:
    store.client.put_object(Bucket="lakes", Key=f"{prefix}/photo.jpg", Body=b"mine")
    assert "has other files in it, such as photo.jpg" in refusal(store.url(prefix), feed)
    assert store.keys(prefix) == ["photo.jpg"]
    assert "is not a directory" in refusal(store.url(f"{prefix}/photo.jpg"), feed)


def test_a_damaged_part(store: "ObjectStore", prefix: str, feed: Feed) -> None:
    feed.months = {1: "2026-10"}
    feed.export(store.url(prefix))
    key = f"{prefix}/killmails/month=2026-10/part-1.parquet"
    store.client.put_object(Bucket="lakes", Key=key, Body=b"PAR1")
    assert f"s3://lakes/{key}: is damaged; put it back" in refusal(store.url(prefix), feed)


@pytest.mark.parametrize(
    ("actions", "environment"),
    [
        ([], {}),
        (["s3:ListBucket", "s3:GetObject"], {}),
        (["s3:*"], {"AWS_SECRET_ACCESS_KEY": "hunter2"}),
        (["s3:*"], {"AWS_ACCESS_KEY_ID": "AKIANOBODY"}),
    ],
)
def test_keys_that_may_not_write_there(
    store: "ObjectStore",
    feed: Feed,
    monkeypatch: pytest.MonkeyPatch,
    actions: list[str],
    environment: dict[str, str],
) -> None:
    with store.guarded(*(actions or ["s3:None"])) as keys:
        for name, text in (keys | environment).items():
            monkeypatch.setenv(name, text)
        told = refusal(store.url("guarded"), feed)
    assert told.startswith("s3://lakes/guarded: the store refuses access; check the keys")
    assert store.keys("guarded") == []


def test_no_right_is_needed_beyond_those_that_are_named(
    store: "ObjectStore", prefix: str, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    rights = ("s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject")
    with store.guarded(*rights) as keys:
        for name, text in keys.items():
            monkeypatch.setenv(name, text)
        feed.export(store.url(prefix))
        feed.store("2026-11")
        feed.export(store.url(prefix))
    assert rows(store, prefix) == feed.expected()


def test_a_store_that_nobody_answers_for(store: "ObjectStore", feed: Feed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    address = store.url("x").replace(store.endpoint, f"127.0.0.1:{port}")
    told = refusal(address, feed, TryLater)
    assert told == "s3://lakes/x: the store cannot be reached or is overloaded; try again later"


@pytest.mark.long
def test_a_store_that_says_nothing(store: "ObjectStore", feed: Feed) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = store.url("x").replace(store.endpoint, f"127.0.0.1:{silent.getsockname()[1]}")
        assert "cannot be reached" in refusal(address, feed, TryLater)


def test_a_store_that_does_something_else(store: "ObjectStore", feed: Feed) -> None:
    store.seen = lambda method, path: "418 I'm a teapot"
    assert "(HTTP 418); check its address and region" in refusal(store.url("x"), feed)


def test_keys_may_stand_in_the_files_of_aws(
    store: "ObjectStore", prefix: str, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.guarded("s3:*") as keys:
        lines = [f"{name.lower()} = {text}\n" for name, text in keys.items()]
        for name in keys:
            monkeypatch.delenv(name)
        credentials = Path(os.environ["HOME"], ".aws", "credentials")
        credentials.parent.mkdir()
        credentials.write_text("".join(["[default]\n", *lines]))
        done = subprocess.run(
            [sys.executable, "-c", EXPORT, store.url(prefix)],
            cwd=Path(__file__).parent,
            check=False,
        )
    assert done.returncode == 0
    assert rows(store, prefix) == feed.expected()


# as a person sees it


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """Make a database with three killmails."""
    path = tmp_path / "killsync.db"
    with closing(new_store(path)) as opened:
        bodies = [body(i, pilot(90000001), [attacker(90000002)]) for i in (7, 8, 9)]
        decoded = [decode(json.dumps(raw).encode(), raw["killmail_id"]) for raw in bodies]
        batch = [FetchedKillmail.computed(one, Origin.ESI) for one in decoded]
        with opened.transaction() as conn:
            storing.store(conn, batch, "2026-11-24T12:00:00Z")
    return path


def export(database: Path, address: str) -> subprocess.CompletedProcess[str]:
    return run_here(
        *("export", "--format", "parquet", "-o", address),
        environment={**os.environ, "KILLSYNC_DB": str(database)},
    )


def test_the_command_adds_to_a_bucket(store: "ObjectStore", prefix: str, stored: Path) -> None:
    for _ in range(2):
        done = export(stored, store.url(prefix))
        assert done.returncode == 0, done.stderr
    assert sorted(rows(store, prefix, "stored_seq")["killmails"].elements()) == [
        (1, "2026-11"),
        (2, "2026-11"),
        (3, "2026-11"),
    ]


@pytest.mark.parametrize(
    ("address", "exit_code", "told"),
    [
        ("s3://lakes/x?endpoint_override=127.0.0.1:1&scheme=http", 75, "cannot be reached"),
        ("s3://nowhere/x?endpoint_override=ENDPOINT&scheme=http", 2, "there is no such bucket"),
        ("s3://AKIAKEY:hunter2@lakes/x", 2, "has a user or a key in it"),
        ("s3://lakes/x?secret_key=hunter2", 2, "its only options are"),
    ],
)
def test_the_command_says_in_one_line_what_is_wrong_with_a_store(
    store: "ObjectStore", stored: Path, address: str, exit_code: int, told: str
) -> None:
    done = export(stored, address.replace("ENDPOINT", store.endpoint))
    assert (done.returncode, done.stdout) == (exit_code, "")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.stderr
    assert "AKIA" not in done.stderr


def test_the_command_says_so_where_keys_have_no_rights(
    store: "ObjectStore", stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.guarded("s3:ListBucket") as keys:
        for name, text in keys.items():
            monkeypatch.setenv(name, text)
        done = export(stored, store.url("x"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "s3://lakes/x: the store refuses access; check the keys" in done.stderr
    assert done.stderr.count("\n") == 1
