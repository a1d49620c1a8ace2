"""`killsync kills`: which killmails it lists, in which form, and what a mistake is told."""

import csv
import io
import json
import re
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import InProcess
from rich.cells import cell_len
from rich.console import Console
from terminal import Terminal
from world import TIMEOUT, run_in_progress, simulator

from killsync.board.kills import Asked, Tally, filters
from killsync.cli import moments
from killsync.errors import UsageError
from killsync.killmail.sides import Side
from killsync.settings.values import parse_isk
from killsync.store import connection
from killsync.store import kills as stored
from killsync.store.kills import Filters, Kill
from killsync.terminal.isk import isk
from killsync.terminal.kills_lines import describe_tally
from killsync.terminal.kills_table import LAID_OUT_BY, fitting, print_kills
from killsync.terminal.moments import shown_time

FIRST = 140_000_001
US, ALSO_US, THEM, STRANGER = 90_000_001, 90_000_002, 2_112_000_001, 2_150_000_000
CORPORATION, ALLIANCE = 98_600_001, 99_010_001
RIFTER, SABRE, CAPSULE, SHUTTLE, ASTRAHUS = 587, 22_456, 670, 672, 35_832
JITA, AMAMAKE = 30_000_142, 30_002_537
GURISTAS = 500_010

CONTRACT = [
    "killmail_id",
    "time",
    "side",
    "users",
    "user_ids",
    "victim",
    "victim_id",
    "victim_corporation",
    "victim_corporation_id",
    "victim_alliance",
    "victim_alliance_id",
    "ship",
    "ship_id",
    "ship_group",
    "ship_group_id",
    "system",
    "system_id",
    "security",
    "region",
    "region_id",
    "final_blow",
    "final_blow_id",
    "final_blow_corporation",
    "final_blow_corporation_id",
    "final_blow_ship",
    "final_blow_ship_id",
    "attackers",
    "value",
    "dropped",
    "destroyed",
    "unpriced",
    "solo",
    "npc",
    "awox",
    "url",
    "origin",
]


def attacker(character: int | None = None, ship: int = SABRE, **others: Any) -> dict[str, Any]:
    who = {} if character is None else {"character_id": character}
    common = {"damage_done": 1, "final_blow": True, "security_status": 0.5, "ship_type_id": ship}
    return common | who | others


def body(victim: dict[str, Any], *attackers: dict[str, Any], system: int = JITA) -> dict[str, Any]:
    return {
        "killmail_time": "2026-10-02T03:04:05Z",
        "solar_system_id": system,
        "victim": {"damage_taken": 1, "ship_type_id": RIFTER} | victim,
        "attackers": list(attackers),
    }


