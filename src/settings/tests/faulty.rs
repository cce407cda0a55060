//! Faulty settings files and exactly what is said of each, without the file's name before it.

pub(super) const FAULTY: &[(&str, &[&str])] = &[
    (
        "# c\nprobe:\n  interval: 10 parsecs",
        &[
            r#"3:13: probe.interval: "10 parsecs" is not a duration: expected a number with a unit, such as 10s, 500ms or 5m"#,
        ],
    ),
    (
        "probe:\n  interval: 5M",
        &[r#"2:13: probe.interval: "5M" counts months, as M does: write "5m" for minutes"#],
    ),
    (
        "settle: 10",
        &[
            r#"1:9: settle: "10" has no unit: expected a number with a unit, such as 10s, 500ms or 5m"#,
        ],
    ),
    (
        "settle: '10'",
        &[
            r#"1:9: settle: "10" has no unit: expected a number with a unit, such as 10s, 500ms or 5m"#,
        ],
    ),
    (
        "settle: 1.5",
        &[
            r#"1:9: settle: "1.5" has no unit: expected a number with a unit, such as 10s, 500ms or 5m"#,
        ],
    ),
    (
        "settle: -5s",
        &[
            r#"1:9: settle: "-5s" is not a duration: expected a number with a unit, such as 10s, 500ms or 5m"#,
        ],
    ),
    (
        "settle: -5",
        &[
            r#"1:9: settle: "-5" is not a duration: expected a number with a unit, such as 10s, 500ms or 5m"#,
        ],
    ),
    (
        "settle: ''",
        &[
            r#"1:9: settle: "" is not a duration: expected a number with a unit, such as 10s, 500ms or 5m"#,
        ],
    ),
    (
        "settle: 10S",
        &[
            r#"1:9: settle: "10S" is not a duration: expected a number with a unit, such as 10s, 500ms or 5m"#,
        ],
    ),
    (
        "settle: 5 s s",
        &[
            r#"1:9: settle: "5 s s" is not a duration: expected a number with a unit, such as 10s, 500ms or 5m"#,
        ],
    ),
    (
        "settle: [1s]",
        &["1:9: settle: expected a duration, such as 10s, 500ms or 5m, found a list"],
    ),
    (
        "settle:\n  a: 1s",
        &["2:3: settle: expected a duration, such as 10s, 500ms or 5m, found a section"],
    ),
    (
        "settle: true",
        &["1:9: settle: expected a duration, such as 10s, 500ms or 5m, found the boolean true"],
    ),
    (
        "settle:",
        &["1:7: settle: has no value: give one, or comment the line out for the default"],
    ),
    (
        "settle: 10ms",
        &[r#"1:9: settle: "10ms" is too short: at least 50ms"#],
    ),
    (
        "settle: 1h",
        &[r#"1:9: settle: "1h" is too long: at most 5s"#],
    ),
    (
        "probe:\n  interval: 2h",
        &[r#"2:13: probe.interval: "2h" is too long: at most 1h"#],
    ),
    (
        "probe:\n  interval: 18446744073709551615s 1000ms",
        &[
            r#"2:13: probe.interval: "18446744073709551615s 1000ms" is too long a number: expected a number with a unit, such as 10s, 500ms or 5m"#,
        ],
    ),
    (
        "probe:\n  interval: 1000000000000000000y",
        &[
            r#"2:13: probe.interval: "1000000000000000000y" is too long a number: expected a number with a unit, such as 10s, 500ms or 5m"#,
        ],
    ),
    (
        "probe:\n  intervall: 10s",
        &["2:3: probe: unknown key `intervall`, did you mean `interval`?"],
    ),
    (
        "probe:\n  interval-: 10s",
        &["2:3: probe: unknown key `interval-`, did you mean `interval`?"],
    ),
    (
        "Probe:\n  interval: 10s",
        &["1:1: unknown key `Probe`, did you mean `probe`?"],
    ),
    (
        "interval: 10s",
        &["1:1: unknown key `interval`: `interval` belongs in the section `probe`"],
    ),
    (
        "probe.interval: 10s",
        &["1:1: unknown key `probe.interval`: `interval` belongs in the section `probe`"],
    ),
    (
        "probe:\n  settle: 1s",
        &["2:3: probe: unknown key `settle`: `settle` belongs to no section"],
    ),
    (
        "probe:\n  colour: red",
        &[
            "2:3: probe: unknown key `colour`: expected one of interval, timeout, busy_limit, firewall",
        ],
    ),
    (
        "colour: red",
        &[
            "1:1: unknown key `colour`: expected one of config_dir, state_dir, settle, daemon, probe, restart, alerts, metrics, control, page",
        ],
    ),
    (
        "daemon:\n  pid-file: /x",
        &["2:3: daemon: unknown key `pid-file`, did you mean `pid_file`?"],
    ),
    (
        "timeout: 5s",
        &["1:1: unknown key `timeout`: `timeout` belongs in the section `probe`"],
    ),
    (
        "probe:\n  interval: 5s\n  interval: 6s",
        &["3:3: probe.interval: doubled key: it already stands in line 2"],
    ),
    (
        "probe:\n  interval: 5s\nprobe:\n  timeout: 6x",
        &[
            "3:1: probe: doubled key: it already stands in line 1",
            r#"4:12: probe.timeout: "6x" is not a duration: expected a number with a unit, such as 10s, 500ms or 5m"#,
        ],
    ),
    (
        "probe: 10s",
        &[r#"1:8: probe: expected a section of keys and values, found "10s""#],
    ),
    (
        "probe: [interval]",
        &["1:8: probe: expected a section of keys and values, found a list"],
    ),
    (
        "- a\n- b",
        &["1:1: expected a section of keys and values, found a list"],
    ),
    (
        "just text",
        &[r#"1:1: expected a section of keys and values, found "just text""#],
    ),
    (
        "? [a]\n: 1",
        &["1:3: expected the name of a key, found a list"],
    ),
    ("~: 1", &["1:1: expected the name of a key, found nothing"]),
    (
        "1: 2",
        &[
            "1:1: unknown key `1`: expected one of config_dir, state_dir, settle, daemon, probe, restart, alerts, metrics, control, page",
        ],
    ),
    (
        "<<: {settle: 1s}",
        &[
            "1:1: unknown key `<<`: expected one of config_dir, state_dir, settle, daemon, probe, restart, alerts, metrics, control, page",
        ],
    ),
    (
        "config_dir: etc/fail2ban",
        &[r#"1:13: config_dir: "etc/fail2ban" is not an absolute path: begin it with /"#],
    ),
    (
        "config_dir: ~/x",
        &[r#"1:13: config_dir: "~/x" is not an absolute path: begin it with /"#],
    ),
    (
        "config_dir: ~",
        &["1:13: config_dir: has no value: give one, or comment the line out for the default"],
    ),
    (
        "config_dir: 5",
        &["1:13: config_dir: expected a path, found the number 5"],
    ),
    (
        "config_dir: \"/a\\nb\"",
        &[r#"1:13: config_dir: "/a\nb" has a control character in it"#],
    ),
    (
        "config_dir: /",
        &[
            "1:13: config_dir: state_dir (/var/lib/jailwarden) must not lie in config_dir (/): what jailwarden writes there would look like a change of the config",
        ],
    ),
    (
        "state_dir: /etc/fail2ban/state",
        &[
            "1:12: state_dir: state_dir (/etc/fail2ban/state) must not lie in config_dir (/etc/fail2ban): what jailwarden writes there would look like a change of the config",
        ],
    ),
    (
        "config_dir: /var",
        &[
            "1:13: config_dir: state_dir (/var/lib/jailwarden) must not lie in config_dir (/var): what jailwarden writes there would look like a change of the config",
        ],
    ),
    (
        "daemon:\n  unit: fail2ban",
        &[r#"2:9: daemon.unit: "fail2ban" is not a service, did you mean "fail2ban.service"?"#],
    ),
    (
        "daemon:\n  unit: fail2ban.socket",
        &[
            r#"2:9: daemon.unit: "fail2ban.socket" is not a service: expected a systemd service, such as fail2ban.service, or none"#,
        ],
    ),
    (
        "daemon:\n  unit: a/b.service",
        &[
            r#"2:9: daemon.unit: "a/b.service" cannot be the name of a unit: expected a systemd service, such as fail2ban.service, or none"#,
        ],
    ),
    (
        "daemon:\n  unit: .service",
        &[
            r#"2:9: daemon.unit: ".service" is not a service: expected a systemd service, such as fail2ban.service, or none"#,
        ],
    ),
    (
        "daemon:\n  unit: \n",
        &["2:7: daemon.unit: has no value: give one, or comment the line out for the default"],
    ),
    (
        "daemon:\n  unit: false",
        &[
            "2:9: daemon.unit: expected a systemd service, such as fail2ban.service, or none, found the boolean false",
        ],
    ),
    (
        "daemon:\n  unit: ''",
        &[
            r#"2:9: daemon.unit: "" is not a service: expected a systemd service, such as fail2ban.service, or none"#,
        ],
    ),
    (
        "daemon:\n  socket: /a\n  pid_file: /a",
        &["3:13: daemon.pid_file: the socket and the pid file cannot be the same file"],
    ),
    (
        "daemon:\n  client: []",
        &["2:11: daemon.client: names no program"],
    ),
    (
        "daemon:\n  client: ''",
        &["2:11: daemon.client: names no program"],
    ),
    (
        "daemon:\n  client: 'python3 /x/y'",
        &[
            r#"2:11: daemon.client: "python3 /x/y" has white space in it: write a list of words, such as `[python3, /x/y]`"#,
        ],
    ),
    (
        "daemon:\n  client: ./x",
        &[
            r#"2:11: daemon.client: "./x" depends on the folder one is in: begin it with /, or write only the program's name"#,
        ],
    ),
    (
        "daemon:\n  client: {a: b}",
        &["2:11: daemon.client: expected a program or a list of words, found a section"],
    ),
    (
        "daemon:\n  start_command: [sleep, 10]",
        &["2:26: daemon.start_command: the number 10 is no word: put it in quotes"],
    ),
    (
        "daemon:\n  start_command: [a, true]",
        &["2:22: daemon.start_command: the boolean true is no word: put it in quotes"],
    ),
    (
        "daemon:\n  start_command: [a, [b]]",
        &["2:22: daemon.start_command: expected a word, found a list"],
    ),
    (
        "daemon:\n  start_command: [a, ~]",
        &["2:22: daemon.start_command: expected a word, found nothing"],
    ),
    (
        "daemon:\n  start_command: [a, \"b\\0\"]",
        &[r#"2:22: daemon.start_command: "b\0" has a NUL character in it"#],
    ),
    (
        "probe:\n  timeout: 40s",
        &[
            "2:12: probe.timeout: busy_limit (30s) must not be shorter than timeout (40s): a busy daemon is given more time than a frozen one",
        ],
    ),
    (
        "probe:\n  timeout: 10s\n  busy_limit: 5s",
        &[
            "3:15: probe.busy_limit: busy_limit (5s) must not be shorter than timeout (10s): a busy daemon is given more time than a frozen one",
        ],
    ),
    (
        "probe:\n  timeout: 40s\n  busy_limit: 5M",
        &[r#"3:15: probe.busy_limit: "5M" counts months, as M does: write "5m" for minutes"#],
    ),
    (
        "settle: 1s\n---\nsettle: 2s",
        &["3:1: a second YAML document begins here: a settings file holds one"],
    ),
    (
        "probe:\n\u{9}interval: 1s",
        &["2:2: not valid YAML: tabs disallowed within this context (block indentation)"],
    ),
    (
        "probe:\n  interval: 1s\n timeout: 2s",
        &["3:2: not valid YAML: while parsing a block mapping, did not find expected key"],
    ),
    ("settle: \"1s", &["1:9: not valid YAML: unclosed quote"]),
    (
        "daemon:\n  client: [a",
        &["2:11: not valid YAML: unclosed bracket '['"],
    ),
    (
        "settle: @x",
        &["1:9: not valid YAML: unexpected character: `@'"],
    ),
    (
        "settle: *x",
        &["1:9: * refers to an anchor that is not there: put text that begins with * in quotes"],
    ),
    (
        "settle: !foo 1s",
        &["1:14: not valid YAML: unsupported tag `!foo`"],
    ),
    (
        "a: [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]",
        &["1:19: more nesting or more aliases than a settings file needs"],
    ),
    (
        "é: 1\nsettle: ü",
        &[
            "1:1: unknown key `é`: expected one of config_dir, state_dir, settle, daemon, probe, restart, alerts, metrics, control, page",
            r#"2:9: settle: "ü" is not a duration: expected a number with a unit, such as 10s, 500ms or 5m"#,
        ],
    ),
    (
        "settle: \"\\u202e\\e[31m\"",
        &[
            r#"1:9: settle: "\u{202e}\u{1b}[31m" is not a duration: expected a number with a unit, such as 10s, 500ms or 5m"#,
        ],
    ),
    (
        "\"a\\nb\": 1",
        &[
            r"1:1: unknown key `a\nb`: expected one of config_dir, state_dir, settle, daemon, probe, restart, alerts, metrics, control, page",
        ],
    ),
    (
        "probe:\n  interval: 10 parsecs\n  timeout: 5M\nsettel: 1s",
        &[
            r#"2:13: probe.interval: "10 parsecs" is not a duration: expected a number with a unit, such as 10s, 500ms or 5m"#,
            r#"3:12: probe.timeout: "5M" counts months, as M does: write "5m" for minutes"#,
            "4:1: unknown key `settel`, did you mean `settle`?",
        ],
    ),
    (
        "control: {socket: run/c.sock, admins: root}",
        &[
            r#"1:19: control.socket: "run/c.sock" is not an absolute path: begin it with /"#,
            r#"1:39: control.admins: expected a list of users, such as [alice, bob], found "root""#,
        ],
    ),
    (
        "control: {socket: [], admins: [web, 'a b', 0]}",
        &[
            "1:19: control.socket: expected a path or none, found a list",
            r#"1:37: control.admins: "a b" cannot be the name of a user"#,
        ],
    ),
    (
        "page: {listen: 0.0.0.0:9117}",
        &[
            r#"1:16: page.listen: "0.0.0.0:9117" is not a loopback address: the page asks nobody who they are, so it is for this host alone; from elsewhere: ssh -L 9117:127.0.0.1:9117 HOST"#,
        ],
    ),
    (
        "page: {listen: localhost:9117}",
        &[
            r#"1:16: page.listen: expected an address of this host with a port, such as 127.0.0.1:9117, or none, found "localhost:9117""#,
        ],
    ),
    (
        "page:\n  listen: [::1]",
        &[
            "2:11: page.listen: expected an address of this host with a port, such as 127.0.0.1:9117, or none, found a list: put [::1]:9117 in quotes",
        ],
    ),
    (
        "page: {listen: 127.0.0.1:0}",
        &["1:16: page.listen: port 0 is a new one at each start: name one, such as 9117"],
    ),
    (
        "a: &a [*a]",
        &["1:8: not valid YAML: Recursive reference not allowed here"],
    ),
    (
        "a: &a [b,b,b,b,b,b,b,b,b]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c]",
        &[
            "3:32: not valid YAML: YAML document too large or too complex: total_replayed_events=1001 > 1000",
        ],
    ),
    (
        "settle: \u{0}",
        &[r"1:9: not valid YAML: unexpected character: `\u{0}'"],
    ),
    (
        "restart: {replace_files: yes}",
        &["1:26: restart.replace_files: expected true or false, found \"yes\""],
    ),
    ("settle: !!int x", &["1:15: not valid YAML: invalid u64"]),
    (
        "!!python/object:os.system x",
        &["1:27: not valid YAML: unsupported tag `!!python/object:os.system`"],
    ),
    (
        "alerts:\n  severity: loud",
        &[
            r#"2:13: alerts.severity: expected alert, critical, error, warning, notice or info, found "loud""#,
        ],
    ),
    (
        "alerts:\n  command: mail root",
        &[
            r#"2:12: alerts.command: "mail root" has white space in it: write a list of words, such as `[mail, root]`"#,
        ],
    ),
];
