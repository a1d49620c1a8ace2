"""The Parquet lake: what a call brings is there once or not at all, whatever was killed."""

import itertools
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import (
    MONTHS,
    SCHEMA,
    STORED_AT,
    TABLES,
    Feed,
    Power,
    Rows,
    Steps,
    Stopped,
    names,
    rows,
    stopping,
    tree,
)
from pyarrow import fs

from killsync.errors import TryLater, UsageError
from killsync.lake.layout import Maker, Target, Where, open_target
from killsync.lake.target_remote import RemoteFiles
from killsync.store.changes import Place


def opened(address: str | Path, maker: Maker = Maker.DATABASE, *, with_hash: bool = False) -> Place:
    """Open a lake, as a way out does that has nothing to bring; return its place."""
    with open_target(str(address), maker, with_hash=with_hash) as target:
        return target.place


def refusal(address: str | Path, maker: Maker = Maker.DATABASE, *, with_hash: bool = False) -> str:
    """Return what a person is told who may not write there."""
    with pytest.raises(UsageError) as refused:
        opened(address, maker, with_hash=with_hash)
    text = str(refused.value)
    assert "\n" not in text
    return text


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"


@pytest.fixture
def feed() -> Feed:
    return Feed.of_three()


# what a lake looks like


def test_parts_stand_by_table_and_month_and_are_numbered_by_where_the_call_ends(
    lake: Path, feed: Feed
) -> None:
    feed.export(lake)
    assert names(lake) == [
        "_killsync.lock",
        *(f"{t}/month={m}/part-3.parquet" for t in sorted(TABLES) for m in ("2026-10", "2026-11")),
        "removed/part-1.parquet",
    ]


def test_a_second_call_adds_what_is_new(lake: Path, feed: Feed) -> None:
    feed.export(lake)
    before = tree(lake / "killmails" / "month=2026-10")
    feed.store("2026-11")
    feed.export(lake)
    assert rows(lake) == feed.expected()
    assert tree(lake / "killmails" / "month=2026-10") == before
    assert opened(lake) == feed.place


def test_a_call_without_anything_new_adds_nothing(lake: Path, feed: Feed) -> None:
    feed.export(lake)
    before = tree(lake)
    feed.export(lake)
    assert tree(lake) == before


def test_what_was_removed_alone_is_a_call_too(lake: Path, feed: Feed) -> None:
    feed.export(lake)
    feed.remove(2)
    feed.export(lake)
    assert rows(lake) == feed.expected()
    assert opened(lake) == feed.place


def test_a_lake_may_begin_with_what_was_removed(lake: Path) -> None:
    feed = Feed()
    feed.remove(3)
    feed.export(lake)
    assert opened(lake) == Place(removed_seq=3)
    feed.store("2026-11")
    feed.export(lake)
    assert rows(lake) == feed.expected()


def test_a_first_call_whose_killmails_were_deleted_while_it_read_has_brought_none(
    lake: Path, feed: Feed
) -> None:
    with (
        open_target(str(lake), Maker.DATABASE, with_hash=False) as target,
        target.call(feed.place) as call,
    ):
        with call.part("removed", None, SCHEMA) as writer:
            writer.write_table(pa.table({"stored_seq": [1]}, SCHEMA))
        call.commit()
    assert opened(lake) == Place(removed_seq=1)
    feed.export(lake)
    assert rows(lake) == feed.expected()


@pytest.mark.parametrize("maker", Maker)
def test_a_lakes_first_call_says_that_nothing_was_removed(lake: Path, maker: Maker) -> None:
    with open_target(str(lake), maker, with_hash=False) as target:
        with target.call(Place(3, 0, 1003, STORED_AT)) as call:
            with call.part("killmails", "2026-11", SCHEMA):
                pass
            call.commit()
        assert target.parts("removed") == ["removed/part-0.parquet"]
        with (
            target.call(Place(4, 0, 1004, STORED_AT)) as call,
            pytest.raises(ValueError, match="nothing new"),
            call.part("removed", None, SCHEMA),
        ):
            pass
    assert opened(lake, maker) == Place(3, 0, 1003, STORED_AT)


def test_each_part_says_what_it_was_made_from_and_how_far(lake: Path, feed: Feed) -> None:
    feed.export(lake, with_hash=True)
    for file in lake.glob("**/*.parquet"):
        assert json.loads(pq.read_metadata(file).metadata[b"killsync"]) == {
            "format": 1,
            "maker": "database",
            "place": {
                "stored_seq": 3,
                "removed_seq": 1,
                "killmail_id": 1003,
                "stored_at": "2026-11-24T12:00:00Z",
            },
            "with_hash": True,
        }


def test_an_empty_lake_is_made_of_nothing_yet(lake: Path) -> None:
    with open_target(str(lake), Maker.DATABASE, with_hash=False) as target:
        assert (target.place, target.maker, target.with_hash) == (Place(), None, None)
    with open_target(str(lake), Maker.ARCHIVES, with_hash=True) as target:
        assert target.maker is None


