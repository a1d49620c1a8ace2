"""The killboard's own pages: the list, one killmail, one character."""

import sqlite3
import time
from collections.abc import Callable
from itertools import groupby
from typing import Any

from datasette.utils.asgi import Response

from killsync.board import killmail, kills, statistics
from killsync.board.statistics import By
from killsync.browse import filters, guard, plots, shown
from killsync.errors import KillsyncError, TryLater, UsageError
from killsync.killmail import fit
from killsync.store import kill_totals, one_killmail, users
from killsync.store import kills as stored
from killsync.store.kills import Filters, Kill
from killsync.store.statistics import Key, Scope, sums

PAGE = 100
_LATEST = 10
_TOP = 10
# a list is there before it is added up
_PATIENCE_S = 0.15
_NO_HURRY_S = 60.0
_WORDS = {
    "isk": shown.short_isk,
    "whole_isk": shown.whole_isk,
    "percent": shown.percent,
    "security_class": shown.security_class,
    "counted": shown.counted,
    "day_shown": shown.day,
    "image_server": guard.IMAGES,
}

Context = dict[str, Any]


async def show_list(datasette: Any, request: Any) -> Response:
    """Show killmails, newest first, as the form above them asks."""
    parameters = _parameters(request)
    form = filters.read(parameters)

    def ask(conn: sqlite3.Connection) -> Context:
        context: Context = {"form": form, "everyone": list(users.everyone(conn)), "days": []}
        try:
            wanted = kills.filters(conn, filters.asked(form, time.time()))
            if wanted.user_id is not None and users.get(conn, wanted.user_id) is None:
                raise UsageError(f"user is {wanted.user_id}: choose one of the list")
        except UsageError as error:
            return context | {"mistake": str(error).replace("--", ""), "status": 400}
        found = stored.page(conn, wanted, PAGE + 1, filters.border(parameters))
        page = found[:PAGE]
        patience = _NO_HURRY_S if "totals" in parameters else _PATIENCE_S
        return context | {
            "days": _days(page),
            "older": filters.place(page[-1]) if len(found) > PAGE else None,
            "is_first": "before" not in parameters,
            "totals": kill_totals.totals(conn, wanted, patience),
        }

    return await _answer(datasette, request, "killboard_list.html", ask)


async def show_killmail(datasette: Any, request: Any) -> Response:
    """Show one killmail whole."""
    killmail_id = int(request.url_vars["id"])

    def ask(conn: sqlite3.Connection) -> Context:
        known = one_killmail.read(conn, killmail_id)
        if known is None:
            waits = one_killmail.pending_state(conn, killmail_id) is not None
            why = "is listed, but not fetched yet" if waits else "is not stored"
            return {"trouble": f"Killmail {killmail_id} {why}.", "status": 404}
        composed = killmail.compose(known)
        who = composed.victim or composed.corporation or "Killmail"
        return {
            "known": known,
            "killmail": composed,
            "type_ids": {kind.name: kind.type_id for kind in known.types.values()},
            "eft": fit.eft(fit.fit_of(known.killmail, known.types), known.types, who),
        }

    return await _answer(datasette, request, "killboard_killmail.html", ask)


async def show_character(datasette: Any, request: Any) -> Response:
    """Show what one user did and lost."""
    user_id = int(request.url_vars["id"])

    def ask(conn: sqlite3.Connection) -> Context:
        user = users.get(conn, user_id)
        if user is None:
            return {"trouble": f"{user_id} is none of the users here.", "status": 404}
        scope = Scope(user_ids=(user_id,))
        slots = list(sums(conn, Key.SLOT, scope))
        return {
            "user": user,
            "total": statistics.added(slots),
            "months": plots.months(statistics.by_month(slots)),
            "heat": plots.heat(statistics.by_hour(slots)),
            "tops": [
                (title, kind, plots.bars(statistics.table(conn, by, scope, _TOP).rows))
                for title, kind, by in _TOPS
            ],
            "days": _days(stored.page(conn, Filters(user_id=user_id), _LATEST, None)),
        }

    return await _answer(datasette, request, "killboard_character.html", ask)


async def show_nothing(datasette: Any, request: Any) -> Response:
    """Show that there is no such page."""
    return await _answer(
        datasette, request, "", lambda _: {"trouble": "There is no such page.", "status": 404}
    )


_TOPS = (
    ("Victims' ships", "Type", By.SHIP),
    ("Ships flown", "Type", By.FLOWN),
    ("Systems", "System", By.SYSTEM),
    ("Opponents", "Character", By.OPPONENT),
)


def _parameters(request: Any) -> dict[str, str]:
    return {key: request.args.get(key) for key in request.args}


def _days(page: list[Kill]) -> list[tuple[str, list[Kill]]]:
    return [(day, list(group)) for day, group in groupby(page, lambda kill: kill.time[:10])]


async def _answer(
    datasette: Any, request: Any, template: str, ask: Callable[[sqlite3.Connection], Context]
) -> Response:
    try:
        context: Context = await datasette.read(ask)
    except KillsyncError as error:
        status = 503 if isinstance(error, TryLater) else 500
        context = {"trouble": str(error), "status": status}
    body = await datasette.render_template(
        "killboard_trouble.html" if "trouble" in context else template,
        _WORDS | {"images": datasette.images} | context,
        request=request,
    )
    return Response.html(
        body,
        status=context.get("status", 200),
        headers={"Content-Security-Policy": guard.content_policy(datasette.images)},
    )


ROUTES: list[tuple[str, Any]] = [
    (r"^/$", show_list),
    (r"^/killmail/(?P<id>\d{1,18})/?$", show_killmail),
    (r"^/character/(?P<id>\d{1,18})/?$", show_character),
]