HELPER = {"final_blow": False}
# what a random killmail seldom is; all at the same second
ODD = [
    body({"character_id": US}, attacker(ALSO_US)),
    body({"character_id": US}, attacker(faction_id=GURISTAS)),
    body({"character_id": US}, attacker(corporation_id=1_000_127)),
    body(
        {"character_id": US, "corporation_id": CORPORATION},
        attacker(THEM, corporation_id=CORPORATION, alliance_id=ALLIANCE),
    ),
    body({"character_id": THEM, "ship_type_id": CAPSULE}, attacker(US)),
    body({"character_id": THEM, "ship_type_id": SHUTTLE}, attacker(US)),
    body({"character_id": THEM}, attacker(US), attacker(ship=ASTRAHUS, **HELPER), system=AMAMAKE),
    body({"character_id": THEM}, attacker(US), attacker(corporation_id=1_000_127, **HELPER)),
    body({"corporation_id": CORPORATION, "ship_type_id": ASTRAHUS}, attacker(US)),
    body({"character_id": STRANGER, "alliance_id": ALLIANCE}, attacker(THEM)),
    body({"ship_type_id": 999_999_999}, attacker(US, ship=999_999_998), system=39_999_999),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    """A synced database with names and values that is not changed."""
    with simulator(characters=2, killmails=15, shared=0.5) as esi:
        for number, odd in enumerate(ODD):
            killmail_id = FIRST + number
            text = json.dumps(odd | {"killmail_id": killmail_id})
            esi.add_killmails(US, 1, killmail_id=killmail_id, body_text=text)
        made = InProcess(tmp_path_factory.mktemp("kills"), esi)
        made.add_users()
        made.run("scan", KILLSYNC_NAMES="on")
        made.execute(
            """INSERT OR REPLACE INTO killmail_values
            SELECT killmail_id, 1, 2, 3, 4, 5, iif(killmail_id % 4, killmail_id % 7 * 1e8, NULL), 0,
                '2026-11-01' FROM killmails"""
        )
        yield made


@pytest.fixture
def own(program: InProcess, tmp_path: Path) -> InProcess:
    """The same database, to be changed."""
    return program.copy_to(tmp_path)


def listed(program: InProcess, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(
        program.run("kills", "--json", "--limit", "0", *arguments).stdout
    )
    return found


def ids(kills: list[dict[str, Any]]) -> list[int]:
    return [kill["killmail_id"] for kill in kills]


# which killmails, and what is said of them


class Model:
    """What the words of the filters mean, said once more over ESI's JSON."""

    def __init__(self, program: InProcess) -> None:
        self.bodies = {killmail["killmail_id"]: killmail for killmail in program.export()}
        self.types = {
            type_id: (group, category, name, group_name)
            for type_id, group, category, name, group_name in program.rows(
                "SELECT type_id, group_id, category_id, name, group_name FROM types"
            )
        }
        self.regions = dict(program.rows("SELECT system_id, region_id FROM systems"))
        self.values = dict(program.rows("SELECT killmail_id, total FROM killmail_values"))

    def side(self, killmail: dict[str, Any], ours: set[int]) -> str | None:
        if who(killmail["victim"]) & ours:
            return "loss"
        return "kill" if any(who(a) & ours for a in killmail["attackers"]) else None

    def group(self, killmail: dict[str, Any]) -> int | None:
        known = self.types.get(killmail["victim"]["ship_type_id"])
        return known[0] if known else None

    def category(self, type_id: int | None) -> int | None:
        known = self.types.get(type_id or 0)
        return known[1] if known else None

    def is_solo(self, killmail: dict[str, Any]) -> bool:
        players = [a for a in killmail["attackers"] if a.get("character_id", 0) > 3_999_999]
        return (
            self.category(killmail["victim"]["ship_type_id"]) == 6
            and self.group(killmail) not in (29, 31, 237)
            and len(players) == 1
            and not any(self.category(a.get("ship_type_id")) == 65 for a in killmail["attackers"])
        )

    def is_npc(self, killmail: dict[str, Any]) -> bool:
        return not any(
            a.get("character_id", 0) > 3_999_999 or a.get("corporation_id", 0) > 1_999_999
            for a in killmail["attackers"]
        )

    def is_awox(self, killmail: dict[str, Any]) -> bool:
        final: dict[str, Any] = next((a for a in killmail["attackers"] if a["final_blow"]), {})
        victim = killmail["victim"]
        return (
            self.group(killmail) not in (29, 237)
            and victim.get("corporation_id", 0) > 1_999_999
            and victim.get("corporation_id") == final.get("corporation_id")
            and victim.get("character_id") != final.get("character_id")
        )

    def matches(self, killmail: dict[str, Any], asked: dict[str, Any]) -> bool:
        ours = {asked["--user"]} if "--user" in asked else {US, ALSO_US}
        side = self.side(killmail, ours)
        if side is None and "--all" not in asked:
            return False
        return all(self.holds(killmail, side, *one) for one in asked.items())

    def holds(self, killmail: dict[str, Any], side: str | None, name: str, value: Any) -> bool:
        of_type = self.types.get(killmail["victim"]["ship_type_id"], (None, None, None, None))
        worth = self.values[killmail["killmail_id"]]
        meant: dict[str, Callable[[], bool]] = {
            "--user": lambda: True,
            "--all": lambda: True,
            "--kills": lambda: side == "kill",
            "--losses": lambda: side == "loss",
            "--since": lambda: killmail["killmail_time"] >= value,
            "--until": lambda: killmail["killmail_time"] <= value,
            "--ship": lambda: value in of_type[2:],
            "--system": lambda: killmail["solar_system_id"] == value,
            "--region": lambda: self.regions.get(killmail["solar_system_id"]) == value,
            "--with": lambda: value in others(killmail, side),
            "--min-value": lambda: worth is not None and worth >= parse_isk(value),
            "--solo": lambda: self.is_solo(killmail),
            "--npc": lambda: self.is_npc(killmail),
            "--awox": lambda: self.is_awox(killmail),
            "--no-pods": lambda: self.group(killmail) != 29,
        }
        return meant[name]()


def who(party: dict[str, Any]) -> set[int]:
    return {party[key] for key in ("character_id", "corporation_id") if key in party}


def others(killmail: dict[str, Any], side: str | None) -> set[int]:
    parties = [] if side == "loss" else [killmail["victim"]]
    parties += [] if side == "kill" else killmail["attackers"]
    keys = ("character_id", "corporation_id", "alliance_id", "faction_id")
    return {party[key] for party in parties for key in keys if key in party}


TIMES = st.sampled_from(["2026-10-02T03:04:05Z", "2026-10-02T03:04:06Z", "2026-11-01T00:00:00Z"])
FLAG = st.just(True)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "--user": st.sampled_from([US, ALSO_US]),
        "--since": TIMES,
        "--until": TIMES,
        "--kills": FLAG,
        "--losses": FLAG,
        "--ship": st.sampled_from(["Rifter", "Frigate", "Capsule", "Sabre"]),
        "--system": st.sampled_from([JITA, AMAMAKE]),
        "--region": st.just(10_000_002),
        "--with": st.sampled_from([THEM, US, CORPORATION, ALLIANCE, GURISTAS]),
        "--min-value": st.sampled_from(["0", "100m", "0.6b"]),
        "--solo": FLAG,
        "--npc": FLAG,
        "--awox": FLAG,
        "--no-pods": FLAG,
        "--all": FLAG,
    },
)
AGAINST_EACH_OTHER = [
    {"--kills", "--losses"},
    {"--solo", "--npc"},
    {"--system", "--region"},
    {"--all", "--kills"},
    {"--all", "--losses"},
    {"--all", "--user"},
]


