"""The dashboard for kills and losses in Grafana: each of its questions asked of PostgreSQL."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from both import Row, ask_postgres, ask_sqlite, feed
from odd_killmails import ALT, ME, filled_database
from postgres_server import Server

from killsync.store.connection import Store

pytestmark = pytest.mark.long

DASHBOARD = Path(__file__).parent.parent / "grafana" / "killmails-postgres.json"
WHOLE, TO = datetime(2003, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
DAY = 86_400
# as Grafana's own data source does it: pkg/tsdb/grafana-postgresql-datasource/macros.go
MACRO = re.compile(r"\$__(\w+)\(([^)]*)\)")


def dashboard() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return loaded


PANELS = {panel["title"]: panel for panel in dashboard()["panels"]}
QUERIES = {title: panel["targets"][0]["rawSql"] for title, panel in PANELS.items()}
VARIABLE = next(v for v in dashboard()["templating"]["list"] if v["name"] == "user")


def expanded(query: str, *users: int, since: datetime = WHOLE) -> str:
    """Return a query as Grafana sends it for chosen users and a time."""

    def macro(found: re.Match[str]) -> str:
        name, column, *rest = (found[1], *re.split(r",\s*", found[2]))
        if name == "timeFilter":
            return f"{column} BETWEEN '{since.isoformat()}' AND '{TO.isoformat()}'"
        assert (name, rest[0]) == ("timeGroupAlias", "'1d'")
        return f'floor(extract(epoch from {column})/{DAY})*{DAY} AS "time"'

    chosen = ",".join(f"'{user}'" for user in users)
    return MACRO.sub(macro, query.replace("$user", chosen))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with filled_database(tmp_path_factory.mktemp("filled") / "killsync.db") as store:
        yield store


@pytest.fixture(scope="module")
def fed(filled: Store, postgres: Server) -> Iterator[str]:
    with postgres.new_database() as url:
        feed(filled, url)
        yield url


def shown(fed: str, title: str, *users: int) -> list[Row]:
    return ask_postgres(fed, expanded(QUERIES[title], *(users or (ME, ALT))))


@pytest.mark.parametrize("title", QUERIES)
def test_each_panel_has_an_answer(fed: str, title: str) -> None:
    found = shown(fed, title)
    assert found
    for name in found[0]:
        assert any(row[name] is not None for row in found), name
    assert "$" not in expanded(QUERIES[title], ME)


@pytest.mark.parametrize("title", QUERIES)
def test_each_panel_can_be_asked_of_a_time_without_killmails(fed: str, title: str) -> None:
    ask_postgres(fed, expanded(QUERIES[title], ME, since=TO))


def test_every_user_can_be_chosen(filled: Store, fed: str) -> None:
    found = [tuple(row.values()) for row in ask_postgres(fed, VARIABLE["query"])]
    users = ask_sqlite(filled, "SELECT name, user_id FROM users ORDER BY name")
    assert sorted(found) == [tuple(row.values()) for row in users]
    assert [*ask_postgres(fed, VARIABLE["query"])[0]] == ["__text", "__value"]


def test_the_figures_are_those_of_the_views(filled: Store, fed: str) -> None:
    everybody = [row["user_id"] for row in ask_sqlite(filled, "SELECT user_id FROM users")]
    (expected,) = ask_sqlite(
        filled,
        """SELECT sum(kills) AS kills, sum(losses) AS losses, sum(destroyed) AS destroyed,
            sum(lost) AS lost FROM activity_by_day""",
    )
    titles = {
        "Kills": "kills",
        "Losses": "losses",
        "ISK destroyed": "destroyed",
        "ISK lost": "lost",
    }
    for title, column in titles.items():
        ((value,),) = (row.values() for row in shown(fed, title, *everybody))
        assert value == pytest.approx(expected[column])
    by_day = shown(fed, "Kills and losses by day", *everybody)
    assert [sum(day[name] for day in by_day) for name in ("Kills", "Losses")] == [
        expected["kills"],
        expected["losses"],
    ]


def test_every_panel_says_what_it_is_and_what_it_means_that_there_is_nothing() -> None:
    for panel in PANELS.values():
        assert panel["title"]
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["noValue"]
        assert panel["datasource"]["uid"] == "${DS_POSTGRES}"
        assert len(panel["targets"]) == 1


def test_no_figure_is_green_because_there_is_none() -> None:
    stats = [p["fieldConfig"]["defaults"] for p in PANELS.values() if p["type"] == "stat"]
    assert stats
    for defaults in stats:
        nothing = defaults["mappings"][-1]["options"]
        assert nothing["match"] == "null"
        assert nothing["result"]["text"] == defaults["noValue"]
        assert nothing["result"]["color"] not in ("green", "red")
