"""ESI's routes, as its OpenAPI document and best practices describe them."""

from datetime import UTC, date, datetime

import msgspec

from killsync.simulator.limits import Allowance
from killsync.simulator.lists import etag_of
from killsync.simulator.naming import Naming
from killsync.simulator.options import Options
from killsync.simulator.prices import Market
from killsync.simulator.routes import Target
from killsync.simulator.tokens import AccessToken, Tokens
from killsync.simulator.wire import Answer, Request, error, http_date, json_answer
from killsync.simulator.world import SCOPE, World

BODY_MAX_AGE = 30 * 86400
STATUS_MAX_AGE = 30
PRICES_MAX_AGE = 3600
CHANGE_HOUR = 11 * 3600


class Esi:
    """ESI for one world; limits and faults are applied elsewhere."""

    def __init__(
        self,
        options: Options,
        world: World,
        tokens: Tokens,
        naming: Naming,
        market: Market,
        now: float,
    ) -> None:
        self.options = options
        self.world = world
        self.tokens = tokens
        self.naming = naming
        self.market = market
        self._started = now

    def allowance(self, route: str) -> Allowance | None:
        """Return the rate limit of a route, or None if only the error limit applies."""
        options = self.options
        match route:
            case "list":
                return Allowance("char-killmail", options.list_tokens, options.list_window)
            case "body":
                return Allowance("killmail", options.body_tokens, options.body_window)
            case "status":
                return Allowance("status", options.status_tokens, options.status_window)
        return None

    def bucket_owner(self, request: Request, target: Target) -> tuple[object, ...]:
        """Return whose bucket pays: application and character, or source address and application.

        Lists are charged by character, everything else by source address.
        """
        access = self.tokens.find_access(request.bearer())
        client = access.grant.client_id if access else None
        if target.route == "list":
            return client, access.grant.character_id if access else target.character_id
        return request.peer, client

    def answer(self, request: Request, target: Target, now: float) -> Answer:
        """Answer one request that is within the limits."""
        refusal = _check_headers(request, now)
        if refusal:
            return refusal
        match target.route:
            case "list":
                return self._list(request, target, now)
            case "body":
                return self._body(request, target, now)
            case "names":
                return self.naming.answer(request)
            case "prices":
                return self._prices(request, now)
            case "status":
                return self._status(request, now)
        return error(404, "Not found")

    def _list(self, request: Request, target: Target, now: float) -> Answer:
        access = self.tokens.find_access(request.bearer())
        if access is None or now >= access.expires:
            return error(401, "Unauthorized - Invalid token")
        if not _may_read(access, target):
            return error(403, "Token is not valid for any required scope")
        if not target.page:
            return error(400, "Invalid page")
        character = self.world.character(access.grant.character_id)
        snapshot = self.world.snapshot(character, now)
        if target.page > snapshot.page_count:
            return self._past_the_end()
        page = snapshot.page(target.page)
        headers = {
            "X-Pages": str(snapshot.page_count),
            "Last-Modified": http_date(snapshot.modified),
        }
        headers |= _cache_headers(page.etag, snapshot.expires, now)
        return _conditional(request, page.body, page.etag, headers)

    def _past_the_end(self) -> Answer:
        if self.options.past_end == "empty":
            return json_answer([])
        return error(404, "Requested page does not exist!")

    def _body(self, request: Request, target: Target, now: float) -> Answer:
        killmail = self.world.killmails.get(target.killmail_id or 0)
        if killmail is None or killmail.killmail_hash != target.killmail_hash:
            return error(422, "Invalid killmail_id and/or killmail_hash")
        body, etag = self.world.body(killmail)
        headers = {"Last-Modified": http_date(killmail.killmail_time)}
        headers |= _cache_headers(etag, now + BODY_MAX_AGE, now)
        return _conditional(request, body, etag, headers)

    def _prices(self, request: Request, now: float) -> Answer:
        body = self.market.listed(now)
        return _published(request, body, PRICES_MAX_AGE, now)

    def _status(self, request: Request, now: float) -> Answer:
        started = datetime.fromtimestamp(int(self._started), UTC)
        body = msgspec.json.encode(
            {
                "players": 20_000 + int(now) // STATUS_MAX_AGE % 997,
                "server_version": "3031337",
                "start_time": started,
            }
        )
        return _published(request, body, STATUS_MAX_AGE, now)


def _published(request: Request, body: bytes, max_age: int, now: float) -> Answer:
    """Answer with what ESI makes afresh once in every `max_age` seconds."""
    etag = etag_of(body)
    expires = (int(now) // max_age + 1) * max_age
    headers = {"Last-Modified": http_date(expires - max_age)}
    return _conditional(request, body, etag, headers | _cache_headers(etag, expires, now))


def _check_headers(request: Request, now: float) -> Answer | None:
    if not request.headers.get("user-agent"):
        return error(400, "User-Agent is required")
    text = request.headers.get("x-compatibility-date", "")
    try:
        wanted = datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        return error(400, "X-Compatibility-Date is missing or malformed")
    if len(text) != 10 or wanted > current_date(now):
        return error(400, "X-Compatibility-Date is malformed or in the future")
    return None


def current_date(now: float) -> date:
    """Return the newest compatibility date, which changes at 11:00 UTC."""
    return datetime.fromtimestamp(now - CHANGE_HOUR, UTC).date()


def _may_read(access: AccessToken, target: Target) -> bool:
    grant = access.grant
    return SCOPE in grant.scopes and grant.character_id == target.character_id


def _cache_headers(etag: str, expires: float, now: float) -> dict[str, str]:
    left = max(0, int(expires) - int(now))
    return {
        "ETag": etag,
        "Expires": http_date(expires),
        "Cache-Control": f"public, max-age={left}",
    }


def _conditional(request: Request, body: bytes, etag: str, headers: dict[str, str]) -> Answer:
    if request.has_etag(etag):
        return Answer(304, headers=headers)
    return Answer(200, body, headers)
