"""The tables that several commands print; every name in them is shown harmlessly."""

from killsync.sync.status import UserStatus
from killsync.terminal.console import console
from killsync.terminal.status_words import NOBODY
from killsync.terminal.users_table import users_table


def show_users(users: list[UserStatus]) -> None:
    """Print the characters and corporations: as it fits a terminal, elsewhere whole."""
    to = console()
    if not users:
        to.print(NOBODY)
        return
    for line in users_table(users, to.width if to.is_terminal else None):
        to.print(line, soft_wrap=True)
