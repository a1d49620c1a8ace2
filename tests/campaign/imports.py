"""The part `imports`: archives imported amid kills, faults, damage and scans."""

import random
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import Any

from world import TIMEOUT, wait_until

from campaign.case import Case, case
from campaign.damage import DAMAGES, FAULTS, WRONG_HASH, ZKB_FAULTS
from campaign.ledger import CONNECTIONS
from campaign.score import Score, two_at_a_time
from campaign.strikes import label_problems
from killsync.sync.bodies import BATCH

PART = "imports"
LONG_ROUNDS = 5
OPTIONS = {"characters": 3, "corporations": 1, "killmails": 20, "shared": 0.3, "page_size": 25}
OLD = {"archive_days": 4, "archive_killmails": 300, "archive_share": 0.3}
LONG_OLD = {"archive_days": 8, "archive_killmails": 3000, "archive_share": 0.1}
KILLS = 3
# how long an import of the short form takes on a busy machine
LASTS = 3.0


def play(seed: int, *, long: bool) -> Score:
    """Play each kind of case once, or several times with longer archives."""
    old = LONG_OLD if long else OLD
    cases = [(kind, number) for number in range(LONG_ROUNDS if long else 1) for kind in KINDS]
    return two_at_a_time(PART, partial(play_case, seed, old, cases), range(len(cases)))


def play_case(seed: int, old: dict[str, Any], cases: list[tuple[str, int]], number: int) -> Score:
    """Play one case, seeded by the seed of the campaign, its kind and its number."""
    kind, round_ = cases[number]
    score = Score(PART, cases=1)
    rng = random.Random(f"{PART} {seed} {kind} {round_}")
    encrypted = number % 2 == 1
    hashes = rng.random() < 0.5
    options = OPTIONS | old | {"archive_hashes": hashes}
    with (
        label_problems(score, f"{kind} {round_}"),
        case(rng, users=False, encrypted=encrypted, **options) as program,
    ):
        program.add_users(corporation=True)
        importing = Importing(program, score, hashes=hashes)
        KINDS[kind](importing)
        importing.end()
    return score


