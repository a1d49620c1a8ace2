"""`killsync users`: list, disable, enable and remove users; `add` and `rekey` are beside."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Annotated

import msgspec
import typer

from killsync.cli import adding, invocation, opening, rekey
from killsync.cli.commands import App
from killsync.cli.find_users import find_users
from killsync.cli.help_parts import BUSY, UNKNOWN_USER, UNUSABLE, HelpText, exits
from killsync.cli.invocation import Invocation, print_result
from killsync.cli.options import AlsoUsers, Users, named_users
from killsync.errors import UsageError
from killsync.model import User, UserKind, UserState
from killsync.settings import application
from killsync.settings.config import Settings
from killsync.store import directors, jobs, removing, roles, users
from killsync.store.connection import Store
from killsync.sync.status import user_statuses
from killsync.terminal.text import count, safe
from killsync.terminal.users_table import show_users

_NOBODY_NAMED = "name a user, by character id or name"

app = App(
    help="List, add, disable, enable and remove users; rekey tokens.",
)


HELP = {
    "users": HelpText(
        {
            "killsync users": "everybody who is registered",
            "killsync users disable maru": "stop syncing one of them",
        },
        exits("shown", _2=UNUSABLE),
    ),
    "users list": HelpText(
        {"killsync users list": "the same as `killsync users`"},
        exits("shown", _2=UNUSABLE),
    ),
    "users disable": HelpText(
        {'killsync users disable "Maru Sakaala"': "by name, in any case"},
        exits("disabled", _2=UNKNOWN_USER, _75=BUSY),
    ),
    "users enable": HelpText(
        {"killsync users enable 90000002": "by id"},
        exits("enabled", _2=UNKNOWN_USER, _75=BUSY),
    ),
    "users remove": HelpText(
        {
            'killsync users remove "Maru Sakaala"': "its killmails stay",
            "killsync users remove maru --purge": "its killmails go, too",
        },
        exits("removed", _2=f"{UNKNOWN_USER}; or you said no", _75=BUSY),
    ),
}


@app.callback(invoke_without_command=True)
def list_users(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the characters and corporations."""
    if context.invoked_subcommand is None:
        _list(context, as_json=as_json)


