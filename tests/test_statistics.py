"""`killsync stats` equals a simple count over the killmails, and the documented views."""

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from here import Done, run_here
from hypothesis import given, settings
from hypothesis import strategies as st
from stored import (
    CONCORD,
    GURISTAS,
    JITA,
    RIFTER,
    THERA,
    TRISTAN,
    attacker,
    body,
    database,
    empty,
    pilot,
    put,
    rows,
    set_name,
    set_value,
)

from killsync.board import statistics
from killsync.board.statistics import By, Figures, Row, Sort
from killsync.store.connection import Store
from killsync.store.statistics import Scope
from killsync.terminal import statistics_tables
from killsync.terminal.percent import percent

ME, ALT, OURS = 90_000_001, 90_000_002, 98_000_001
FOE, OTHER, THEIRS = 2_112_000_001, 2_112_000_002, 98_000_002
NPC_PILOT = 3_000_123
USERS = {ME: "Maru Sakaala", ALT: "Alt", OURS: "Our Corp"}

Body = dict[str, Any]
# kills, losses, destroyed, lost
Counted = tuple[int, int, float | None, float | None]


@pytest.fixture(scope="module")
def module_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with database(tmp_path_factory.mktemp("statistics") / "killsync.db", USERS) as store:
        set_name(store, FOE, "Foe")
        set_name(store, THEIRS, "Their Corp")
        yield store


@pytest.fixture
def store(module_store: Store) -> Store:
    """A database with users, a few names and game data, and no killmail."""
    empty(module_store)
    return module_store


def run(store: Store, *words: str, exit_code: int = 0) -> Done:
    """Run `killsync stats` in a pipe."""
    environment = {"KILLSYNC_DB": str(store.path), "HOME": str(store.path.parent)}
    done = run_here("stats", *words, environment=environment)
    assert done.returncode == exit_code, done.stderr
    return done


def read(store: Store, *words: str) -> Any:
    return json.loads(run(store, *words, "--json").stdout)


# a model: the killmails as they were sent, and one count for each key


def side(killmail: Body, ours: set[int]) -> str | None:
    victim = {killmail["victim"].get(name) for name in ("character_id", "corporation_id")}
    if victim & ours:
        return "loss"
    return "kill" if any(mine(one, ours) for one in killmail["attackers"]) else None


def mine(one: Body, ours: set[int]) -> bool:
    return one.get("character_id") in ours or one.get("corporation_id") in ours


def final(killmail: Body) -> Body:
    return next((one for one in killmail["attackers"] if one["final_blow"]), {})


def owner(one: Body) -> int | None:
    owned: int | None = one.get("corporation_id", one.get("faction_id"))
    return owned


def flown(killmail: Body, ours: set[int]) -> int | None:
    our_ones = [one for one in killmail["attackers"] if mine(one, ours)]
    # the first of those with the highest
    best = max(our_ones, key=lambda one: (one["final_blow"], one["damage_done"]))
    ship: int | None = best.get("ship_type_id")
    return ship


def key_of(killmail: Body, by: By, ours: set[int]) -> Any:
    victim, is_loss, last = killmail["victim"], side(killmail, ours) == "loss", final(killmail)
    then = datetime.fromisoformat(killmail["killmail_time"])
    pilot_id = last.get("character_id", 0)
    keys: dict[By, Callable[[], Any]] = {
        By.SHIP: lambda: victim["ship_type_id"],
        By.FLOWN: lambda: victim["ship_type_id"] if is_loss else flown(killmail, ours),
        By.SYSTEM: lambda: killmail["solar_system_id"],
        By.OPPONENT: lambda: (
            (pilot_id if pilot_id > 3_999_999 else owner(last))
            if is_loss
            else victim.get("character_id", victim.get("corporation_id"))
        ),
        By.CORPORATION: lambda: owner(last) if is_loss else victim.get("corporation_id"),
        By.MONTH: lambda: f"{then:%Y-%m}",
        By.HOUR: lambda: (then.isoweekday(), then.hour),
    }
    return keys[by]()


