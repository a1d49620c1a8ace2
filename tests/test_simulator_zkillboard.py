"""zKillboard's lists as the simulator serves them, over real HTTP."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from world import Simulator

pytestmark = pytest.mark.long

Simulate = Callable[..., Simulator]


class Zkillboard:
    """A client of zKillboard's lists."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.owner: int = simulator.logins[0]["character_id"]
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["User-Agent"] = "tests/1 (tests@example.com)"

    def get(self, path: str, **headers: str) -> requests.Response:
        url = f"{self.simulator.zkb_url}/{path}"
        return self.session.get(url, headers=headers, allow_redirects=False, timeout=30)

    def page(self, side: str, number: int = 1, of: int | None = None) -> list[dict[str, Any]]:
        owner = of or self.owner
        kind = "corporation" if self.simulator.is_corporation(owner) else "character"
        answer = self.get(f"{side}/{kind}ID/{owner}/page/{number}/")
        assert answer.status_code == 200, answer.text
        entries: list[dict[str, Any]] = answer.json()
        return entries

    def ids(self, side: str, number: int = 1, of: int | None = None) -> list[int]:
        return [entry["killmail_id"] for entry in self.page(side, number, of)]


@pytest.fixture
def zkb(simulate: Simulate) -> Iterator[Zkillboard]:
    client = Zkillboard(simulate(characters=3, killmails=60, corporations=1, archive_days=10))
    yield client
    client.session.close()


def has_taken_part(party: dict[str, Any], owner: int) -> bool:
    return owner in (party.get("character_id"), party.get("corporation_id"))


@pytest.mark.sample
@pytest.mark.parametrize("of_corporation", [False, True])
def test_lists_hold_all_that_bodies_name_newest_first(
    zkb: Zkillboard, of_corporation: bool
) -> None:
    owner = zkb.simulator.corporations[0]["corporation_id"] if of_corporation else zkb.owner
    bodies = list(zkb.simulator.truth()["bodies"].values())
    lost = [b["killmail_id"] for b in bodies if has_taken_part(b["victim"], owner)]
    shot = [
        b["killmail_id"] for b in bodies if any(has_taken_part(a, owner) for a in b["attackers"])
    ]
    for side, true in (("losses", lost), ("kills", shot)):
        listed = [i for number in (1, 2, 3) for i in zkb.ids(side, number, owner)]
        assert listed == sorted(true, reverse=True)
    assert set(lost) | set(shot) == {*zkb.simulator.listed(owner), *zkb.simulator.old(owner)}


def test_a_page_has_200_and_one_past_the_end_none(simulate: Simulate) -> None:
    zkb = Zkillboard(simulate(characters=1, killmails=0))
    zkb.simulator.add_killmails(zkb.owner, 700)
    pages = [zkb.ids("kills", number) for number in range(1, 5)]
    assert [len(page) for page in pages][:2] == [200, 200]
    assert pages[3] == []
    assert zkb.session.get(f"{zkb.simulator.zkb_url}/kills/characterID/7/page/1/").json() == []


def test_an_entry_has_the_hash_by_which_esi_gives_the_body(zkb: Zkillboard) -> None:
    zkb.session.headers["X-Compatibility-Date"] = "2025-01-01"
    old = set(zkb.simulator.old(zkb.owner))
    entries = [*zkb.page("kills"), *zkb.page("losses")]
    assert old <= {entry["killmail_id"] for entry in entries}
    truth = zkb.simulator.truth()["bodies"]
    for entry in entries:
        path = f"killmails/{entry['killmail_id']}/{entry['zkb']['hash']}"
        body = zkb.session.get(f"{zkb.simulator.url}/{path}").json()
        assert body == truth[str(entry["killmail_id"])]
        assert {"locationID", "totalValue", "points", "npc", "solo"} < entry["zkb"].keys()


def test_a_path_needs_its_slash(zkb: Zkillboard) -> None:
    path = f"kills/characterID/{zkb.owner}/page/1"
    answer = zkb.get(path)
    assert answer.status_code == 301
    assert answer.headers["Location"].endswith(f"/{path}/")
    assert zkb.get(f"{path}/").status_code == 200
    assert zkb.get("kills/page/1/").status_code == 404


def test_a_user_agent_is_wanted(zkb: Zkillboard) -> None:
    path = f"kills/characterID/{zkb.owner}/page/1/"
    assert zkb.get(path, **{"User-Agent": ""}).status_code == 403


def test_what_comes_within_a_second_is_counted(zkb: Zkillboard) -> None:
    zkb.ids("kills")
    zkb.ids("losses")
    first, second = zkb.simulator.log("zkb")
    assert not first["too_soon"]
    assert second["too_soon"] == (second["start"] - first["start"] < 0.9)
    assert (first["character_id"], first["page"]) == (zkb.owner, 1)


def test_what_comes_within_a_second_may_be_refused(zkb: Zkillboard) -> None:
    zkb.simulator.options(zkb_strict=True)
    path = f"kills/characterID/{zkb.owner}/page/1/"
    answers = [zkb.get(path) for _ in range(5)]
    log = zkb.simulator.log("zkb")
    assert answers[0].status_code == 200
    assert [a.status_code for a in answers] == [429 if e["too_soon"] else 200 for e in log]
    assert {a.headers.get("Retry-After") for a in answers if a.status_code == 429} <= {"1"}


def test_hashes_may_be_wrong_and_right_again(zkb: Zkillboard) -> None:
    [first, second, *_] = zkb.page("kills")
    zkb.simulator.change_zkillboard(hashes={first["killmail_id"]: "0" * 40})
    wrong, same, *_ = zkb.page("kills")
    assert (wrong["zkb"]["hash"], same) == ("0" * 40, second)
    zkb.simulator.change_zkillboard(hashes={first["killmail_id"]: None})
    assert zkb.page("kills")[0] == first


def test_a_page_may_be_empty_and_a_killmail_hidden(zkb: Zkillboard) -> None:
    hidden, *rest = zkb.ids("kills")
    zkb.simulator.change_zkillboard(empty=[1])
    assert zkb.ids("kills") == []
    zkb.simulator.change_zkillboard(empty=[], hidden=[hidden])
    assert zkb.ids("kills") == rest


def test_faults_hit_one_page_of_one_character(zkb: Zkillboard) -> None:
    zkb.simulator.fault("zkb", page=2, character_id=zkb.owner, status=401, times=1)
    zkb.simulator.fault("zkb", page=2, character_id=zkb.owner, html=True, status=200, times=1)
    path = f"kills/characterID/{zkb.owner}/page"
    answers = [zkb.get(f"{path}/{number}/") for number in (1, 2, 2, 2)]
    assert [answer.status_code for answer in answers] == [200, 401, 200, 200]
    assert answers[2].text.startswith("<html>")
    assert answers[3].json() == []