def test_parts_can_be_read_again(lake: Path, feed: Feed) -> None:
    feed.export(lake)
    with open_target(str(lake), Maker.DATABASE, with_hash=False) as target:
        read = []
        for name in target.parts("killmails"):
            with target.reading(name) as file:
                read += file.read().column("stored_seq").to_pylist()
        assert sorted(read) == [1, 2, 3]
        assert target.parts("archives") == []


def test_the_parts_of_months_may_be_written_side_by_side(lake: Path) -> None:
    table = pa.table({"stored_seq": [1]}, SCHEMA)
    with (
        open_target(str(lake), Maker.DATABASE, with_hash=False) as target,
        target.call(Place(2, 0, 1, "")) as call,
    ):
        with (
            call.part("killmails", "2026-10", SCHEMA) as first,
            call.part("killmails", "2026-11", SCHEMA, use_dictionary=False) as second,
        ):
            second.write_table(table)
            first.write_table(table)
        call.commit()
    assert len(names(lake / "killmails")) == 2


@pytest.mark.parametrize(
    ("table", "month"), [("killmails", None), ("removed", "2026-11"), ("rats", None)]
)
def test_no_part_gets_a_name_that_a_lake_does_not_have(
    lake: Path, table: str, month: str | None
) -> None:
    with (
        open_target(str(lake), Maker.DATABASE, with_hash=False) as target,
        target.call(Place(1, 1)) as call,
        pytest.raises(ValueError, match="a lake has no part"),
        call.part(table, month, SCHEMA),
    ):
        pass


# where a call ends


def test_a_call_that_fails_leaves_nothing(lake: Path, feed: Feed) -> None:
    with (  # noqa: PT012
        open_target(str(lake), Maker.DATABASE, with_hash=False) as target,
        pytest.raises(ZeroDivisionError),
        target.call(feed.place) as call,
    ):
        feed.write(target.place, call)
        with call.part("archives", None, SCHEMA):
            _ = 1 // 0
    assert names(lake) == ["_killsync.lock"]


def test_a_call_that_is_not_committed_leaves_nothing(lake: Path, feed: Feed) -> None:
    with open_target(str(lake), Maker.DATABASE, with_hash=False) as target:
        with target.call(feed.place) as call:
            feed.write(target.place, call)
        assert target.place == Place()
    assert names(lake) == ["_killsync.lock"]


def test_the_place_of_a_database_that_lost_its_newest_killmails_never_goes_back(
    lake: Path, feed: Feed
) -> None:
    feed.export(lake)
    # the newest are deleted: the newest that is left has a smaller number
    with (
        open_target(str(lake), Maker.DATABASE, with_hash=False) as target,
        target.call(Place(1, 3, 1001, "2026-11-24T12:00:00Z")) as call,
    ):
        assert call.place == Place(3, 3, 1003, "2026-11-24T12:00:00Z")
        with call.part("removed", None, SCHEMA) as writer:
            writer.write_table(pa.table({"stored_seq": [2, 3]}, SCHEMA))
        call.commit()
    assert target.place == call.place
    assert opened(lake) == Place(3, 3, 1003, "2026-11-24T12:00:00Z")


def test_nothing_is_written_under_a_name_that_was_used(lake: Path, feed: Feed) -> None:
    feed.export(lake)
    with (
        open_target(str(lake), Maker.DATABASE, with_hash=False) as target,
        target.call(feed.place) as call,
        pytest.raises(ValueError, match="there is nothing new up to 3"),
        call.part("killmails", "2026-11", SCHEMA),
    ):
        pass


def test_archives_that_are_read_out_of_order_go_on_numbering(lake: Path) -> None:
    for stored_seq in (500, 20, 501):
        with (
            open_target(str(lake), Maker.ARCHIVES, with_hash=True) as target,
            target.call(Place(stored_seq)) as call,
        ):
            for table, month in (("killmails", "2026-11"), ("archives", None)):
                with call.part(table, month, SCHEMA) as writer:
                    writer.write_table(pa.table({"stored_seq": [stored_seq]}, SCHEMA))
            call.commit()
    assert names(lake / "archives") == ["part-500.parquet", "part-501.parquet", "part-502.parquet"]
    assert opened(lake, Maker.ARCHIVES, with_hash=True).stored_seq == 502


# killed


def with_more_to_bring(directory: Path) -> tuple[Feed, Path, Rows]:
    """Return what gives more than a lake has, that lake, and its rows."""
    feed = Feed()
    feed.store("2026-10")
    old = directory / "old"
    feed.export(old)
    first = feed.expected()
    feed.store("2026-10", "2026-11")
    feed.remove()
    return feed, old, first