class Importing:
    """Imports into one database, after each of which it must claim no more than it holds."""

    def __init__(self, program: Case, score: Score, *, hashes: bool) -> None:
        self.hashes = hashes
        self.program = program
        self.esi = program.simulator
        self.score = score
        self.rng = program.rng
        self.days = self.esi.old_days()
        self.directory = program.directory / "archives"
        self.old_days = {day.isoformat() for day in self.days}
        self.users = [user for (user,) in program.rows("SELECT user_id FROM users")]
        bodies = self.esi.truth()["bodies"]
        # the day of each that is wanted as archives are at the start
        self.first = {i: bodies[str(i)]["killmail_time"][:10] for i in self.wanted()}
        self.scanned = False

    @property
    def path(self) -> str:
        """The directory, as a command names it."""
        return str(self.directory)

    @property
    def span(self) -> str:
        """All old days, as a command names them."""
        return f"{self.days[0]}..{self.days[-1]}"

    def file(self, day: date) -> Path:
        """Return where the archive of a day lies."""
        return self.directory / f"{day:%Y}" / f"killmails-{day}.tar.bz2"

    def save(self, *days: date) -> None:
        """Save the archives of days into the directory, as rclone does."""
        for day in days:
            path = self.file(day)
            path.parent.mkdir(parents=True, exist_ok=True)
            url = f"{self.esi.everef_url}/{day:%Y}/{path.name}"
            with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
                path.write_bytes(answer.read())

    def wanted(self) -> set[int]:
        """Return the old killmails in which somebody registered takes part."""
        truth = self.esi.control("truth?bodies=0")
        owners = truth["characters"] | truth["corporations"]
        return {i for user in self.users for i, _ in owners[str(user)]["old"]}

    def run(self, *arguments: str, expected: tuple[int, ...] = (0,)) -> None:
        """Run an import to its end."""
        self.conclude(self.program.launch("import", "everef", *arguments), expected)

    def conclude(self, process: Popen[bytes], expected: tuple[int, ...]) -> None:
        """Wait for the end of the import that was launched last."""
        code = process.wait(TIMEOUT)
        heard = self.program.heard()
        self.score.check(code in expected, f"an import ends with {code}: {heard[-800:]}")
        self.score.check("Traceback" not in heard, f"an import breaks: {heard[-2000:]}")
        self.check_claims()

    def kill(self, *arguments: str) -> None:
        """Start an import, and kill it somewhere in the middle."""
        process = self.program.launch("import", "everef", *arguments)
        time.sleep(self.rng.uniform(0.3, LASTS))
        if process.poll() is None:
            process.kill()
            self.score.kills += 1
        process.wait(TIMEOUT)
        # the process that decompresses must not outlive it
        wait_until(lambda: not _is_read(self.directory))
        self.check_claims()

    def stored(self) -> set[int]:
        """Return the ids of what is stored."""
        return {i for (i,) in self.program.rows("SELECT killmail_id FROM killmails")}

    def check_claims(self) -> None:
        """Check that what is called read is stored, and that nothing else is stored or listed."""
        rows, check, stored = self.program.rows, self.score.check, self.stored()
        read = {name for (name,) in rows("SELECT name FROM imports WHERE source = 'everef'")}
        missing = {i for i, day in self.first.items() if day in read} - stored
        check(not missing, f"{len(missing)} of days that count as read are not stored")
        if not self.scanned:
            strange = stored - self.wanted()
            check(not strange, f"{len(strange)} are stored in which nobody takes part")
            claims = rows("SELECT user_id FROM user_killmails WHERE listed")
            claims += rows("SELECT user_id FROM users WHERE last_killmail_id OR listed")
            check(not claims, f"{len(claims)} claims on lists that nobody has read")

    def end(self) -> None:
        """Import what is left; then everything must be there, once, and nothing be read again."""
        self.esi.clear_faults()
        self.save(*self.days)
        arguments = self.rng.choice([(self.path,), ("--days", self.span)])
        self.run(*arguments)
        missing = self.wanted() - self.stored()
        self.score.lost += len(missing)
        sources = dict(
            self.program.rows(
                "SELECT hash_source, count(*) FROM killmails WHERE origin = 'everef' GROUP BY 1"
            )
        )
        # a list that was read before has given its own
        expected = {"archive" if self.hashes else "computed"} | ({"esi"} if self.scanned else set())
        self.score.check(sources.keys() <= expected, f"hashes are from {sources}, not {expected}")
        before = self.program.rows("SELECT max(stored_seq) FROM killmails")
        number = self._last_request()
        self.run(*arguments)
        again = [e for e in self.esi.control(f"log?after={number}") if e["route"] == "archive"]
        whole = [e["path"] for e in again if e["status"] != 304]
        self.score.check(not whole, f"read again: {whole}")
        after = self.program.rows("SELECT max(stored_seq) FROM killmails")
        self.score.check(before == after, f"the same once more stores {before} to {after}")
        self.program.heal()
        self.program.judge(self.score)

    def _last_request(self) -> int:
        log = self.esi.log()
        return int(log[-1]["n"])


def from_directory(importing: Importing) -> None:
    """Kill imports of a directory again and again."""
    importing.save(*importing.days)
    for _ in range(KILLS):
        importing.kill(importing.path)


def from_server(importing: Importing) -> None:
    """Fetch days while the server fails, days are rewritten, and imports are killed."""
    rng, esi = importing.rng, importing.esi
    for _ in range(KILLS):
        day = rng.choice(importing.days)
        if rng.random() < 0.4:
            esi.change_archive(day, rewrite=True, killmails=rng.randrange(3))
        if rng.random() < 0.3:
            other = rng.choice([other for other in importing.days if other != day])
            also = [i for i, of in importing.first.items() if of == other.isoformat()][:2]
            esi.change_archive(day, also=also)
        for route in rng.choice([(), ("archive",), ("archive", "totals")]):
            # some pass at the next try, others meet every day
            spans: list[dict[str, Any]] = [{"times": 1}, {}, {"day": day.isoformat()}]
            esi.fault(route, **rng.choice(list(FAULTS.values())), **rng.choice(spans))
        if rng.random() < 0.6:
            importing.kill("--days", importing.span)
        else:
            importing.run("--days", importing.span, expected=(0, 1, 75))
        importing.score.faults += sum(entry["fault"] for entry in esi.log())
        esi.clear_faults()
        esi.clear_log()


