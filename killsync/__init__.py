"""killsync keeps every killmail of your EVE Online characters in a database of your own."""

__version__ = "0.1.0"