@pytest.mark.long
def test_wherever_a_call_is_killed_the_next_leaves_each_row_once(tmp_path: Path) -> None:
    feed, old, first = with_more_to_bring(tmp_path)
    kinds = set()
    for allowed in itertools.count():
        lake = tmp_path / str(allowed)
        shutil.copytree(old, lake)
        steps = Steps(allowed)
        with stopping(lake, steps):
            feed.export(lake)
        found = rows(lake)
        kinds.add("before" if found == first else "after" if found == feed.expected() else "amid")
        # which brings the call to its end, or to nothing
        reached = opened(lake)
        assert rows(lake) == (feed.expected() if reached == feed.place else first)
        assert not (lake / "_unfinished").exists()
        feed.export(lake)
        assert rows(lake) == feed.expected()
        if len(steps.done) < allowed:
            break
    assert kinds == {"before", "amid", "after"}


@pytest.mark.long
def test_a_power_cut_at_any_step_costs_no_row_and_doubles_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed, old, first = with_more_to_bring(tmp_path)
    reached = []
    for allowed in itertools.count():
        home = tmp_path / str(allowed)
        lake = home / "lake"
        shutil.copytree(old, lake)
        power, steps = Power(home), Steps(allowed)
        with monkeypatch.context() as patched, stopping(home, steps):
            patched.setattr(os, "fsync", power.fsync)
            feed.export(lake)
        left = tmp_path / f"{allowed} left"
        power.cut(lake, left)
        reached.append(opened(left))
        assert rows(left) == (feed.expected() if reached[-1] == feed.place else first)
        feed.export(left)
        assert rows(left) == feed.expected()
        if len(steps.done) < allowed:
            break
    # from some step on the call has come, and so it is for good
    assert reached == sorted(reached, key=lambda place: place.stored_seq)
    assert reached[0] != reached[-1] == feed.place


MONTH = st.sampled_from(MONTHS)
ACTS = st.one_of(
    st.tuples(st.just("store"), st.lists(MONTH, min_size=1, max_size=3)),
    st.tuples(st.just("remove"), st.integers(1, 2)),
    # stopped before a step, or not
    st.tuples(st.just("export"), st.none() | st.integers(0, 70)),
)


@pytest.mark.long
@settings(max_examples=40)
@given(acts=st.lists(ACTS, max_size=12))
def test_whatever_is_killed_whenever_each_row_is_there_once(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, object]]
) -> None:
    lake = tmp_path_factory.mktemp("any") / "lake"

    def export(feed: Feed, allowed: int | None) -> None:
        with stopping(lake, Steps(allowed)):
            feed.export(lake)

    feed = played(acts, export)
    assert opened(lake) == feed.place
    assert rows(lake) == feed.expected()
    assert not (lake / "_unfinished").exists()


def played(acts: list[tuple[str, object]], export: Callable[[Feed, int | None], None]) -> Feed:
    """Play what happens to a database and its lake, and an export that nothing stops at the end."""
    feed = Feed()
    for act, what in acts:
        match act, what:
            case "store", list():
                feed.store(*what)
            case "remove", int():
                feed.remove(what)
            case _:
                export(feed, what if isinstance(what, int) else None)
    export(feed, None)
    return feed


class ObjectStore(fs.FileSystemHandler):  # type: ignore[misc]
    """A file system of pyarrow's that moves as object stores do, in two steps, and may stop."""

    def __init__(self, directory: Path, steps: Steps) -> None:
        self.inner = fs.SubTreeFileSystem(str(directory), fs.LocalFileSystem())
        self.steps = steps

    def get_type_name(self) -> str:
        return "stopping"

    def normalize_path(self, path: str) -> str:
        return path

    def get_file_info(self, paths: list[str]) -> list[fs.FileInfo]:
        return list(self.inner.get_file_info(paths))

    def get_file_info_selector(self, selector: fs.FileSelector) -> list[fs.FileInfo]:
        return list(self.inner.get_file_info(selector))

    def create_dir(self, path: str, recursive: bool) -> None:
        self.steps.take(f"create {path}")
        self.inner.create_dir(path, recursive=recursive)

    def delete_dir(self, path: str) -> None:
        # one by one, in no special order
        for info in reversed(self.inner.get_file_info(fs.FileSelector(path, recursive=True))):
            self.steps.take(f"delete {info.path}")
            if info.is_file:
                self.inner.delete_file(info.path)
        self.inner.delete_dir(path)

    def delete_dir_contents(self, path: str, missing_dir_ok: bool = False) -> None:
        raise NotImplementedError

    def delete_root_dir_contents(self) -> None:
        raise NotImplementedError

    def delete_file(self, path: str) -> None:
        self.steps.take(f"delete {path}")
        self.inner.delete_file(path)

    def copy_file(self, src: str, dest: str) -> None:
        self.steps.take(f"copy {src}")
        self.inner.copy_file(src, dest)

    def move(self, src: str, dest: str) -> None:
        self.copy_file(src, dest)
        self.delete_file(src)

    def open_input_stream(self, path: str) -> pa.NativeFile:
        return self.inner.open_input_stream(path)

    def open_input_file(self, path: str) -> pa.NativeFile:
        return self.inner.open_input_file(path)

    def open_output_stream(self, path: str, metadata: object) -> pa.NativeFile:
        self.steps.take(f"open {path}")
        return self.inner.open_output_stream(path)

    def open_append_stream(self, path: str, metadata: object) -> pa.NativeFile:
        raise NotImplementedError


