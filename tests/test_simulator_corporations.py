"""Corporations as the simulator serves them, over real HTTP: lists, roles, affiliations, names."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from world import Simulator

from killsync.simulator import Options
from killsync.simulator.bodies import make_body
from killsync.simulator.names import ACADEMY, corporation_of
from killsync.simulator.players import CORPORATION_SCOPE, SCOPE
from killsync.simulator.world import World

pytestmark = pytest.mark.long

NOW = 1_790_000_000.0
NO_SCOPE = "Token is not valid for any required scope"
NO_ROLE = "Character does not have required role(s)"
NO_MEMBER = "Character is not in the corporation"

Simulate = Callable[..., Simulator]


class Game:
    """Three characters of whom the first two are in a corporation, and the first its director."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.director, self.member, self.other = (
            login["character_id"] for login in simulator.logins
        )
        made = simulator.add_corporation(
            members=[self.director, self.member], directors=[self.director], killmails=2
        )
        self.corporation: int = made["corporation_id"]
        self.name: str = made["name"]
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["User-Agent"] = "tests/1 (tests@example.com)"
        self.session.headers["X-Compatibility-Date"] = "2025-01-01"

    def access(self, character_id: int, *scopes: str) -> str:
        refresh_token = self.simulator.director_token(character_id, *scopes)
        form = {
            "grant_type": "refresh_token",
            "refresh_token": refresh_token,
            "client_id": self.simulator.client_id,
        }
        answer = self.session.post(f"{self.simulator.url}/v2/oauth/token", data=form)
        return str(answer.json()["access_token"])

    def page(self, access: str, number: int = 1, **headers: str) -> requests.Response:
        return self.session.get(
            f"{self.simulator.url}/corporations/{self.corporation}/killmails/recent?page={number}",
            headers={"Authorization": f"Bearer {access}"} | headers,
        )

    def refusal(self, access: str) -> str:
        answer = self.page(access)
        assert answer.status_code == 403
        return str(answer.json()["error"])

    def ids(self, access: str, number: int = 1) -> list[int]:
        return [entry["killmail_id"] for entry in self.page(access, number).json()]

    def body(self, killmail_id: int, killmail_hash: str) -> dict[str, Any]:
        answer = self.session.get(f"{self.simulator.url}/killmails/{killmail_id}/{killmail_hash}")
        body: dict[str, Any] = answer.json()
        return body

    def affiliations(self, ids: Any) -> requests.Response:
        return self.session.post(f"{self.simulator.url}/characters/affiliation", json=ids)

    def employers(self, *ids: int) -> dict[int, int]:
        answer = self.affiliations(ids).json()
        return {entry["character_id"]: entry["corporation_id"] for entry in answer}


@pytest.fixture
def game(simulate: Simulate) -> Iterator[Game]:
    played = Game(simulate(characters=3, killmails=3, page_size=3, shared=0))
    yield played
    played.session.close()


def sides(body: dict[str, Any], character_id: int) -> set[int]:
    """Return the corporations that a character is said to be in."""
    parties = [body["victim"], *body["attackers"]]
    return {p["corporation_id"] for p in parties if p.get("character_id") == character_id}


# the list


@pytest.mark.sample
def test_a_list_holds_what_the_members_did_and_its_own(game: Game) -> None:
    access = game.access(game.director)
    first = game.page(access)
    assert first.headers["X-Pages"] == "3"
    listed = [*game.ids(access, 1), *game.ids(access, 2), *game.ids(access, 3)]
    assert listed == game.simulator.listed(game.corporation) == sorted(listed, reverse=True)
    members = {i for m in (game.director, game.member) for i in game.simulator.listed(m)}
    assert members < set(listed)
    assert len(listed) == 8
    assert not set(listed) & set(game.simulator.listed(game.other))


def test_a_list_stays_frozen_until_it_is_thawed(game: Game) -> None:
    access = game.access(game.director)
    before = game.ids(access)
    [[mine, _]] = game.simulator.add_killmails(game.director, 1)
    [[own, _]] = game.simulator.add_killmails(game.corporation, 1)
    assert game.ids(access) == before
    game.simulator.control("thaw", "POST", corporation_id=game.corporation)
    assert game.ids(access)[:2] == [own, mine]
    assert mine in game.simulator.listed(game.director)
    assert own not in game.simulator.listed(game.director)


