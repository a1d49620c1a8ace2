"""ESI: its routes, its rate limits, and where a list is read on."""
