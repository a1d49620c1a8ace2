"""Odd lists, headers and tokens: one user's never harm another's."""

import json
import re
import sqlite3
import subprocess
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from world import TIMEOUT, Killsync

pytestmark = pytest.mark.long

Make = Callable[..., Killsync]

GOOD_HASH = "a" * 40


def entry(killmail_id: Any = 7, killmail_hash: Any = GOOD_HASH) -> dict[str, Any]:
    return {"killmail_id": killmail_id, "killmail_hash": killmail_hash}


# what a page holds, and what the error of its user must name
REFUSED_PAGES: dict[str, tuple[Any, str]] = {
    "an object": ({"error": "none"}, "array"),
    "null": (None, "array"),
    "text": ("killmails", "array"),
    "a number in it": ([7], "$[0]"),
    "nothing but null": ([None, None], "$[0]"),
    "a list in it": ([[7, GOOD_HASH]], "$[0]"),
    "no hash": ([{"killmail_id": 7}], "killmail_hash"),
    "no id": ([{"killmail_hash": GOOD_HASH}], "killmail_id"),
    "id 0": ([entry(0)], "killmail_id"),
    "a negative id": ([entry(-5)], "killmail_id"),
    "an id beyond 64 bits": ([entry(2**63)], "killmail_id"),
    "an id of 400 digits": ([entry(10**400)], "list"),
    "a text as id": ([entry("7")], "killmail_id"),
    "true as id": ([entry(True)], "killmail_id"),
    "half an id": ([entry(7.5)], "killmail_id"),
    "a path as hash": ([entry(7, "../../characters/1")], "killmail_hash"),
    "a query as hash": ([entry(7, "a" * 38 + "?x")], "killmail_hash"),
    "a hash and a line feed": ([entry(7, GOOD_HASH + "\n")], "killmail_hash"),
    "a hash of other digits": ([entry(7, "٣" * 40)], "killmail_hash"),
    "a long hash": ([entry(7, "a" * 10_000)], "killmail_hash"),
    "null as hash": ([entry(7, None)], "killmail_hash"),
    "nested deeply": (json.loads("[" * 80 + "]" * 80), "$[0]"),
}


def users_with(killsync: Make, count: int, **options: Any) -> tuple[Killsync, list[int]]:
    options = {"shared": 0, "list_tokens": 0} | options
    program = killsync(characters=count, killmails=3, **options)
    return program, [login["character_id"] for login in program.simulator.logins]


def real_page(program: Killsync, user_id: int) -> list[dict[str, Any]]:
    listed = program.simulator.truth()["characters"][str(user_id)]["list"]
    return [entry(*reference) for reference in listed]


def tomorrow(program: Killsync) -> None:
    """Let all be asked for again, with what was kept of the last answers."""
    program.simulator.clear_faults()
    program.simulator.thaw()
    program.make_due()
    program.execute("UPDATE users SET not_before = NULL, list_cached_until = NULL")
    program.execute("UPDATE rate_limits SET spent = '[]', retry_at = NULL")


@pytest.mark.sample
def test_a_list_of_the_wrong_shape_fails_its_own_user_and_names_the_place(killsync: Make) -> None:
    program, users = users_with(killsync, len(REFUSED_PAGES) + 1)
    for user, (page, _) in zip(users, REFUSED_PAGES.values(), strict=False):
        program.simulator.fault("list", character_id=user, wrong_json=json.dumps(page))
    # until the one whose list is whole has been asked for too: ten in a row end a run
    said = "".join(program.run("scan", "--workers", "8", exit_code=None).stderr for _ in range(6))
    states = {user["user_id"]: user for user in program.status()["users"]}
    for user, (page, named) in zip(users, REFUSED_PAGES.values(), strict=False):
        state = states[user]
        assert (state["killmails"], state["pending"]) == (0, 0), page
        assert named in state["error"]
        assert re.fullmatch("[ -~]{,300}", state["error"])
        assert state["error"][:60] in said
    assert (states[users[-1]]["failures"], states[users[-1]]["killmails"]) == (0, 3)
    assert {e["killmail_id"] for e in program.simulator.log("body")} == set(
        program.simulator.listed(users[-1])
    ), "nothing of a refused page is asked for"
    tomorrow(program)
    program.run("scan", "--workers", "8")
    program.assert_equals_truth()


