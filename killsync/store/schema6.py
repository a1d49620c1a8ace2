"""What schema 6 adds: corporations' directors, and killmails from elsewhere."""

_DIRECTORS = """
-- the characters whose tokens read a corporation's list
CREATE TABLE directors (
    corporation_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    character_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    -- when its token was last used for the list, noted before; NULL: never
    asked_at TEXT,
    -- the first refusal since it last worked, and whether it was refused again later
    refused_at TEXT,
    confirmed INTEGER NOT NULL DEFAULT 0 CHECK (confirmed IN (0, 1)),
    not_before TEXT,
    error TEXT,
    PRIMARY KEY (corporation_id, character_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX directors_character ON directors (character_id);
"""

_ORIGIN = """
ALTER TABLE killmails ADD COLUMN origin TEXT NOT NULL DEFAULT 'esi'
    CHECK (origin IN ('esi', 'everef', 'zkb', 'json'));
-- who gave the hash: ESI, what the killmail was imported from, or nobody
ALTER TABLE killmails ADD COLUMN hash_source TEXT NOT NULL DEFAULT 'esi'
    CHECK (hash_source IN ('esi', 'archive', 'computed'));
-- of what ESI's lists have not shown: where else it was listed
ALTER TABLE pending_killmails ADD COLUMN origin TEXT NOT NULL DEFAULT 'esi'
    CHECK (origin IN ('esi', 'zkb'));
CREATE INDEX pending_killmails_zkb ON pending_killmails (origin) WHERE origin = 'zkb';
"""

_IMPORTS = """
-- archives that were read to their end, so that the next import need not read them again
CREATE TABLE imports (
    source TEXT NOT NULL CHECK (source IN ('everef')),
    -- the day of an archive
    name TEXT NOT NULL,
    -- its ETag, or its size and time of change
    version TEXT NOT NULL,
    -- 1: every killmail of it was wanted, not only the users'
    everything INTEGER NOT NULL CHECK (everything IN (0, 1)),
    -- the fact `users_added` when it began: who was registered later may be on it
    users_added INTEGER NOT NULL,
    killmails INTEGER NOT NULL,
    read_at TEXT NOT NULL,
    PRIMARY KEY (source, name, version)
) STRICT, WITHOUT ROWID;
INSERT INTO facts VALUES ('users_added', 0);
"""

_ZKB_LISTS = """
-- how far zKillboard's lists of a user's kills and losses are recorded
CREATE TABLE zkb_lists (
    user_id INTEGER NOT NULL REFERENCES users ON DELETE CASCADE,
    side TEXT NOT NULL CHECK (side IN ('kills', 'losses')),
    -- the last page of a reading that was broken off, and the highest id on its first page
    page INTEGER CHECK (page >= 1),
    top INTEGER,
    -- the highest id on the first page of the last reading that came to its end
    until INTEGER,
    -- since when the next page is empty, though this one is full
    empty_at TEXT,
    listed INTEGER NOT NULL,
    read_at TEXT NOT NULL,
    PRIMARY KEY (user_id, side)
) STRICT, WITHOUT ROWID;
"""

SCRIPTS = (_DIRECTORS, _ORIGIN, _IMPORTS, _ZKB_LISTS)
