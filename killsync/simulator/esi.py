"""ESI's routes, as its OpenAPI document and best practices describe them."""

from datetime import UTC, date, datetime

import msgspec

from killsync.simulator.affiliations import affiliations, corporation
from killsync.simulator.caching import cache_headers, conditional, published
from killsync.simulator.limits import Allowance
from killsync.simulator.lists import ListOwner
from killsync.simulator.naming import Naming
from killsync.simulator.options import Options
from killsync.simulator.players import CORPORATION_SCOPE, SCOPE
from killsync.simulator.prices import Market
from killsync.simulator.routes import Target
from killsync.simulator.tokens import Grant, Tokens
from killsync.simulator.wire import Answer, Request, error, http_date, json_answer
from killsync.simulator.world import World

BODY_MAX_AGE = 30 * 86400
STATUS_MAX_AGE = 30
PRICES_MAX_AGE = 3600
CHANGE_HOUR = 11 * 3600
_NO_SCOPE = "Token is not valid for any required scope"


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

    def identify(self, request: Request, target: Target) -> None:
        """Set which character reads a corporation's list, for faults and the log."""
        access = self.tokens.find_access(request.bearer())
        if target.route == "corp_list" and access:
            target.character_id = access.grant.character_id

    def allowance(self, route: str) -> Allowance | None:
        """Return the rate limit of a route, or None if only the error limit applies."""
        options = self.options
        match route:
            case "list":
                return Allowance("char-killmail", options.list_tokens, options.list_window)
            case "corp_list":
                return Allowance(
                    "corp-killmail", options.corp_list_tokens, options.corp_list_window
                )
            case "body":
                return Allowance("killmail", options.body_tokens, options.body_window)
            case "status":
                return Allowance("status", options.status_tokens, options.status_window)
        return None

    def bucket_owner(self, request: Request, target: Target) -> tuple[object, ...]:
        """Return whose bucket pays: application and character, or source address and application.

        Lists are charged by character, of a corporation's by the one whose token it is; everything
        else by source address.
        """
        access = self.tokens.find_access(request.bearer())
        client = access.grant.client_id if access else None
        if target.route in ("list", "corp_list"):
            return client, access.grant.character_id if access else target.character_id
        return request.peer, client

    def answer(self, request: Request, target: Target, now: float) -> Answer:
        """Answer one request that is within the limits."""
        refusal = _check_headers(request, now)
        if refusal:
            return refusal
        match target.route:
            case "list" | "corp_list":
                return self._list(request, target, now)
            case "body":
                return self._body(request, target, now)
            case "prices":
                return published(request, self.market.listed(now), PRICES_MAX_AGE, now)
            case "status":
                return self._status(request, now)
        return self._players(request, target, now)

    def _players(self, request: Request, target: Target, now: float) -> Answer:
        """Answer what is public of players, and what they are called."""
        match target.route:
            case "names":
                return self.naming.answer(request)
            case "affiliation":
                return affiliations(self.world, request)
            case "corporation":
                return corporation(self.world, request, target.corporation_id or 0, now)
        return error(404, "Not found")

    def _list(self, request: Request, target: Target, now: float) -> Answer:
        access = self.tokens.find_access(request.bearer())
        if access is None or now >= access.expires:
            return error(401, "Unauthorized - Invalid token")
        owner = self._readable(access.grant, target)
        if isinstance(owner, str):
            return error(403, owner)
        if not target.page:
            return error(400, "Invalid page")
        snapshot = self.world.snapshot(owner, now)
        if target.page > snapshot.page_count:
            return self._past_the_end()
        page = snapshot.page(target.page)
        headers = {
            "X-Pages": str(snapshot.page_count),
            "Last-Modified": http_date(snapshot.modified),
        }
        headers |= cache_headers(page.etag, snapshot.expires, now)
        return conditional(request, page.body, page.etag, headers)

    def _readable(self, grant: Grant, target: Target) -> ListOwner | str:
        """Return whose list a token may read, or why it may not."""
        if target.route == "list":
            if SCOPE not in grant.scopes or grant.character_id != target.character_id:
                return _NO_SCOPE
            return self.world.character(grant.character_id)
        if CORPORATION_SCOPE not in grant.scopes:
            return _NO_SCOPE
        if self.world.corporation_of(grant.character_id) != target.corporation_id:
            return "Character is not in the corporation"
        owner = self.world.corporations.get(target.corporation_id or 0)
        if owner is None or grant.character_id not in owner.directors:
            return "Character does not have required role(s)"
        return owner

    def _past_the_end(self) -> Answer:
        if self.options.past_end == "empty":
            return json_answer([])
        return error(404, "Requested page does not exist!")

    def _body(self, request: Request, target: Target, now: float) -> Answer:
        killmail = self.world.find(target.killmail_id or 0)
        if killmail is None or killmail.killmail_hash != target.killmail_hash:
            return error(422, "Invalid killmail_id and/or killmail_hash")
        body, etag = self.world.body(killmail)
        headers = {"Last-Modified": http_date(killmail.killmail_time)}
        headers |= cache_headers(etag, now + BODY_MAX_AGE, now)
        return conditional(request, body, etag, headers)

    def _status(self, request: Request, now: float) -> Answer:
        started = datetime.fromtimestamp(int(self._started), UTC)
        body = msgspec.json.encode(
            {
                "players": 20_000 + int(now) // STATUS_MAX_AGE % 997,
                "server_version": "3031337",
                "start_time": started,
            }
        )
        return published(request, body, STATUS_MAX_AGE, now)


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