def test_a_killmail_of_two_members_is_listed_once(game: Game) -> None:
    [[shared, _]] = game.simulator.add_killmails(game.director, 1, shared_with=game.member)
    assert game.simulator.listed(game.corporation).count(shared) == 1


def test_a_late_killmail_takes_its_place_and_a_removed_one_is_gone(game: Game) -> None:
    newest = game.simulator.listed(game.corporation)[0]
    [[late, _]] = game.simulator.add_killmails(game.corporation, 1, late=True)
    assert late in game.simulator.listed(game.corporation)[1:]
    values = {"corporation_id": game.corporation, "killmail_ids": [newest]}
    game.simulator.control("remove", "POST", **values)
    assert newest not in game.simulator.listed(game.corporation)


def test_an_unchanged_page_is_304_and_one_past_the_end_404(game: Game) -> None:
    access = game.access(game.director)
    etag = game.page(access).headers["ETag"]
    assert game.page(access, 1, **{"If-None-Match": etag}).status_code == 304
    assert game.page(access, 4).json() == {"error": "Requested page does not exist!"}


def test_a_director_pays_from_a_bucket_of_its_own(game: Game) -> None:
    game.simulator.options(corp_list_tokens=3)
    game.simulator.set_director(game.member, game.corporation, True)
    first, second = game.access(game.director), game.access(game.member)
    answers = [game.page(access) for access in (first, first, first, second)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 200]
    assert {a.headers["X-Ratelimit-Group"] for a in answers} == {"corp-killmail"}
    assert answers[3].headers["X-Ratelimit-Remaining"] == "1"
    log = game.simulator.log("corp_list")
    assert [entry["character_id"] for entry in log] == [game.director] * 3 + [game.member]
    assert {entry["corporation_id"] for entry in log} == {game.corporation}


# who may read it


def test_a_token_without_the_scope_reads_nothing(game: Game) -> None:
    assert game.refusal(game.access(game.director, SCOPE)) == NO_SCOPE
    assert game.page("made-up").status_code == 401
    assert game.page(game.access(game.director, CORPORATION_SCOPE)).status_code == 200


def test_only_directors_read_it(game: Game) -> None:
    access = game.access(game.member)
    assert game.refusal(access) == NO_ROLE
    game.simulator.set_director(game.member, game.corporation, True)
    assert game.page(access).status_code == 200
    game.simulator.set_director(game.member, game.corporation, False)
    assert game.refusal(access) == NO_ROLE


def test_who_is_in_another_corporation_does_not_read_it(game: Game) -> None:
    assert game.refusal(game.access(game.other)) == NO_MEMBER
    access = game.access(game.director)
    game.simulator.move(game.director, ACADEMY)
    assert game.refusal(access) == NO_MEMBER
    game.simulator.move(game.director, game.corporation)
    assert game.page(access).status_code == 200


def test_a_fault_hits_one_corporation_or_one_of_its_directors(game: Game) -> None:
    game.simulator.set_director(game.member, game.corporation, True)
    first, second = game.access(game.director), game.access(game.member)
    game.simulator.fault("corp_list", status=502, character_id=game.member, times=1)
    game.simulator.fault("corp_list", html=True, corporation_id=game.corporation, after=1, times=1)
    statuses = [game.page(access).status_code for access in (first, second, first, first)]
    assert statuses == [200, 502, 502, 200]


# bodies


def test_a_body_names_the_corporation_on_the_members_side(game: Game) -> None:
    truth = game.simulator.truth()
    for character_id in (game.director, game.member):
        for killmail_id, _ in truth["characters"][str(character_id)]["list"]:
            assert sides(truth["bodies"][str(killmail_id)], character_id) == {game.corporation}


def test_a_body_names_the_corporation_of_its_time(game: Game) -> None:
    [[before, before_hash]] = game.simulator.add_killmails(game.director, 1)
    game.simulator.move(game.director, ACADEMY)
    [[after, after_hash]] = game.simulator.add_killmails(game.director, 1)
    assert sides(game.body(before, before_hash), game.director) == {game.corporation}
    assert sides(game.body(after, after_hash), game.director) == {ACADEMY}
    assert after not in game.simulator.listed(game.corporation)


def test_a_killmail_of_a_former_member_may_be_added(game: Game) -> None:
    values = {"character_id": game.other, "corporation_id": game.corporation}
    [[killmail_id, killmail_hash]] = game.simulator.control("killmails", "POST", **values)
    assert sides(game.body(killmail_id, killmail_hash), game.other) == {game.corporation}
    for owner in (game.other, game.corporation):
        assert killmail_id in game.simulator.listed(owner)