def counted(
    killmails: list[Body], values: dict[int, float | None], by: By, ours: set[int]
) -> dict[Any, Counted]:
    isk: dict[Any, dict[str, list[float | None]]] = defaultdict(lambda: {"kill": [], "loss": []})
    for killmail in killmails:
        if found := side(killmail, ours):
            isk[key_of(killmail, by, ours)][found].append(values[killmail["killmail_id"]])
    return {
        key: (len(one["kill"]), len(one["loss"]), added(one["kill"]), added(one["loss"]))
        for key, one in isk.items()
    }


def added(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known or not values else None


PARTIES = [(ME, OURS), (ALT, THEIRS), (FOE, THEIRS), (OTHER, OURS), (FOE, None), (None, THEIRS)]
PARTIES += [(None, CONCORD), (NPC_PILOT, CONCORD), (None, None)]
parties = st.sampled_from(PARTIES)
ships = st.sampled_from([None, RIFTER, TRISTAN])
attackers = st.builds(
    lambda who, final_blow, damage, ship, faction: attacker(
        *who,
        final_blow=final_blow,
        damage_done=damage,
        ship_type_id=ship,
        faction_id=GURISTAS if faction else None,
    ),
    parties,
    st.booleans(),
    st.integers(0, 3),
    ships,
    st.booleans(),
)
times = st.sampled_from(
    ["2026-10-31T23:59:59Z", "2026-11-01T00:00:00Z", "2026-11-02T20:15:00Z", "2025-11-02T20:16:00Z"]
)
killmail_lists = st.lists(
    st.builds(
        lambda victim, them, ship, time, system: (pilot(*victim), them, ship, time, system),
        parties,
        st.lists(attackers, max_size=4),
        st.sampled_from([RIFTER, TRISTAN]),
        times,
        st.sampled_from([JITA, THERA]),
    ),
    max_size=8,
).map(
    lambda made: [
        body(number, victim, them, ship=ship, time=time, system=system)
        for number, (victim, them, ship, time, system) in enumerate(made, 1)
    ]
)
# whole numbers, whose sums do not depend on their order
values_of_killmails = st.lists(
    st.none() | st.integers(0, 10**12).map(float), min_size=8, max_size=8
).map(lambda values: dict(enumerate(values, 1)))


def fill(store: Store, killmails: list[Body], values: dict[int, float | None]) -> None:
    empty(store)
    put(store, killmails)
    for killmail in killmails:
        set_value(store, killmail["killmail_id"], values[killmail["killmail_id"]])


def key_of_row(row: Row) -> Any:
    if isinstance(row, statistics.Hour):
        return row.weekday, row.hour
    return row.name if row.id is None and row.name is not None else row.id


def as_counted(figures: Figures) -> Counted:
    return figures.kills, figures.losses, figures.destroyed, figures.lost


@given(
    killmails=killmail_lists,
    values=values_of_killmails,
    ours=st.sampled_from([None, (ME,), (OURS,), (ME, ALT)]),
)
@settings(max_examples=40)
def test_every_table_equals_a_count_over_the_killmails(
    module_store: Store,
    killmails: list[Body],
    values: dict[int, float | None],
    ours: tuple[int, ...] | None,
) -> None:
    fill(module_store, killmails, values)
    for by in By:
        table = statistics.table(module_store.conn, by, Scope(ours), None)
        expected = counted(killmails, values, by, set(ours or USERS))
        assert {key_of_row(row): as_counted(row.figures) for row in table.rows} == expected
        assert table.total.killmails == sum(one[0] + one[1] for one in expected.values())


@given(
    killmails=killmail_lists,
    since=st.none() | times,
    until=st.none() | times,
    ours=st.sampled_from([None, (ME,)]),
)
@settings(max_examples=30)
def test_since_and_until_bound_it_and_include_their_second(
    module_store: Store,
    killmails: list[Body],
    since: str | None,
    until: str | None,
    ours: tuple[int, ...] | None,
) -> None:
    fill(module_store, killmails, dict.fromkeys(range(1, 9), 1.0))
    within = [
        one for one in killmails if (since or "") <= one["killmail_time"] <= (until or "9999")
    ]
    table = statistics.table(module_store.conn, By.SHIP, Scope(ours, since, until), None)
    expected = counted(within, dict.fromkeys(range(1, 9), 1.0), By.SHIP, set(ours or USERS))
    assert {row.id: as_counted(row.figures) for row in table.rows} == expected


# documented views

A_KILLMAIL_ONCE = "(SELECT killmail_id, max(side = 'loss') AS loss FROM kills GROUP BY 1) AS once"
FIGURES = """sum(NOT loss), sum(loss),
    iif(sum(NOT loss), sum(iif(loss, NULL, value)), 0.0),
    iif(sum(loss), sum(iif(loss, value, NULL)), 0.0)"""
KEYS = {
    By.SHIP: "ship_id",
    By.SYSTEM: "system_id",
    By.OPPONENT: """iif(loss, coalesce(final_blow_id, final_blow_corporation_id),
        coalesce(victim_id, victim_corporation_id))""",
    By.CORPORATION: "iif(loss, final_blow_corporation_id, victim_corporation_id)",
    By.MONTH: "substr(time, 1, 7)",
    By.HOUR: "((strftime('%w', time) + 6) % 7 + 1) || ' ' || strftime('%H', time)",
}
# of ours on a kill, who had the final blow, else who did the most damage
OUR_SHIP = """(SELECT ship_id FROM attacker_lines AS a WHERE a.killmail_id = k.killmail_id
    AND (pilot_id IN (SELECT user_id FROM users) OR corporation_id IN (SELECT user_id FROM users))
    ORDER BY final_blow DESC, damage_done DESC, ordinal LIMIT 1)"""
KEYS[By.FLOWN] = f"iif(loss, ship_id, {OUR_SHIP})"


def by_sql(store: Store, by: By) -> dict[Any, Counted]:
    """Return the same from the documented views."""
    found = rows(
        store,
        f"""SELECT {KEYS[by]} AS key, {FIGURES} FROM {A_KILLMAIL_ONCE}
        JOIN (SELECT DISTINCT killmail_id, time, ship_id, system_id, value, victim_id,
            victim_corporation_id, final_blow_id, final_blow_corporation_id FROM kills) AS k
            USING (killmail_id)
        GROUP BY key""",
    )
    return {key: tuple(figures) for key, *figures in found}


@given(killmails=killmail_lists, values=values_of_killmails)
@settings(max_examples=25)
def test_every_figure_is_that_of_documented_views(
    module_store: Store, killmails: list[Body], values: dict[int, float | None]
) -> None:
    fill(module_store, killmails, values)
    for by in By:
        table = statistics.table(module_store.conn, by, Scope(), None)
        found = {
            f"{row.weekday} {row.hour:02}" if isinstance(row, statistics.Hour) else key_of_row(row):
            as_counted(row.figures)
            for row in table.rows
        }  # fmt: skip
        assert found == by_sql(module_store, by)
    lost = {
        row.id: (row.figures.losses, row.figures.lost)
        for row in statistics.table(module_store.conn, By.SHIP, Scope(), None).rows
        if row.figures.losses
    }
    by_ship = "SELECT ship_id, losses, lost FROM losses_by_ship"
    assert {key: tuple(rest) for key, *rest in rows(module_store, by_ship)} == lost
    days = rows(module_store, "SELECT kills, losses, destroyed, lost FROM activity_by_day")
    total = statistics.table(module_store.conn, By.MONTH, Scope(), None).total
    of_days = statistics.added(Figures(*day) for day in days)
    assert as_counted(total) == as_counted(of_days)


# the command line


@pytest.fixture
def filled(store: Store) -> Store:
    """A loss of Maru's to Foe, two kills (one by both of ours), and one of nobody's."""
    shot = attacker(ME, OURS, final_blow=True, ship_type_id=TRISTAN)
    killmails = [
        body(1, pilot(ME, OURS), [attacker(FOE, THEIRS, final_blow=True)]),
        body(2, pilot(FOE, THEIRS), [shot], ship=TRISTAN, time="2026-11-02T03:00:00Z"),
        body(3, pilot(OTHER), [shot, attacker(ALT)], time="2026-10-31T23:59:59Z"),
        body(4, pilot(FOE), [attacker(OTHER, final_blow=True)]),
    ]
    fill(store, killmails, {1: 100.0, 2: 300.0, 3: None, 4: 9e9})
    return store


def test_json_has_the_keys_of_the_contract(filled: Store) -> None:
    assert read(filled, "--by", "opponent") == {
        "by": "opponent",
        "rows": [
            {"name": "Foe", "id": FOE, "kills": 1, "losses": 1}
            | {"destroyed": 300.0, "lost": 100.0, "efficiency": 0.75},
            {"name": None, "id": OTHER, "kills": 1, "losses": 0}
            | {"destroyed": None, "lost": 0.0, "efficiency": None},
        ],
        "total": {"kills": 2, "losses": 1, "destroyed": 300.0, "lost": 100.0, "efficiency": 0.75},
    }


def test_months_and_hours_of_json(filled: Store) -> None:
    months = read(filled, "--by", "month")["rows"]
    assert [(row["name"], row["id"], row["kills"], row["losses"]) for row in months] == [
        ("2026-10", None, 1, 0),
        ("2026-11", None, 1, 1),
    ]
    hours = read(filled, "--by", "hour")["rows"]
    assert [(row["weekday"], row["hour"], row["name"]) for row in hours] == [
        (1, 3, "Monday 03:00"),
        (1, 20, "Monday 20:00"),
        (6, 23, "Saturday 23:00"),
    ]


def test_the_overview_of_json_has_all_tables(filled: Store) -> None:
    found = read(filled)
    assert (found["by"], found["rows"]) == (None, [])
    assert found["total"] == read(filled, "--by", "ship")["total"]
    for name, by in (("ships", "ship"), ("opponents", "opponent"), ("months", "month")):
        assert found[name] == read(filled, "--by", by)["rows"]
    assert found["hours"] == read(filled, "--by", "hour")["rows"]


def test_one_user_and_several(filled: Store) -> None:
    def totals(*words: str) -> tuple[int, int]:
        total = read(filled, "--by", "ship", *words)["total"]
        return total["kills"], total["losses"]

    assert totals("--user", "alt") == (1, 0)
    assert totals("--user", str(ME)) == totals("--user", "maru", "--user", "alt") == (2, 1)


def test_csv_has_the_columns_of_json(filled: Store) -> None:
    for by in By:
        text = run(filled, "--by", by, "--csv").stdout
        found = list(csv.DictReader(io.StringIO(text)))
        expected = read(filled, "--by", by)["rows"]
        assert [
            {name: "" if value is None else str(value) for name, value in row.items()}
            for row in expected
        ] == found


def test_a_pipe_gets_tabs_without_header_or_colour(filled: Store) -> None:
    assert run(filled, "--by", "opponent").stdout == (
        f"Foe\t{FOE}\t1\t1\t300.0\t100.0\t0.75\n\t{OTHER}\t1\t0\t\t0.0\t\n"
    )
    assert (
        run(filled).stdout
        == "kills\t2\nlosses\t1\ndestroyed\t300.0\nlost\t100.0\nefficiency\t0.75\n"
    )


def test_limit_cuts_rows_and_not_the_total(filled: Store) -> None:
    found = read(filled, "--by", "opponent", "--limit", "1")
    assert [row["name"] for row in found["rows"]] == ["Foe"]
    assert found["total"]["kills"] == 2
    assert len(read(filled, "--by", "opponent", "--limit", "0")["rows"]) == 2
    assert len(read(filled, "--by", "hour", "--limit", "1")["rows"]) == 3


def test_who_is_no_pilot_is_an_opponent_by_corporation_or_faction(store: Store) -> None:
    rats = attacker(NPC_PILOT, CONCORD, final_blow=True)
    pirates = attacker(None, None, final_blow=True, faction_id=GURISTAS)
    structure = body(3, pilot(None, THEIRS), [attacker(ME, final_blow=True)])
    fill(
        store,
        [body(1, pilot(ME), [rats]), body(2, pilot(ME), [pirates]), structure],
        {1: 3.0, 2: 2.0, 3: 1.0},
    )
    found = read(store, "--by", "opponent")["rows"]
    assert [(row["name"], row["id"]) for row in found] == [
        ("CONCORD", CONCORD),
        ("Guristas Pirates", GURISTAS),
        ("Their Corp", THEIRS),
    ]


def test_rows_come_in_the_order_that_is_asked_for(store: Store) -> None:
    shot = [attacker(ME, final_blow=True)]
    killers = [attacker(one, final_blow=True) for one in (FOE, ALT + 7, ALT + 7)]
    made = [body(number, pilot(ME), [one]) for number, one in enumerate(killers, 1)]
    made += [body(number, pilot(OTHER), shot) for number in (4, 5)]
    fill(store, made, {1: 1e9, 2: 1.0, 3: 1.0, 4: 10.0, 5: 10.0})
    set_name(store, OTHER, "émile")
    set_name(store, ALT + 7, "Élan")
    try:
        rich, often, victim = "Foe", "Élan", "émile"
        for words, names in (
            ([], [rich, victim, often]),
            (["isk"], [rich, victim, often]),
            (["kills"], [victim, rich, often]),
            (["losses"], [often, rich, victim]),
            (["name"], [rich, often, victim]),
        ):
            sort = [f"--sort={word}" for word in words]
            found = read(store, "--by", "opponent", *sort)
            assert [row["name"] for row in found["rows"]] == names, words
            first = read(store, "--by", "opponent", "--limit", "1", *sort)
            assert first == found | {"rows": found["rows"][:1]}
    finally:
        store.conn.execute("DELETE FROM names WHERE id IN (?, ?)", [OTHER, ALT + 7])


@pytest.mark.parametrize(
    ("sort", "limit", "said"),
    [
        (Sort.ISK, 2, "Most ISK first"),
        (Sort.ISK, 1, "The first 1 of 2, most ISK first"),
        (Sort.LOSSES, 1, "The first 1 of 2, most losses first"),
        (Sort.NAME, 2, "By name"),
    ],
)
def test_a_terminal_says_in_which_order_the_rows_come(
    filled: Store, sort: Sort, limit: int, said: str
) -> None:
    found = statistics.table(filled.conn, By.OPPONENT, Scope(), limit, sort)
    assert drawn(statistics_tables.table_view(found, 80), 80)[-1].startswith(said)


@pytest.mark.parametrize(
    ("share", "shown"),
    [(None, "-"), (0.0, "0%"), (1e-9, "1%"), (0.5, "50%"), (0.9999999, "99%"), (1.0, "100%")],
)
def test_only_all_of_it_is_a_hundred_percent(share: float | None, shown: str) -> None:
    assert percent(share) == shown


def test_nothing_found_says_what_was_searched_and_exits_0(filled: Store) -> None:
    done = run(filled, "--by", "ship", "--user", "alt", "--since", "2026-11-02")
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "of Alt since 2026-11-02T00:00:00Z" in done.stderr
    assert read(filled, "--until", "2020-01-01")["total"]["efficiency"] is None


def test_without_users_it_says_how_to_add_one(tmp_path: Path) -> None:
    with database(tmp_path / "killsync.db", {}) as nobodys:
        assert "`killsync login`" in run(nobodys).stderr


def test_killmails_not_looked_at_yet_are_mentioned(filled: Store) -> None:
    filled.conn.execute("UPDATE users SET roles_below = 4 WHERE user_id = ?", [ALT])
    try:
        assert "still being looked up" in run(filled).stderr
    finally:
        filled.conn.execute("UPDATE users SET roles_below = NULL")
    assert run(filled).stderr == ""


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--user", "Maru Sakala"], "Maru Sakaala"),
        (["--since", "soon"], "--since"),
        (["--until", "2026-13-01"], "--until"),
        (["--since", "2026-11-02", "--until", "2026-11-01"], "2026-11-02"),
        (["--csv"], "--by"),
        (["--sort", "kills"], "--by"),
        (["--by", "month", "--sort", "kills"], "--by"),
        (["--by", "ship", "--csv", "--json"], "--json"),
    ],
)
def test_wrong_usage_is_one_line_and_exits_2(store: Store, words: list[str], named: str) -> None:
    done = run(store, *words, exit_code=2)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert named in done.stderr


