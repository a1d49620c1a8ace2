"""How many requests and tokens a poll, a list and a body need, from the simulator's log."""

from figures import Figure, Scale
from installation import UNLIMITED, installation, poll, scan

PAGE = 50
# new killmails, and the pages of PAGE that show them and the stored id
PAGES = {1: 1, 7: 1, 60: 2}


def measure(scale: Scale) -> list[Figure]:
    """Measure idle polls, shared killmails and incremental syncs."""
    return [*idle_polls(scale), body_requests(scale), incremental_pages(scale)]


def idle_polls(scale: Scale) -> list[Figure]:
    """Count what a poll with nothing new costs, before and after its cache time."""
    users = scale.of(20, 5)
    with installation(characters=users, killmails=3) as program:
        scan(program)
        program.simulator.clear_log()
        scan(program, "--force")
        too_early = len(program.simulator.log())
        poll(program)
        log = program.simulator.log()
    requests, tokens = len(log) / users, sum(entry["cost"] for entry in log) / users
    return [
        Figure(
            what="an idle poll",
            measured=f"{requests:g} requests, {tokens:g} tokens a user",
            peer="1 request, 1 token",
            ratio=requests,
            goal="1 and 1",
            met=requests == 1 and tokens == 1,
            reference="2 tokens",
        ),
        Figure(
            what="the same before Expires",
            measured=f"{too_early} requests",
            peer="0 requests",
            goal="0",
            met=too_early == 0,
        ),
    ]


def body_requests(scale: Scale) -> Figure:
    """Count the body requests of 10 users who share half of their killmails."""
    each = scale.of(20, 5)
    with installation(characters=10, killmails=0) as program:
        users = [login["character_id"] for login in program.simulator.logins]
        distinct = 0
        for one, other in zip(users[::2], users[1::2], strict=True):
            program.simulator.add_killmails(one, each, shared_with=other)
            program.simulator.add_killmails(one, each)
            program.simulator.add_killmails(other, each)
            distinct += 3 * each
        scan(program)
        asked = len(program.simulator.log("body"))
    return Figure(
        what="body requests of 10 users who share half of their killmails",
        measured=f"{asked}",
        peer=f"{distinct} distinct killmails",
        ratio=asked / distinct,
        goal="exactly 1",
        met=asked == distinct,
    )


def incremental_pages(scale: Scale) -> Figure:
    """Count the pages that are read for different numbers of new killmails."""
    read = []
    history = {"killmails": scale.of(500, 200), "page_size": PAGE}
    with installation(characters=1, **history, **UNLIMITED) as program:
        scan(program)
        (user,) = [login["character_id"] for login in program.simulator.logins]
        for new in PAGES:
            program.simulator.add_killmails(user, new)
            program.simulator.thaw()
            poll(program)
            read.append(len(program.simulator.log("list")))
    wanted = list(PAGES.values())
    return Figure(
        what=f"pages for {', '.join(map(str, PAGES))} new killmails, {PAGE} a page",
        measured=", ".join(map(str, read)),
        peer=", ".join(map(str, wanted)),
        ratio=sum(read) / sum(wanted),
        goal=", ".join(map(str, wanted)),
        met=read == wanted,
    )
