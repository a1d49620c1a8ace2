"""Lines of an export, read from files and pipes: how they are split, and what is part of a body."""

import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from killmail_strategies import bodies
from stored import attacker, body, database, pilot, rows

from killsync.archive.events import LinesRead
from killsync.archive.exported import Exported, Source, is_compressed, lines, pieces
from killsync.archive.intake import Intake
from killsync.archive.refusals import Refusal
from killsync.events import Event
from killsync.killmail import archived
from killsync.killmail import body as killmail_body
from killsync.killmail.hash import expected_hash
from killsync.model import Origin
from killsync.store import exporting
from killsync.store.connection import Store
from killsync.store.exporting import Selection

HASH = "0123456789abcdef0123456789abcdef01234567"
ANNA, STRANGER = 90_000_001, 2_112_000_001


def plain(killmail_id: int = 7) -> dict[str, Any]:
    return body(killmail_id, pilot(ANNA, 1), [attacker(STRANGER, 5, final_blow=True)])


def raw(content: Any) -> bytes:
    return json.dumps(content).encode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with database(tmp_path / "killsync.db", {ANNA: "Anna"}) as store:
        yield store


def intake(store: Store, refused: list[tuple[Refusal, str]] | None = None) -> Intake:
    said = [] if refused is None else refused
    return Intake(
        store,
        Origin.JSON,
        everything=True,
        now=lambda: 1_800_000_000.0,
        refused=lambda reason, what: said.append((reason, what)),
    )


def never() -> bool:
    return False


def take(
    taking: Intake, name: str, read: Iterable[bytes], stopping: Callable[[], bool] = never
) -> None:
    Exported(taking, lambda event: None, stopping).take(name, read)
    taking.store()


# lines


@given(
    st.lists(st.binary(max_size=12).map(lambda text: text.replace(b"\n", b"")), max_size=8),
    st.lists(st.integers(1, 9), min_size=1),
    st.booleans(),
)
def test_lines_are_those_of_the_file_however_it_is_cut_into_pieces(
    wanted: list[bytes], sizes: list[int], is_ended: bool
) -> None:
    content = b"\n".join(wanted) + (b"\n" if is_ended else b"")
    read: list[bytes] = []
    at = 0
    while at < len(content):
        size = sizes[len(read) % len(sizes)]
        read.append(content[at : at + size])
        at += size
    expected = content.split(b"\n")
    assert list(lines(read)) == (expected if expected[-1] else expected[:-1])


@given(st.lists(st.integers(0, 9), max_size=6), st.integers(1, 7))
def test_a_line_that_is_too_long_is_none_and_the_others_are_whole(
    lengths: list[int], size: int
) -> None:
    content = b"".join(b"x" * length + b"\n" for length in lengths)
    read = (content[start : start + size] for start in range(0, len(content), size))
    expected = [b"x" * length if length <= 5 else None for length in lengths]
    assert list(lines(read, longest=5)) == expected


def test_an_endless_line_takes_no_memory() -> None:
    piece = b"x" * 100_000
    kept: list[int] = []

    def endless() -> Iterator[bytes]:
        import tracemalloc

        tracemalloc.start()
        for _ in range(2_000):
            yield piece
            kept.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()

    assert list(lines(endless(), longest=1_000_000)) == [None]
    assert max(kept) < 5_000_000


def test_a_pipe_is_read_to_its_end() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"one\ntwo")
    os.close(writing)
    assert b"".join(pieces(reading, never)) == b"one\ntwo"
    os.close(reading)


def test_a_pipe_that_gives_nothing_does_not_keep_a_signal_waiting() -> None:
    reading, writing = os.pipe()
    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    assert list(pieces(reading, stop.is_set)) == []
    os.close(writing)
    os.close(reading)


def test_what_was_cut_short_by_a_signal_is_not_taken(store: Store) -> None:
    answers = iter([False, True])
    refused: list[tuple[Refusal, str]] = []
    taking = intake(store, refused)
    content = [raw(plain(7)) + b"\n" + raw(plain(8))[:50]]
    take(taking, "x", content, lambda: next(answers))
    assert (taking.counts.stored, refused) == (1, [])


def test_a_byte_order_mark_empty_lines_and_carriage_returns_are_no_killmails(
    store: Store,
) -> None:
    taking = intake(store)
    content = b"\xef\xbb\xbf" + raw(plain(7)) + b"\r\n\r\n  \n" + raw(plain(8))
    take(taking, "x", [content])
    assert (taking.counts.stored, taking.counts.read) == (2, 2)


def test_what_is_refused_is_named_by_its_line_and_the_rest_goes_on(store: Store) -> None:
    refused: list[tuple[Refusal, str]] = []
    taking = intake(store, refused)
    wrong_hash = plain(6) | {"killmail_hash": HASH}
    bad = [b"<html>", b"[1, 2]", b"killmail_id,killmail_time", raw(plain(1))[:-9], raw(wrong_hash)]
    bad += [raw(plain(2) | {"solar_system_id": "Jita"}), b"{}", b"\xff\xfe{", b"1e400", b"null"]
    take(taking, "a.jsonl", [b"\n".join([*bad, raw(plain(9))])])
    assert taking.counts.refused == {
        Refusal.NOT_A_KILLMAIL: 7,
        Refusal.NOT_STORABLE: 2,
        Refusal.WRONG_HASH: 1,
    }
    assert (taking.counts.stored, taking.counts.read) == (1, 11)
    assert refused[0][1].startswith("a.jsonl: line 1: ")
    assert (Refusal.WRONG_HASH, "killmail 6") in refused