# at a terminal

HOSTILE = "\x1b[31m[bold]Foe\u202e\n"


def shown(store: Store, by: By | None, width: int) -> list[str]:
    """Return the lines that a terminal of this width gets, without colour."""
    if by is None:
        overview = statistics.overview(store.conn, Scope())
        view = statistics_tables.overview_view(overview, "all users", width)
    else:
        found = statistics.table(store.conn, by, Scope(), 20)
        view = statistics_tables.table_view(found, width)
    return drawn(view, width)


def drawn(view: Any, width: int) -> list[str]:
    """Return the lines of what is printed to such a terminal."""
    from rich.console import Console

    file = io.StringIO()
    console = Console(
        file=file, width=width, force_terminal=True, no_color=True, markup=False, emoji=False,
        highlight=False, legacy_windows=False,
    )  # fmt: skip
    console.print(view)
    plain = file.getvalue().replace("\x1b[1m", "").replace("\x1b[2m", "").replace("\x1b[0m", "")
    return plain.splitlines()


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_everything_fits_the_terminal(filled: Store, width: int) -> None:
    set_name(filled, OTHER, HOSTILE + "x" * 80)
    try:
        for by in (None, *By):
            lines = shown(filled, by, width)
            assert max(map(len, lines)) <= width
            assert "\x1b" not in "".join(lines)
            assert "\u202e" not in "".join(lines)
            assert not any(line.endswith("…") for line in lines)
        assert any("\\x1b[31m" in line for line in shown(filled, By.OPPONENT, width))
    finally:
        filled.conn.execute("DELETE FROM names WHERE id = ?", [OTHER])


