"""zKillboard's lists: what is sent and how often, what each answer means, how far a walk goes.

The real client, sender and database; requests-mock answers in place of zKillboard, and a clock
passes as fast as it is waited for.
"""

import itertools
import json
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
import requests_mock
from hypothesis import given, settings
from hypothesis import strategies as st
from new_store import new_store

from killsync.archive.zkb_pace import Pace
from killsync.archive.zkb_walk import EndDoubted, Walk, Walked
from killsync.archive.zkillboard import PAGE_SIZE, Side, ZkbPage, ZKillboard, decode
from killsync.errors import (
    KillsyncError,
    Misshapen,
    NotSent,
    RateLimited,
    Refused,
    ServerFault,
    Unavailable,
)
from killsync.http import Http
from killsync.model import KillmailRef, Origin, Pending, Priority, User, UserKind
from killsync.store import facts, pending, retries, users, zkb_lists
from killsync.store.connection import Store

URL = "https://zkb.example/api"
AGENT = "killsync/1.0 (ops@example.com)"
NOW = 1_800_000_000.0
CORPORATION = 98_000_001
PILOT = 90_000_001
HTML = "<html><title>Just a moment...</title></html>"
Answer = dict[str, Any]


class Clock(threading.Event):
    """The time, which passes when it is waited for, and the flag that ends all waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW

    def __call__(self) -> float:
        return self.now

    def wait(self, timeout: float | None = None) -> bool:
        if not self.is_set():
            self.now += timeout or 0.0
        return self.is_set()


class Board:
    """A zKillboard with lists of ids, newest first; `wrong` answers come before the right ones."""

    def __init__(self, mock: requests_mock.Mocker, clock: Clock) -> None:
        self.clock = clock
        self.lists: dict[str, list[int]] = {"kills": [], "losses": []}
        self.wrong: list[Answer] = []
        self.asked: list[requests.PreparedRequest] = []
        self.times: list[tuple[float, float]] = []
        self.takes = 0.3
        self.empty: int | None = None
        mock.get(re.compile(f"^{URL}/"), content=self._answer)

    def _answer(self, request: Any, context: Any) -> bytes:
        began = self.clock.now
        self.clock.now += self.takes
        self.asked.append(request)
        self.times.append((began, self.clock.now))
        if self.wrong:
            answer = self.wrong.pop(0)
            if "exc" in answer:
                raise answer["exc"]
            context.status_code = answer.get("status_code", 200)
            context.headers.update(answer.get("headers", {}))
            content: bytes = answer.get("text", "").encode()
            return content
        side, _, _, _, number = request.path.removeprefix("/api/").strip("/").split("/")
        if self.empty is not None and int(number) >= self.empty:
            return b"[]"
        start = (int(number) - 1) * PAGE_SIZE
        return page_of(self.lists[side][start : start + PAGE_SIZE])

    @property
    def pages(self) -> list[str]:
        """What was asked for: `kills 1`, `losses 2`."""
        parts = [str(request.url).strip("/").split("/") for request in self.asked]
        return [f"{part[-5]} {part[-1]}" for part in parts]


def page_of(ids: Sequence[int]) -> bytes:
    return json.dumps([entry(i) for i in ids]).encode()


def entry(killmail_id: int) -> dict[str, Any]:
    return {"killmail_id": killmail_id, "zkb": {"hash": f"{killmail_id:040x}", "points": 1}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(store_with_users(tmp_path / "killsync.db")) as store:
        yield store


def store_with_users(path: Path) -> Store:
    store = new_store(path)
    # what is lost with the machine is no matter here
    store.conn.execute("PRAGMA synchronous = OFF")
    users.add(store.conn, CORPORATION, "Some Corporation", NOW, UserKind.CORPORATION)
    users.add(store.conn, PILOT, "Some Pilot", NOW)
    return store


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Iterator[Board]:
    with requests_mock.Mocker() as mock:
        yield Board(mock, clock)


def client(store: Store, clock: Clock) -> ZKillboard:
    return ZKillboard(Http(AGENT, clock), URL, Pace(store, clock, clock))


def user(store: Store, user_id: int = CORPORATION) -> User:
    found = users.get(store.conn, user_id)
    assert found is not None
    return found


def walk(
    store: Store,
    board: Board,
    side: Side = Side.KILLS,
    *,
    full: bool = False,
    at_most: int | None = None,
    of: int = CORPORATION,
) -> list[Walked]:
    """Walk a list, to its end or until so many pages are recorded; return those."""
    seen = walk_all(store, board, side, full=full, at_most=at_most, of=of)
    return [page for page in seen if isinstance(page, Walked)]


def walk_all(
    store: Store,
    board: Board,
    side: Side = Side.KILLS,
    *,
    full: bool = False,
    at_most: int | None = None,
    of: int = CORPORATION,
) -> list[Walked | EndDoubted]:
    found = user(store, of)
    walking = Walk(store, client(store, board.clock), found, side, full=full, clock=board.clock)
    return list(itertools.islice(walking.pages(), at_most))


def recorded(store: Store) -> dict[int, tuple[str, int, str]]:
    rows = store.conn.execute(
        "SELECT killmail_id, killmail_hash, priority, origin FROM pending_killmails"
    )
    return {i: tuple(rest) for i, *rest in rows}


# ---- what is sent


@pytest.mark.parametrize(
    ("kind", "side", "path"),
    [
        (UserKind.CHARACTER, Side.KILLS, "/api/kills/characterID/7/page/1/"),
        (UserKind.CORPORATION, Side.LOSSES, "/api/losses/corporationID/7/page/1/"),
    ],
)
def test_a_page_is_asked_for_by_whose_it_is_with_the_trailing_slash(
    store: Store, board: Board, kind: UserKind, side: Side, path: str
) -> None:
    client(store, board.clock).page(kind, 7, side, 1)
    assert str(board.asked[0].url).removeprefix("https://zkb.example") == path
    assert board.asked[0].headers["User-Agent"] == AGENT
    assert "Authorization" not in board.asked[0].headers


# ---- what an answer means


def test_a_page_names_ids_and_hashes() -> None:
    assert decode(page_of([7, 5])) == ZkbPage(
        [KillmailRef(7, f"{7:040x}"), KillmailRef(5, f"{5:040x}")]
    )


def test_an_empty_list_is_an_empty_page() -> None:
    assert decode(b"[]") == ZkbPage([])


@pytest.mark.parametrize(
    "wrong",
    [
        {"killmail_id": 7},
        {"killmail_id": 7, "zkb": None},
        {"killmail_id": 7, "zkb": {"hash": "../../../etc"}},
        {"killmail_id": 7, "zkb": {"hash": "a" * 39 + "\n"}},
        {"killmail_id": -7, "zkb": {"hash": "a" * 40}},
        {"killmail_id": 2**63, "zkb": {"hash": "a" * 40}},
        {"killmail_id": "7", "zkb": {"hash": "a" * 40}},
        {"zkb": {"hash": "a" * 40}},
        [],
        None,
    ],
)
def test_an_entry_of_the_wrong_shape_costs_only_itself(wrong: object) -> None:
    page = decode(json.dumps([entry(9), wrong, entry(5)]).encode())
    assert ([ref.killmail_id for ref in page.refs], page.skipped) == ([9, 5], 1)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (HTML.encode(), ServerFault),
        (b"", ServerFault),
        (page_of([7])[:-3], ServerFault),
        (b"\xff\xfe", ServerFault),
        (b"[" * 100_000, ServerFault),
        (b"[" + b" " * 2_200_000 + b"]", ServerFault),
        (b'{"error":"Invalid type or id"}', Misshapen),
        (b"null", Misshapen),
        (b"[{}]", Misshapen),
        (b"[{}, {}]", Misshapen),
    ],
    ids=["HTML", "nothing", "cut", "no text", "deep", "long", "object", "null", "one", "two"],
)
def test_what_is_no_list_is_never_taken_for_the_end(
    body: bytes, error: type[KillsyncError]
) -> None:
    with pytest.raises(error):
        decode(body)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"status_code": 401, "text": '{"error": "no"}'}, Refused),
        ({"status_code": 403, "text": HTML}, Refused),
        ({"status_code": 404}, Refused),
        ({"status_code": 429}, RateLimited),
        ({"status_code": 429, "headers": {"Retry-After": "120"}}, RateLimited),
        ({"status_code": 500}, ServerFault),
        ({"status_code": 502, "text": HTML}, Unavailable),
        ({"status_code": 521, "text": HTML}, Unavailable),
        ({"status_code": 200, "text": HTML}, ServerFault),
        ({"exc": requests.ConnectTimeout()}, Unavailable),
    ],
    ids=str,
)
def test_an_answer_that_stays_wrong_is_an_error(
    store: Store, board: Board, answer: Answer, error: type[KillsyncError]
) -> None:
    board.lists["kills"] = [7]
    board.wrong = [dict(answer) for _ in range(20)]
    with pytest.raises(error) as raised:
        walk(store, board)
    assert str(raised.value).isascii()
    assert "<html>" not in str(raised.value)
    assert zkb_lists.position(store.conn, CORPORATION, "kills") == zkb_lists.Position()


@pytest.mark.parametrize(
    "answer",
    [
        {"status_code": 503},
        {"status_code": 500},
        {"status_code": 200, "text": HTML},
        {"status_code": 429, "headers": {"Retry-After": "3"}},
        {"status_code": 200, "text": "[]"},
        {"exc": requests.ConnectionError()},
    ],
    ids=str,
)
def test_one_wrong_answer_costs_nothing(store: Store, board: Board, answer: Answer) -> None:
    board.lists["kills"] = [9, 7]
    board.wrong = [answer]
    walk(store, board)
    assert recorded(store).keys() == {9, 7}


# ---- one request a second


def test_requests_are_a_second_apart_across_pages_retries_and_clients(
    store: Store, board: Board
) -> None:
    board.lists = {"kills": list(range(500, 0, -1)), "losses": [7]}
    board.wrong = [{"status_code": 503}, {"status_code": 500}]
    walk(store, board)
    walk(store, board, Side.LOSSES)
    walk(store, board, of=PILOT)
    gaps = [after - before for (_, before), (after, _) in itertools.pairwise(board.times)]
    assert len(gaps) > 8
    assert min(gaps) >= 1.0 - 0.001


def test_a_process_beside_this_one_is_waited_for(store: Store, clock: Clock) -> None:
    mine, other = Pace(store, clock, clock), Pace(store, clock, clock)
    turns = []
    for pace in (mine, other, mine, other):
        pace.wait()
        turns.append(clock.now - NOW)
        pace.answered()
    assert turns == pytest.approx([0, 1, 2, 3], abs=0.01)


def test_the_answer_to_another_process_is_waited_for(store: Store, clock: Clock) -> None:
    mine, other = Pace(store, clock, clock), Pace(store, clock, clock)
    mine.wait()
    # it is killed before an answer comes
    other.wait()
    assert clock.now - NOW == pytest.approx(10, abs=0.01)


def test_a_rest_that_another_process_was_asked_for_is_kept(store: Store, clock: Clock) -> None:
    mine, other = Pace(store, clock, clock), Pace(store, clock, clock)
    mine.wait()
    other.rest(300)
    mine.answered()
    assert facts.zkb_not_before(store.conn) == pytest.approx(NOW + 300)


def test_a_rest_that_was_asked_for_outlives_the_process(store: Store, board: Board) -> None:
    board.wrong = [{"status_code": 429, "headers": {"Retry-After": "300"}}]
    with pytest.raises(RateLimited):
        walk(store, board)
    with pytest.raises(RateLimited, match="2027-01-15T08:05"):
        walk(store, board)
    assert len(board.asked) == 1
    board.clock.now += 250
    walk(store, board)
    assert board.times[1][0] >= board.times[0][1] + 300


def test_a_rest_is_believed_for_an_hour_at_most(store: Store, board: Board) -> None:
    board.wrong = [{"status_code": 429, "headers": {"Retry-After": "86400"}}]
    with pytest.raises(RateLimited):
        walk(store, board)
    until = facts.zkb_not_before(store.conn)
    assert until == pytest.approx(NOW + 3600, abs=2)


def test_a_turn_that_a_wrong_clock_has_put_off_is_taken_now(store: Store, clock: Clock) -> None:
    facts.set_zkb_not_before(store.conn, NOW + 40 * 86400)
    Pace(store, clock, clock).wait()
    assert clock.now == NOW


def test_a_stop_ends_the_waiting_and_nothing_is_sent(store: Store, board: Board) -> None:
    walk(store, board)
    asked = len(board.asked)
    board.clock.set()
    with pytest.raises(NotSent):
        walk(store, board)
    assert len(board.asked) == asked


# ---- what a page records


def test_what_zkillboard_lists_is_pending_in_the_background_and_the_users(
    store: Store, board: Board
) -> None:
    board.lists["kills"] = [9, 7]
    walk(store, board)
    assert recorded(store) == {i: (f"{i:040x}", Priority.GAP, Origin.ZKB) for i in (9, 7)}
    rows = store.conn.execute("SELECT user_id, killmail_id, listed, role FROM user_killmails")
    assert sorted(rows) == [(CORPORATION, 7, 0, None), (CORPORATION, 9, 0, None)]
    assert user(store).pending == 0


def test_what_esi_lists_is_never_changed_by_zkillboards_word(store: Store, board: Board) -> None:
    board.lists["kills"] = [7]
    ref = KillmailRef(7, "e" * 40)
    pending.record(store.conn, PILOT, [ref], Priority.BACKGROUND, NOW)
    [page] = walk(store, board)
    assert page.new == 0
    assert recorded(store) == {7: ("e" * 40, Priority.BACKGROUND, Origin.ESI)}
    # it stays pending for the corporation if the pilot is removed
    rows = store.conn.execute("SELECT user_id, listed FROM user_killmails ORDER BY 1")
    assert rows.fetchall() == [(PILOT, 1), (CORPORATION, 0)]


def test_esis_list_takes_over_with_its_own_hash_and_priority(store: Store, board: Board) -> None:
    board.lists["kills"] = [9, 7]
    walk(store, board)
    store.conn.execute(
        """UPDATE pending_killmails SET attempts = 4, refusals = 4, error = '422',
            refused_at = '2027-01-01T00:00:00Z', set_aside_at = '2027-01-01T00:00:00Z',
            not_before = '2027-02-01T00:00:00Z'"""
    )
    refs = [KillmailRef(9, "e" * 40), KillmailRef(7, f"{7:040x}")]
    assert pending.record(store.conn, CORPORATION, refs, Priority.BACKGROUND, NOW) == 2
    assert pending.ready(store.conn, 10) == [
        Pending(9, "e" * 40, Priority.BACKGROUND),
        Pending(7, f"{7:040x}", Priority.BACKGROUND),
    ]
    assert user(store).pending == 2


def test_a_hash_that_zkillboard_corrects_is_asked_with_at_once(store: Store, board: Board) -> None:
    board.lists["kills"] = [7]
    walk(store, board)
    store.conn.execute(
        """UPDATE pending_killmails SET killmail_hash = ?, attempts = 1, refusals = 1,
            not_before = '2027-02-01T00:00:00Z'""",
        ["f" * 40],
    )
    walk(store, board)
    assert pending.ready(store.conn, 1) == [
        Pending(7, f"{7:040x}", Priority.GAP, origin=Origin.ZKB)
    ]


def test_a_sync_leaves_what_only_zkillboard_lists_in_the_background(
    store: Store, board: Board
) -> None:
    board.lists["kills"] = [9, 7]
    walk(store, board)
    pending.record(store.conn, CORPORATION, [KillmailRef(9, "e" * 40)], Priority.GAP, NOW)
    retries.make_manual(store.conn, CORPORATION, set_aside=True)
    assert pending.waiting_for(store.conn, [CORPORATION]) == 1
    mine = pending.ready(store.conn, 10, only_users=[CORPORATION])
    assert [body.killmail_id for body in mine] == [9]


# ---- how far a walk goes


def test_a_list_is_read_to_its_end_once_and_then_down_to_what_is_known(
    store: Store, board: Board
) -> None:
    board.lists["kills"] = list(range(650, 0, -1))
    walk(store, board)
    assert board.pages == ["kills 1", "kills 2", "kills 3", "kills 4", "kills 5"]
    board.asked.clear()
    walk(store, board)
    assert board.pages == ["kills 1"]
    board.asked.clear()
    board.lists["kills"] = list(range(900, 0, -1))
    assert sum(page.new for page in walk(store, board)) == 250
    assert board.pages == ["kills 1", "kills 2", "kills 3"]


def test_full_reads_every_page(store: Store, board: Board) -> None:
    board.lists["kills"] = list(range(650, 0, -1))
    walk(store, board)
    board.asked.clear()
    assert sum(page.killmails for page in walk(store, board, full=True)) == 650
    assert len(board.pages) == 5


def test_a_page_known_from_elsewhere_does_not_hide_what_lies_below(
    store: Store, board: Board
) -> None:
    board.lists["kills"] = list(range(650, 0, -1))
    newest = [KillmailRef(i, f"{i:040x}") for i in range(250, 651)]
    pending.record(store.conn, PILOT, newest, Priority.BACKGROUND, NOW)
    walk(store, board)
    assert len(recorded(store)) == 650


def test_a_walk_that_was_broken_off_goes_on_at_the_page_where_it_was(
    store: Store, board: Board
) -> None:
    board.lists["kills"] = list(range(1000, 0, -1))
    walk(store, board, at_most=3)
    board.asked.clear()
    walk(store, board)
    assert board.pages == ["kills 1", "kills 3", "kills 4", "kills 5", "kills 6", "kills 6"]
    assert len(recorded(store)) == 1000


def test_a_full_page_before_an_empty_one_is_not_the_end_until_it_is_said_twice(
    store: Store, board: Board
) -> None:
    board.lists["kills"] = list(range(400, 0, -1))
    walk(store, board)
    assert board.pages == ["kills 1", "kills 2", "kills 3", "kills 3"]


def test_an_empty_page_after_a_full_one_is_asked_for_again_by_the_next_walk(
    store: Store, board: Board
) -> None:
    board.lists["kills"] = list(range(900, 0, -1))
    board.empty = 3
    assert walk_all(store, board)[-1] == EndDoubted(Side.KILLS, 3)
    board.empty = None
    walk(store, board)
    assert len(recorded(store)) == 900


def test_a_page_that_is_still_empty_ten_minutes_later_is_the_end(
    store: Store, board: Board
) -> None:
    board.lists["kills"] = list(range(400, 0, -1))
    for passed in (0, 60, 600):
        board.clock.now += passed
        board.asked.clear()
        walk(store, board)
        assert board.pages[-2:] == ["kills 3", "kills 3"]
    board.asked.clear()
    assert [type(page) for page in walk_all(store, board)] == [Walked]
    assert board.pages == ["kills 1"]


def test_an_empty_page_elsewhere_than_before_is_no_second_sign(store: Store, board: Board) -> None:
    board.lists["kills"] = list(range(1500, 0, -1))
    for empty in (3, 6):
        board.empty = empty
        assert walk_all(store, board)[-1] == EndDoubted(Side.KILLS, empty)
        board.clock.now += 3600
    board.empty = None
    walk(store, board)
    assert len(recorded(store)) == 1500


def test_a_list_that_shows_nothing_for_once_keeps_what_is_recorded(
    store: Store, board: Board
) -> None:
    board.lists["kills"] = list(range(1000, 0, -1))
    walk(store, board, at_most=3)
    before = zkb_lists.position(store.conn, CORPORATION, "kills")
    board.empty = 1
    assert walk_all(store, board) == [EndDoubted(Side.KILLS, 1)]
    assert zkb_lists.position(store.conn, CORPORATION, "kills") == before


@pytest.mark.parametrize("page", [page_of(range(200, 0, -1)), page_of([7])], ids=["full", "one"])
def test_a_list_that_repeats_itself_for_ever_is_given_up(
    store: Store, board: Board, page: bytes
) -> None:
    board.wrong = [{"text": page.decode()} for _ in range(50)]
    with pytest.raises(ServerFault, match="repeats itself"):
        walk(store, board)
    assert len(board.asked) < 8


@pytest.mark.parametrize("page", ["[{}]", json.dumps([{}, entry(7)])], ids=["only", "beside"])
def test_a_list_with_an_invalid_entry_on_every_page_is_given_up(
    store: Store, board: Board, page: str
) -> None:
    board.wrong = [{"text": page} for _ in range(50)]
    with pytest.raises(ServerFault if "7" in page else Misshapen):
        walk(store, board)
    assert len(board.asked) < 8


def test_kills_and_losses_and_users_are_walked_apart(store: Store, board: Board) -> None:
    board.lists = {"kills": [9, 8], "losses": [7, 6]}
    walk(store, board)
    walk(store, board, Side.LOSSES)
    board.asked.clear()
    walk(store, board, of=PILOT)
    assert len(board.pages) == 2


def test_a_user_who_is_removed_and_registered_again_is_walked_to_the_end(
    store: Store, board: Board
) -> None:
    board.lists["kills"] = list(range(300, 0, -1))
    walk(store, board)
    users.remove(store.conn, CORPORATION)
    store.conn.execute("DELETE FROM pending_killmails")
    users.add(store.conn, CORPORATION, "Again", NOW, UserKind.CORPORATION)
    # the pilot's walk has brought in the first page
    newest = [KillmailRef(i, f"{i:040x}") for i in range(101, 301)]
    pending.record(store.conn, PILOT, newest, Priority.BACKGROUND, NOW)
    walk(store, board)
    assert len(recorded(store)) == 300


def test_a_position_that_is_damaged_counts_as_none(store: Store, board: Board) -> None:
    board.lists["kills"] = [7]
    walk(store, board)
    store.conn.execute("PRAGMA ignore_check_constraints = 1")
    store.conn.execute("UPDATE zkb_lists SET page = -1")
    assert zkb_lists.position(store.conn, CORPORATION, "kills") == zkb_lists.Position()


Happening = Callable[[Store, Board], object]


def arrive(count: int) -> Happening:
    def happen(_: Store, board: Board) -> None:
        top = max(board.lists["kills"], default=0)
        board.lists["kills"][:0] = range(top + count, top, -1)

    return happen


def known_from_elsewhere(first: int, count: int) -> Happening:
    def happen(store: Store, board: Board) -> None:
        some = board.lists["kills"][first : first + count]
        refs = [KillmailRef(i, f"{i:040x}") for i in some]
        with store.transaction() as conn:
            pending.record(conn, PILOT, refs, Priority.BACKGROUND, NOW)

    return happen


def broken_off(pages: int) -> Happening:
    return lambda store, board: walk(store, board, at_most=pages)


def fails(pages: int) -> Happening:
    def happen(store: Store, board: Board) -> None:
        board.wrong = [{"status_code": 401}]
        with suppress(Refused):
            walk(store, board, at_most=pages)
        board.wrong = []

    return happen


def shows_less(first_empty: int) -> Happening:
    def happen(store: Store, board: Board) -> None:
        board.empty = first_empty
        walk(store, board)
        board.empty = None

    return happen


def undisturbed(store: Store, board: Board) -> None:
    walk(store, board)
    assert set(board.lists["kills"]) <= recorded(store).keys()


HAPPENINGS = st.one_of(
    st.builds(arrive, st.sampled_from([1, 30, 199, 200, 201, 450])),
    st.builds(known_from_elsewhere, st.integers(0, 600), st.sampled_from([1, 200, 420])),
    st.builds(broken_off, st.integers(0, 4)),
    st.builds(fails, st.integers(1, 3)),
    st.builds(shows_less, st.integers(1, 5)),
    st.just(undisturbed),
)


SIZES = st.sampled_from([0, 5, 200, 730])
HISTORIES = st.lists(HAPPENINGS, max_size=6)


def leave_nothing_out(size: int, happenings: list[Happening]) -> None:
    """Let things happen to a list, and walk it undisturbed."""
    with (
        tempfile.TemporaryDirectory() as directory,
        closing(store_with_users(Path(directory) / "killsync.db")) as store,
        requests_mock.Mocker() as mock,
    ):
        board = Board(mock, Clock())
        board.lists["kills"] = list(range(size, 0, -1))
        for happen in [*happenings, undisturbed]:
            happen(store, board)
        board.clock.now += 3600
        walk(store, board)
        before = len(board.asked)
        walk(store, board)
        assert len(board.asked) - before <= 2


# the campaign tries more
@settings(max_examples=10)
@given(SIZES, HISTORIES)
def test_an_undisturbed_walk_leaves_nothing_out_whatever_was_before(
    size: int, happenings: list[Happening]
) -> None:
    leave_nothing_out(size, happenings)