@pytest.mark.long
@settings(max_examples=40)
@given(acts=st.lists(ACTS, max_size=10))
def test_nor_does_a_kill_between_copy_and_delete_cost_or_double_a_row(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, object]]
) -> None:
    lake = tmp_path_factory.mktemp("objects")

    def export(feed: Feed, allowed: int | None) -> None:
        store = fs.PyFileSystem(ObjectStore(lake, Steps(allowed)))
        files = RemoteFiles(store, "", "test://", "test://")
        try:
            feed.bring(Target(files, Maker.DATABASE, with_hash=False))
        except Stopped:
            assert allowed is not None

    feed = played(acts, export)
    assert opened(lake) == feed.place
    assert rows(lake) == feed.expected()


KILLED = """
import os, signal, sys
from pathlib import Path
from lakes import Feed, Steps, stopping

class Killed(Steps):
    def take(self, step):
        if step.startswith(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)

feed = Feed()
feed.store("2026-10", "2026-11")
with stopping(Path(sys.argv[1]), Killed()):
    feed.export(sys.argv[1])
"""


@pytest.mark.long
@pytest.mark.parametrize(
    ("step", "comes"),
    [("open {}/_unfinished/call-2-0", False), ("os.mkdir {}/killmails", True)],
)
def test_a_killed_program_holds_no_lock_and_its_call_is_finished(
    lake: Path, step: str, comes: bool
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(lake), step.format(lake)],
        cwd=Path(__file__).parent,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    feed = Feed()
    feed.store("2026-10", "2026-11")
    assert opened(lake) == (feed.place if comes else Place())
    assert rows(lake) == (feed.expected() if comes else Feed().expected())