def broken_pages(page: list[dict[str, Any]]) -> list[list[Any]]:
    """Return a page with one entry more, or with one that is spoilt."""
    first, *rest = page
    return [
        [None, *page],
        [*page, {"killmail_id": first["killmail_id"] + 1, "killmail_hash": None}],
        [entry(first["killmail_id"], None), *rest],
        [entry(None, first["killmail_hash"]), *rest],
    ]


def skipped_lines(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if "skipped" in line]


def test_an_entry_that_is_no_reference_costs_nothing_but_itself(killsync: Make) -> None:
    program, users = users_with(killsync, 5)
    lists = {user: real_page(program, user) for user in users}
    for number, user in enumerate(users[:4]):
        page = broken_pages(lists[user])[number]
        program.simulator.fault("list", character_id=user, wrong_json=json.dumps(page))
    done = program.run("scan", "--workers", "8")
    assert len(skipped_lines(done)) == 4
    for user in users[:4]:
        assert f"({user}): page 1: 1 entry is not valid and skipped" in done.stderr
    found = [program.user(user) for user in users]
    assert [user["killmails"] for user in found] == [3, 3, 2, 2, 3]
    assert {(user["failures"], user["backfill"]) for user in found} == {(0, None)}
    asked = Counter(e["character_id"] for e in program.simulator.log("list"))
    assert [asked[user] for user in users] == [2, 2, 2, 2, 1], "each is looked at once more"


def test_an_entry_that_was_skipped_is_recorded_once_it_is_whole(killsync: Make) -> None:
    program, (user,) = users_with(killsync, 1)
    first, *rest = real_page(program, user)
    page = json.dumps([entry(first["killmail_id"], None), *rest])
    program.simulator.fault("list", character_id=user, wrong_json=page)
    program.run("scan")
    assert program.rows("SELECT list_etag FROM users") == [(None,)]
    program.simulator.clear_faults()
    program.make_due()
    done = program.run("scan")
    assert skipped_lines(done) == []
    program.assert_equals_truth()
    assert program.rows("SELECT list_etag IS NOT NULL FROM users") == [(1,)]


def test_a_page_that_is_broken_once_costs_one_request_and_no_word(killsync: Make) -> None:
    program, (user,) = users_with(killsync, 1)
    page = [None, *real_page(program, user)]
    program.simulator.fault("list", character_id=user, wrong_json=json.dumps(page), times=1)
    done = program.run("scan")
    assert skipped_lines(done) == []
    program.assert_equals_truth()


def test_broken_entries_on_every_page_of_a_long_list_leave_no_gap(killsync: Make) -> None:
    program, (user,) = users_with(killsync, 1, page_size=4)
    program.simulator.add_killmails(user, 9)
    listed = real_page(program, user)
    for number in (1, 2, 3):
        page = [None, *listed[4 * number - 4 : 4 * number], {"killmail_id": number}]
        program.simulator.fault("list", page=number, wrong_json=json.dumps(page))
    done = program.run("scan")
    assert [line.partition("page ")[2][:1] for line in skipped_lines(done)] == ["1", "2", "3"]
    program.assert_equals_truth()
    assert program.user(user)["backfill"] is None


def test_a_quiet_scan_tells_of_a_skipped_entry(killsync: Make) -> None:
    program, (user,) = users_with(killsync, 1)
    page = [None, *real_page(program, user)]
    program.simulator.fault("list", character_id=user, wrong_json=json.dumps(page))
    (line,) = program.run("scan", "--quiet").stderr.splitlines()
    assert "1 entry is not valid and skipped" in line


def test_an_id_that_stands_twice_on_a_page_is_recorded_and_fetched_once(killsync: Make) -> None:
    program, (user, other) = users_with(killsync, 2)
    page = real_page(program, user)
    page += [page[0], page[1] | {"killmail_time": None}, *page]
    program.simulator.fault("list", character_id=user, wrong_json=json.dumps(page))
    program.run("scan")
    assert len(program.simulator.log("body")) == 6
    program.assert_equals_truth()
    assert program.user(other)["killmails"] == 3