def from_damaged(importing: Importing) -> None:
    """Read archives of which some are damaged; they are no reason to leave out the others."""
    rng, days = importing.rng, importing.days
    importing.save(*days)
    chosen = rng.sample(days, len(DAMAGES) if len(days) > len(DAMAGES) else len(days) - 1)
    damages = rng.sample(list(DAMAGES), len(chosen))
    for day, name in zip(chosen, damages, strict=True):
        file = importing.file(day)
        file.write_bytes(DAMAGES[name](file.read_bytes(), rng))
        importing.score.faults += 1
    importing.run(importing.path, expected=(1,))
    read = {name for (name,) in importing.program.rows("SELECT name FROM imports")}
    whole = {day.isoformat() for day in days if day not in chosen}
    importing.score.check(read == whole, f"read are {read}, whole are {whole}, {damages}")


def beside_a_scan(importing: Importing) -> None:
    """Import the days that are on lists while a scan reads these and fetches the bodies."""
    importing.scanned = True
    program, esi, score = importing.program, importing.esi, importing.score
    esi.options(latency_body=0.01)
    bodies = esi.truth()["bodies"].values()
    recent = sorted({body["killmail_time"][:10] for body in bodies} - importing.old_days)
    importing.save(*map(date.fromisoformat, recent))
    scan = program.launch("scan", "--quiet")
    time.sleep(importing.rng.uniform(0, 0.6))
    importing.run(importing.path)
    score.check(scan.wait(TIMEOUT) == 0, "the scan beside an import has failed")
    imported = {
        i for (i,) in program.rows("SELECT killmail_id FROM killmails WHERE origin = 'everef'")
    }
    fetched = {e["killmail_id"] for e in esi.log("body") if e["status"] == 200}
    both = imported & fetched
    most = BATCH + 2 * CONNECTIONS
    score.check(len(both) <= most, f"{len(both)} were imported and fetched, at most {most} may be")
    unlisted = program.rows(
        "SELECT killmail_id FROM user_killmails WHERE NOT listed AND killmail_id IN"
        " (SELECT killmail_id FROM killmails WHERE killmail_time > ?)",
        recent[0],
    )
    listed = {i for user in importing.users for i in esi.listed(user)}
    wrong = [i for (i,) in unlisted if i not in listed]
    score.check(not wrong, f"{len(wrong)} take part that truth does not know")


def from_zkillboard(importing: Importing) -> None:
    """Import zKillboard's lists while it fails or lists what is wrong, and imports are killed."""
    importing.scanned = True
    program, esi, rng, score = importing.program, importing.esi, importing.rng, importing.score
    users = [str(user) for user in importing.users]
    for _ in range(KILLS):
        wrong = rng.sample(sorted(importing.wanted()), 5)
        esi.change_zkillboard(hashes=dict.fromkeys(wrong, WRONG_HASH))
        esi.change_zkillboard(empty=rng.choice([[], [], [1], [2]]))
        name = rng.choice(list(ZKB_FAULTS))
        times: dict[str, int] = rng.choice([{}, {"times": 1}])
        esi.fault("zkb", **ZKB_FAULTS[name], after=rng.randrange(3), **times)
        arguments = ["import", "zkb", *rng.sample(users, 2), *rng.choice([[], ["--full"]])]
        process = program.launch(*arguments)
        if rng.random() < 0.6:
            time.sleep(rng.uniform(0.3, LASTS))
            if process.poll() is None:
                process.kill()
                score.kills += 1
            process.wait(TIMEOUT)
        else:
            importing.conclude(process, (0, 1, 75))
        score.faults += sum(entry["fault"] for entry in esi.log())
        esi.clear_faults()
        esi.clear_log()
        esi.change_zkillboard(hashes=dict.fromkeys(wrong), empty=[])
        # as an hour later
        program.execute("DELETE FROM facts WHERE name = 'zkb_not_before_ms'")
        program.let_all_be_tried()
    importing.conclude(program.launch("import", "zkb", "--full", *users), (0,))
    score.lost += len(importing.wanted() - importing.stored())


def _is_read(directory: Path) -> bool:
    """Return whether any process has a file of a directory open."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):
            if link.readlink().is_relative_to(directory):
                return True
    return False


KINDS: dict[str, Callable[[Importing], None]] = {
    "directory": from_directory,
    "server": from_server,
    "damaged": from_damaged,
    "beside a scan": beside_a_scan,
    "zKillboard": from_zkillboard,
}