def test_parts_and_mark_are_durable_before_anything_is_moved(
    lake: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    really = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_ino)
        really(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    until_moved: list[int] = []

    class Looking(Steps):
        def take(self, step: str) -> None:
            moved = Path(step.removeprefix("os.rename "))
            if step.startswith("os.rename ") and moved.name not in (".begun", ".complete"):
                assert moved.stat().st_ino in synced
                if not until_moved:
                    assert moved.with_name("complete").exists()
                    assert synced[-1] == moved.parent.stat().st_ino
                until_moved.append(len(synced))

    with stopping(lake, Looking()):
        feed.export(lake)
    assert len(until_moved) == 7
    folders = {file.parent for file in lake.glob("**/*.parquet")}
    assert {folder.stat().st_ino for folder in folders} <= set(synced[until_moved[-1] :])
    # of a new lake, its own name too
    assert {lake.stat().st_ino, lake.parent.stat().st_ino} <= set(synced)


def test_a_call_that_fails_amid_its_moves_is_finished_by_the_next(lake: Path, feed: Feed) -> None:
    feed.export(lake)
    place = feed.place
    feed.store("2026-09")

    class Other(Steps):
        def take(self, step: str) -> None:
            if step == f"os.mkdir {lake}/items/month=2026-09":
                (lake / "attackers" / "month=2026-09").touch()

    told = r"month=2026-09/part-4\.parquet: cannot be written"
    with pytest.raises(UsageError, match=told), stopping(lake, Other()):
        feed.export(lake)
    assert place != feed.place
    (lake / "attackers" / "month=2026-09").unlink()
    assert opened(lake) == feed.place
    assert rows(lake) == feed.expected()


# who else is there


def test_one_program_at_a_time_writes_to_a_directory(lake: Path, feed: Feed) -> None:
    with open_target(str(lake), Maker.DATABASE, with_hash=False):
        with pytest.raises(TryLater, match="another killsync is writing there; try again"):
            opened(lake)
        before = tree(lake)
        with pytest.raises(TryLater):
            feed.export(lake)
        assert tree(lake) == before
    feed.export(lake)


def test_a_call_that_somebody_else_has_cleared_away_brings_nothing(lake: Path, feed: Feed) -> None:
    # as may happen where there are no locks
    with (  # noqa: PT012
        open_target(str(lake), Maker.DATABASE, with_hash=False) as target,
        pytest.raises(TryLater, match="another killsync has written there meanwhile"),
        target.call(feed.place) as call,
    ):
        feed.write(target.place, call)
        for file in (lake / "_unfinished").rglob("begun"):
            file.unlink()
        call.commit()
    assert names(lake) == ["_killsync.lock"]


def unlocked(directory: Path) -> RemoteFiles:
    """Return the files of a lake that nothing keeps others from writing to."""
    directory.mkdir(exist_ok=True)
    return RemoteFiles(fs.LocalFileSystem(), str(directory), str(directory), "store")


@pytest.mark.parametrize("first_ends", ["before", "after"])
def test_of_two_calls_that_both_begin_where_nothing_is_locked_at_most_one_comes(
    lake: Path, feed: Feed, first_ends: str
) -> None:
    first = Target(unlocked(lake), Maker.DATABASE, with_hash=False)
    second = Target(unlocked(lake), Maker.DATABASE, with_hash=False)
    place = feed.place
    feed.store("2026-11")
    if first_ends == "before":
        # the second one begins
        with first.call(place) as call:
            feed.write(first.place, call)
            call.commit()
        with pytest.raises(TryLater, match="another killsync has written there meanwhile"):
            feed.bring(second)
    else:
        with first.call(place) as call, second.call(feed.place) as other:
            feed.write(first.place, call)
            feed.write(second.place, other)
            for one in (call, other):
                with pytest.raises(TryLater, match="another killsync has written there meanwhile"):
                    one.commit()
        assert not list(lake.rglob("*.parquet"))
    assert not list((lake / "_unfinished").iterdir())
    feed.bring(Target(unlocked(lake), Maker.DATABASE, with_hash=False))
    assert rows(lake) == feed.expected()


class Cleared(RemoteFiles):
    """Files of a call that somebody else clears away before or after its mark, and maybe amid."""

    def __init__(self, directory: Path, steps: Steps, when: str) -> None:
        super().__init__(fs.LocalFileSystem(), str(directory), "", "x")
        self.other = RemoteFiles(fs.PyFileSystem(ObjectStore(directory, steps)), "", "", "x")
        self.when = when

    def mark(self, name: str, content: bytes = b"") -> None:
        is_complete = name.endswith("/complete")
        if is_complete and self.when == "before":
            self.clear()
        super().mark(name, content)
        if is_complete and self.when == "after":
            self.clear()

    def clear(self) -> None:
        with suppress(Stopped, TryLater):
            Target(self.other, Maker.DATABASE, with_hash=False)


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_call_that_is_cleared_away_about_its_mark_comes_whole_or_not_at_all(
    tmp_path: Path, feed: Feed, when: str
) -> None:
    outcomes = set()
    for allowed in itertools.count():
        lake = tmp_path / str(allowed)
        lake.mkdir()
        steps = Steps(allowed)
        came = True
        try:
            feed.bring(Target(Cleared(lake, steps, when), Maker.DATABASE, with_hash=False))
        except TryLater:
            came = False
        place = Target(unlocked(lake), Maker.DATABASE, with_hash=False).place
        assert place == feed.place or (not came and place == Place())
        outcomes.add(came)
        feed.bring(Target(unlocked(lake), Maker.DATABASE, with_hash=False))
        assert rows(lake) == feed.expected()
        if len(steps.done) < allowed:
            break
    assert outcomes == {True, False}


def test_a_call_whose_parts_went_after_its_mark_has_brought_none(lake: Path, feed: Feed) -> None:
    with stopping(lake, Before("os.mkdir", lake / "items")):
        feed.export(lake)
    (part,) = (lake / "_unfinished").glob("*/attackers.2026-10")
    part.unlink()
    assert opened(lake) == Place()
    assert names(lake) == ["_killsync.lock"]


@pytest.mark.parametrize("content", [b"", b"[", b'["\x80"]', b'["killmails.2026-10","rats"]'])
def test_a_mark_that_cannot_be_read_ends_nothing(lake: Path, feed: Feed, content: bytes) -> None:
    with stopping(lake, Before("os.mkdir", lake / "items")):
        feed.export(lake)
    (mark,) = (lake / "_unfinished").glob("*/complete")
    mark.write_bytes(content)
    assert "complete: cannot be read; upgrade killsync if" in refused_unchanged(lake)


class Before(Steps):
    """Stops a program before a step that is named."""

    def __init__(self, event: str, path: Path) -> None:
        super().__init__()
        self.last = f"{event} {path}"

    def take(self, step: str) -> None:
        if step == self.last:
            self.allowed = 0
        super().take(step)


def test_a_part_that_fails_is_never_taken_for_written(lake: Path, feed: Feed) -> None:
    with (
        open_target(str(lake), Maker.DATABASE, with_hash=False) as target,
        target.call(feed.place) as call,
    ):
        with suppress(ZeroDivisionError), call.part("killmails", "2026-11", SCHEMA):
            _ = 1 // 0
        with pytest.raises(RuntimeError, match="a part that failed"):
            call.commit()
    assert names(lake) == ["_killsync.lock"]


def test_other_processes_write_parts_of_a_call_and_tries_replace_one_another(lake: Path) -> None:
    with (
        open_target(str(lake), Maker.ARCHIVES, with_hash=True) as target,
        target.call(Place(7)) as call,
    ):
        sent = pickle.dumps(call.where())

        def task(numbers: list[int], *, fails: bool = False) -> None:
            where: Where = pickle.loads(sent)
            with where.write("killmails", "2026-11", SCHEMA) as writer:
                writer.write_table(pa.table({"stored_seq": numbers}, SCHEMA))
                if fails:
                    raise ZeroDivisionError

        task([1, 2])
        with pytest.raises(ZeroDivisionError):
            task([8], fails=True)
        again = threading.Thread(target=task, args=([1, 2, 3],))
        again.start()
        again.join()
        # an executor was killed amid its part
        folder = next((lake / "_unfinished").iterdir())
        (folder / "attempt-0123456789abcdef").write_bytes(b"PAR1")
        # and one that was given up has written what nobody takes
        with call.where().write("killmails", "2026-10", SCHEMA):
            pass
        call.commit([("killmails", "2026-11")])
    assert list(rows(lake)["killmails"]) == [(1, "2026-11"), (2, "2026-11"), (3, "2026-11")]
    assert names(lake) == [
        "_killsync.lock",
        "killmails/month=2026-11/part-7.parquet",
        "removed/part-0.parquet",
    ]


# names of all kinds


@pytest.mark.parametrize(
    "name",
    [
        "my lake",
        "month=2026-11",
        "100%41",
        "~",
        "a#b?c",
        "Ω-\u202e",
        os.fsdecode(b"\xff\xfe"),
        "-o",
    ],
)
def test_a_directory_may_have_any_name(tmp_path: Path, feed: Feed, name: str) -> None:
    feed.export(tmp_path / name / "lake")
    feed.store("2026-11")
    feed.export(f"{tmp_path / name / 'lake'}//")
    assert rows(tmp_path / name / "lake") == feed.expected()
    assert not list((tmp_path / name).glob("*.parquet"))


def test_a_directory_may_be_named_from_here_or_by_a_link(
    tmp_path: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("real").mkdir()
    Path("link").symlink_to("real")
    feed.export("link")
    feed.store("2026-11")
    feed.export("real")
    feed.store("2026-10")
    feed.export((tmp_path / "link").as_uri())
    assert rows(tmp_path / "real") == feed.expected()


def test_other_processes_find_a_directory_that_was_named_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (
        open_target("here", Maker.ARCHIVES, with_hash=True) as target,
        target.call(Place(7)) as call,
    ):
        where = call.where()
        monkeypatch.chdir("/")
        with where.write("archives", None, SCHEMA):
            pass
        call.commit([("archives", None)])
    assert names(tmp_path / "here" / "archives") == ["part-7.parquet"]


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("", "is empty: name a directory"),
        ("nul\0", "a path has no NUL in it"),
        ("s3:/bucket/x", "an URL has two slashes after its colon"),
        ("s3://", "names no bucket"),
        ("s3:///x", "names no bucket"),
        ("s3://host:9000/x", "endpoint_override=HOST:PORT"),
        ("s3://bucket/a#b", "# is written %23"),
        ("s3://bucket/a\nb", "is not a valid URL"),
        ("s3://[::1/x", "is not a valid URL"),
        ("s3://bucket/x?colour=red", "its only options are endpoint_override"),
        ("s3://bucket/x?region=&scheme=ftp", "a value that it cannot have"),
        ("s3a://bucket/x", "use a directory or s3://bucket/prefix"),
        ("gs://bucket/x", "gs:// is not supported; use a directory or s3://bucket/prefix"),
        ("abfs://c@a.dfs.core.windows.net/x", "abfs:// is not supported; use a directory"),
        ("file://elsewhere/x", "names a path of this machine"),
    ],
)
def test_an_address_that_cannot_be_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told in refusal(address)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "address",
    [
        "s3://AKIDSECRET:hunter2@bucket/x",
        "s3://AKIDSECRET@bucket/x",
        "s3://:hunter2@bucket/x?scheme=http",
        "s3://bucket/x?access_key=AKIDSECRET&secret_key=hunter2",
        "s3://bucket/x?endpoint_override=http://AKIDSECRET:hunter2@127.0.0.1:9000",
        "s3://AKIDSECRET:hunter2@[bucket/x",
        "gs://AKIDSECRET:hunter2@bucket/x",
        "x://AKIDSECRET:hunter2@bucket/x",
        "file://AKIDSECRET:hunter2@/x",
    ],
)
def test_an_address_with_a_key_in_it_is_refused_and_the_key_not_repeated(address: str) -> None:
    told = refusal(address)
    assert "hunter2" not in told
    assert "AKIDSECRET" not in told