def test_the_heat_map_differs_by_its_blocks_where_there_is_no_colour(store: Store) -> None:
    shot = [attacker(ME, final_blow=True)]
    hours = [4] * 8 + [5] * 4 + [6] * 1
    made = [
        body(number, pilot(FOE), shot, time=f"2026-11-24T{hour:02}:00:00Z")
        for number, hour in enumerate(hours, 1)
    ]
    fill(store, made, dict.fromkeys(range(1, 14), 1.0))
    lines = shown(store, By.HOUR, 80)
    (tuesday,) = (line for line in lines if line.startswith("Tue"))
    assert tuesday[4:][:14] == "        ██▒▒░░"
    assert tuesday.endswith(" 13")
    (legend,) = (line for line in lines if "░░ 1 to 2" in line)
    assert "██ 7 to 8" in legend


def test_months_without_a_killmail_have_their_place_in_the_sparks() -> None:
    def month(name: str, kills: int) -> Row:
        return Row(name, None, Figures(kills, 0, 0.0, 0.0))

    head, kills, losses = statistics_tables.sparks([month("2025-11", 8), month("2026-02", 1)], 80)
    assert head.plain == "Months, 2025-11 to 2026-02"
    assert kills.plain == "Kills  █··▁ at most 8"
    assert losses.plain == "Losses ···· at most 0"


