"""What schema 5 adds: names, game data, prices, values, and the roles of users."""

_NAMES = """
CREATE TABLE names (
    id INTEGER PRIMARY KEY,
    category TEXT NOT NULL,
    name TEXT NOT NULL,
    -- when ESI gave it; NULL: it came with the game data
    named_at TEXT
) STRICT;
CREATE INDEX names_name ON names (name COLLATE NOCASE);
CREATE INDEX names_named_at ON names (named_at) WHERE named_at IS NOT NULL;

-- ids to ask ESI for: they occur in killmails and have no name yet, or an old one
CREATE TABLE unnamed_ids (
    id INTEGER PRIMARY KEY,
    attempts INTEGER NOT NULL DEFAULT 0,
    -- NULL: may be asked for now
    not_before TEXT
) STRICT;
CREATE INDEX unnamed_ids_ready ON unnamed_ids (id) WHERE not_before IS NULL;
CREATE INDEX unnamed_ids_waiting ON unnamed_ids (not_before) WHERE not_before IS NOT NULL;

CREATE TABLE types (
    type_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    group_id INTEGER,
    group_name TEXT,
    category_id INTEGER,
    category_name TEXT
) STRICT;
CREATE INDEX types_name ON types (name COLLATE NOCASE);

CREATE TABLE systems (
    system_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    security REAL,
    constellation_id INTEGER,
    constellation TEXT,
    region_id INTEGER,
    region TEXT
) STRICT;
CREATE INDEX systems_name ON systems (name COLLATE NOCASE);

CREATE TABLE factions (
    faction_id INTEGER PRIMARY KEY,
    name TEXT NOT NULL
) STRICT;
"""

_VALUES = """
-- a row only where a price changed: the price of a day is the last row up to it
CREATE TABLE prices (
    type_id INTEGER NOT NULL,
    day TEXT NOT NULL,
    average REAL,
    adjusted REAL,
    PRIMARY KEY (type_id, day)
) STRICT, WITHOUT ROWID;
CREATE TABLE price_days (
    day TEXT PRIMARY KEY,
    fetched_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- in ISK; NULL: nothing of the killmail has a price
CREATE TABLE killmail_values (
    killmail_id INTEGER PRIMARY KEY REFERENCES killmails ON DELETE CASCADE,
    hull REAL,
    fitted REAL,
    cargo REAL,
    dropped REAL,
    destroyed REAL,
    total REAL,
    unpriced INTEGER,
    -- whose prices were taken; NULL: there were none at all
    priced_on TEXT,
    -- there is only one so far, and a text in each row would cost a tenth of the table
    source TEXT AS (CASE WHEN priced_on IS NOT NULL THEN 'esi-markets-prices' END) VIRTUAL
) STRICT;
CREATE INDEX killmail_values_missing ON killmail_values (killmail_id) WHERE priced_on IS NULL;
"""

_ROLES = """
-- 1: ESI's list of the user showed it; 0: the user takes part in it all the same
ALTER TABLE user_killmails ADD COLUMN listed INTEGER NOT NULL DEFAULT 1;
-- NULL: the user does not appear on it, or that is not known yet
ALTER TABLE user_killmails ADD COLUMN role TEXT
    CHECK (role IN ('victim', 'final_blow', 'attacker'));
-- that of the killmail, from when its body is stored and the role is known
ALTER TABLE user_killmails ADD COLUMN killmail_time TEXT;
-- statistics read the sides of all killmails from it alone
DROP INDEX user_killmails_killmail;
CREATE INDEX user_killmails_killmail ON user_killmails (killmail_id, role);
CREATE INDEX user_killmails_newest ON user_killmails (user_id, killmail_time)
    WHERE role IS NOT NULL;
-- stored killmails with a lower id are still to be looked at for the user's role
ALTER TABLE users ADD COLUMN roles_below INTEGER;
CREATE INDEX users_roles_below ON users (roles_below) WHERE roles_below IS NOT NULL;
"""

_FILL_IN_LATER = """
INSERT INTO names SELECT user_id, kind, name, added_at FROM users;
UPDATE users SET roles_below = (SELECT max(killmail_id) + 1 FROM killmails);
INSERT INTO facts SELECT 'values_below', max(killmail_id) + 1 FROM killmails
    HAVING max(killmail_id) IS NOT NULL;
"""

SCRIPTS = (_NAMES, _VALUES, _ROLES, _FILL_IN_LATER)
