"""Names and prices as the simulator serves them, over real HTTP, and how they can be changed."""

import json
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
import pytest
import requests
from test_simulator_world import mentioned
from world import Simulator

from killsync.simulator import Options, catalogue
from killsync.simulator.naming import HOSTILE
from killsync.simulator.prices import DAY, Market, Price, price_of
from killsync.simulator.world import World

pytestmark = pytest.mark.long

RIFTER, PILOT, CORPORATION, SYSTEM = 587, 2_112_000_000, 98_600_000, 30_003_504
REFUSED = {"error": "Ensure all IDs are valid before resolving."}

Simulate = Callable[..., Simulator]


class Esi:
    """A client of one simulator, for what needs no login."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["User-Agent"] = "tests/1 (tests@example.com)"
        self.session.headers["X-Compatibility-Date"] = "2025-01-01"

    def names(self, *ids: int) -> requests.Response:
        return self.session.post(f"{self.simulator.url}/universe/names", json=list(ids))

    def named(self, *ids: int) -> dict[int, str]:
        answer = self.names(*ids)
        assert answer.status_code == 200, answer.text
        return {entry["id"]: entry["name"] for entry in answer.json()}

    def prices(self, **headers: str) -> requests.Response:
        return self.session.get(f"{self.simulator.url}/markets/prices", headers=headers)

    def priced(self) -> dict[int, dict[str, Any]]:
        return {entry["type_id"]: entry for entry in self.prices().json()}

    def change_names(self, **values: Any) -> None:
        self.simulator.control("names", "POST", **values)


@pytest.fixture
def esi(simulate: Simulate) -> Iterator[Esi]:
    client = Esi(simulate(characters=1, killmails=3))
    yield client
    client.session.close()


def test_names_tell_their_category(esi: Esi) -> None:
    owner = esi.simulator.logins[0]
    entries = esi.names(RIFTER, PILOT, CORPORATION, SYSTEM, 500_001, owner["character_id"]).json()
    categories = {entry["id"]: entry["category"] for entry in entries}
    assert categories == {
        RIFTER: "inventory_type",
        PILOT: "character",
        CORPORATION: "corporation",
        SYSTEM: "solar_system",
        500_001: "faction",
        owner["character_id"]: "character",
    }
    assert {"id": SYSTEM, "name": "Niarja", "category": "solar_system"} in entries
    assert owner["name"] in [entry["name"] for entry in entries]


def test_a_batch_is_of_one_to_a_thousand_different_integers(esi: Esi) -> None:
    pilots = range(PILOT, PILOT + 1001)
    assert len(esi.named(*pilots[:1000])) == 1000
    url = f"{esi.simulator.url}/universe/names"
    wrong = [[*pilots], [], [RIFTER, RIFTER], ["587"], [None], {}, 587]
    for ids in wrong:
        assert esi.session.post(url, json=ids).status_code == 400
    answer = esi.session.post(url, data=b"[587")
    assert answer.status_code == 400
    assert answer.headers["X-ESI-Error-Limit-Remain"] == str(100 - len(wrong) - 1)


def test_an_id_without_a_name_costs_the_whole_batch_and_an_error(esi: Esi) -> None:
    esi.change_names(unknown=[PILOT + 1])
    refused = esi.names(PILOT, PILOT + 1)
    assert (refused.status_code, refused.json()) == (404, REFUSED)
    assert refused.headers["X-ESI-Error-Limit-Remain"] == "99"
    assert 0 < int(refused.headers["X-ESI-Error-Limit-Reset"]) <= 60
    assert "X-Ratelimit-Group" not in refused.headers
    assert esi.named(PILOT).keys() == {PILOT}
    esi.change_names(unknown=[])
    assert esi.named(PILOT, PILOT + 1).keys() == {PILOT, PILOT + 1}


def test_an_id_may_fail_so_many_times(esi: Esi) -> None:
    esi.change_names(failing={str(PILOT): 2})
    statuses = [esi.names(PILOT, RIFTER).status_code for _ in range(3)]
    assert statuses == [404, 404, 200]


def test_a_name_may_change_and_change_back(esi: Esi) -> None:
    before = esi.named(PILOT)
    esi.change_names(renamed={str(PILOT): "Another \u202e Name"})
    assert esi.named(PILOT) == {PILOT: "Another \u202e Name"}
    esi.change_names(renamed={str(PILOT): None})
    assert esi.named(PILOT) == before


def test_hostile_names_are_those_of_players_only(esi: Esi) -> None:
    pilots = range(PILOT, PILOT + len(HOSTILE))
    plain = esi.named(*pilots, CORPORATION, RIFTER)
    esi.simulator.options(hostile_names=True)
    hostile = esi.named(*pilots, CORPORATION, RIFTER)
    assert hostile[RIFTER] == "Rifter"
    assert all(hostile[i] != plain[i] for i in (*pilots, CORPORATION))
    together = "".join(hostile.values())
    for danger in ("\x1b[31m", "[red]", "<script>", "\u202e", "\x00", '"', "{{ ", "=HYPERLINK("):
        assert danger in together
    assert max(map(len, hostile.values())) > 10_000


def test_the_log_tells_which_names_were_asked_for(esi: Esi) -> None:
    esi.names(PILOT, RIFTER)
    esi.session.post(f"{esi.simulator.url}/universe/names", data=b"none")
    assert [entry["ids"] for entry in esi.simulator.log("names")] == [[PILOT, RIFTER], None]
    assert "ids" in esi.simulator.log()[0]


@pytest.mark.parametrize("route", ["names", "prices"])
def test_faults_may_be_limited_to_names_or_prices(esi: Esi, route: str) -> None:
    ask: dict[str, Callable[[], requests.Response]] = {
        "names": lambda: esi.names(RIFTER),
        "prices": esi.prices,
    }
    other = ask["names" if route == "prices" else "prices"]
    for status in (404, 420, 429, 500, 503):
        esi.simulator.fault(route, times=1, status=status)
    esi.simulator.fault(route, times=1, html=True)
    assert other().status_code == 200
    statuses = [ask[route]().status_code for _ in range(7)]
    assert statuses == [404, 420, 429, 500, 503, 502, 200]
    for broken in ({"cut": True}, {"hang": 0.05}, {"reset": True}):
        esi.simulator.clear_faults()
        esi.simulator.fault(route, times=1, **broken)
        with pytest.raises(requests.RequestException):
            ask[route]()
        assert ask[route]().status_code == 200
    assert len(esi.simulator.log(route)) == 7 + 6


def test_refused_names_use_up_the_errors_that_stop_prices_too(simulate: Simulate) -> None:
    esi = Esi(simulate(characters=0, error_limit=2))
    assert [esi.names(1).status_code for _ in range(3)] == [404, 404, 420]
    assert esi.prices().status_code == 420


@pytest.mark.sample
def test_every_killmail_can_be_named_in_batches(esi: Esi) -> None:
    ids = {i for body in esi.simulator.truth()["bodies"].values() for i in mentioned(body)}
    batches = [sorted(ids)[start : start + 1000] for start in range(0, len(ids), 1000)]
    assert {i for batch in batches for i in esi.named(*batch)} == ids


def test_prices_are_cached_to_the_hour(esi: Esi) -> None:
    answer = esi.prices()
    assert answer.status_code == 200
    assert answer.headers["X-ESI-Error-Limit-Remain"] == "100"
    assert "X-Ratelimit-Group" not in answer.headers
    expires = parsedate_to_datetime(answer.headers["Expires"])
    assert (expires.minute, expires.second) == (0, 0)
    modified = parsedate_to_datetime(answer.headers["Last-Modified"])
    assert (expires - modified).total_seconds() == 3600
    assert esi.prices(**{"If-None-Match": answer.headers["ETag"]}).status_code == 304
    assert [entry["status"] for entry in esi.simulator.log("prices")] == [200, 304]


def test_prices_are_plausible_and_some_are_missing(esi: Esi) -> None:
    priced = esi.priced()
    bounds = {"Rifter": 6e5, "Tengu": 1.8e8, "Keepstar": 1.7e11, "Void M": 190, "Tritanium": 4}
    for name, worth in bounds.items():
        price = priced.get(catalogue.ID_OF[name], {}).get("average_price", worth)
        assert worth / 1.5 < price < worth * 1.5
    assert catalogue.ID_OF["Capsule"] not in priced
    assert 0.7 * len(catalogue.TYPES) < len(priced) < 0.97 * len(catalogue.TYPES)
    assert any("average_price" not in entry for entry in priced.values())
    assert any("adjusted_price" not in entry for entry in priced.values())


def test_prices_may_be_set_and_taken_away(esi: Esi) -> None:
    before = esi.prices()
    changes = {str(RIFTER): {"average_price": 5.5}, "670": {"adjusted_price": 1}, "34": None}
    esi.simulator.control("prices", "POST", prices=changes)
    priced = esi.priced()
    assert priced[RIFTER] == {"type_id": RIFTER, "average_price": 5.5}
    assert priced[670] == {"type_id": 670, "adjusted_price": 1.0}
    assert 34 not in priced
    assert esi.prices().headers["ETag"] != before.headers["ETag"]
    esi.simulator.control("prices", "POST", prices={"670": None}, only=True)
    assert esi.prices().json() == [{"type_id": RIFTER, "average_price": 5.5}]


def test_prices_follow_from_seed_and_day() -> None:
    first, again = Market(Options(characters=0)), Market(Options(characters=0))
    other = Market(Options(characters=0, seed=2))
    listed = first.listed(20_000 * DAY)
    assert again.listed(20_001 * DAY - 1) == listed == first.listed(20_000 * DAY + 3600)
    assert first.listed(20_001 * DAY) != listed != other.listed(20_000 * DAY)
    days = [first.listed(day * DAY) for day in range(20_000, 20_003)]
    types = [{p.type_id for p in msgspec.json.decode(day, type=list[Price])} for day in days]
    assert types[0] == types[1] == types[2]
    assert price_of(1, RIFTER, 20_000) != price_of(1, RIFTER, 20_001)


def test_changes_that_make_no_sense_are_refused(esi: Esi) -> None:
    for call, wrong in (("names", {"unknown": "all"}), ("prices", {"prices": {"587": 5}})):
        answer = requests.post(f"{esi.simulator.url}/_control/{call}", data=json.dumps(wrong))
        assert answer.status_code == 400


def test_registered_characters_keep_their_own_names() -> None:
    world = World(Options(characters=2, killmails=0), 1_790_000_000.0)
    for character in world.characters.values():
        name = world.name(character.character_id)
        assert name is not None
        assert (name.name, name.category) == (character.name, "character")