@pytest.fixture(scope="module")
def model(program: InProcess) -> Model:
    """The killmails of the database, as export gives them back."""
    return Model(program)


def words(asked: dict[str, Any]) -> list[str]:
    return [w for name, v in asked.items() for w in ([name] if v is True else [name, str(v)])]


@settings(max_examples=40)
@given(asked=FILTERS.filter(lambda asked: not any(pair <= {*asked} for pair in AGAINST_EACH_OTHER)))
def test_filters_mean_what_they_say(
    program: InProcess, model: Model, asked: dict[str, Any]
) -> None:
    if asked.get("--since", "") > asked.get("--until", "9"):
        assert "is after" in program.run("kills", *words(asked), exit_code=2).stderr
        return
    expected = sorted(
        (killmail["killmail_time"], killmail["killmail_id"])
        for killmail in model.bodies.values()
        if model.matches(killmail, asked)
    )
    found = listed(program, *words(asked))
    assert [(kill["time"], kill["killmail_id"]) for kill in found] == expected[::-1]
    ours = {asked["--user"]} if "--user" in asked else {US, ALSO_US}
    for kill in found:
        killmail = model.bodies[kill["killmail_id"]]
        assert kill["side"] == model.side(killmail, ours)
        assert kill["solo"] is model.is_solo(killmail)
        assert kill["npc"] is model.is_npc(killmail)
        assert kill["awox"] is model.is_awox(killmail)


@pytest.mark.parametrize("pair", AGAINST_EACH_OTHER, ids=lambda pair: " ".join(sorted(pair)))
def test_filters_that_contradict_each_other_exit_2(program: InProcess, pair: set[str]) -> None:
    values = {"--user": [str(US)], "--system": ["Jita"], "--region": ["The Forge"]}
    asked = [word for name in sorted(pair) for word in (name, *values.get(name, []))]
    done = program.run("kills", *asked, exit_code=2)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert all(name in done.stderr for name in pair)


def test_two_of_ours_on_one_killmail_are_one_loss(program: InProcess) -> None:
    (together,) = [kill for kill in listed(program) if kill["killmail_id"] == FIRST]
    names = [login["name"] for login in program.simulator.logins]
    assert (together["side"], together["user_ids"], together["users"]) == (
        "loss",
        [US, ALSO_US],
        names,
    )
    sides = {
        user: kill["side"]
        for user in (US, ALSO_US)
        for kill in listed(program, "--user", str(user))
        if kill["killmail_id"] == FIRST
    }
    assert sides == {US: "loss", ALSO_US: "kill"}


def test_an_npcs_final_blow_has_no_pilot_but_a_faction_and_a_ship(program: InProcess) -> None:
    (kill,) = [kill for kill in listed(program) if kill["killmail_id"] == FIRST + 1]
    shown = {key: value for key, value in kill.items() if key.startswith("final_blow")}
    assert shown == {
        "final_blow": None,
        "final_blow_id": None,
        "final_blow_corporation": "Guristas Pirates",
        "final_blow_corporation_id": GURISTAS,
        "final_blow_ship": "Sabre",
        "final_blow_ship_id": SABRE,
    }


def test_json_has_the_keys_of_the_contract_in_order(program: InProcess) -> None:
    found = listed(program, "--all")
    assert len(found) == len(program.export())
    assert {tuple(kill) for kill in found} == {tuple(CONTRACT)}


def test_json_without_killmails_is_an_empty_list(program: InProcess) -> None:
    assert program.run("kills", "--json", "--since", "1s", "-q").stdout == "[]\n"


@pytest.mark.parametrize("user_id", [US, ALSO_US])
def test_the_view_says_the_same_of_each_user(program: InProcess, user_id: int) -> None:
    shared = [key for key in CONTRACT if key not in ("users", "user_ids")]
    rows = program.rows(
        f"SELECT {', '.join(shared)} FROM kills WHERE user_id = ? ORDER BY time DESC, "
        "killmail_id DESC",
        user_id,
    )
    found = listed(program, "--user", str(user_id))
    assert [tuple(kill[key] for key in shared) for kill in found] == rows


def test_csv_has_the_columns_of_the_json(program: InProcess) -> None:
    text = program.run("kills", "--csv", "--limit", "0", "--all").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    found = listed(program, "--all")
    assert [list(row) for row in rows] == [CONTRACT] * len(found)
    (together,) = [row for row in rows if row["killmail_id"] == str(FIRST)]
    assert together["user_ids"] == f"{US}; {ALSO_US}"
    assert rows == [{key: in_csv(kill[key]) for key in CONTRACT} for kill in found]


