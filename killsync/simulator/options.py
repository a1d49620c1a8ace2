"""The settings of one simulated ESI and SSO; most can be changed while it runs."""

import json
from typing import Annotated, Any, Literal

import msgspec

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]

FIXED_AT_START = frozenset(
    {"port", "seed", "characters", "corporations", "killmails", "shared"}
    | {"archive_days", "archive_killmails", "archive_share"}
)


class Options(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How the simulator behaves; times are in seconds, and 0 tokens mean no limit.

    Raises ValueError if `claims` is not a JSON object.
    """

    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 0
    seed: int = 1
    characters: Count = 3
    # they share the characters, and the first two of each are its directors
    corporations: Count = 0
    killmails: Count = 200
    shared: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    # days before the lists' 90 that archives remember, the killmails of each, and the share of them
    # in which characters or corporations of the start take part
    archive_days: Annotated[int, msgspec.Meta(ge=0, le=1300)] = 0
    archive_killmails: Annotated[int, msgspec.Meta(ge=0, le=40_000)] = 40
    archive_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    # whether archives name hashes and times of change, unless a day is set otherwise
    archive_hashes: bool = True
    # whether zKillboard's list refuses more than one request a second, rather than count it only
    zkb_strict: bool = False

    # each character has a new killmail this often; 0 is never
    new_every: Seconds = 0
    page_size: Positive = 1000
    list_max_age: Seconds = 300
    past_end: Literal["404", "empty"] = "404"
    refresh_between_pages: bool = False
    # players, corporations and alliances have names that may do harm where they are shown
    hostile_names: bool = False

    latency_list: Seconds = 0
    latency_body: Seconds = 0
    latency_sso: Seconds = 0

    list_tokens: Count = 30
    list_window: Positive = 900
    corp_list_tokens: Count = 30
    corp_list_window: Positive = 900
    body_tokens: Count = 3600
    body_window: Positive = 900
    status_tokens: Count = 600
    status_window: Positive = 900
    error_limit: Positive = 100
    error_window: Positive = 60

    rotate: bool = False
    # more refreshes at once are answered 500 or, if it is set, 429 with this Retry-After
    refresh_limit: Count = 5
    refresh_rest: Count = 0
    access_lifetime: int = 1200
    code_lifetime: Count = 300
    client_id: str = "killsync-simulator"
    client_secret: str | None = None
    redirect_uri: str | None = None
    signature: Literal["RS256", "HS256", "none"] = "RS256"
    issuer: str = "https://login.eveonline.com"
    # claims to override in a character's access tokens, keyed by character id; as JSON text, whose
    # escapes can express lone surrogates, which are not valid UTF-8
    claims: str = "{}"
    # who logs in: the person at the browser chooses, else this character, else the first
    consent_page: bool = False
    login_as: int | None = None
    deny: bool = False

    def __post_init__(self) -> None:
        if not isinstance(json.loads(self.claims), dict):
            raise ValueError("claims: expected a JSON object")


def change(options: Options, changes: dict[str, Any]) -> None:
    """Set some options in place, all or none; raises msgspec.ValidationError if one is invalid."""
    fixed = FIXED_AT_START & changes.keys()
    if fixed:
        raise msgspec.ValidationError(f"fixed at start: {', '.join(sorted(fixed))}")
    merged = msgspec.convert(msgspec.structs.asdict(options) | changes, Options)
    for name in changes:
        setattr(options, name, getattr(merged, name))