def test_a_killmail_with_an_unknown_hash_is_put_off_alone(killsync: Make) -> None:
    program, (user,) = users_with(killsync, 1)
    page = [entry(2**63 - 1, "F" * 40), *real_page(program, user), entry(1, "0" * 40)]
    page.append(entry(1, "1" * 40))
    program.simulator.fault("list", character_id=user, wrong_json=json.dumps(page))
    program.run("scan", exit_code=1)
    aside = program.rows("SELECT killmail_id, error FROM pending_killmails WHERE refusals = 1")
    assert {killmail_id for killmail_id, _ in aside} == {1, 2**63 - 1}
    assert all("422" in error for _, error in aside)
    assert program.user(user)["killmails"] == 3
    assert program.user(user)["last_killmail_id"] == 2**63 - 1


LONG = "x" * 10_000
ODD_HEADERS: dict[str, dict[str, str]] = {
    "X-Pages -1": {"X-Pages": "-1"},
    "X-Pages 0": {"X-Pages": "0"},
    "X-Pages 10**30": {"X-Pages": str(10**30)},
    "X-Pages of 5,000 digits": {"X-Pages": "9" * 5_000},
    "X-Pages text": {"X-Pages": "many"},
    "X-Pages 1.5": {"X-Pages": "1.5"},
    "X-Pages superscript": {"X-Pages": "²"},
    "ETag in quotes": {"ETag": '"a"b"", W/"c"'},
    "ETag folded": {"ETag": '"one\r\n two"'},
    "ETag folded at its start": {"ETag": '\r\n "one"'},
    "ETag with a control character": {"ETag": '"a\x01\x7f\x0b"'},
    "ETag not ASCII": {"ETag": '"Ærlig ÿ"'},
    "ETag of 10 kB": {"ETag": f'"{LONG}"'},
    "ETag empty": {"ETag": ""},
    "ETag *": {"ETag": "*"},
    "Last-Modified text": {"Last-Modified": "yesterday \x01"},
    "Last-Modified long": {"Last-Modified": LONG},
    "Expires in the past": {"Expires": "Mon, 01 Jan 1900 00:00:00 GMT", "Cache-Control": ""},
    "Expires far ahead": {"Expires": "Fri, 31 Dec 9999 23:59:59 GMT"},
    "Expires impossible": {"Expires": "Fri, 99 Foo 99999 99:99:99 +9999", "Cache-Control": "a="},
    "Expires text": {"Expires": "-1", "Cache-Control": "max-age"},
    "Expires blank": {"Expires": " , ", "Date": "0"},
    "max-age huge": {"Cache-Control": f"max-age={'9' * 5_000}"},
    "max-age negative": {"Cache-Control": "max-age=-5, max-age=1e9, max-age=²"},
    "limits absurd": {"X-Ratelimit-Limit": "0/0s", "X-Ratelimit-Remaining": "-1"},
    "limits huge": {"X-Ratelimit-Limit": "9" * 40 + "/15m", "X-Ratelimit-Remaining": "9" * 5_000},
    "limits tiny": {"X-Ratelimit-Limit": "1/1s", "X-Ratelimit-Remaining": "1"},
}


@pytest.mark.sample
def test_odd_headers_of_a_list_do_no_harm(killsync: Make) -> None:
    program, users = users_with(killsync, len(ODD_HEADERS))
    for user, headers in zip(users, ODD_HEADERS.values(), strict=True):
        page = json.dumps(real_page(program, user))
        program.simulator.fault("list", character_id=user, page=1, wrong_json=page, headers=headers)
    program.run("scan", "--workers", "8")
    for name, user in zip(ODD_HEADERS, program.status()["users"], strict=True):
        assert (user["failures"], user["error"], user["killmails"]) == (0, None, 3), name
    cached = program.rows("SELECT max(unixepoch(list_cached_until)) - unixepoch('now') FROM users")
    assert cached[0][0] < 3660
    tomorrow(program)
    for user in users:
        program.simulator.add_killmails(user, 1)
    program.run("scan", "--workers", "8")
    for name, user in zip(ODD_HEADERS, program.status()["users"], strict=True):
        assert (user["failures"], user["error"], user["killmails"]) == (0, None, 4), name
    program.assert_equals_truth()


