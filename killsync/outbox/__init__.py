"""Telling: what goes out to people and to monitoring, and by which channels."""
