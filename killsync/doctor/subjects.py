"""All subjects in their order; whatever one of them fails at, the next is looked at."""

from collections.abc import Callable, Iterator, Mapping

import msgspec

from killsync.doctor import files, logins, network, runs, scans, settings, storage
from killsync.doctor.diagnosis import Diagnosis, problem
from killsync.doctor.setup import Setup
from killsync.errors import describe

Look = Callable[[Setup], Iterator[Diagnosis]]

_AREAS: dict[str, Look] = {
    "settings": settings.examine,
    "files": files.examine,
    "database": storage.examine,
    "logins": logins.examine,
    "runs": runs.examine,
    "network": network.examine,
    "cron": scans.examine,
}


def examine_all(setup: Setup, others: Mapping[str, Look]) -> Iterator[Diagnosis]:
    """Yield everything that was looked at; `others` are areas of rooms above this one."""
    for area, look in (*_AREAS.items(), *others.items()):
        try:
            for diagnosis in look(setup):
                yield msgspec.structs.replace(diagnosis, area=area)
        except OSError as error:
            yield _failed(area, f"{error.filename}: {error.strerror}")
        except Exception as error:
            yield _failed(area, describe(error))


def _failed(area: str, why: str) -> Diagnosis:
    failed = problem(area, f"cannot be looked at: {why}", "check its permissions")
    return msgspec.structs.replace(failed, area=area)