ODD_RESTS = ("-1", "soon", "9" * 5_000, "1e9", "²", "Fri, 31 Dec 9999 23:59:59 GMT", "0.5", " ")


def test_a_rest_of_an_odd_length_lasts_a_day_at_most(killsync: Make) -> None:
    program, users = users_with(killsync, len(ODD_RESTS) + 1)
    for user, rest in zip(users, ODD_RESTS, strict=False):
        headers = {"Retry-After": rest}
        program.simulator.fault("list", character_id=user, status=429, headers=headers, times=1)
    program.run("scan", "--workers", "8", "--max-runtime", "30s")
    assert program.user(users[-1])["killmails"] == 3
    assert program.rows("SELECT sum(failures) FROM users") == [(0,)]
    for table in ("users", "jobs", "pending_killmails"):
        furthest = f"SELECT max(unixepoch(not_before)) - unixepoch('now') FROM {table}"
        assert (program.rows(furthest)[0][0] or 0) < 86460
    program.execute("UPDATE jobs SET not_before = NULL")
    tomorrow(program)
    program.run("scan", "--workers", "8")
    program.assert_equals_truth()


# one case of each answer that test_access has: refused, a login needed, SSO or the clock at fault
ODD_CLAIMS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"aud": ["somebody-else"]}, "is not valid here"),
    ({"scp": []}, "lacks the scope"),
    ({"exp": 1}, "check this computer's clock"),
)


def test_a_token_with_odd_claims_is_refused_and_the_next_one_accepted(killsync: Make) -> None:
    program, characters = users_with(killsync, len(ODD_CLAIMS) + 1, users=False)
    odd = dict(zip(characters, (claims for claims, _ in ODD_CLAIMS), strict=False))
    program.simulator.options(claims=json.dumps(odd))
    tokens = "".join(f"{login['refresh_token']}\n" for login in program.simulator.logins)
    done = program.run("users", "add", given=tokens, exit_code=75)
    *failed, added = done.stdout.splitlines()
    for number, ((_, reason), line) in enumerate(zip(ODD_CLAIMS, failed, strict=True), 1):
        assert line.startswith(f"line {number}: failed: ")
        assert reason in line
    assert "added" in added
    assert program.rows("SELECT user_id FROM users") == [(characters[-1],)]
    with closing(sqlite3.connect(f"{program.database}.tokens")) as kept:
        assert kept.execute("SELECT user_id FROM tokens").fetchall() == [(characters[-1],)]
    program.run("scan")
    program.assert_equals_truth()


def granted(program: Killsync, user_id: int) -> dict[str, Any]:
    """Return the tokens of a grant that is not used yet."""
    refresh = program.simulator.control("tokens", "POST", character_id=user_id)["refresh_token"]
    form = {"grant_type": "refresh_token", "refresh_token": refresh}
    form["client_id"] = program.simulator.client_id
    body = urllib.parse.urlencode(form).encode()
    url = f"{program.simulator.url}/v2/oauth/token"
    with urllib.request.urlopen(url, body, timeout=TIMEOUT) as answer:
        tokens: dict[str, Any] = json.load(answer)
    return tokens


# test_sso_answers has more of them
ODD_LIFETIMES = ("1e999", '"soon"', "null")


def test_an_odd_lifetime_of_a_token_does_not_lose_it(killsync: Make) -> None:
    program, users = users_with(killsync, len(ODD_LIFETIMES), access_lifetime=30)
    program.simulator.options(access_lifetime=1200, rotate=True)
    for user, lifetime in zip(users, ODD_LIFETIMES, strict=True):
        tokens = granted(program, user)
        answer = json.dumps(tokens | {"expires_in": "LIFETIME"}).replace('"LIFETIME"', lifetime)
        program.simulator.fault("token", character_id=user, wrong_json=answer, times=1)
    program.run("scan")
    assert program.rows("SELECT DISTINCT state, failures FROM users") == [("active", 0)]
    tomorrow(program)
    program.run("scan")
    program.assert_equals_truth()
