"""Answers that may be cached: their headers, and 304 to whoever has them already."""

from killsync.simulator.lists import etag_of
from killsync.simulator.wire import Answer, Request, http_date


def published(request: Request, body: bytes, max_age: int, now: float) -> Answer:
    """Answer with what ESI makes afresh once in every `max_age` seconds."""
    etag = etag_of(body)
    expires = (int(now) // max_age + 1) * max_age
    headers = {"Last-Modified": http_date(expires - max_age)}
    return conditional(request, body, etag, headers | cache_headers(etag, expires, now))


def cache_headers(etag: str, expires: float, now: float) -> dict[str, str]:
    """Return the headers of an answer that may be kept until a unix time."""
    left = max(0, int(expires) - int(now))
    return {
        "ETag": etag,
        "Expires": http_date(expires),
        "Cache-Control": f"public, max-age={left}",
    }


def conditional(request: Request, body: bytes, etag: str, headers: dict[str, str]) -> Answer:
    """Answer with a body, or with 304 if the request names its ETag."""
    if request.has_etag(etag):
        return Answer(304, headers=headers)
    return Answer(200, body, headers)