# another's


def refused_unchanged(lake: Path, maker: Maker = Maker.DATABASE, *, with_hash: bool = False) -> str:
    before = tree(lake.parent)
    told = refusal(lake, maker, with_hash=with_hash)
    assert tree(lake.parent) == before
    return told


@pytest.mark.parametrize(
    "file",
    [
        "killmails.csv",
        "killsync.db",
        "archives/2024/photo.jpg",
        "killmails/month=2026-11/data.parquet",
        "killmails/month=2026-13/part-1.parquet",
        "killmails/part-1.parquet",
        "killmails/month=2026-11/part-01.parquet",
        "killmails/month=2026-11/part-1.parquet/part-1.parquet",
        "removed/part-1.parquet.gz",
        "items/x",
    ],
)
def test_a_directory_with_other_files_in_it_is_left_alone(lake: Path, file: str) -> None:
    (lake / file).parent.mkdir(parents=True)
    (lake / file).write_text("mine")
    told = refused_unchanged(lake)
    assert "name a new directory" in told or "name another directory" in told


@pytest.mark.parametrize("link", ["call-5-0-aaaaaaaa", "call-5-0-aaaaaaaa/attempt-1"])
def test_no_link_leads_out_of_a_lake_to_what_is_deleted(
    lake: Path, feed: Feed, link: str, tmp_path: Path
) -> None:
    feed.export(lake)
    precious = tmp_path / "precious"
    (precious / "deep").mkdir(parents=True)
    for name in ("begun", "deep/mine"):
        (precious / name).write_text("mine")
    before = tree(precious)
    (lake / "_unfinished" / link).parent.mkdir(parents=True)
    (lake / "_unfinished" / link).symlink_to(precious)
    if "/" in link:
        feed.export(lake)
        assert not (lake / "_unfinished").exists()
    else:
        assert f"_unfinished/{link}: is unknown; upgrade killsync" in refused_unchanged(lake)
    assert tree(precious) == before


