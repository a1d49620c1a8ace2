"""The route that a request is for, and the parameters in its path."""

import re
from datetime import date

import msgspec

from killsync.simulator.wire import Request

SSO_PATHS = {
    ("GET", "/.well-known/oauth-authorization-server"): "metadata",
    ("GET", "/v2/oauth/authorize"): "authorize",
    ("POST", "/v2/oauth/token"): "token",
    ("GET", "/oauth/jwks"): "jwks",
    ("POST", "/v2/oauth/revoke"): "revoke",
}
ESI_PATHS = {
    ("POST", "/universe/names"): "names",
    ("POST", "/characters/affiliation"): "affiliation",
    ("GET", "/markets/prices"): "prices",
    ("GET", "/status"): "status",
}
CONTROL_PREFIX = "/_control/"
EVEREF_PREFIX, ZKB_PREFIX = "/everef", "/zkb"

_ARCHIVE = re.compile(
    r"/(?P<year>\d{4})/killmails-(?P<day>(?P=year)-\d\d-\d\d)\.tar\.bz2", re.ASCII
)
_ZKB_LIST = re.compile(
    r"/(?P<side>kills|losses)/(?P<kind>character|corporation)ID/(?P<id>\d+)"
    r"(/page/(?P<page>\d+))?/?",
    re.ASCII,
)


class Target(msgspec.Struct):
    """What a request is for; `page` is None if it is not a number or the route has no pages.

    Of a corporation's list, the character is the one whose token was sent, if any.

    `generation` is the number of the refresh token in a token request; it rises with each one
    issued.
    """

    route: str
    character_id: int | None = None
    corporation_id: int | None = None
    page: int | None = None
    killmail_id: int | None = None
    killmail_hash: str = ""
    generation: int | None = None
    # of zKillboard's list: `kills` or `losses`
    side: str = ""
    # of an archive
    day: date | None = None

    @property
    def is_sso(self) -> bool:
        """Return whether the route belongs to the SSO."""
        return self.route in ("metadata", "authorize", "token", "jwks", "revoke")

    @property
    def is_elsewhere(self) -> bool:
        """Return whether the route is neither ESI's nor the SSO's, and knows no limits."""
        return self.route in ("archive", "totals", "zkb", "elsewhere")


def target_of(request: Request) -> Target:
    """Parse the target of a request; its route is "unknown" if there is no such route."""
    if request.path.startswith((f"{EVEREF_PREFIX}/", f"{ZKB_PREFIX}/")):
        return _elsewhere(request)
    path = request.path.rstrip("/") or "/"
    fixed = (request.method, path)
    if fixed in SSO_PATHS:
        return Target(SSO_PATHS[fixed])
    if fixed in ESI_PATHS:
        return Target(ESI_PATHS[fixed])
    match (request.method, *path.split("/")[1:]):
        case ("GET", "killmails", killmail_id, killmail_hash):
            number = to_number(killmail_id)
            return Target("body", killmail_id=number, killmail_hash=killmail_hash)
        case ("GET", "characters", character_id, "killmails", "recent"):
            page = to_number(request.query.get("page", "1"))
            return Target("list", character_id=to_number(character_id), page=page)
        case ("GET", "corporations", corporation_id, "killmails", "recent"):
            page = to_number(request.query.get("page", "1"))
            return Target("corp_list", corporation_id=to_number(corporation_id), page=page)
        case ("GET", "corporations", corporation_id):
            return Target("corporation", corporation_id=to_number(corporation_id))
    return Target("unknown")


def _elsewhere(request: Request) -> Target:
    """Parse the target of a request to EVE Ref or zKillboard."""
    if request.method != "GET":
        return Target("elsewhere")
    if request.path == f"{EVEREF_PREFIX}/totals.json":
        return Target("totals")
    archive = _ARCHIVE.fullmatch(request.path.removeprefix(EVEREF_PREFIX))
    if archive:
        try:
            return Target("archive", day=date.fromisoformat(archive["day"]))
        except ValueError:
            return Target("elsewhere")
    listing = _ZKB_LIST.fullmatch(request.path.removeprefix(ZKB_PREFIX))
    if listing is None:
        return Target("elsewhere")
    target = Target("zkb", side=listing["side"], page=to_number(listing["page"] or "1"))
    setattr(target, f"{listing['kind']}_id", to_number(listing["id"]))
    return target


def to_number(text: str) -> int | None:
    """Parse a decimal number of at most 18 digits; return None if it is anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
