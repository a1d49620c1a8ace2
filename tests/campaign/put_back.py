"""Puts faults of each kind back into a copy of killsync, and checks that the campaign finds them.

Run `python tests/campaign/put_back.py`, with `--only WORDS` for some of them. Each is first played
without the fault, when nothing may be found, and then with it. It exits with 1 if a fault was not
found, or could not be put back since the code has changed: then give it its new form below.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT = 900


@dataclass(frozen=True)
class Change:
    """A text in a file of the package, and what is put in its place."""

    file: str
    find: str
    put: str


@dataclass(frozen=True)
class PutBack:
    """A fault of killsync's, and the cases of a part of the campaign that must find it."""

    kind: str
    what: str
    changes: tuple[Change, ...]
    part: str
    only: str = ""


def _changed(file: str, find: str, put: str) -> tuple[Change, ...]:
    return (Change(file, find, put),)


LASTING, BLAME, STILL, UNTRUE, LOST, TWICE = (
    "a passing fault leaves a lasting mark",
    "the service's fault is blamed on users",
    "it stands still in silence",
    "what is said is not true",
    "what must be kept is not kept",
    "what is told once is told twice",
)

FAULTS = [
    PutBack(
        LASTING,
        "a body is set aside at its first refusal",
        _changed("sync/schedule.py", "return refusals >= _SET_ASIDE_AFTER and ", "return True or "),
        "marks",
        "body: 422, once",
    ),
    PutBack(
        LASTING,
        "one refused refresh means that a login is needed",
        (
            Change(
                "sync/verdict.py",
                "    if first is None or not first.is_of(error.evidence, client_id, now):\n",
                "    if True:\n        return NeedsLogin(reason, None)\n    if first is None:\n",
            ),
            Change(
                "store/users.py",
                "AND (:refused IS NULL OR (refused_token = :refused AND refused_client = :client))",
                "AND (:refused IS NULL OR :refused <> '')",
            ),
        ),
        "marks",
        "refresh: invalid_grant, once",
    ),
    PutBack(
        LASTING,
        "any Retry-After is believed",
        (
            Change("esi/ratelimit.py", "\n_BELIEVED = HOUR\n", "\n_BELIEVED = DAY\n"),
            Change("esi/ratelimit.py", "\nLONGEST_REST = 6 * HOUR\n", "\nLONGEST_REST = 2 * DAY\n"),
        ),
        "marks",
        "list: 429 for years, once",
    ),
    PutBack(
        BLAME,
        "users back off when nobody succeeds",
        _changed(
            "sync/verdict.py", "if not known.others_succeed or known.attempts == 0:", "if False:"
        ),
        "incidents",
        "lists 401 for 70 minutes, 8 of 8",
    ),
    PutBack(
        BLAME,
        "an incident is tried with every user",
        _changed("sync/health.py", "\nFAILING_AFTER = 10\n", "\nFAILING_AFTER = 1000\n"),
        "incidents",
        "lists 500 for 70 minutes, 22 of 22",
    ),
    PutBack(
        STILL,
        "nobody hears of a run that holds the lock",
        _changed(
            "sync/alerts.py",
            "return Overdue(holder, ends_by) if now > ends_by + _GRACE else None",
            "return None",
        ),
        "outputs",
        "a scan that was stopped outside of a transaction",
    ),
    PutBack(
        STILL,
        "a run waits for whoever reads its output",
        _changed("cli/output.py", "    for name in names:\n", "    for name in ():\n"),
        "outputs",
        "scan, standard error is a pipe that nobody reads, and it can be done",
    ),
    PutBack(
        STILL,
        "nobody hears that nothing has succeeded for hours",
        _changed("sync/alerts.py", "    if user is None:\n", "    if True:\n"),
        "incidents",
        "lists 500 for 9 hours, 8 of 8",
    ),
    PutBack(
        STILL,
        "a refused director costs the corporation its poll",
        (
            Change(
                "sync/verdict.py",
                "case DirectorRefused() if known.by_director:",
                "case DirectorRefused() if known.by_director and known.stopping:",
            ),
            Change(
                "sync/verdict.py",
                "    if known.others_left and blame_of",
                "    if False and blame_of",
            ),
        ),
        "corporations",
    ),
    PutBack(
        UNTRUE,
        "an archive that was cut short counts as read",
        _changed(
            "archive/everef.py",
            "                self.refuse(name, end.flaw, intake.taken - taken)\n",
            "                self.refuse(name, end.flaw, intake.taken - taken)\n"
            "                intake.store(self._record(wanted.day, version, 0))\n",
        ),
        "imports",
    ),
    PutBack(
        UNTRUE,
        "a list is called complete while killmails are pending",
        _changed("check/completeness.py", "if recorded.lowest_missing is None:", "if True:"),
        "marks",
        "body: cut, for hours, one only",
    ),
    PutBack(
        LOST,
        "what others can read is not on disk yet",
        _changed(
            "store/connection.py", '"PRAGMA synchronous = FULL"', '"PRAGMA synchronous = OFF"'
        ),
        "power",
    ),
    PutBack(
        TWICE,
        "what a killed run was telling is told again",
        _changed(
            "store/outbox.py",
            "SET state = 'uncertain', ended_at = :now,",
            "SET state = 'waiting', ended_at = NULL,",
        ),
        "telling",
    ),
    PutBack(
        TWICE,
        "a connection that breaks after the message has left counts as a refusal",
        _changed(
            "http/watched.py", "is_unknown = watch.has_left and not only_asks", "is_unknown = False"
        ),
        "telling",
    ),
    PutBack(
        TWICE,
        "an export that was killed amid its moves is cleared away",
        _changed(
            "lake/target_contents.py",
            'if has(files, f"{UNFINISHED}/{call}", target_names.COMPLETE):',
            "if False:",
        ),
        "lake",
    ),
]


