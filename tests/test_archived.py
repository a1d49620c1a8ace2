"""A killmail as archives and exports write it: the body that ESI sends, and the hash beside it."""

import json
import random
from typing import Any

import pytest
from hostile_bodies import plain, spoilt
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from killmail_strategies import bodies, values

from killsync.errors import BodyRejected, NotAKillmail
from killsync.killmail import archived, body
from killsync.killmail.body import Killmail

HASH = "0123456789abcdef0123456789abcdef01234567"
BESIDE = {"killmail_hash", "http_last_modified", "zkb"}
beside = st.fixed_dictionaries(
    {},
    optional={
        "killmail_hash": st.none() | st.text(max_size=40),
        "http_last_modified": values,
        "zkb": values,
    },
)


def read(content: Any, killmail_id: int | None = None) -> tuple[Killmail, str | None]:
    return archived.decode(json.dumps(content).encode(), killmail_id)


def outcome(decode: Any, raw: bytes, killmail_id: int) -> Any:
    """Return what is decoded, or how it is refused."""
    try:
        return decode(raw, killmail_id)
    except BodyRejected as error:
        return type(error), str(error)


@settings(suppress_health_check=list(HealthCheck))
@given(bodies.filter(lambda content: not BESIDE & set(content)), beside)
def test_the_keys_of_an_archive_are_no_part_of_the_body(
    content: dict[str, Any], added: dict[str, Any]
) -> None:
    killmail, found = read(content | added)
    assert killmail == body.decode(json.dumps(content).encode())
    assert found == added.get("killmail_hash")


@pytest.mark.parametrize("seed", range(200))
def test_what_has_no_such_keys_is_decoded_or_refused_as_esis_own_body(seed: int) -> None:
    raw = spoilt(random.Random(seed), 7).encode(errors="surrogatepass")
    expected = outcome(body.decode, raw, 7)
    found = outcome(archived.decode, raw, 7)
    assert found == (expected if isinstance(expected, tuple) else (expected, None))


def test_a_body_with_an_unknown_field_keeps_it_and_loses_the_keys_of_the_archive() -> None:
    killmail, found = read(plain(7) | {"new": 1, "killmail_hash": HASH, "zkb": {"npc": True}})
    assert json.loads(body.encode(killmail)) == plain(7) | {"new": 1}
    assert found == HASH


@pytest.mark.parametrize("unknown", [{}, {"new": 1}])
@pytest.mark.parametrize("wrong", [1, [HASH], {"a": HASH}, True])
def test_a_hash_that_is_no_text_is_refused(wrong: object, unknown: dict[str, int]) -> None:
    with pytest.raises(BodyRejected, match="killmail_hash: expected"):
        read(plain(7) | {"killmail_hash": wrong} | unknown)


def test_the_id_that_is_given_has_to_agree() -> None:
    with pytest.raises(BodyRejected, match="killmail_id: expected 8, got 7"):
        read(plain(7) | {"killmail_hash": HASH}, 8)
    assert read(plain(7), 7) == read(plain(7))


@pytest.mark.parametrize("raw", [b"", b"[]", b'"text"', b'{"killmail_hash": "a"}', b"\xff\xfe"])
def test_what_is_no_killmail_is_told_from_one_that_is_broken(raw: bytes) -> None:
    with pytest.raises(NotAKillmail):
        archived.decode(raw)
