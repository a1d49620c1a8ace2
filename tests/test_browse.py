"""The killboard in the browser: what its pages show, and what nobody gets from it."""

import asyncio
import json
import re
import shutil
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from commands import TIMEOUT, run
from killboard import (
    CAPSULE,
    FIRST_ID,
    HAKON,
    IMAGE,
    KILLMAILS,
    NAMES,
    PER_PAGE,
    SCRIPT,
    TURNED,
    YLVA,
    Killboard,
    body,
    browse,
    datasette,
    make_database,
    minimal_environment,
    rows,
    store_killmails,
    without_datasette,
)
from world import wait_until

from killsync.browse import descriptions
from killsync.store import reading

OLDER = "Older \N{SINGLE RIGHT-POINTING ANGLE QUOTATION MARK}"
ALL = list(range(FIRST_ID + KILLMAILS, FIRST_ID, -1))


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("browse") / "killsync.db"
    make_database(path)
    tokens = Path(f"{path}.tokens")
    # whichever command is first would have to make it private, and says so
    tokens.touch(mode=0o600)
    tokens.write_bytes(b"a refresh token")
    return path


@pytest.fixture(scope="module")
def killboard(database: Path) -> Iterator[Killboard]:
    with browse(database) as running:
        yield running


# the list


def test_the_list_shows_a_hundred_killmails_newest_first(killboard: Killboard) -> None:
    page = killboard.get("/")
    assert (page.status, page.killmails) == (200, ALL[:PER_PAGE])


def test_its_links_lead_over_each_killmail_once(killboard: Killboard) -> None:
    seen, link = [], "/"
    while link:
        page = killboard.get(link)
        seen += page.killmails
        link = page.link(OLDER) or ""
    assert seen == ALL


def test_a_later_page_leads_back_to_the_newest_of_the_same(killboard: Killboard) -> None:
    later = killboard.get(killboard.get("/?side=kills").link(OLDER) or "")
    assert later.link("« Newest") == "/?side=kills"


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("side=losses", lambda n: n % 3 == 0),
        ("side=kills", lambda n: n % 3),
        (f"user={YLVA}", lambda n: n % 5 == 0),
        (f"user={YLVA}&side=losses", lambda n: n % 15 == 0),
        ("ship=capsule", lambda n: n % 7 == 0),
        ("no_pods=1", lambda n: n % 7),
        ("system=Tama", lambda n: n % 2),
        ("min_value=228m", lambda n: n >= 228),
        ("since=2026-11-10&until=2026-11-10", lambda n: 9 * 24 <= n < 10 * 24),
        ("until=2026-11-01T01:00:00Z", lambda n: n <= 1),
        ("with=Wolf+Brothers+INC&min_value=229m", lambda n: n >= 229),
        ("awox=1", lambda n: False),
    ],
)
def test_the_form_filters_as_the_command_does(
    killboard: Killboard, query: str, wanted: Callable[[int], object]
) -> None:
    page = killboard.get(f"/?{query}")
    expected = [id_ for id_ in ALL if wanted(id_ - FIRST_ID)]
    assert page.killmails == expected[:PER_PAGE]


def test_the_totals_are_those_of_all_pages(killboard: Killboard) -> None:
    losses = [n for n in range(1, KILLMAILS + 1) if n % 3 == 0]
    words = killboard.get("/?totals=1&side=losses").words
    assert f"Losses {len(losses)} {sum(losses) / 1000:.1f}b lost" in words


def test_the_form_keeps_what_was_asked(killboard: Killboard) -> None:
    page = killboard.get(f"/?user={YLVA}&ship=Rifter&solo=1")
    assert f'<option value="{YLVA}" selected>' in page.text
    assert 'name="ship" value="Rifter"' in page.text
    assert 'name="solo" value="1" checked' in page.text


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("ship=Rifer", "'Rifter'"),
        ("since=yesterday", "since is 'yesterday'"),
        ("min_value=much", "min-value is 'much'"),
        ("user=Hakon", "user is 'Hakon'"),
        ("side=kills&solo=1&npc=1", "solo and npc"),
    ],
)
def test_a_field_that_means_nothing_is_named(killboard: Killboard, query: str, said: str) -> None:
    page = killboard.get(f"/?{query}")
    assert (page.status, page.killmails) == (400, [])
    assert said in page.words


