"""The job table as one run sees it: the next job to take, without those that it is done with."""

from collections.abc import Collection

from killsync.model import Job, Priority
from killsync.store import jobs
from killsync.sync.context import Services


class Queue:
    """Gives each job once that a run may take."""

    def __init__(self, services: Services) -> None:
        self._store = services.store
        self._only_users = services.only_users
        # what a person waits for is always taken
        self._least = Priority.MANUAL if services.bodies_only else 0
        # ended, but not in the database yet
        self._ended: set[int] = set()
        # given back, and left for the next run
        self._left: set[int] = set()

    def next_job(
        self, now: float, working: Collection[int], *, above: int, youngest: bool
    ) -> Job | None:
        """Return the most urgent job of a priority higher than `above` that may be taken.

        Of several that have never failed the oldest, or the `youngest`. `working` are the ids of
        the jobs that are worked on.
        """
        busy = self._ended | self._left | set(working)
        conn, only = self._store.conn, self._only_users
        above = max(above, self._least - 1)
        job = jobs.next_job(conn, now, taken=busy, above=above, only_users=only)
        if job is None or job.attempts or not youngest or only is not None:
            return job
        return jobs.youngest_untried(conn, job.priority, now, busy) or job

    def when_next(self, now: float) -> float | None:
        """Return when a job that was put off may run, None if none was."""
        conn = self._store.conn
        if self._least:
            return None  # who waits for it takes the lock next
        if self._only_users is None:
            return jobs.next_not_before(conn, now)
        mine = [jobs.open_job(conn, user_id) for user_id in self._only_users]
        times = [job.not_before for job in mine if job and job.not_before]
        return min((t for t in times if t > now), default=None)

    def ended(self, job_id: int) -> None:
        """Do not give a job again until it is `stored` how it ended."""
        self._ended.add(job_id)

    def stored(self, job_id: int) -> None:
        """Take over that the end of a job is in the database."""
        self._ended.discard(job_id)

    def leave(self, job_id: int) -> None:
        """Do not give a job again in this run."""
        self._left.add(job_id)
