//! The table.

use super::super::daemon::Version::{self, V111};
use super::Put::{Bytes, Fifo, Filter, Folder, Gone, Jail, Link, Secret, Text};
use super::Verdict::Found;
use super::{Group, Row, beyond, fault, works};

pub(crate) const TABLE: &[Group] = &[
    Group {
        title: "Expressions",
        rows: EXPRESSIONS,
    },
    Group {
        title: "Numbers, times and other values",
        rows: VALUES,
    },
    Group {
        title: "Logs and backends",
        rows: LOGS,
    },
    Group {
        title: "Actions",
        rows: ACTIONS,
    },
    Group {
        title: "Filters",
        rows: FILTERS,
    },
    Group {
        title: "Files",
        rows: FILES,
    },
    Group {
        title: "The server's settings and its names",
        rows: SERVER,
    },
    Group {
        title: "Unusual names and values, and yet sound",
        rows: SOUND,
    },
    Group {
        title: "Unusual files, and yet sound",
        rows: SOUND_FILES,
    },
    Group {
        title: "Beyond a dry run",
        rows: BEYOND,
    },
];

const EXPRESSIONS: &[Row] = &[
    fault(
        "a failregex that does not compile",
        &[Filter("failregex = ^ fail from <HOST> [")],
        &[("setting-refused", "web", "filter.d/web.conf:3")],
    ),
    fault(
        "a failregex without `<HOST>`",
        &[Filter("failregex = ^ fail from somewhere")],
        &[("setting-refused", "web", "filter.d/web.conf:3")],
    ),
    fault(
        "the second of three failregexes does not compile",
        &[Filter(
            "failregex = ^ fail from <HOST>$\n  ^ bad( from <HOST>\n  ^ fine from <HOST>",
        )],
        &[("setting-refused", "web", "filter.d/web.conf:4")],
    ),
    fault(
        "a failregex in the jail that does not compile",
        &[Jail("failregex = ^ fail (from <HOST>")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "a prefregex that does not compile",
        &[Filter(
            "prefregex = ^(<F-CONTENT>.+\nfailregex = ^ fail from <HOST>$",
        )],
        &[("setting-refused", "web", "filter.d/web.conf:3")],
    ),
    fault(
        "an ignoreregex that does not compile",
        &[Jail("ignoreregex = own(")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "a datepattern that does not compile",
        &[Jail("datepattern = {^LN-BEG}(%%Y")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "a datepattern with an unknown directive",
        &[Jail("datepattern = %%Y %%!")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "an ignoreregex in `[DEFAULT]` that does not compile",
        &[Text("jail.local", "[DEFAULT]\nignoreregex = own(\n")],
        &[("setting-refused", "aa web zz", "jail.local:2")],
    ),
];

const VALUES: &[Row] = &[
    fault(
        "`maxretry` is no number",
        &[Jail("maxretry = abc")],
        &[("bad-number", "web", "jail.d/web.local:2")],
    ),
    fault(
        "`maxretry` is empty",
        &[Jail("findtime = 600\nmaxretry =")],
        &[("bad-number", "web", "jail.d/web.local:3")],
    ),
    fault(
        "`maxmatches` in `[DEFAULT]` is no number",
        &[Text("jail.local", "[DEFAULT]\nmaxmatches = none\n")],
        &[("bad-number", "aa web zz", "jail.local:2")],
    ),
    fault(
        "`maxmatches` is no number",
        &[Jail("maxmatches = 5x")],
        &[("bad-number", "web", "jail.d/web.local:2")],
    ),
    fault(
        "`bantime` has an unknown unit",
        &[Jail("bantime = 10 parsecs")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "`findtime` is a word",
        &[Jail("findtime = soon")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "`findtime` in `[DEFAULT]` has an unknown unit",
        &[Text("jail.d/00.conf", "[DEFAULT]\nfindtime = 10 parsecs\n")],
        &[("setting-refused", "aa web zz", "jail.d/00.conf:2")],
    ),
    fault(
        "`bantime.factor` is a word",
        &[Jail("bantime.factor = two")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "`bantime.multipliers` holds a word",
        &[Jail("bantime.multipliers = 1 two")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "`bantime.maxtime` has an unknown unit",
        &[Jail("bantime.maxtime = 1 fortnight")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "`bantime.formula` does not parse",
        &[Jail(
            "bantime.increment = true\nbantime.formula = ban.Time * (1",
        )],
        &[("setting-refused", "web", "jail.d/web.local:3")],
    ),
    fault(
        "`maxlines` is below one",
        &[Filter(
            "failregex = ^ fail from <HOST>$\n[Init]\nmaxlines = -1",
        )],
        &[("setting-refused", "web", "filter.d/web.conf:5")],
    ),
    fault(
        "`ignorecache` counts in words",
        &[Jail("ignorecache = key=\"<ip>\", max-count=many")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "`logencoding` is unknown",
        &[Jail("logencoding = klingon")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "`logtimezone` is unknown",
        &[Jail("logtimezone = Mars")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "`enabled = ture`",
        &[Jail("enabled = ture")],
        &[("not-boolean", "web", "jail.d/web.local:2")],
    ),
    fault(
        "`enabled = y`",
        &[Jail("enabled = y")],
        &[("not-boolean", "web", "jail.d/web.local:2")],
    ),
    fault(
        "`enabled = true # yes`",
        &[Jail("enabled = true # yes")],
        &[("not-boolean", "web", "jail.d/web.local:2")],
    ),
];

const LOGS: &[Row] = &[
    fault(
        "a log file that does not exist",
        &[Jail("logpath = LOGS/nowhere.log")],
        &[("no-log-file", "web", "jail.d/web.local:2")],
    ),
    fault(
        "the log file is removed",
        &[Gone("LOGS/web.log")],
        &[("no-log-file", "web", "jail.d/web.conf:5")],
    ),
    fault(
        "a glob that matches no log file",
        &[Jail("logpath = LOGS/nowhere-*.log")],
        &[("no-log-file", "web", "jail.d/web.local:2")],
    ),
    fault(
        "a log file that is a dangling symlink",
        &[
            Gone("LOGS/web.log"),
            Link("LOGS/web.log", "LOGS/nowhere.log"),
        ],
        &[("no-log-file", "web", "jail.d/web.conf:5")],
    ),
    fault(
        "no log file, and `skip_if_nologs`",
        &[Jail("skip_if_nologs = true\nlogpath = LOGS/nowhere.log")],
        &[("no-log-file", "web", "jail.d/web.local:3")],
    )
    .but(&[(V111, Found(&[("log-awaited", "web", "jail.d/web.local:3")]))]),
    fault(
        "a log file that is a FIFO",
        &[Gone("LOGS/web.log"), Fifo("LOGS/web.log")],
        &[("setting-refused", "web", "jail.d/web.conf:5")],
    ),
    fault(
        "a log file that is a folder",
        &[Gone("LOGS/web.log"), Folder("LOGS/web.log")],
        &[("setting-refused", "web", "jail.d/web.conf:5")],
    ),
    fault(
        "`logpath` is to be read from an unknown end",
        &[Jail("logpath = LOGS/web.log sideways")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "`logpath` is empty",
        &[Jail("logpath =")],
        &[("no-log-file", "web", "jail.d/web.local:2")],
    ),
    fault(
        "a backend that does not exist",
        &[Jail("backend = inotify")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "a backend with an option that it does not have",
        &[Jail("backend = polling[journalflags=1]")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "backend `systemd` without its Python module",
        &[Jail("backend = systemd\njournalmatch = _COMM=sshd")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    )
    .without("systemd"),
    fault(
        "a quote in `journalmatch` that is not closed",
        &[Jail("backend = systemd\njournalmatch = \"a")],
        &[("config-unreadable", "web", "jail.d/web.local:3")],
    ),
];

const ACTIONS: &[Row] = &[
    fault(
        "an action that does not exist",
        &[Jail("action = nowhere")],
        &[("jail-skipped", "web", "jail.d/web.local:2")],
    ),
    fault(
        "a `banaction` in `[DEFAULT]` that does not exist",
        &[
            Text("jail.local", "[DEFAULT]\nbanaction = nowhere\n"),
            Jail("port = 80\naction = %(action_)s"),
        ],
        &[("jail-skipped", "web", "jail.local:2")],
    ),
    fault(
        "an action without its closing bracket",
        &[Jail("action = mark[name=web, timeout=5\n  mark")],
        &[("jail-skipped", "web", "jail.d/web.local:2")],
    ),
    fault(
        "two actions of one name",
        &[Jail("action = mark[name=web]\n  mark[name=web]")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "an action's timeout that is a word",
        &[Jail("action = mark[name=web, timeout=soon]")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "an action in Python that does not exist",
        &[Jail("action = nowhere.py")],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "an action in Python that does not parse",
        &[
            Text("action.d/broken.py", "class Action(:\n"),
            Jail("action = broken.py"),
        ],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "an action in Python without a class `Action`",
        &[
            Text("action.d/broken.py", "class Acton:\n  pass\n"),
            Jail("action = broken.py"),
        ],
        &[("setting-refused", "web", "jail.d/web.local:2")],
    ),
    fault(
        "an action whose file has no `[Definition]`",
        &[
            Text("action.d/own.conf", "[Definitoin]\nactionban = true\n"),
            Jail("action = mark[name=web]\n  own"),
        ],
        &[("other-error", "web", "action.d/own.conf:1")],
    ),
    fault(
        "an action with a junk line",
        &[
            Text(
                "action.d/own.conf",
                "[Definition]\nactionban = true\njunk\n",
            ),
            Jail("action = own"),
        ],
        &[("config-unreadable", "web", "action.d/own.conf:3")],
    ),
    fault(
        "an action with an unknown `%(reference)s`",
        &[
            Text("action.d/own.conf", "[Definition]\nactionban = %(nope)s\n"),
            Jail("action = own"),
        ],
        &[("config-unreadable", "web", "action.d/own.conf:2")],
    ),
    fault(
        "an action with a loop of tags",
        &[
            Text(
                "action.d/own.conf",
                "[Definition]\nactionban = echo <a>\n[Init]\na = <b>\nb = <a>\n",
            ),
            Jail("action = own"),
        ],
        &[("config-unreadable", "web", "action.d/own.conf:2")],
    ),
];

const FILTERS: &[Row] = &[
    fault(
        "a filter that does not exist",
        &[Jail("filter = nowhere")],
        &[("jail-skipped", "web", "jail.d/web.local:2")],
    ),
    fault(
        "the filter's file is removed",
        &[Gone("filter.d/web.conf")],
        &[("jail-skipped", "web", "jail.d/web.conf:3")],
    ),
    fault(
        "a filter without its closing bracket",
        &[Jail("filter = web[a=b, c")],
        &[("jail-skipped", "web", "jail.d/web.local:2")],
    ),
    fault(
        "a filter without a `[Definition]`",
        &[Text(
            "filter.d/web.conf",
            "# c\n[Definitoin]\nfailregex = ^ fail from <HOST>$\n",
        )],
        &[("other-error", "web", "filter.d/web.conf:2")],
    ),
    fault(
        "a filter that is empty",
        &[Text("filter.d/web.conf", "")],
        &[("other-error", "web", "jail.d/web.conf:3")],
    ),
    fault(
        "a filter without a `failregex`",
        &[Filter("failregx = ^ fail from <HOST>$")],
        &[("no-failregex", "web", "jail.d/web.conf:3")],
    ),
    fault(
        "a filter with a junk line",
        &[Filter("failregex = ^ fail from <HOST>$\njunk")],
        &[("config-unreadable", "web", "filter.d/web.conf:4")],
    ),
    fault(
        "a filter with a doubled option",
        &[Filter(
            "failregex = ^ fail from <HOST>$\nfailregex = ^ fail from <HOST>$",
        )],
        &[("config-unreadable", "web", "filter.d/web.conf:4")],
    ),
    fault(
        "a filter that includes one with a junk line",
        &[
            Text("filter.d/own.conf", "[Definition]\nx = y\njunk\n"),
            Text(
                "filter.d/web.conf",
                "[INCLUDES]\nbefore = own.conf\n[Definition]\nfailregex = ^ fail from <HOST>$\n",
            ),
        ],
        &[("config-unreadable", "web", "filter.d/own.conf:3")],
    ),
    fault(
        "a filter with an unknown `%(reference)s`",
        &[Filter("failregex = ^ fail from <HOST>$\n  %(nope)s")],
        &[("config-unreadable", "web", "filter.d/web.conf:4")],
    ),
    fault(
        "a filter with a loop of tags",
        &[Filter(
            "a = <b>\nb = <a>\nfailregex = ^ fail from <HOST>$ <a>",
        )],
        &[("config-unreadable", "web", "filter.d/web.conf:5")],
    ),
    fault(
        "a filter that is not UTF-8",
        &[Bytes(
            "filter.d/web.conf",
            b"[Definition]\n# caf\xe9\nfailregex = ^ fail from <HOST>$\n",
        )],
        &[
            ("jail-skipped", "web", "filter.d/web.conf:2"),
            ("file-ignored", "web", "filter.d/web.conf:2"),
        ],
    ),
    fault(
        "a folder in the filter's place",
        &[Gone("filter.d/web.conf"), Folder("filter.d/web.conf")],
        &[("jail-skipped", "web", "filter.d/web.conf")],
    ),
];

const FILES: &[Row] = &[
    Row::denied(
        "a jail's file that a plain user's fail2ban may not read",
        "jail.d/web.conf",
        &[Secret("jail.d/web.conf")],
    ),
    Row::denied(
        "a filter that a plain user's fail2ban may not read",
        "filter.d/web.conf",
        &[Secret("filter.d/web.conf")],
    ),
    fault(
        "a line before any section",
        &[Text("jail.d/web.local", "maxretry = 3\n")],
        &[("config-unreadable", "", "jail.d/web.local:1")],
    ),
    fault(
        "a file of the server's that is not UTF-8",
        &[Bytes(
            "fail2ban.d/x.local",
            b"[Definition]\nloglevel = \xff\n",
        )],
        &[("file-ignored", "", "fail2ban.d/x.local:2")],
    )
    .but(&[(
        V111,
        Found(&[("config-unreadable", "", "fail2ban.d/x.local:2")]),
    )]),
    fault(
        "a junk line",
        &[Jail("junk")],
        &[("config-unreadable", "", "jail.d/web.local:2")],
    ),
    fault(
        "a section without its closing bracket",
        &[Text("jail.d/web.local", "[web\nmaxretry = 3\n")],
        &[("config-unreadable", "", "jail.d/web.local:1")],
    ),
    fault(
        "a section without a name",
        &[Text("jail.d/web.local", "[]\nmaxretry = 3\n")],
        &[("config-unreadable", "", "jail.d/web.local:1")],
    ),
    fault(
        "a section that stands twice",
        &[Jail("maxretry = 3\n[web]")],
        &[("config-unreadable", "web", "jail.d/web.local:3")],
    ),
    fault(
        "an option that stands twice",
        &[Jail("maxretry = 3\nmaxretry = 4")],
        &[("config-unreadable", "web", "jail.d/web.local:3")],
    ),
    fault(
        "an unknown `%(reference)s`",
        &[Jail("bantime = %(nope)s")],
        &[("config-unreadable", "web", "jail.d/web.local:2")],
    ),
    fault(
        "an unknown `%(reference)s` in `[DEFAULT]`",
        &[Text("jail.local", "[DEFAULT]\nfindtime = %(nope)s\n")],
        &[("config-unreadable", "aa web zz", "jail.local:2")],
    ),
    fault(
        "a percent sign by itself",
        &[Jail("ignoreip = 10.0.0.1\n  100%")],
        &[("config-unreadable", "web", "jail.d/web.local:3")],
    ),
    fault(
        "a reference to itself",
        &[Jail("bantime = %(bantime)s")],
        &[("config-unreadable", "web", "jail.d/web.local:2")],
    ),
    fault(
        "Latin-1 in a comment",
        &[Bytes(
            "jail.d/web.conf",
            b"[web]\n# caf\xe9\nenabled = true\n",
        )],
        &[("file-ignored", "", "jail.d/web.conf:2")],
    )
    .but(LATIN_1_IN_1_1_1),
    fault(
        "UTF-16",
        &[Bytes("jail.d/web.local", b"\xff\xfe[\0w\0e\0b\0]\0\n\0")],
        &[("file-ignored", "", "jail.d/web.local:1")],
    )
    .but(&[(
        V111,
        Found(&[("config-unreadable", "", "jail.d/web.local:1")]),
    )]),
    fault(
        "a byte order mark",
        &[Text("jail.d/web.local", "\u{feff}[web]\nmaxretry = 3\n")],
        &[("config-unreadable", "", "jail.d/web.local:1")],
    ),
    fault(
        "a NUL byte in a value",
        &[Jail("logpath = LOGS/web\0.log")],
        &[("no-log-file", "web", "jail.d/web.local:2")],
    ),
    fault(
        "a folder named as a file",
        &[Folder("jail.d/web.local")],
        &[("file-ignored", "", "jail.d/web.local")],
    )
    .but(&[(
        V111,
        Found(&[("config-unreadable", "", "jail.d/web.local")]),
    )]),
    fault(
        "junk in `jail.local`",
        &[Text("jail.local", "[web]\nmaxretry = 3\njunk\n")],
        &[("config-unreadable", "", "jail.local:3")],
    ),
];

const LATIN_1_IN_1_1_1: &[(Version, super::Verdict)] = &[(
    V111,
    Found(&[("config-unreadable", "", "jail.d/web.conf:2")]),
)];

const SERVER: &[Row] = &[
    fault(
        "junk in a file of the server's",
        &[Text("fail2ban.d/x.conf", "[Definition]\njunk\n")],
        &[("config-unreadable", "", "fail2ban.d/x.conf:2")],
    ),
    fault(
        "`dbmaxmatches` is no number",
        &[Text(
            "fail2ban.d/x.local",
            "[Definition]\n\ndbmaxmatches = ten\n",
        )],
        &[("bad-number", "", "fail2ban.d/x.local:3")],
    ),
    fault(
        "`dbpurgeage` is a word",
        &[Text(
            "fail2ban.d/x.local",
            "[Definition]\ndbpurgeage = soon\n",
        )],
        &[("setting-refused", "", "fail2ban.d/x.local:2")],
    ),
    fault(
        "`loglevel` is unknown",
        &[Text(
            "fail2ban.d/x.local",
            "[Definition]\nloglevel = LOUD\n",
        )],
        &[("config-unreadable", "", "fail2ban.d/x.local:2")],
    ),
    fault(
        "`logtarget` is in a folder that does not exist",
        &[Text(
            "fail2ban.d/x.local",
            "[Definition]\nlogtarget = LOGS/nowhere/f2b.log\n",
        )],
        &[("setting-refused", "", "fail2ban.d/x.local:2")],
    ),
    fault(
        "`dbfile` is below what is no folder",
        &[Text(
            "fail2ban.d/x.local",
            "[Definition]\ndbfile = LOGS/aa.log/f2b.sqlite3\n",
        )],
        &[("setting-refused", "", "fail2ban.d/x.local:2")],
    ),
    fault(
        "`stacksize` of the threads is too small",
        &[Text("fail2ban.d/x.local", "[Thread]\nstacksize = 7\n")],
        &[("setting-refused", "", "fail2ban.d/x.local:2")],
    ),
    fault(
        "a jail named `loglevel`",
        &[Text(
            "jail.d/x.conf",
            "[loglevel]\nenabled = true\nfilter = web\nbackend = polling\nlogpath = LOGS/web.log\naction =\n",
        )],
        &[("reserved-name", "loglevel", "jail.d/x.conf:1")],
    ),
    fault(
        "a jail named `--all`",
        &[Text(
            "jail.d/x.conf",
            "[--all]\nenabled = true\nfilter = web\nbackend = polling\nlogpath = LOGS/web.log\naction =\n",
        )],
        &[("reserved-name", "--all", "jail.d/x.conf:1")],
    ),
    fault(
        "a jail named `thread`",
        &[Text(
            "jail.d/x.conf",
            "[thread]\nenabled = true\nfilter = web\nbackend = polling\nlogpath = LOGS/web.log\naction =\n",
        )],
        &[("reserved-name", "thread", "jail.d/x.conf:1")],
    ),
];

macro_rules! renamed {
    ($name:literal) => {
        Text(
            "jail.d/web.conf",
            concat!(
                "[",
                $name,
                "]\nenabled = true\nfilter = web\nbackend = polling\nlogpath = LOGS/web.log\n",
                "maxretry = 3\nusedns = no\naction = mark[name=\"web\"]\n"
            ),
        )
    };
}

const SOUND: &[Row] = &[
    works("nothing is changed", &[]),
    works(
        "odd values of the server's",
        &[Text(
            "fail2ban.d/x.local",
            "[Definition]\nsyslogsocket = LOGS/nowhere\nallowipv6 = perhaps\nloglevel = 15\ndbpurgeage = 1d 2h\n",
        )],
    ),
    works("a jail's name with blanks and a comma", &[renamed!("we b, x")]).jail("we b, x"),
    works("a jail's name that is not ASCII", &[renamed!("wäb")]).jail("wäb"),
    works("a jail's name with slashes and dots", &[renamed!("../web")]).jail("../web"),
    works(
        "a jail's name of 100 characters",
        &[renamed!("wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww")],
    )
    .jail("wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww"),
    works(
        "times with units, for ever, and as code",
        &[Jail("bantime = -1\nfindtime = 1h 30min\nbantime.maxtime = 60*60*24*365")],
    ),
    works(
        "a number that is none where it does no harm",
        &[Jail("maxlines = abc")],
    ),
    works(
        "backend `pyinotify` without its Python module",
        &[Jail("backend = pyinotify")],
    )
    .without("pyinotify"),
    works("`usedns` is unknown", &[Jail("usedns = perhaps")]),
    works(
        "an `ignoreip` that is no address",
        &[Jail("ignoreip = nonsense 10.0.0.0/99")],
    ),
    works("an option that fail2ban does not know", &[Jail("colour = blue")]),
    works(
        "a filter's own list, added to",
        &[Jail("failregex = %(known/failregex)s\n  ^ other from <HOST>$")],
    ),
    works(
        "globs, and one log of two",
        &[Jail("logpath = LOGS/we?.log\n  LOGS/nowhere.log")],
    ),
    works(
        "one action twice under two names",
        &[Jail("action = mark[name=web]\n  mark[name=web, actname=two]")],
    ),
    works(
        "an action with an option that it does not know",
        &[Jail("action = mark[name=web, colour=blue]")],
    ),
];

const SOUND_FILES: &[Row] = &[
    works(
        "a dangling symlink in a file's place",
        &[Link("jail.d/web.local", "nowhere")],
    ),
    works("there is no `jail.conf`", &[Gone("jail.conf")]),
    works(
        "includes of what does not exist",
        &[
            Text(
                "jail.local",
                "[INCLUDES]\nbefore = nowhere.conf\n[web]\nmaxretry = 3\n",
            ),
            Text(
                "filter.d/web.conf",
                "[INCLUDES]\nafter = nowhere.conf\n[Definition]\nfailregex = ^ fail from <HOST>$\n",
            ),
        ],
    ),
    works(
        "carriage returns, colons, tabs, upper case",
        &[Text(
            "jail.d/web.local",
            "[web]\r\n# c\r\n\r\n\tMaxRetry: 3 ; three\r\nBANTIME\t=\t600\r\n",
        )],
    ),
    works(
        "UTF-8 in comments and values",
        &[Jail("# café ☃\nignoreip = 10.0.0.1\n  bücher.example")],
    ),
    works(
        "one jail in four files",
        &[
            Text("jail.local", "[web]\nmaxretry = 7\n"),
            Text("jail.d/a.conf", "[web]\nmaxretry = 8\n"),
            Text("jail.d/b.local", "[web]\nbantime = 11\n"),
            Jail("maxretry = 3"),
        ],
    ),
    works(
        "a loop of includes",
        &[
            Text(
                "filter.d/web.conf",
                "[INCLUDES]\nbefore = own.conf\n[Definition]\ndatepattern = {^LN-BEG}EPOCH\nfailregex = ^ fail from <HOST>$\n",
            ),
            Text(
                "filter.d/own.conf",
                "[INCLUDES]\nbefore = web.conf\nafter = own.conf\n[Definition]\nignoreregex = ^ never\n",
            ),
        ],
    ),
    works(
        "faults in a jail that is not enabled",
        &[Text(
            "jail.d/x.conf",
            "[off]\nenabled = false\nfilter = nowhere\nlogpath = /nonexistent\nmaxretry = abc\nbantime = %(nope)s\naction = nowhere[\n",
        )],
    ),
    works(
        "faults in a filter that nobody uses",
        &[Bytes("filter.d/x.conf", b"junk\xe9\n")],
    ),
    works(
        "files that fail2ban does not read",
        &[
            Text("jail.d/.x.conf.swp", "junk"),
            Text("jail.d/x.conf~", "junk"),
            Text("jail.d/README", "junk"),
            Text("jail.d/old/x.conf", "junk"),
        ],
    ),
    works(
        "a jail's file that is a symlink",
        &[
            Text("web.shared", "[web]\nmaxretry = 2\n"),
            Link("jail.d/web.local", "../web.shared"),
        ],
    ),
];

const BEYOND: &[Row] = &[
    beyond(
        "a firewall command that fails",
        &[
            Text("action.d/own.conf", "[Definition]\nactionban = exit 1\n"),
            Jail("action = own"),
        ],
    ),
    beyond(
        "an action that fails when it is started",
        &[
            Text(
                "action.d/own.conf",
                "[Definition]\nactionstart = exit 1\nactionban = /nonexistent <ip>\n",
            ),
            Jail("action = own"),
        ],
    ),
    beyond(
        "an action without an `actionban`",
        &[
            Text("action.d/own.conf", "[Definition]\nactionbann = true\n"),
            Jail("action = own"),
        ],
    ),
    beyond(
        "a failregex that matches nothing of the log",
        &[Filter("failregex = ^ failure from <HOST>$")],
    ),
    beyond(
        "an action in Python that fails when it is loaded",
        &[
            Text("action.d/own.py", "import nowhere\nclass Action:\n  pass\n"),
            Jail("action = own.py"),
        ],
    ),
    beyond(
        "a journal in which nothing of it is",
        &[Jail("backend = systemd\njournalmatch = _COMM=nobody")],
    ),
    beyond(
        "another `dbfile`, for the daemon that runs",
        &[Text(
            "fail2ban.d/x.local",
            "[Definition]\ndbfile = LOGS/other.sqlite3\n",
        )],
    ),
    beyond(
        "an `ignoreip` that holds every offender",
        &[Jail("ignoreip = 0.0.0.0/0")],
    ),
];