def test_a_filter_that_matches_nothing_says_so(killboard: Killboard) -> None:
    assert "No killmail matches." in killboard.get("/?awox=1").words


@pytest.mark.parametrize("before", ["", "x", "2026_x", "_" * 9, "2026_" + "9" * 40, "'_1"])
def test_a_link_that_was_tampered_with_is_harmless(killboard: Killboard, before: str) -> None:
    assert killboard.get(f"/?before={before}").status == 200


def test_what_a_scan_stores_is_there_at_the_next_look(tmp_path: Path) -> None:
    make_database(tmp_path / "killsync.db")
    with browse(tmp_path / "killsync.db") as killboard:
        assert killboard.get("/").killmails[0] == FIRST_ID + KILLMAILS
        store_killmails(killboard.database, [KILLMAILS + 1])
        assert killboard.get("/").killmails[0] == FIRST_ID + KILLMAILS + 1
        assert (
            str(KILLMAILS + 1)
            in killboard.get("/killsync.json?sql=select+count(*)+from+kills").text
        )


# one killmail, one character


def test_a_killmail_shows_its_fit_by_slot_and_what_dropped(killboard: Killboard) -> None:
    page = killboard.get(f"/killmail/{FIRST_ID + 3}")
    assert "Loss" in page.words
    places = re.findall(r"<caption>([^<]*)</caption>", page.text)
    assert places == ["High slots", "Low slots", "Drone bay"]
    dropped = re.findall(r'<tr class="dropped[^"]*">.*?</tr>', page.text, re.DOTALL)
    assert ["Hobgoblin I" in row or "AutoCannon" in row for row in dropped] == [True, True]


def test_a_killmail_shows_who_did_it_and_its_value(killboard: Killboard) -> None:
    words = killboard.get(f"/killmail/{FIRST_ID + 3}").words
    assert "2 attackers" in words
    assert "3m ISK" in words
    assert "1m destroyed 2m dropped" in words


def test_a_killmail_links_to_its_page_elsewhere(killboard: Killboard) -> None:
    page = killboard.get(f"/killmail/{FIRST_ID + 3}")
    assert page.link("zKillboard") == f"https://zkillboard.com/kill/{FIRST_ID + 3}/"


def test_a_killmail_has_its_fit_as_text(killboard: Killboard) -> None:
    text = killboard.get(f"/killmail/{FIRST_ID + 3}").text
    fit = text.split("<pre")[1].split(">", 1)[1].split("</pre>")[0]
    assert fit.startswith("[Rifter, Hakon]")
    assert "Hobgoblin I x2" in fit


@pytest.mark.parametrize("path", ["/killmail/1", "/character/1", "/killmail/x", "/nothing"])
def test_what_is_not_there_is_not_found(killboard: Killboard, path: str) -> None:
    assert killboard.get(path).status == 404


def test_a_killmail_that_is_only_listed_is_told_from_an_unknown_one(tmp_path: Path) -> None:
    path = tmp_path / "killsync.db"
    make_database(path)
    with closing(sqlite3.connect(path)) as conn, conn:
        conn.execute(
            """INSERT INTO pending_killmails (killmail_id, killmail_hash, priority)
            VALUES (7, 'x', 3)"""
        )
    with browse(path) as killboard:
        assert "is listed, but not fetched yet" in killboard.get("/killmail/7").words
        assert "is not stored" in killboard.get("/killmail/8").words


def test_a_character_has_its_figures_and_plots(killboard: Killboard) -> None:
    page = killboard.get(f"/character/{YLVA}")
    mine = [n for n in range(1, KILLMAILS + 1) if n % 5 == 0]
    assert f"Losses {sum(n % 3 == 0 for n in mine)}" in page.words
    assert f"2026-11: {sum(n % 3 > 0 for n in mine)} kills" in page.words
    heat = page.text.split('class="heat"')[1].split("</svg>")[0]
    assert heat.count("<rect") == 7 * 24
    assert page.killmails == [FIRST_ID + n for n in mine[:-11:-1]]