def test_every_own_killmail_of_a_corporation_names_it(game: Game) -> None:
    for killmail_id, killmail_hash in game.simulator.add_killmails(game.corporation, 12):
        body = game.body(killmail_id, killmail_hash)
        final_blows = [attacker for attacker in body["attackers"] if attacker["final_blow"]]
        sides_of = [body["victim"], *(final_blows or body["attackers"][:1])]
        assert game.corporation in [party.get("corporation_id") for party in sides_of]


def test_a_world_without_corporations_is_as_it_was() -> None:
    plain = World(Options(characters=3, killmails=100), NOW)
    peopled = World(Options(characters=3, killmails=100, corporations=1), NOW)
    assert peopled.killmails.keys() == plain.killmails.keys()
    [corporation] = peopled.corporations
    for killmail_id, killmail in plain.killmails.items():
        body, other = make_body(1, killmail), make_body(1, peopled.killmails[killmail_id])
        assert body["killmail_time"] == other["killmail_time"]
        assert killmail.killmail_hash == peopled.killmails[killmail_id].killmail_hash
        for character_id in plain.characters:
            assert sides(body, character_id) <= {corporation_of(character_id)}
            assert sides(other, character_id) <= {corporation}


def test_the_corporations_of_the_start_share_the_characters() -> None:
    world = World(Options(characters=7, killmails=20, corporations=2), NOW)
    members = [world.members(corporation_id) for corporation_id in world.corporations]
    assert sorted(map(len, members)) == [3, 4]
    for ids, corporation in zip(members, world.corporations.values(), strict=True):
        assert corporation.directors == set(ids[:2])
        assert len(corporation.listed) >= 20 * len(ids)
        assert [CORPORATION_SCOPE in world.characters[i].scopes for i in ids[:2]] == [True, True]
        assert world.characters[ids[2]].scopes == [SCOPE]


# what is public


def test_affiliations_are_those_of_today(game: Game) -> None:
    pilot = 2_112_000_100
    assert game.employers(game.director, game.other, pilot) == {
        game.director: game.corporation,
        game.other: corporation_of(game.other),
        pilot: corporation_of(pilot),
    }
    game.simulator.move(game.director, ACADEMY)
    assert game.employers(game.director) == {game.director: ACADEMY}
    [entry] = game.simulator.log("affiliation")[-1:]
    assert (entry["status"], entry["ids"]) == (200, [game.director])


def test_ids_of_nobody_have_no_affiliation(game: Game) -> None:
    assert game.employers(game.director, 4) == {game.director: game.corporation}


@pytest.mark.parametrize("ids", [[], {}, ["1"], [None], 5, [1, 1], list(range(1, 1002))])
def test_a_bad_batch_of_affiliations_counts_as_an_error(game: Game, ids: Any) -> None:
    answer = game.affiliations(ids)
    assert answer.status_code == 400
    assert answer.headers["X-ESI-Error-Limit-Remain"] == "99"
    assert "X-Ratelimit-Group" not in answer.headers


def test_a_corporation_has_a_name(game: Game) -> None:
    url = f"{game.simulator.url}/corporations"
    assert game.session.get(f"{url}/{game.corporation}").json()["name"] == game.name
    assert game.session.get(f"{url}/{ACADEMY}").json()["name"] == "State War Academy"
    missing = game.session.get(f"{url}/98999999")
    assert (missing.status_code, missing.json()) == (404, {"error": "Corporation not found"})
    names = game.session.post(f"{game.simulator.url}/universe/names", json=[game.corporation])
    [named] = names.json()
    assert (named["name"], named["category"]) == (game.name, "corporation")


def test_the_truth_tells_members_and_directors(game: Game) -> None:
    told = game.simulator.truth()["corporations"][str(game.corporation)]
    assert told["name"] == game.name
    assert told["members"] == [game.director, game.member]
    assert told["directors"] == [game.director]


def test_a_corporation_that_exists_is_not_created_again(game: Game) -> None:
    for corporation_id in (game.corporation, ACADEMY, 98_600_000):
        answer = requests.post(
            f"{game.simulator.url}/_control/corporations",
            json={"corporation_id": corporation_id},
            timeout=30,
        )
        assert answer.status_code == 400
