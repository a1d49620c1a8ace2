"""What every `--help` says besides its options: examples that work, and the exit codes."""

from collections.abc import Mapping

from killsync.cli.help_parts import HelpText, exits

_STOPPED = "stopped by Ctrl-C or a signal, in good order"
_UNUSABLE = "the database cannot be used"
_UNKNOWN_USER = "no such user, or the database cannot be used"
_LOCKED = "another program keeps the database locked: try later"
_BUSY = "another run is at work: try later"

_IMPORTED = exits(
    "all is read",
    _1="something was refused; the rest is imported",
    _2="nobody is registered, a path cannot be read, or the disk is full",
    _75="it cannot be done now: try later",
    _130_143="stopped by a signal; the next call goes on",
)

# by the words of the command, the program itself first
HELP_TEXTS: Mapping[str, HelpText] = {
    "": HelpText(
        {
            "killsync demo": "see it work, without an account",
            "killsync init": "begin: the configuration, and the line for cron",
            "killsync kills --help": "what a command does, with examples",
        },
        exits(
            "done; also a scan that had nothing to do",
            _1="finished, but something failed for the first time",
            _2="wrong usage or configuration",
            _75="could not be done now: nothing is lost, try later",
            _130_143=_STOPPED,
        ),
    ),
    "init": HelpText(
        {
            "killsync init": "asks for what is missing",
            "killsync init --systemd": "a timer instead of cron",
            "killsync init --set workers=4": "changes one setting, and leaves the rest",
        },
        exits(
            "the file is written",
            _2="a value is wrong or missing, or the file is there already",
            _130="stopped by Ctrl-C",
        ),
    ),
    "login": HelpText(
        {
            "killsync login": "one character",
            "killsync login --corporation --another": "directors, one after the other",
            "killsync login --no-browser": "on a machine without a browser",
        },
        exits(
            "registered",
            _1="the login was refused; or the character is registered, but is no director, or its "
            "login lacks the scope",
            _75="nobody came back from SSO in time; or the character is registered, and ESI could "
            "not be asked for its corporation",
            _130_143=_STOPPED,
        ),
    ),
    "users": HelpText(
        {
            "killsync users": "everybody who is registered",
            "killsync users disable maru": "stop syncing one of them",
        },
        exits("shown", _2=_UNUSABLE),
    ),
    "users list": HelpText(
        {"killsync users list": "the same as `killsync users`"},
        exits("shown", _2=_UNUSABLE),
    ),
    "users add": HelpText(
        {
            "killsync users add < tokens.txt": "from a file, one a line",
            "killsync users add --corporation < tokens.txt": "with their corporations",
        },
        exits(
            "all are registered",
            _1="a line failed, or a corporation cannot be registered",
            _2="no token was given, or the configuration is wrong",
            _75="a line, or a corporation, could not be done now",
        ),
    ),
    "users disable": HelpText(
        {'killsync users disable "Maru Sakaala"': "by name, in any case"},
        exits("disabled", _2=_UNKNOWN_USER, _75=_BUSY),
    ),
    "users enable": HelpText(
        {"killsync users enable 90000002": "by id"},
        exits("enabled", _2=_UNKNOWN_USER, _75=_BUSY),
    ),
    "users remove": HelpText(
        {
            'killsync users remove "Maru Sakaala"': "its killmails stay",
            "killsync users remove maru --purge": "its killmails go, too",
        },
        exits("removed", _2=f"{_UNKNOWN_USER}; or you said no", _75=_BUSY),
    ),
    "users rekey": HelpText(
        {"killsync users rekey --new-key": "when a key may be known to others"},
        exits(
            "every token is encrypted anew",
            _1="a token could not be read, and stays as it is",
            _2="the key is missing, or the database cannot be used",
        ),
    ),
    "doctor": HelpText(
        {
            "killsync doctor": "after setting up, and when something is odd",
            "killsync doctor --json": "for programs",
        },
        exits("no problem; there may be warnings", _1="there is a problem"),
    ),
    "scan": HelpText(
        {
            "killsync scan --quiet": "in the crontab: prints nothing while all is well",
            "killsync scan --force --max-runtime 2m": "now, for two minutes",
        },
        exits(
            "done; also if nothing is due, or another run is at work",
            _1="some user or killmail failed, for the first time",
            _2="wrong usage or configuration",
            _75="ESI or SSO is down, or a limit is reached: the next scan goes on",
            _130_143=_STOPPED,
        ),
    ),
    "sync": HelpText(
        {
            'killsync sync "Maru Sakaala"': "one user; maru is enough if only one begins so",
            "killsync sync maru caelia --no-wait": "two users, by the next scan",
        },
        exits(
            "done",
            _1="it failed, or the user needs a new login",
            _2="no such user, it is disabled, or the configuration is wrong",
            _75="could not be done now; the job stays queued for the next scan",
            _130_143=_STOPPED,
        ),
    ),
    "status": HelpText(
        {
            "killsync status --watch": "look on while a scan is at work",
            "killsync status --user maru --json": "one user, for programs",
        },
        exits("shown", _2=_UNKNOWN_USER, _75=_LOCKED, _130_143="a watch was ended by a signal"),
    ),
    "retry": HelpText(
        {
            "killsync retry": "everything",
            'killsync retry --user "Maru Sakaala"': "what one user waits for",
        },
        exits("the next scan tries again", _2=_UNKNOWN_USER, _75=_BUSY),
    ),
    "tell": HelpText(
        {
            "killsync tell": "what was told, what waits, and what is wrong",
            "killsync tell --test corp": "sends one line by the channel of that name",
            "killsync tell --dry-run": "what the next run would send",
        },
        exits(
            "done, whatever the table says",
            _1="the test was not delivered",
            _2="no such channel, or the database cannot be used",
        ),
    ),
    "kills": HelpText(
        {
            "killsync kills --losses --since 7d": "what was lost this week",
            "killsync kills --ship Rifter --limit 0 --csv": "all of one ship, as a table",
            "killsync kills 126440215 --eft": "the fit of one killmail",
        },
        exits(
            "done, also if nothing matches",
            _2="a name, a time or an option is wrong, or an ID is not stored",
        ),
    ),
    "stats": HelpText(
        {
            "killsync stats": "the totals, and when you are at it",
            "killsync stats --by opponent --sort losses": "who kills you most",
            "killsync stats --by ship --since 30d": "what you kill, this month",
        },
        exits("done, also if nothing was found", _2="a name, a time or an option is wrong"),
    ),
    "browse": HelpText(
        {
            "killsync browse": "opens the browser",
            "killsync browse --no-open --port 0": "only prints the address",
        },
        exits(
            "ended",
            _2="Datasette is not installed, or the port is in use",
            _130="ended by Ctrl-C",
        ),
    ),
    "names": HelpText(
        {
            "killsync names": "how many are known",
            "killsync names --refresh": "players and corporations change theirs",
        },
        exits("shown", _2="names are switched off, or the database cannot be used"),
    ),
    "check": HelpText(
        {
            "killsync check": "reads everything, and changes nothing",
            "killsync check --repair": "fixes what can be fixed",
        },
        exits(
            "nothing is wrong, or all of it is repaired",
            _1="there are problems, which the lines above name",
            _2="SQLite says that the file is damaged, or it is no database of killsync's",
            _75="another run is at work: try later",
            _130_143=_STOPPED,
        ),
    ),
    "data": HelpText(
        {"killsync data": "how old the game data are"},
        exits("shown", _2=_UNUSABLE),
    ),
    "data update": HelpText(
        {
            "killsync data update": "after a patch of the game",
            "killsync data update --file ~/static-data.zip": "from a file, without network",
        },
        exits(
            "loaded, or there is nothing newer",
            _2="the file is broken, unknown or older; nothing is changed",
            _75="CCP's server is down, or a run is in progress: try later",
        ),
    ),
    "data reprice": HelpText(
        {"killsync data reprice": "after an update that counts otherwise"},
        exits(
            "every killmail is valued again, or there are no prices yet",
            _75="a run did not end within a minute",
            _130_143="stopped by a signal; what was valued again stays so",
        ),
    ),
    "backup": HelpText(
        {
            "killsync backup ~/killsync-monday.db": "a copy, whole at any time",
            "killsync backup --force ~/backups/killsync.db": "in place of an older one",
        },
        exits(
            "the copy is complete",
            _2="FILE cannot be used, or there is no database, or it is damaged; nothing is changed",
        ),
    ),
    "restore": HelpText(
        {"killsync restore ~/backups/killsync.db": "asks first; the old one is kept"},
        exits(
            "the backup is in place",
            _2="FILE is not a whole database that this version knows; nothing is changed",
            _75="a run did not end within a minute, or another program is in the way",
        ),
    ),
    "export": HelpText(
        {
            "killsync export --user maru --since 7d > week.jsonl": "one user's week",
            "killsync export --format csv --losses -o losses": "tables for spreadsheets",
        },
        exits(
            "done, also if nothing matches",
            _2="a name, a time or an option is wrong, or PATH cannot be written",
        ),
    ),
    "import": HelpText(
        {
            "killsync import everef --days 2016-02": "a month of EVE Ref's archives",
            "killsync import zkb maru": "what zKillboard lists of one user",
        },
        _IMPORTED,
    ),
    "import everef": HelpText(
        {
            "killsync import everef ~/killmails": "archives that are here already",
            "killsync import everef --days 2016-02..2016-04": "fetched from data.everef.net",
        },
        _IMPORTED | {"75": "no answer for a day, or the server is down: try later"},
    ),
    "import json": HelpText(
        {
            "killsync import json week.jsonl": "what `killsync export` wrote",
            "ssh server killsync export | killsync import json -": "from another machine",
        },
        _IMPORTED | {"75": "the database is in use: try later"},
    ),
    "import zkb": HelpText(
        {
            'killsync import zkb "Black Comet Company"': "characters and corporations",
            "killsync import zkb 90000002 --full": "every page once more",
        },
        exits(
            "done; what is left is fetched by scans",
            _1="something was refused: the line says what",
            _2="not a registered character or corporation",
            _75="zKillboard or ESI is down: nothing lost, try later",
            _130_143=_STOPPED,
        ),
    ),
    "demo": HelpText(
        {
            "killsync demo": "in a directory of its own",
            "killsync demo --db ~/demo.db": "in a database that you can look at later",
        },
        exits("shown", _2="the database is there already"),
    ),
    "simulator": HelpText(
        {
            "killsync simulator": "prints what to export in another terminal",
            "killsync simulator --corporations 1 --rotate": "with directors, and new tokens",
            "killsync simulator --new-every 1m --cache 10s": "where something happens",
        },
        exits("ended", _2="an option is wrong, or the port is in use", _130="ended by Ctrl-C"),
    ),
}
