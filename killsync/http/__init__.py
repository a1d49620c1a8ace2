"""The only place that sends: `client` does, `bounded` reads answers, `meanings` tells errors."""

from killsync.http.client import Answer, Http
from killsync.http.meanings import own_errors

__all__ = ["Answer", "Http", "own_errors"]
