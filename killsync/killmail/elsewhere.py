"""Where else a killmail can be looked at."""

ZKILLBOARD = "https://zkillboard.com/kill/%d/"
"""The address of a killmail on zKillboard, for `%` of Python and `printf` of SQL."""