def in_csv(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(map(str, value))
    return "" if value is None else str(int(value) if isinstance(value, bool) else value)


def test_the_newest_twenty_unless_another_limit_is_given(program: InProcess) -> None:
    everything = ids(listed(program))
    assert len(everything) > 21
    for arguments, count in ((), 20), (("--limit", "21"), 21), (("--limit", "1"), 1):
        found = json.loads(program.run("kills", "--json", *arguments).stdout)
        assert ids(found) == everything[:count]


@pytest.mark.parametrize("limit", [None, 1, 7, 100])
def test_batches_come_to_the_same_as_one_read(program: InProcess, limit: int | None) -> None:
    with closing(connection.connect(program.database, read_only=True)) as store:
        whole = [k for batch in stored.read(store.conn, Filters(), limit) for k in batch]
        batches = list(stored.read(store.conn, Filters(), limit, batch=3))
    assert [kill for batch in batches for kill in batch] == whole
    assert max(map(len, batches)) == min(3, limit or 3)


def test_it_is_read_while_a_run_goes_on(program: InProcess) -> None:
    with run_in_progress(program):
        assert len(listed(program)) > 21


# time


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2026-11-24", "2026-11-24T00:00:00Z", "2026-11-24T23:59:59Z"),
        ("2026-11-24T03:00:00Z", "2026-11-24T03:00:00Z", "2026-11-24T03:00:00Z"),
        ("2026-11-24T03:00", "2026-11-24T03:00:00Z", "2026-11-24T03:00:00Z"),
        ("7d", "2027-01-08T08:00:00Z", "2027-01-08T08:00:00Z"),
        ("1w", "2027-01-08T08:00:00Z", "2027-01-08T08:00:00Z"),
        ("today", "2027-01-15T00:00:00Z", "2027-01-15T23:59:59Z"),
        ("Yesterday", "2027-01-14T00:00:00Z", "2027-01-14T23:59:59Z"),
    ],
)
def test_a_day_given_to_until_counts_to_its_end(text: str, since: str, until: str) -> None:
    now = 1_800_000_000.0  # 2027-01-15T08:00:00Z
    assert moments.period(text, text, now) == (since, until)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2027-01-15T00:00:00Z", "today 00:00"),
        ("2027-01-14T23:59:59Z", "yesterday 23:59"),
        ("2027-01-02T03:04:05Z", "Jan 02 03:04"),
        ("2026-12-31T03:04:05Z", "2026-12-31"),
        ("0001-01-01T00:00:00Z", "0001-01-01"),
        ("9999-12-31T23:59:59Z", "9999-12-31"),
    ],
)
def test_times_as_people_read_them(text: str, shown: str) -> None:
    assert shown_time(text, False, 1_800_000_000.0) == shown


def test_local_times_are_this_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XXX-3")
    time.tzset()
    try:
        assert shown_time("2027-01-14T21:00:00Z", True, 1_800_000_000.0) == "today 00:00"
        assert shown_time("2027-01-14T21:00:00Z", False, 1_800_000_000.0) == "yesterday 21:00"
        assert shown_time("9999-12-31T23:59:59Z", True, 1_800_000_000.0) == "9999-12-31"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_local_times_are_for_a_terminal_only(program: InProcess) -> None:
    usual = program.run("kills").stdout
    assert program.run("kills", KILLSYNC_TIME_ZONE="local", TZ="XXX-3").stdout == usual


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (0, "0"),
        (980, "980"),
        (999.6, "1k"),
        (12_500, "12.5k"),
        (999_960, "1m"),
        (340e6, "340m"),
        (1.2e9, "1.2b"),
        (2e15, "2,000t"),
    ],
)
def test_isk_as_players_write_it(value: float | None, shown: str) -> None:
    assert isk(value) == shown


@pytest.mark.parametrize(
    ("text", "value"),
    [("100m", 1e8), ("1.2B", 1.2e9), ("500k", 5e5), ("1e9", 1e9), ("1,000,000", 1e6), (" 7 ", 7)],
)
def test_isk_as_players_type_it(text: str, value: float) -> None:
    assert parse_isk(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *["", "lots", "-1", "1mm", "1e999", "nan", "inf", "1 m", "٣m"],
        # decimal commas, and commas where no thousands end
        *["1,5m", "1,2b", "1,23", "1,2,3", "1000,000", ",5", "1,000,00", "1.000,5"],
    ],
)
def test_what_is_no_isk_is_refused(text: str) -> None:
    with (
        closing(sqlite3.connect(":memory:")) as conn,
        pytest.raises(UsageError, match="--min-value"),
    ):
        filters(conn, Asked(min_value=text))


# names


