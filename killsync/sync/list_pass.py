"""One job: a user's list, a page at a time, each page committed with its step of the cursor."""

import sqlite3

import msgspec

from killsync.errors import ServerFault
from killsync.esi import paging
from killsync.esi.paging import Pass, Step
from killsync.events import Report
from killsync.model import Access, Cursor, Job, Page, Priority, Reader, User, UserState
from killsync.settings.config import Settings
from killsync.store import confirming, jobs, news, pending, users
from killsync.sync import schedule
from killsync.sync.events import (
    EntriesSkipped,
    ImportsContradicted,
    ListCached,
    Listed,
    ListStarted,
    PageListed,
)
from killsync.sync.journal import Journal
from killsync.times import iso, iso_after


class ListPass:
    """What is known of a job that the worker has taken."""

    def __init__(
        self, job: Job, user: User, settings: Settings, now: float, pages_before: int = 0
    ) -> None:
        self.job = job
        self.user = user
        self.access: Access | None = None
        self.in_flight = False
        self.ready_at = now
        # who reads the next page, with which token; of directors each page has another
        self.reader: Reader | None = None
        self.had_refused = False
        # the characters whose access was refreshed because ESI did not accept it
        self.renewed: set[int] = set()
        self.cached = schedule.list_cached(user, now)
        background = job.priority < Priority.MANUAL
        due = background and schedule.full_is_due(user, now, settings.full_every)
        self.full = not self.cached and (job.full or due)
        self.pages = pages_before
        self.new = 0
        self.unchanged = False
        self.head_done = self.cached
        self._gap_before = user.cursor.page
        self._settings = settings
        self._progress = Pass(floor=user.floor_id, known=user.pages)
        self.next_page: int | None = 1
        if self.cached:
            self._resume(now)

    @property
    def finished(self) -> bool:
        """Whether nothing is left to list for this job in this run."""
        if self.next_page is None:
            return True
        # page 1 and the last page done, read again, may be all that max_pages allows
        stuck = self._gap_before is not None and self.user.cursor.page == self._gap_before
        return self.pages >= self._settings.max_pages and not stuck

    @property
    def is_urgent(self) -> bool:
        """Whether a person waits for it."""
        return self.job.priority >= Priority.MANUAL

    @property
    def token_of(self) -> int:
        """The character whose token is used: the user itself, or the director that was chosen."""
        return self.user.user_id if self.reader is None else self.reader.character_id

    @property
    def etag(self) -> str | None:
        """The ETag to send for the next page: of page 1 only, and in no full pass."""
        first = self.next_page == 1 and not self.head_done
        return self.user.etag if first and not self.full else None

    @property
    def wants_full(self) -> bool:
        """Whether a full pass was asked for that the cache time does not allow yet."""
        return self.job.full and not self.full

    def report_start(self, report: Report) -> None:
        """Report how the list will be read."""
        user = self.user
        if self.cached:
            report(ListCached(user.user_id, user.name, iso(user.cached_until or 0)))
            return
        known = user.cursor.last_killmail_id
        mode = "full" if self.full or known is None else "incremental"
        report(ListStarted(user.user_id, user.name, mode, known, user.cursor.page))

    def take_page(self, page: Page, journal: Journal, report: Report, now: float) -> None:
        """Record a page, decide what follows, and report it.

        Raises ServerFault, with nothing recorded, if ESI contradicts itself.
        """
        if page.unchanged:
            self._take_unchanged(page, journal, now)
            return
        number = self.next_page or 1
        step = self._decide(number, page, now)
        if step.contradicted:
            raise ServerFault(f"ESI's X-Pages promises page {number}, which does not exist")
        met = None if number == 1 and self.head_done else step.met
        user = self._after(number, page, step, now)
        new, contradicted = self._record(number, page, user, journal, now)
        known, self.user = self.user.skipped, user
        if self.full:
            # from here on the gap carries it
            self.job = msgspec.structs.replace(self.job, full=False)
        self._progress = step.progress
        self.pages += 1
        self.new += new
        self.next_page = step.next_page
        self.head_done = True
        self.ready_at = now + self._settings.page_delay
        report(PageListed(user.user_id, user.name, number, page.pages, len(page.refs), new, met))
        if page.skipped:
            first = page.skipped > known
            report(EntriesSkipped(user.user_id, user.name, number, page.skipped, first=first))
        if contradicted:
            some = (len(contradicted), min(contradicted))
            report(ImportsContradicted(user.user_id, user.name, *some))

    def release(self) -> None:
        """Let another director read the next page."""
        self.reader, self.access, self.had_refused = None, None, False

    def accept_token(self) -> None:
        """Take over that the user's refresh token, or one of its directors', works again."""
        self.user = msgspec.structs.replace(self.user, state=UserState.ACTIVE, refusal=None)

    def follow(self, job: Job) -> None:
        """Take over that the job has been raised, or made full, while it ran."""
        became_full = job.full and not self.job.full
        self.job = job
        if not became_full or self.full or self.cached:
            return
        if not self.head_done:
            self.full = True
        elif self.user.pages is None or self.user.pages > 1:
            self._open_whole_gap()

    def _open_whole_gap(self) -> None:
        # page 1 has just been read, and need not be again
        self.full = True
        cursor = Cursor(self.user.cursor.last_killmail_id, 2, None)
        self.user = msgspec.structs.replace(
            self.user, cursor=cursor, full_from=self.user.last_sync_at, gap_cached_until=None
        )
        self.next_page = 2

    def report_end(self, report: Report, gap_at: float | None) -> None:
        """Report the end of the job; `gap_at` is when an open gap goes on."""
        gap = self.user.cursor.page
        report(
            Listed(
                self.user.user_id,
                self.user.name,
                self.pages,
                self.new,
                self.unchanged and not self.new,
                gap,
                iso_after(gap_at) if gap is not None and gap_at is not None else None,
            )
        )

    def _resume(self, now: float) -> None:
        """Go on with the gap, if there is one, while page 1 is cached."""
        user = self.user
        cached = schedule.gap_cached(user, now)
        self.next_page = paging.resume_at(user.cursor, pages=user.pages, cached=cached)
        self._progress = paging.resumed(self._progress, user.cursor, self.next_page)

    def _decide(self, number: int, page: Page, now: float) -> Step:
        cursor = self.user.cursor
        if number == 1:
            cached = schedule.gap_cached(self.user, now)
            return paging.after_head(cursor, page, self._progress, full=self.full, cached=cached)
        return paging.after_page(cursor, number, page, self._progress)

    def _after(self, number: int, page: Page, step: Step, now: float) -> User:
        user, cursor = self.user, step.cursor
        full_from, last_full_at = now if step.whole else user.full_from, user.last_full_at
        if cursor.page is None:
            full_from, last_full_at = None, full_from or last_full_at
        user = msgspec.structs.replace(
            user,
            cursor=cursor,
            full_from=full_from,
            last_full_at=last_full_at,
            gap_cached_until=self._gap_cached_until(number, page, step),
            floor_id=None if cursor.page is None else step.progress.floor,
            skipped=page.skipped if step.whole else max(user.skipped, page.skipped),
        )
        return self._with_head(user, page, step, now) if number == 1 else user

    def _gap_cached_until(self, number: int, page: Page, step: Step) -> float | None:
        if number == 1:
            return self.user.gap_cached_until if step.cursor.page == self.user.cursor.page else None
        return page.cached_until if step.cursor.page == number + 1 else None

    def _with_head(self, user: User, page: Page, step: Step, now: float) -> User:
        return msgspec.structs.replace(
            user,
            last_sync_at=now,
            # a 304 would hide the entries that were skipped once they are whole again
            etag=page.etag or user.etag if step.keep_etag and not page.skipped else None,
            cached_until=page.cached_until,
            pages=step.known,
        )

    def _take_unchanged(self, page: Page, journal: Journal, now: float) -> None:
        cached = schedule.gap_cached(self.user, now)
        step = paging.after_unchanged(self.user.cursor, page, self._progress, cached=cached)
        self.user = self._after(1, page, step, now)
        self._progress = step.progress
        self.next_page = step.next_page
        self.unchanged = True
        self.head_done = True
        self.pages += 1
        self.ready_at = now + self._settings.page_delay
        user, job_id = self.user, self.job.id

        def write(conn: sqlite3.Connection) -> None:
            if jobs.get(conn, job_id) is not None:
                _write_head(conn, user, now)
                if step.whole:
                    _write_cursor(conn, user)
                news.note_complete(conn, user.user_id, now)
                jobs.progress(conn, job_id, 0)

        journal.add(write, now)

    def _record(
        self, number: int, page: Page, user: User, journal: Journal, now: float
    ) -> tuple[int, list[int]]:
        """Return how many killmails are new, and which imported ones ESI contradicts."""
        job, body_priority = self.job, self._body_priority(number)
        # a full pass that was asked for only just now has not started yet
        starts_full = job.full and self.full
        new = 0
        contradicted: list[int] = []

        def write(conn: sqlite3.Connection) -> None:
            nonlocal new
            if jobs.get(conn, job.id) is None:
                return
            contradicted.extend(confirming.compare(conn, page.refs))
            new = pending.record(
                conn, job.user_id, page.refs, body_priority, now, self._settings.tell
            )
            if number == 1:
                _write_head(conn, user, now)
            if starts_full:
                jobs.clear_full(conn, job.id)
            _write_cursor(conn, user)
            news.note_complete(conn, user.user_id, now)
            jobs.start(conn, [job.id], now)
            jobs.progress(conn, job.id, new)

        journal.commit(write)
        return new, contradicted

    def _body_priority(self, number: int) -> Priority:
        if self.job.priority >= Priority.MANUAL:
            return Priority.MANUAL
        # all of a first sync is history: what happens from now on comes first
        first_sync = self.user.cursor.last_killmail_id is None
        return Priority.GAP if number > 1 or first_sync else Priority.BACKGROUND


def _write_head(conn: sqlite3.Connection, user: User, now: float) -> None:
    users.set_head(
        conn,
        user.user_id,
        now,
        etag=user.etag,
        cached_until=user.cached_until or now,
        pages=user.pages,
    )


def _write_cursor(conn: sqlite3.Connection, user: User) -> None:
    users.set_cursor(
        conn,
        user.user_id,
        user.cursor,
        full_from=user.full_from,
        last_full_at=user.last_full_at,
        gap_cached_until=user.gap_cached_until,
        floor_id=user.floor_id,
        skipped=user.skipped,
    )
