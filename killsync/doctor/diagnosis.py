"""One thing that was looked at: how it is, and how to fix it."""

from enum import StrEnum

import msgspec


class Level(StrEnum):
    """How something is; the words stand in `doctor --json`."""

    OK = "ok"
    SKIPPED = "skipped"
    WARNING = "warning"
    PROBLEM = "problem"


class Diagnosis(msgspec.Struct, frozen=True):
    """What was looked at, how it is in one line, and the cure: a command, or what to do."""

    subject: str
    level: Level
    text: str
    cure: str = ""
    area: str = ""


def ok(subject: str, text: str) -> Diagnosis:
    """Return that something is as it should be."""
    return Diagnosis(subject, Level.OK, text)


def skipped(subject: str, why: str) -> Diagnosis:
    """Return that something could not be looked at."""
    return Diagnosis(subject, Level.SKIPPED, f"not looked at: {why}")


def warning(subject: str, text: str, cure: str) -> Diagnosis:
    """Return that something may do harm."""
    return Diagnosis(subject, Level.WARNING, text, cure)


def problem(subject: str, text: str, cure: str) -> Diagnosis:
    """Return that killsync does not work, or not safely, until something is fixed."""
    return Diagnosis(subject, Level.PROBLEM, text, cure)