class OutOfDateError(Exception):
    """A fault cannot be put back: its text is not in the code, or not once."""


def main() -> int:
    """Play every fault, print what was found, and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", metavar="WORDS", default="", help="only faults called so")
    only = parser.parse_args().only
    faults = [fault for fault in FAULTS if only in f"{fault.kind}: {fault.what}"]
    with ThreadPoolExecutor(2) as pool:
        outcomes = pool.map(prove, faults)
        failed = 0
        for fault, (caught, why) in zip(faults, outcomes, strict=True):
            failed += not caught
            verdict = "found" if caught else "NOT FOUND"
            sys.stdout.write(f"{fault.kind}: {fault.what}: {verdict} by {fault.part}: {why}\n")
            sys.stdout.flush()
    return 1 if failed or not faults else 0


def prove(fault: PutBack) -> tuple[bool, str]:
    """Return whether a fault is found where it was put back, and only there, and how."""
    try:
        before = play(fault, with_fault=False)
        if before.returncode:
            return False, f"but also without it: {_first_problem(fault, before.stdout)}"
        after = play(fault, with_fault=True)
    except OutOfDateError as error:
        return False, str(error)
    return after.returncode == 1, _first_problem(fault, after.stdout)


def play(fault: PutBack, *, with_fault: bool) -> subprocess.CompletedProcess[str]:
    """Play the part in a copy of the repository, whose killsync its commands are."""
    with tempfile.TemporaryDirectory(prefix="killsync-put-back-") as directory:
        copy = Path(directory)
        for name in ("killsync", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        for change in fault.changes if with_fault else ():
            put_back(copy, change)
        words = ["--only", fault.only] if fault.only else []
        return subprocess.run(
            [sys.executable, "tests/run_campaign.py", "--seed", "1", "--part", fault.part, *words],
            cwd=copy,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )


def put_back(copy: Path, change: Change) -> None:
    """Change a file of a copy; raise OutOfDateError if what is to be changed is not there once."""
    file = copy / "killsync" / change.file
    text = file.read_text()
    if text.count(change.find) != 1:
        times = text.count(change.find)
        raise OutOfDateError(f"{change.file} has {times} times the text: {change.find!r}")
    file.write_text(text.replace(change.find, change.put))


def _first_problem(fault: PutBack, output: str) -> str:
    found = [line for line in output.splitlines() if line.startswith(f"{fault.part}: ")]
    # the first line counts the cases
    return " ".join(found[1:2])[:200] or output[-200:]


if __name__ == "__main__":
    sys.exit(main())
