"""Which build the shipped game data are of: written by `scripts/build_game_data.py`."""

BUILD = 3650286
RELEASED_AT = "2026-10-26T11:08:19Z"
TYPES = 53289
SYSTEMS = 8436
CORPORATIONS = 283
FACTIONS = 27
