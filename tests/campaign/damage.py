"""What may be wrong with archives and lists from elsewhere, and with the servers that have them."""

import bz2
import random
from collections.abc import Callable
from typing import Any

from campaign.matrix import RULES

FAULTS: dict[str, dict[str, Any]] = {
    "404": RULES["404"],
    "429": {"status": 429, "headers": {"Retry-After": "1"}},
    "500": RULES["500"],
    "502 HTML": RULES["502 HTML"],
    "503": RULES["503"],
    "reset": RULES["reset"],
    "cut": RULES["cut"],
    "HTML": {"wrong_json": "<!DOCTYPE html><title>Archives</title>"},
    "redirect": RULES["redirect"],
}

WRONG_HASH = "0123456789" * 4
ZKB_FAULTS: dict[str, dict[str, Any]] = {
    "401": RULES["401"],
    "429": {"status": 429, "headers": {"Retry-After": "1"}},
    "502 HTML": RULES["502 HTML"],
    "HTML": {"wrong_json": "<!DOCTYPE html><title>zKillboard</title>"},
    "another shape": {"wrong_json": '{"error":"Invalid type passed"}'},
    "reset": RULES["reset"],
    "cut": RULES["cut"],
}

Damage = Callable[[bytes, random.Random], bytes]
DAMAGES: dict[str, Damage] = {
    "cut": lambda content, rng: content[: rng.randrange(1, len(content))],
    "empty": lambda content, rng: b"",
    "no bzip2": lambda content, rng: b"<!DOCTYPE html><title>Not Found</title>",
    "no tar": lambda content, rng: bz2.compress(rng.randbytes(5000)),
    "a changed byte": lambda content, rng: _changed(
        content, rng.randrange(len(content) // 4, len(content))
    ),
}


def _changed(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]