def test_a_month_may_lie_elsewhere(lake: Path, feed: Feed, tmp_path: Path) -> None:
    feed.export(lake)
    month = lake / "killmails" / "month=2026-10"
    month.rename(tmp_path / "moved")
    month.symlink_to(tmp_path / "moved")
    feed.store("2026-10")
    feed.export(lake)
    assert len(names(tmp_path / "moved")) == 2
    assert opened(lake) == feed.place


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("month", ["2026-10", "2026-11"])
def test_each_part_of_the_newest_call_is_looked_at(
    lake: Path, feed: Feed, table: str, month: str
) -> None:
    feed.export(lake)
    part = lake / table / f"month={month}" / "part-3.parquet"
    os.truncate(part, 100)
    assert f"{part}: is damaged; put it back from a copy" in refused_unchanged(lake)


@pytest.mark.parametrize(
    "file", ["killmails/month=2026-11/data.parquet", "attackers/x.parquet", "removed/x"]
)
def test_nor_does_a_lake_go_on_beside_what_engines_would_read(
    lake: Path, feed: Feed, file: str
) -> None:
    feed.export(lake)
    (lake / file).write_bytes(b"")
    feed.store("2026-11")
    assert f"{lake}/{file}: was not written by killsync; move it away" in refused_unchanged(lake)


def test_files_that_engines_pass_over_are_nobodys_concern(lake: Path, feed: Feed) -> None:
    lake.mkdir()
    (lake / ".DS_Store").touch()
    (lake / "lost+found").mkdir()
    feed.export(lake)
    (lake / "questions.sql").touch()
    (lake / "killmails" / "_SUCCESS").touch()
    (lake / "killmails" / "month=2026-11" / ".part-3.parquet.crc").touch()
    feed.store("2026-11")
    feed.export(lake)
    assert rows(lake) == feed.expected()


def test_a_file_or_a_link_to_nothing_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link"):
        assert "is not a directory; name another place" in refused_unchanged(tmp_path / name)
    assert "cannot be" in refused_unchanged(tmp_path / "file" / "lake")
    assert "File name too long" in refused_unchanged(tmp_path / ("x" * 300))


def test_empty_directories_of_our_names_are_not_taken_for_a_lake(lake: Path) -> None:
    (lake / "archives").mkdir(parents=True)
    (lake / "photo.jpg").touch()
    assert "has other files in it, such as archives" in refused_unchanged(lake)


def test_a_lake_made_otherwise_is_left_alone(lake: Path, feed: Feed) -> None:
    feed.export(lake)
    assert "was written by `killsync export`" in refused_unchanged(lake, Maker.ARCHIVES)
    assert "leave out --with-hash" in refused_unchanged(lake, with_hash=True)


def test_a_lake_with_hashes_wants_them_again(lake: Path, feed: Feed) -> None:
    feed.export(lake, with_hash=True)
    assert "use --with-hash, or name another directory" in refused_unchanged(lake)


def test_archives_and_a_database_are_told_apart(lake: Path) -> None:
    with (
        open_target(str(lake), Maker.ARCHIVES, with_hash=False) as target,
        target.call(Place(7)) as call,
    ):
        with call.part("archives", None, SCHEMA):
            pass
        call.commit()
    assert "was written by `killsync lake`" in refused_unchanged(lake)


# damaged, newer


def newest_part(lake: Path) -> Path:
    return next(lake.glob("killmails/month=2026-10/part-3.parquet"))