# what is hostile, and what stays here


PAGES = [
    "/",
    f"/killmail/{FIRST_ID + 1}",
    f"/killmail/{FIRST_ID + 2}",
    f"/killmail/{FIRST_ID + 3}",
    f"/killmail/{FIRST_ID + 4}",
    f"/character/{HAKON}",
    "/?ship=%3Cscript%3Edocument",
    "/killsync/names",
    "/killsync/kills",
]


@pytest.mark.parametrize("path", PAGES)
def test_names_are_never_markup(killboard: Killboard, path: str) -> None:
    text = killboard.get(path).text
    assert "<script>document" not in text
    assert "<img src=x" not in text
    assert "<b>Jita" not in text


def test_a_name_that_turns_the_text_around_is_kept_apart(killboard: Killboard) -> None:
    text = killboard.get("/").text
    assert text.count(TURNED) == len(re.findall(rf"<bdi[^>]*>{TURNED}</bdi>", text)) > 0


def test_a_name_of_ten_thousand_letters_is_cut(killboard: Killboard) -> None:
    text = killboard.get("/").text
    assert max(map(len, re.findall("n+", text))) == 300


@pytest.mark.parametrize("path", [*PAGES, "/killsync", "/style/killboard.css"])
def test_nothing_is_fetched_from_elsewhere(killboard: Killboard, path: str) -> None:
    page = killboard.get(path)
    assert [a for a in page.fetched if not a.startswith(("/", killboard.address))] == []


def test_its_own_pages_may_run_no_script(killboard: Killboard) -> None:
    page = killboard.get("/")
    assert "default-src 'none'" in (page.headers["Content-Security-Policy"] or "")
    assert "script-src" not in page.headers["Content-Security-Policy"]
    assert "<script" not in page.text


