"""Killmail bodies that mean harm, as the text that ESI would send; each from a seed."""

import json
import math
import random
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from killmail_strategies import bodies

TEXTS = (
    "'; DROP TABLE killmails; --",
    "[bold red]loud[/bold red] [link=http://127.0.0.1]here[/link] [/]",
    "\x1b]0;owned\x07\x1b[5;41mPWNED\x1b[2J",
    "\x9b5;41mPWNED\x9d0;owned\x9c",
    "zero\0byte",
    "one\r\nkillsync: all is well\u2028\u202etxt",
    "long " * 2_000,
    '%s {0} ${HOME} `id` \\ "',
)
NUMBERS = ("1" + "0" * 400, "9" * 5_000, str(2**63), str(-(2**63) - 1), "1e400", "-1e999")
LONE = (r'"\ud800"', r'"rocket \udc00 tail"', r'{"\udfff": 1}')
DEEP = tuple("[" * depth + "]" * depth for depth in (100, 10_000))
DEEP_OBJECTS = tuple('{"a":' * depth + "1" + "}" * depth for depth in (100, 10_000))
WRONG = ("null", "true", "[]", "{}", '"text"', "1.5", "-0.0", "0", json.dumps([TEXTS[2]] * 3))
_PLACE = "PLACE-OF-HARM"


def plain(killmail_id: int) -> dict[str, Any]:
    """Return a body with each kind of field."""
    item = {"item_type_id": 34, "flag": 5, "singleton": 0, "quantity_dropped": 7}
    return {
        "killmail_id": killmail_id,
        "killmail_time": "2026-05-04T12:00:00Z",
        "solar_system_id": 30000142,
        "moon_id": 40009087,
        "victim": {
            "damage_taken": 1,
            "ship_type_id": 587,
            "character_id": 90000001,
            "position": {"x": 1.5, "y": -2, "z": 1e13},
            "items": [item, item | {"items": [item]}],
        },
        "attackers": [
            {"damage_done": 0, "final_blow": False, "security_status": -10, "faction_id": 500010},
            {"damage_done": 1, "final_blow": True, "security_status": 0.5},
        ],
    }


def spoilt(rng: random.Random, killmail_id: int) -> str:
    """Return a body that is harmful at one random place."""
    body = plain(killmail_id)
    part, key = _anywhere(rng, body)
    change: Callable[..., str] = rng.choice((_replaced, _replaced, _added, _removed))
    return change(rng, body, part, key)


def generated(count: int) -> list[dict[str, Any]]:
    """Return bodies that are within ESI's shapes and beyond them, all of which can be stored."""
    found: list[dict[str, Any]] = []

    @seed(7)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(bodies)
    def collect(body: dict[str, Any]) -> None:
        found.append(body)

    collect()
    return found


def value_of(text: str) -> Any:
    """Return what a body's text holds, or raise ValueError if no JSON value that is kept can."""
    if any(deep in text for deep in (*DEEP, *DEEP_OBJECTS)):
        raise ValueError("nested too deep")
    value = json.loads(text, parse_float=_float)
    json.dumps(value, ensure_ascii=False).encode()
    return value


def _float(digits: str) -> float:
    if not math.isfinite(float(digits)):
        raise ValueError("beyond every float")
    return float(digits)


def _anywhere(rng: random.Random, body: dict[str, Any]) -> tuple[Any, Any]:
    places: list[tuple[Any, Any]] = []

    def walk(part: Any) -> None:
        for key in part if isinstance(part, dict) else range(len(part)):
            places.append((part, key))
            if isinstance(part[key], dict | list):
                walk(part[key])

    walk(body)
    return rng.choice(places)


def _harm(rng: random.Random) -> str:
    kind = rng.choice((NUMBERS, LONE, DEEP, DEEP_OBJECTS, WRONG, TEXTS, TEXTS))
    chosen = rng.choice(kind)
    return json.dumps(chosen) if kind is TEXTS else chosen


def _replaced(rng: random.Random, body: Any, part: Any, key: Any) -> str:
    part[key] = _PLACE
    return json.dumps(body).replace(f'"{_PLACE}"', _harm(rng))


def _added(rng: random.Random, body: Any, part: Any, key: Any) -> str:
    if isinstance(part, list):
        part.append(_PLACE)
    else:
        part[rng.choice((*TEXTS, "", "extra", "user_id", "rowid"))] = _PLACE
    return json.dumps(body).replace(f'"{_PLACE}"', _harm(rng))


def _removed(rng: random.Random, body: Any, part: Any, key: Any) -> str:
    del part[key]
    return json.dumps(body)