@pytest.mark.parametrize("kept", [0, 3, 8, 11, 100, -1, -8, -200])
def test_a_part_that_is_cut_short_is_named(lake: Path, feed: Feed, kept: int) -> None:
    feed.months = {1: "2026-10", 2: "2026-10", 3: "2026-10"}
    feed.export(lake)
    part = newest_part(lake)
    part.write_bytes(part.read_bytes()[:kept])
    told = refused_unchanged(lake)
    assert f"{part}: is damaged; put it back from a copy, or export to a new directory" in told


@pytest.mark.long
@settings(max_examples=40)
@given(data=st.data())
def test_no_damaged_footer_does_more_than_be_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    lake = tmp_path_factory.mktemp("damaged") / "lake"
    feed = Feed()
    feed.store("2026-10", "2026-10", "2026-10")
    feed.export(lake)
    part = newest_part(lake)
    content = bytearray(part.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(len(content) // 2, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    part.write_bytes(content)
    before = tree(lake)
    # nothing else is raised, also where what is damaged says nothing of the place
    with suppress(UsageError):
        opened(lake)
    assert tree(lake) == before


@pytest.mark.parametrize(
    ("note", "told"),
    [
        (None, "was not written by killsync"),
        (b'{"format": 2}', "was written by a newer killsync; upgrade this one"),
        (b'{"format": 1}', "is damaged"),
        (b"[", "is damaged"),
        (b"\xff", "is damaged"),
        (b'{"format": 1, "maker": "\x80"}', "is damaged"),
        (
            b'{"format":1,"maker":"database","place":{"stored_seq":4},"with_hash":false}',
            "is not what it is named",
        ),
    ],
)
def test_a_part_that_says_something_else_is_named(
    lake: Path, feed: Feed, note: bytes | None, told: str
) -> None:
    feed.months = {1: "2026-10", 2: "2026-10", 3: "2026-10"}
    feed.export(lake)
    schema = SCHEMA.with_metadata({b"killsync": note}) if note else SCHEMA
    pq.write_table(pa.table({"stored_seq": [1]}, schema), newest_part(lake))
    assert f"{newest_part(lake)}: {told}" in refused_unchanged(lake)


def test_a_large_footer_is_read_too(lake: Path, feed: Feed) -> None:
    feed.months = {1: "2026-10", 2: "2026-10", 3: "2026-10"}
    feed.export(lake)
    table = pq.read_table(newest_part(lake), partitioning=None)
    metadata = {**table.schema.metadata, b"more": b"x" * 100_000}
    pq.write_table(table.replace_schema_metadata(metadata), newest_part(lake))
    assert opened(lake) == feed.place


def test_only_the_newest_part_is_opened(lake: Path, feed: Feed) -> None:
    feed.export(lake)
    feed.store("2026-11")
    feed.export(lake)
    for old in lake.glob("**/part-[13].parquet"):
        old.write_bytes(b"")
    assert opened(lake) == feed.place


def test_a_lake_whose_killmails_are_gone_is_not_added_to(lake: Path, feed: Feed) -> None:
    feed.export(lake)
    (lake / "killmails").rename(lake.with_name("kept"))
    assert "its killmails are gone; put them back" in refused_unchanged(lake)
    for file in (lake / "removed").iterdir():
        file.unlink()
    assert "its killmails are gone; put them back" in refused_unchanged(lake)


def test_a_lake_that_was_emptied_but_for_what_was_removed_begins_again(
    lake: Path, feed: Feed
) -> None:
    feed.export(lake)
    for table in TABLES:
        shutil.rmtree(lake / table)
    feed.export(lake)
    assert rows(lake) == feed.expected()


def test_what_a_newer_killsync_has_left_unfinished_is_left_to_it(lake: Path, feed: Feed) -> None:
    feed.export(lake)
    (lake / "_unfinished" / "parcel-7").mkdir(parents=True)
    assert "parcel-7: is unknown; upgrade killsync if a newer one" in refused_unchanged(lake)


FULL = """
import resource, signal, sys
from lakes import SCHEMA, Feed, pa
from killsync.errors import UsageError
from killsync.lake.layout import Maker, open_target
from killsync.store.changes import Place

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    with (
        open_target(sys.argv[1], Maker.DATABASE, with_hash=False) as target,
        target.call(Place(10)) as call,
        call.part("killmails", "2026-11", SCHEMA, compression="none", use_dictionary=False) as part,
    ):
        part.write_table(pa.table({"stored_seq": list(range(100_000))}, SCHEMA))
except UsageError as error:
    print(error)
"""


@pytest.mark.long
def test_a_part_for_which_there_is_no_room_leaves_nothing(lake: Path, feed: Feed) -> None:
    feed.export(lake)
    before = tree(lake)
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(lake)],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "killmails.2026-11: cannot be written: File too large" in done.stdout
    assert tree(lake).keys() == before.keys()