@pytest.mark.parametrize(
    ("arguments", "same"),
    [
        (("--ship", "rifter"), ("--ship", str(RIFTER))),
        (("--ship", " Rifte"), ("--ship", str(RIFTER))),
        (("--system", "JITA"), ("--system", str(JITA))),
        (("--system", "jit"), ("--system", str(JITA))),
        (("--region", "the forg"), ("--region", "10000002")),
        (("--with", "guristas pirates"), ("--with", str(GURISTAS))),
    ],
)
def test_a_name_in_any_case_or_how_only_one_begins(
    program: InProcess, arguments: tuple[str, ...], same: tuple[str, ...]
) -> None:
    found = listed(program, *arguments)
    assert found
    assert found == listed(program, *same)


def test_all_that_bear_one_name_are_meant(own: InProcess) -> None:
    own.execute("INSERT OR REPLACE INTO names VALUES (?, 'character', 'Twice', NULL)", THEM)
    own.execute("INSERT OR REPLACE INTO names VALUES (?, 'alliance', 'Twice', NULL)", ALLIANCE)
    both = {*ids(listed(own, "--with", str(THEM))), *ids(listed(own, "--with", str(ALLIANCE)))}
    assert set(ids(listed(own, "--with", "twice"))) == both


def test_a_name_of_digits_is_meant_before_an_id(own: InProcess) -> None:
    own.execute("INSERT OR REPLACE INTO names VALUES (?, 'character', '12345', NULL)", THEM)
    found = listed(own, "--with", "12345")
    assert found
    assert found == listed(own, "--with", str(THEM))


def test_an_id_is_that_of_a_ship_a_group_or_of_what_has_no_name(program: InProcess) -> None:
    frigates = listed(program, "--ship", "25")
    assert frigates == listed(program, "--ship", "Frigate")
    assert {FIRST, FIRST + 1} <= {*ids(frigates)}
    assert ids(listed(program, "--ship", "999999999")) == [FIRST + len(ODD) - 1]
    assert ids(listed(program, "--system", "39999999")) == [FIRST + len(ODD) - 1]


def test_letters_beyond_ascii_may_be_in_any_case_too(own: InProcess) -> None:
    own.execute("INSERT OR REPLACE INTO names VALUES (?, 'character', 'Émile Zola', NULL)", THEM)
    meant = listed(own, "--with", str(THEM))
    assert meant
    for word in ("émile zola", "ÉMILE ZOLA", "émile Zola", "émil"):
        assert listed(own, "--with", word) == meant
    for word in ("emile zola", "émile zolla"):
        assert "'Émile Zola'" in own.run("kills", "--with", word, exit_code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--ship", "987654"), "no ship or group of ships '987654' is known"),
        (("--ship", "Jitaa"), "no ship or group of ships 'Jitaa' is known"),
        (("--ship", "null"), "no ship or group of ships 'null' is known"),
        (("--system", "The Forge"), "no system 'The Forge' is known"),
        (("--system", "31"), "'31' begins the name of more than one system: 31-MLU"),
        (("--with", "42"), "no pilot, corporation or alliance '42' is known"),
        (("--ship", "Riftr"), "'Rifter'"),
        (("--ship", "Frigat\u00e9"), "'Frigate'"),
        (("--ship", "Caracal N"), "Caracal Navy Issue, Caracal Nugoeihuvi Edition"),
        (("--ship", "Qqqqqqqq"), "no ship or group of ships 'Qqqqqqqq' is known"),
        (("--ship", "x" * 10_000), "is known"),
        (("--ship", ""), "''"),
        (("--system", "Jitta"), "'Jita'"),
        (("--region", "Forge"), "'The Forge'"),
        (("--with", "Guristas Pirate Gang"), "'Guristas Pirates'"),
        (("--with", "\udcff\x1b[2J"), "is known"),
        (("--user", "nobody at all"), "killsync users"),
        (("--since", "soon"), "--since is 'soon'"),
        (("--until", "2026-13-01"), "--until is '2026-13-01'"),
        (("--min-value", "lots"), "--min-value is 'lots'"),
        (("--json", "--csv"), "--json and --csv"),
        (("Rifter",), "`killsync kills --ship Rifter`"),
        (("the forge",), "`killsync kills --region 'the forge'`"),
        (("no such thing",), "is not the id of a killmail"),
        (("https://zkillboard.com/character/5/",), "is not the id of a killmail"),
        (("--", "-5"), "is not the id of a killmail"),
        ((str(FIRST), "--losses"), "--losses: filters are for the list"),
    ],
)
def test_a_mistake_is_one_line(program: InProcess, arguments: tuple[str, ...], said: str) -> None:
    done = program.run("kills", *arguments, exit_code=2)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr
    assert "\x1b" not in done.stderr


def test_what_matches_nothing_says_what_was_searched(program: InProcess) -> None:
    asked = ("--losses", "--ship", "Avatar", "--min-value", "5t")
    done = program.run("kills", *asked)
    assert done.stdout == ""
    assert done.stderr == f"killsync: no killmails match {' '.join(asked)}\n"
    assert program.run("kills", *asked, "--csv", "-q").stdout == ",".join(CONTRACT) + "\n"