def test_what_has_no_name_is_shown_by_its_id_or_as_nobody(store: Store) -> None:
    shot = [attacker(ME, final_blow=True)]
    fill(store, [body(1, pilot(OTHER), shot), body(2, {}, shot)], {1: 2.0, 2: 1.0})
    text = "\n".join(shown(store, By.OPPONENT, 80))
    assert f"#{OTHER}" in text
    assert "nobody known" in text
    assert "no ship known" in "\n".join(shown(store, By.FLOWN, 80))


def test_what_has_no_value_is_said_and_not_shown_as_zero(filled: Store) -> None:
    lines = shown(filled, By.OPPONENT, 80)
    (other,) = (line for line in lines if f"#{OTHER}" in line)
    assert other.split()[-5:] == ["1", "0", "-", "0", "-"]
    assert any("1 killmail without a value" in line for line in lines)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 9)), max_size=5))
def test_efficiency_is_a_share_or_unknown(parts: list[tuple[int, int, int]]) -> None:
    figures = statistics.added(
        Figures(kills, losses, float(kills * isk), float(losses * isk))
        for kills, losses, isk in parts
    )
    if figures.efficiency is None:
        assert figures.isk == 0
    else:
        assert 0 <= figures.efficiency <= 1
        assert math.isclose(figures.efficiency * figures.isk, figures.destroyed or 0.0)


def test_without_a_database_it_exits_2_and_creates_none(tmp_path: Path) -> None:
    path = tmp_path / "killsync.db"
    done = run_here("stats", environment={"KILLSYNC_DB": str(path), "HOME": str(tmp_path)})
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []
