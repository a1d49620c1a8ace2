"""The only place that sends: `client`, with `bounded` answers, and errors in `translation`."""

from killsync.http.client import Answer, Http

__all__ = ["Answer", "Http"]