def test_where_nothing_is_stored_yet_the_next_command_is_named(killsync: Any) -> None:
    done = killsync(characters=1, killmails=1).run("kills")
    assert done.stdout == ""
    assert "killsync scan" in done.stderr


def test_where_nothing_has_a_value_yet_a_least_value_says_so(own: InProcess) -> None:
    own.execute("UPDATE killmail_values SET total = NULL")
    done = own.run("kills", "--min-value", "1")
    assert done.stdout == ""
    assert "none has a value yet" in done.stderr


def test_killmails_of_others_only_are_not_hidden_in_silence(own: InProcess) -> None:
    own.execute("UPDATE user_killmails SET role = NULL, killmail_time = NULL")
    done = own.run("kills")
    assert done.stdout == ""
    assert "--all" in done.stderr
    assert len(listed(own, "--all")) == len(own.export())


def test_a_list_that_is_not_filled_in_yet_says_so(own: InProcess) -> None:
    own.execute("UPDATE users SET roles_below = 5")
    assert "killsync scan" in own.run("kills", "--limit", "0").stderr
    assert own.run("kills", "--limit", "1").stderr == ""


# in a pipe

HOSTILE = [
    "",
    " ",
    "[bold red]x[/]",
    "\x1b]0;title\x07\x1b[2J",
    "\u202egnp.exe",
    "line\nline\ttab\r",
    "\u2028\x85\x0b",
    "'); DROP TABLE names; --",
    "x" * 10_240,
]


@pytest.fixture
def hostile(own: InProcess) -> InProcess:
    """Every name is one that somebody may have chosen to do harm."""
    shown = {
        ("names", "id"): "SELECT id FROM names",
        ("types", "type_id"): """SELECT victim_ship_type_id FROM killmails
            UNION SELECT ship_type_id FROM attackers""",
        ("systems", "system_id"): "SELECT solar_system_id FROM killmails",
    }
    with closing(sqlite3.connect(own.database)) as conn, conn:
        for (table, key), asked in shown.items():
            conn.executemany(
                f"UPDATE {table} SET name = ? WHERE {key} % ? = ? AND {key} IN ({asked})",
                [(name, len(HOSTILE), number) for number, name in enumerate(HOSTILE)],
            )
        conn.execute(
            """UPDATE systems SET region = char(10) || region || char(9)
            WHERE system_id IN (SELECT solar_system_id FROM killmails)"""
        )
    return own


def test_a_pipe_gets_a_line_of_twelve_fields_for_each(program: InProcess) -> None:
    lines = program.run("kills", "--limit", "0", "--all").stdout.splitlines()
    found = listed(program, "--all")
    assert len(lines) == len(found)
    for line, kill in zip(lines, found, strict=True):
        fields = line.split("\t")
        assert len(fields) == 12
        assert (fields[0], fields[1]) == (kill["time"], kill["side"] or "-")
        assert fields[10] == ("-" if kill["value"] is None else f"{kill['value']:.2f}")
        assert fields[11] == str(kill["killmail_id"])


def test_unknown_names_are_shown_as_ids(program: InProcess) -> None:
    lines = program.run("kills", "--limit", "0", "--all").stdout.splitlines()
    (line,) = [line for line in lines if line.endswith(f"\t{FIRST + len(ODD) - 1}")]
    fields = line.split("\t")
    assert fields[2:7] == ["-", "#999999999", "#39999999", "-", "-"]
    assert fields[8] == "#999999998"


def test_what_has_no_name_looks_the_same_in_a_killmail(program: InProcess) -> None:
    text = program.run("kills", str(FIRST + len(ODD) - 1)).stdout
    for id_ in (999_999_999, 999_999_998, 39_999_999):
        assert f"#{id_}" in text
    assert not re.search(r"(Type|System) \d", text)


def test_hostile_names_add_no_line_and_no_field(hostile: InProcess) -> None:
    text = hostile.run("kills", "--limit", "0", "--all").stdout
    lines = text.removesuffix("\n").split("\n")
    assert len(lines) == len(hostile.export())
    assert {line.count("\t") for line in lines} == {11}
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u202e]", text)
    assert "x" * 10_240 in text
    assert len(listed(hostile, "--all")) == len(lines)


def test_a_pipe_needs_no_rich(program: InProcess) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "killsync", "kills"],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        env=program.environment,
        check=True,
    )
    assert len(done.stdout.splitlines()) == 20
    assert "killsync.store.kills" in done.stderr
    assert not re.search(r"\| +(rich|requests|sqlite_utils)\b", done.stderr)


# at a terminal


def rendered(kills: list[Kill], width: int, **settings: Any) -> str:
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=True,
        markup=False,
        emoji=False,
        highlight=False,
        **settings,
    )
    print_kills(kills, console, local=False, now=1_800_000_000.0)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()


def kill(**values: Any) -> Kill:
    common: dict[str, Any] = dict.fromkeys(CONTRACT) | {
        "killmail_id": 132_000_000,
        "time": "2027-01-14T23:59:59Z",
        "side": Side.LOSS,
        "users": ["Jane Doe"],
        "user_ids": [US],
        "victim": "Jane Doe",
        "victim_id": US,
        "ship": "Caldari Navy Hookbill",
        "ship_id": RIFTER,
        "system": "Amamake",
        "system_id": AMAMAKE,
        "security": 0.4,
        "region": "Heimatar",
        "final_blow": "Bob the Capsuleer",
        "final_blow_id": THEM,
        "final_blow_ship": "Stabber Fleet Issue",
        "final_blow_ship_id": SABRE,
        "attackers": 1_234,
        "value": 1.2e9,
    }
    return Kill(**(common | values))


NAMES = ["漢字の名前がとても長い人です", "אבגדה וזח", "é\u0301" * 30, *HOSTILE]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
@pytest.mark.parametrize("count", [1, len(NAMES)])
def test_every_line_fits_and_begins_names_at_their_beginning(width: int, count: int) -> None:
    kills = [kill(final_blow=name, victim=name, ship=name[::-1]) for name in NAMES[:count]]
    lines = plain(rendered(kills, width))
    assert len(lines) == count + 1
    assert max(map(cell_len, lines)) <= width
    assert "漢字" in lines[1]


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (60, ["yesterday 23:59  - Caldari Navy", "Bob the C", "1.2b"]),
        (80, ["Caldari Navy Hookbill", "Bob the Capsuleer", "1.2b", "132000000"]),
        (120, ["Jane Doe", "Amamake 0.4", "Bob the Capsuleer", "1,234", "1.2b", "132000000"]),
        (200, ["Jane Doe", "Amamake 0.4", "Heimatar", "Stabber Fleet Issue", "1,234"]),
    ],
)
def test_what_is_needed_most_is_shown_longest(width: int, words: list[str]) -> None:
    (_, line) = plain(rendered([kill()], width))
    assert [word for word in words if word not in line] == []


def test_names_lose_their_ends_only_where_no_column_is_left() -> None:
    needed = dict.fromkeys(["victim", "opponent", "final_blow", "region", "final_ship"], 15)
    needed |= {"time": 12, "side": 1, "ship": 15, "system": 12, "place": 8}
    needed |= {"attackers": 7, "isk": 5, "id": 9}
    for width in range(30, 200):
        shown, widths = fitting(needed, width)
        cut = [name for name in shown if widths[name] < needed[name]]
        assert not cut or shown == ["time", "side", "ship", "opponent", "isk"]


def test_a_very_long_name_costs_no_column() -> None:
    shown, _ = fitting_of(kill(), 120)
    assert fitting_of(kill(final_blow="x" * 50), 120)[0] == shown


def fitting_of(one: Kill, width: int) -> tuple[list[str], str]:
    title, line = plain(rendered([one], width))
    return title.split(), line


def test_kills_and_losses_differ_by_colour_and_by_sign() -> None:
    sides = [Side.KILL, Side.LOSS, None]
    kills = [kill(side=side, ship="Rifter") for side in sides]
    _, *coloured = rendered(kills, 80, color_system="standard").splitlines()
    assert ["\x1b[32m" in line for line in coloured] == [True, False, False]
    assert ["\x1b[31m" in line for line in coloured] == [False, True, False]
    _, *colourless = rendered(kills, 80, no_color=True).splitlines()
    assert not any(re.search(r"\x1b\[[\d;]*3[\d]", line) for line in colourless)
    assert ["+ Rifter" in line for line in colourless] == [True, False, False]
    assert ["- Rifter" in line for line in colourless] == [False, True, False]


def test_a_terminal_shows_a_table_and_how_many_there_are(program: InProcess) -> None:
    total = len(listed(program))
    terminal = Terminal(program, "kills", columns=120)
    while terminal.read():
        pass
    lines = plain(terminal.shown)
    assert terminal.process.wait(TIMEOUT) == 0
    assert lines[0].split()[:3] == ["Time", "Ship", "Victim"]
    assert len(lines) == 23
    assert re.fullmatch(r"\d+ kills?, \S+ ISK destroyed; \d+ loss(es)?, \S+ ISK lost", lines[-2])
    assert lines[-1] == f"the newest 20 of {total}; --limit 0 shows all"
    assert "\x1b[31m" in terminal.shown


def test_a_long_list_has_one_header_and_reads_no_more_than_it_has_shown() -> None:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    assert isinstance(console.file, io.StringIO)
    drawn: list[int] = []

    def many() -> Iterator[Kill]:
        for number in range(3 * LAID_OUT_BY):
            drawn.append(console.file.getvalue().count("\n"))  # type: ignore[attr-defined]
            yield kill(killmail_id=132_000_000 + number, final_blow="x" * (1 + number // 100))

    print_kills(many(), console, local=False, now=1_800_000_000.0)
    lines = console.file.getvalue().splitlines()
    assert len(lines) == 3 * LAID_OUT_BY + 1
    assert [line for line in lines if "Final blow" in line] == lines[:1]
    # the id stands at the end of each, in the same place
    assert {line.rindex("13200") for line in lines[1:]} == {len(lines[1]) - 9}
    assert max(at - shown for at, shown in enumerate(drawn)) <= LAID_OUT_BY


def test_the_total_of_a_list_is_that_of_what_is_shown() -> None:
    tally = Tally()
    shown = [
        [kill(side=Side.KILL, value=1e9), kill(side=Side.KILL, value=None)],
        [kill(side=Side.LOSS, value=None), kill(side=None, value=5e9)],
    ]
    assert list(tally.counting(shown)) == [one for batch in shown for one in batch]
    assert describe_tally(tally) == "2 kills, 1b ISK destroyed; 1 loss, - ISK lost; 1 of others"


def test_what_takes_long_to_count_is_not_counted(
    program: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(connection.connect(program.database, read_only=True)) as store:
        counted = stored.count(store.conn, Filters(), 10_000)
        monkeypatch.setattr(stored, "LOOKS_WHILE_COUNTING", -1)
        monkeypatch.setattr(stored, "INSTRUCTIONS", 1)
        assert stored.count(store.conn, Filters(), 10_000) is None
        assert len(stored.page(store.conn, Filters(), 100)) == counted


def test_local_times_are_said_to_be_local() -> None:
    for local, title in ((True, "Local time"), (False, "Time")):
        console = Console(file=io.StringIO(), width=100, color_system=None)
        print_kills([kill()], console, local=local, now=1_800_000_000.0)
        assert isinstance(console.file, io.StringIO)
        assert re.split(r" {2,}", console.file.getvalue())[0] == title


@pytest.mark.parametrize(
    "address",
    [
        f"https://zkillboard.com/kill/{FIRST}/",
        f"http://zkillboard.com/kill/{FIRST}",
        f"zkillboard.com/kill/{FIRST}/",
        f"https://www.zkillboard.com/kill/{FIRST}/",
    ],
)
def test_the_address_of_a_killmail_is_its_id(program: InProcess, address: str) -> None:
    assert program.run("kills", address).stdout == program.run("kills", str(FIRST)).stdout


@pytest.mark.parametrize("command", ["kills", "stats", "names", "export", "sync"])
def test_the_help_names_no_types_of_python(program: InProcess, command: str) -> None:
    text = program.run(command, "--help").stdout
    assert not re.search(r"<(list|int|str|path|float)\b", text)


def test_hostile_names_command_no_terminal(hostile: InProcess) -> None:
    for form in ([], ["--json"], ["--csv"]):
        terminal = Terminal(hostile, "kills", "--all", "--limit", "0", *form, columns=80)
        while terminal.read():
            pass
        assert terminal.process.wait(TIMEOUT) == 0
        rest = re.sub(r"\x1b\[[\d;]*m", "", terminal.shown)
        assert "Time" in rest or "killmail_id" in rest
        assert not re.search(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u202e]", rest)


# the database is asked by its indexes


@pytest.mark.parametrize(
    "wanted",
    [
        Filters(),
        Filters(everyone=True),
        Filters(user_id=US),
        Filters(side=Side.LOSS, since="2026-11-01T00:00:00Z"),
        Filters(user_id=US, side=Side.KILL, until="2026-11-01T00:00:00Z"),
        Filters(ships=(RIFTER,), systems=(JITA,), opponents=(THEM,), min_value=1.0, no_pods=True),
        Filters(solo=True, npc=True, awox=True),
        Filters(user_id=US, solo=True, npc=True, awox=True, opponents=(THEM,)),
    ],
    ids=str,
)
def test_nothing_is_sorted_and_no_whole_table_read(program: InProcess, wanted: Filters) -> None:
    statements: list[str] = []
    with closing(sqlite3.connect(program.database)) as conn:
        conn.set_trace_callback(statements.append)
        list(stored.read(conn, wanted, 20))
        conn.set_trace_callback(None)
        queries = [sql for sql in statements if sql.lstrip().startswith("SELECT k.")]
        queries += [sql for sql in statements if sql.lstrip().startswith("SELECT u.")]
        steps = [
            detail for sql in queries for *_, detail in conn.execute(f"EXPLAIN QUERY PLAN {sql}")
        ]
    assert len(queries) == 3
    assert any("killmails_time" in step or "user_killmails_newest" in step for step in steps)
    scans = [s for s in steps if re.match(r"SCAN (?!(json_each|value)\b)", s)]
    sorts = [s for s in steps if "TEMP B-TREE FOR ORDER BY" in s]
    # only of the twenty that are shown are the users put in order
    assert (scans, len(sorts)) == ([], 1)