@app.command(name="list")
def list_again(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the characters and corporations, as `killsync users` does."""
    before = context.parent.params["as_json"] if context.parent else False
    _list(context, as_json=as_json or before)


def _list(context: typer.Context, *, as_json: bool) -> None:
    call = invocation.from_context(context)
    with invocation.edge(call):
        settings = call.settings()
        with opening.for_reading(settings) as store:
            listed = user_statuses(store, settings, time.time())
        if as_json:
            print_result(json.dumps(msgspec.to_builtins(listed), indent=2))
        else:
            show_users(listed)


@app.command()
def disable(context: typer.Context, names: Users = None, user: AlsoUsers = None) -> None:
    """Stop syncing users; what they have is kept."""
    _set_state(context, names, user, UserState.DISABLED)


@app.command()
def enable(context: typer.Context, names: Users = None, user: AlsoUsers = None) -> None:
    """Sync users again; of one who needs a login the token, or each director, is tried again."""
    _set_state(context, names, user, UserState.ACTIVE)


@app.command()
def remove(
    context: typer.Context,
    names: Users = None,
    user: AlsoUsers = None,
    purge: Annotated[
        bool, typer.Option("--purge", help="Also delete killmails that belong to no other user.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask before deleting killmails.")
    ] = False,
    no_revoke: Annotated[
        bool, typer.Option("--no-revoke", help="Delete the token without contacting SSO.")
    ] = False,
) -> None:
    """Revoke and delete users' tokens and list positions; their killmails stay.

    A killmail belongs to every user whose list shows it, or who takes part in it.
    """
    call = invocation.from_context(context)
    with invocation.edge(call, works=True):
        settings = call.settings()
        with opening.for_users(settings) as store:
            # a corporation first: it is not one that loses a director
            chosen = sorted(
                find_users(store, named_users(names, user, _NOBODY_NAMED)),
                key=lambda one: one.kind is not UserKind.CORPORATION,
            )
            forget = _without_revoking if no_revoke else _revoking
            with forget(call, store, settings) as forgotten:
                for one in chosen:
                    _remove(call, store, one, forgotten, purge=purge, yes=yes)


def _remove(
    call: Invocation,
    store: Store,
    user: User,
    forgotten: Callable[[User], str | None],
    *,
    purge: bool,
    yes: bool,
) -> None:
    name = safe(user.name)
    alone = _look_up_alone(call, store, user) if purge else []
    if purge:
        print_result(f"{name}: {count(len(alone), 'stored killmail')} that belong to no other user")
    if purge and alone and not yes and not typer.confirm("Delete them permanently?"):
        raise UsageError("nothing was removed")
    # a corporation has no token of its own
    is_corporation = user.kind is UserKind.CORPORATION
    problem = None if is_corporation else forgotten(user)
    without_director = directors.only_director_of(store.conn, user.user_id)
    with store.transaction() as conn:
        # a run in progress may have stored more since the question was asked
        deleted = removing.remove(conn, user.user_id, purge=purge)
    print_result(
        f"removed {name} ({user.user_id})" + (f"; {deleted:,} killmails deleted" if purge else "")
    )
    if problem is not None:
        call.warn(f"{name}: {safe(problem, 400)}")
    elif not is_corporation:
        print_result(f"{name}: the refresh token is revoked")
    for corporation in without_director:
        call.warn(
            f"{safe(corporation)} has no director left, and is synced no more: "
            "`killsync login --corporation` registers one"
        )


def _look_up_alone(call: Invocation, store: Store, user: User) -> list[int]:
    """Return the stored killmails that belong to no other user."""
    if roles.any_to_look_up(store.conn):
        if not call.quiet:
            call.warn("your users' parts in stored killmails are looked up first")
        removing.look_up_whose(store)
    return removing.only_of(store.conn, user.user_id)


@contextmanager
def _revoking(
    call: Invocation, store: Store, settings: Settings
) -> Iterator[Callable[[User], str | None]]:
    """Yield a function that revokes and deletes a user's token; it returns why that failed."""
    from killsync.login import accounts
    from killsync.login.connecting import connected

    with ExitStack() as stack:
        try:
            application.require(settings)
            opening.check_origin(store, call)
            connection = connected(store.path, settings, threading.Event())
            _, tokens, sso = stack.enter_context(connection)
        except UsageError as error:
            raise UsageError(f"{error}; or use --no-revoke to delete without revoking") from error
        yield lambda user: accounts.forget(tokens, sso, user.user_id)


@contextmanager
def _without_revoking(
    _: Invocation, store: Store, __: Settings
) -> Iterator[Callable[[User], str | None]]:
    """Yield a function that only deletes a user's token."""
    from killsync.login import accounts
    from killsync.tokens.tokens import Tokens

    with closing(Tokens(store.path)) as tokens:

        def forget(user: User) -> str:
            tokens.remove(user.user_id)
            return f"the token is deleted, not revoked: {accounts.REVOKE_BY_HAND}"

        yield forget


app.command()(adding.add)
app.command()(rekey.rekey)


def _set_state(
    context: typer.Context, names: list[str] | None, user: list[str] | None, state: UserState
) -> None:
    call = invocation.from_context(context)
    with invocation.edge(call, works=True):
        settings = call.settings()
        with opening.for_users(settings) as store:
            for one in find_users(store, named_users(names, user, _NOBODY_NAMED)):
                if one.state != state:
                    _change_state(store, one, state)
                asks = one.kind is UserKind.CORPORATION and state is UserState.ACTIVE
                then = "; the next scan asks its directors again" if asks else ""
                print_result(f"{safe(one.name)} ({one.user_id}) is {state}{then}")


def _change_state(store: Store, user: User, state: UserState) -> None:
    with store.transaction() as conn:
        users.set_state(conn, user.user_id, state)
        if state is not UserState.ACTIVE:
            jobs.drop_open(conn, user.user_id)
        else:
            directors.ask_again(conn, [user.user_id], time.time())