def test_pictures_are_asked_for_only_where_they_are_wanted(
    killboard: Killboard, database: Path
) -> None:
    paths = ("/", f"/killmail/{FIRST_ID + 3}", f"/character/{HAKON}")
    for path in paths:
        page = killboard.get(path)
        assert "evetech" not in page.text + str(page.headers)
    with browse(database, KILLSYNC_IMAGES="on") as with_images:
        for path in paths:
            page = with_images.get(path)
            pictures = re.findall(r"<img class=\"picture\"[^>]*>", page.text)
            assert pictures
            assert all('referrerpolicy="no-referrer"' in picture for picture in pictures)
            assert "https://images.evetech.net" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("method", "headers", "status"),
    [
        ("GET", {"Host": "killboard.example"}, 421),
        ("GET", {"Host": "killboard.example:8455"}, 421),
        ("GET", {"Host": "127.0.0.1.killboard.example"}, 421),
        ("GET", {"Host": "localhost:1"}, 200),
        ("GET", {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"}, 403),
        ("GET", {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 200),
        ("POST", {}, 405),
        ("DELETE", {}, 405),
    ],
)
def test_only_this_machines_own_browser_gets_an_answer(
    killboard: Killboard, method: str, headers: dict[str, str], status: int
) -> None:
    assert killboard.get("/", method, **headers).status == status


# SQL


def test_sql_is_answered(killboard: Killboard) -> None:
    page = killboard.get("/killsync.json?sql=select+count(*)+as+n+from+kills&_shape=array")
    assert page.text == f'[{{"n": {KILLMAILS}}}]'


@pytest.mark.parametrize(
    "sql",
    [
        "delete from killmails",
        "update users set name = 'x'",
        "with x as (select 1) insert into factions values (1, 'x')",
        "attach database '{tokens}' as tokens",
        "select load_extension('{tokens}')",
        "vacuum into '{tokens}.copy'",
        "pragma query_only = off",
    ],
)
def test_sql_changes_nothing_and_leads_nowhere(killboard: Killboard, sql: str) -> None:
    before = killboard.database.read_bytes()
    asked = quote(sql.format(tokens=f"{killboard.database}.tokens"))
    assert killboard.get(f"/killsync.json?sql={asked}").status == 400
    assert killboard.database.read_bytes() == before
    assert not Path(f"{killboard.database}.tokens.copy").exists()


@pytest.mark.parametrize(
    "path",
    [
        "/killsync.db",
        "/killsync.db.tokens",
        "/killsync.db.tokens.json",
        "/style/killsync.db.tokens",
        "/style/../killboard.py",
        "/style/%2e%2e/killboard.py",
        "/style/..%2f..%2fkillboard.py",
        "/-/static/../../../killsync.db.tokens",
        "/_memory",
        "/_internal",
    ],
)
def test_no_path_leads_to_a_file(killboard: Killboard, path: str) -> None:
    page = killboard.get(path)
    assert page.status in (302, 403, 404)
    assert "a refresh token" not in page.text
    assert "import" not in page.text


@pytest.mark.parametrize(
    "sql",
    [
        "ATTACH '{path}.tokens' AS tokens",
        "ATTACH ':memory:' AS tokens",
        "VACUUM INTO '{path}.copy'",
        "DELETE FROM factions",
        "CREATE TEMP TABLE x (y)",
    ],
)
def test_a_connection_for_anybodys_sql_has_one_file_and_reads_it(database: Path, sql: str) -> None:
    with (
        closing(reading.connect_alone(database)) as conn,
        pytest.raises(sqlite3.OperationalError),
    ):
        conn.execute(sql.format(path=database))


def test_plumbing_is_not_listed(killboard: Killboard) -> None:
    page = killboard.get("/killsync")
    listed = set(re.findall(r'href="/killsync/(\w+)"', page.text))
    assert {"kills", "item_lines", "names", "killmails"} <= listed
    plumbing = {"jobs", "runs", "rate_limits", "facts", "pending_killmails", "unnamed_ids"}
    assert listed & (plumbing | {"_sqlite_migrations", "user_killmails"}) == set()


def test_every_table_and_view_is_described_or_hidden(killboard: Killboard) -> None:
    tables = descriptions.metadata("x")["databases"]["x"]["tables"]
    stored = rows(
        killboard.database, "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
    )
    assert sorted(set(stored) - set(tables)) == []


# starting and ending


def test_ctrl_c_ends_it_in_good_order(database: Path) -> None:
    with browse(database) as killboard:
        port = int(killboard.address.rstrip("/").rpartition(":")[2])
        assert killboard.get("/").status == 200
        assert killboard.end() == (130, "")
    with closing(socket.socket()) as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))


def test_a_page_that_takes_long_does_not_keep_it_from_ending(database: Path) -> None:
    killboard = datasette(database)
    endless = (
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    )

    async def break_off() -> None:
        asked = asyncio.create_task(killboard.read(lambda conn: conn.execute(endless).fetchall()))
        while not asked.done():
            killboard.interrupt()
            await asyncio.sleep(0.01)
        with pytest.raises(Exception, match="interrupted"):
            await asked

    asyncio.run(break_off())


def test_a_port_in_use_is_named(killboard: Killboard) -> None:
    port = killboard.address.rstrip("/").rpartition(":")[2]
    done = run("browse", "--port", port, environment=minimal_environment(killboard.database))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert f"port {port} is in use" in done.stderr


def test_without_datasette_the_command_that_installs_it_is_named(
    database: Path, tmp_path: Path
) -> None:
    environment = minimal_environment(database) | without_datasette(tmp_path)
    done = run("browse", environment=environment)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "-m pip install 'datasette>=0.65'`" in done.stderr


def test_without_a_database_nothing_is_served(tmp_path: Path) -> None:
    done = run("browse", environment=minimal_environment(tmp_path / "killsync.db"))
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)