def test_a_long_file_says_now_and_then_how_far_it_is(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("killsync.archive.exported._SAID_EVERY", 10)
    monkeypatch.setattr("killsync.archive.exported._SHOWN_EVERY", 5)
    said: list[Event] = []
    shown: list[tuple[float, int]] = []
    reading = Exported(intake(store), said.append, never, lambda *done: shown.append(done))
    path = tmp_file(store, [raw(plain(number)) for number in range(1, 26)])
    reading.read([Source("a.jsonl", path, path.stat().st_size)], -1)
    assert said == [LinesRead("a.jsonl", 10), LinesRead("a.jsonl", 20)]
    assert shown == [(path.stat().st_size, number) for number in (5, 10, 15, 20, 25)]
    assert reading.ended(None).stored == 25


def tmp_file(store: Store, content: list[bytes]) -> Path:
    path = store.path.with_name("a.jsonl")
    path.write_bytes(b"\n".join(content))
    return path


def test_a_line_that_is_too_long_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    refused: list[tuple[Refusal, str]] = []
    taking = intake(store, refused)
    long = raw(plain(1) | {"new": "x" * (33 << 20)})
    take(taking, "a.jsonl", [long, b"\n", raw(plain(2))])
    assert refused == [(Refusal.TOO_LARGE, "a.jsonl: line 1")]
    assert taking.counts.stored == 1


@pytest.mark.parametrize(
    ("beginning", "compressed"),
    [
        (b"\x1f\x8b\x08", True),
        (b"BZh9", True),
        (b"PK\x03\x04", True),
        (b'{"a"', False),
        (b"", False),
    ],
)
def test_compressed_files_are_recognised(beginning: bytes, compressed: bool) -> None:
    assert is_compressed(beginning) == compressed


# what is part of a body


@given(bodies.filter(lambda content: "killmail_hash" not in content))
def test_a_hash_that_the_export_has_added_is_no_part_of_the_body(content: dict[str, Any]) -> None:
    killmail = killmail_body.decode(raw(content))
    assert archived.decode_exported(raw(content)) == (killmail, None)
    assert archived.decode_exported(raw(content | {"killmail_hash": HASH})) == (killmail, HASH)


@pytest.mark.parametrize("name", ["zkb", "http_last_modified", "hash", "extra"])
def test_keys_that_an_archive_would_add_are_esis_own_in_an_export(name: str) -> None:
    content = plain() | {name: {"a": [1, 2.5]}}
    killmail, _ = archived.decode_exported(raw(content))
    assert json.loads(killmail_body.encode(killmail)) == content


@pytest.mark.parametrize("odd", [None, 5, "", "abc", HASH + "0", [HASH], {"a": 1}])
def test_a_key_of_that_name_that_is_no_hash_is_esis_own(odd: Any) -> None:
    content = plain() | {"killmail_hash": odd}
    killmail, found = archived.decode_exported(raw(content))
    assert (json.loads(killmail_body.encode(killmail)), found) == (content, None)


def exported(store: Store, *, with_hash: bool) -> bytes:
    found = exporting.bodies(store.conn, Selection(), with_hash=with_hash)
    return b"".join(killmail_body.encode(killmail) + b"\n" for killmail in found)


awkward = st.fixed_dictionaries(
    {},
    optional={
        "zkb": st.just({"npc": False}),
        "http_last_modified": st.none(),
        "killmail_hash": st.sampled_from([None, 5, "", "abc"]),
    },
)


@pytest.mark.long
@settings(max_examples=25)
@given(
    st.lists(st.builds(lambda content, more: content | more, bodies, awkward), max_size=4),
    st.booleans(),
)
def test_an_export_of_an_import_of_an_export_is_the_same_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, contents: list[dict[str, Any]], with_hash: bool
) -> None:
    directory = tmp_path_factory.mktemp("joined")
    sent = [raw(content | {"killmail_id": n}) for n, content in enumerate(contents, 1)]
    with database(directory / "a.db", {}) as first, database(directory / "b.db", {}) as second:
        taking = intake(first)
        for one in sent:
            killmail = killmail_body.decode(one)
            taking.offer(killmail, expected_hash(killmail), len(one))
        taking.store()
        written = exported(first, with_hash=with_hash)
        again = intake(second)
        take(again, "-", [written])
        assert again.counts.refused == {}
        assert exported(second, with_hash=with_hash) == written
        if not any("killmail_hash" in content for content in contents):
            other = not with_hash
            assert exported(second, with_hash=other) == exported(first, with_hash=other)
        take(again, "-", [written])
        assert (again.counts.stored, again.counts.known) == (len(sent), len(sent))
        (source,) = {*rows(second, "SELECT origin, hash_source FROM killmails")} or {("json", "")}
        assert source[0] == "json"
