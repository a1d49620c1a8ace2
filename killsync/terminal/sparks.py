"""Numbers beside one another as blocks of different heights."""

import math

_BLOCKS, _NOTHING = "▁▂▃▄▅▆▇█", "·"
# where the terminal has no blocks: what is taller has more ink
_ASCII_BLOCKS, _ASCII_NOTHING = ".:-=+*%@", "_"


def spark(number: int, most: int, *, plain: bool = False) -> str:
    """Return the block of a number, the tallest for `most`; `plain` ones are of ASCII."""
    blocks, nothing = (_ASCII_BLOCKS, _ASCII_NOTHING) if plain else (_BLOCKS, _NOTHING)
    return blocks[level_of(number, most, len(blocks)) - 1] if number else nothing


def level_of(number: int, most: int, levels: int) -> int:
    """Return 0 for nothing, else 1 to `levels`, the last for the most."""
    return math.ceil(levels * number / most) if number else 0