def test_the_metadata_for_another_datasette_need_none_here(tmp_path: Path) -> None:
    environment = minimal_environment(tmp_path / "board.db") | without_datasette(tmp_path)
    done = run("browse", "--metadata", environment=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == descriptions.metadata("board")


def test_the_browser_is_opened_once_it_answers(database: Path, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\n{sys.executable} -c "import sys, urllib.request as u; '
        f"open('{shown}.part', 'w').write(str(u.urlopen(sys.argv[1]).status))\" \"$1\"\n"
        f"mv {shown}.part {shown}\n"
    )
    browser.chmod(0o755)
    with browse(database, BROWSER=str(browser)) as killboard:
        assert killboard.process.poll() is None
        wait_until(shown.exists)
    assert shown.read_text() == "200"


@pytest.mark.long
@pytest.mark.skipif(shutil.which("unshare") is None, reason="no unshare to mount a disk")
def test_a_database_on_a_read_only_disk_is_shown(database: Path, tmp_path: Path) -> None:
    disk, copy = tmp_path / "disk", tmp_path / "copy"
    disk.mkdir()
    copy.mkdir()
    with closing(sqlite3.connect(database)) as conn:
        conn.execute("VACUUM INTO ?", [str(copy / "killsync.db")])
    script = """
        mount -t tmpfs tmpfs "$1" && cp -a "$2/." "$1" && mount -o remount,ro "$1" || exit 99
        shift 2; exec "$@"
    """
    shown = [sys.executable, "-m", "killsync", "browse", "--no-open", "--port", "0"]
    with subprocess.Popen(
        ["unshare", "-rm", "sh", "-c", script, "sh", disk, copy, *shown],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=minimal_environment(disk / "killsync.db"),
    ) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            said = process.communicate(timeout=TIMEOUT)[1]
            assert process.returncode == 99 or "unshare" in said, said
            pytest.skip(f"this machine may not mount a read-only disk: {said.strip()}")
        try:
            killboard = Killboard(process, address, disk / "killsync.db")
            assert killboard.get("/").killmails == ALL[:PER_PAGE]
            assert killboard.get("/killsync/kills").status == 200
        finally:
            process.kill()


def test_the_bodies_are_what_the_tests_say() -> None:
    assert body(21)["victim"]["character_id"] == HAKON
    assert body(21)["victim"]["ship_type_id"] == CAPSULE
    assert {SCRIPT, IMAGE} < {name for _, name in NAMES.values()}


def test_a_page_that_is_not_there_is_said_in_the_killboards_own_style(
    killboard: Killboard,
) -> None:
    for path in ("/nothing", "/killmail/abc", "/character/x"):
        page = killboard.get(path)
        assert page.status == 404
        assert "There is no such page." in page.text


def test_what_datasette_tells_of_itself_is_out_of_reach(killboard: Killboard) -> None:
    for path in ("/-/databases.json", "/-/versions", "/-/plugins.json", "/-/settings"):
        assert killboard.get(path).status == 404
    assert killboard.get("/-/static/app.css").status == 200


def test_no_sql_makes_a_value_that_fills_the_memory(killboard: Killboard) -> None:
    page = killboard.get("/killsync.json?sql=select+zeroblob(900000000)")
    assert page.status == 400
    assert "too big" in page.text


def test_sums_of_one_side_say_nothing_of_the_other(killboard: Killboard) -> None:
    assert "Efficiency" in killboard.get("/").text
    losses = killboard.get("/?side=losses").text
    assert "Efficiency" not in losses
    assert "<dt>Losses" in losses
    assert "<dt>Kills" not in losses


def test_a_side_that_is_none_is_a_mistake_in_one_line(killboard: Killboard) -> None:
    page = killboard.get("/?side=foo")
    assert page.status == 400
    assert "give kills or losses" in page.text


def test_sql_asks_the_database_that_is_there_now(killboard: Killboard, tmp_path: Path) -> None:
    other = tmp_path / "killsync.db"
    shutil.copy(killboard.database, other)
    with browse(other) as pages:
        asked = "/killsync.json?_shape=arrays&sql=select+count(*)+from+killmails"
        before = pages.get(asked).text
        copy = tmp_path / "copy"
        shutil.copy(other, copy)
        with closing(sqlite3.connect(copy)) as conn, conn:
            conn.execute("PRAGMA foreign_keys = ON")
            conn.execute("DELETE FROM killmails")
        copy.replace(other)
        assert '"rows": [[0]]' in pages.get(asked).text != before


def test_a_user_who_is_not_here_is_a_mistake_in_one_line(killboard: Killboard) -> None:
    page = killboard.get("/?user=5")
    assert page.status == 400
    assert "choose one of the list" in page.text
