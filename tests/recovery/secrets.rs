//! A password in a config is in nothing that jailwarden says, serves, keeps for people or sends.

use crate::on_each_release;

on_each_release! {
    a_password_goes_nowhere
}

/// Nothing of the config was said before, from which its secrets would be known.
#[test]
fn a_password_is_not_in_the_first_words() {
    use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};
    let Some(mut f2b) = Fail2ban::new(Version::V102) else {
        return;
    };
    f2b.jail("mail", &JailSpec::default());
    f2b.write(
        "action.d/tell.conf",
        "[Init]\npassword = of-the-action-8R\n",
    );
    f2b.start();
    f2b.wrap_client("of-the-action-8R", "");
    let mut warden = Warden::start(&f2b, &crate::settings(crate::LONG));
    let said = warden.wait_for("changes are judged by");
    assert!(said.contains("/******** is no Python script"), "{said}");
    warden.wait_for("supervision begins");
    assert_eq!(warden.end(), 0);
    let said = warden.lines().join("\n");
    assert!(!said.contains("of-the-action-8R"), "{said}");
}

mod scenario {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use crate::support::ANSWERED;
    use crate::support::daemon::{Fail2ban, JailSpec, Version, Warden};
    use crate::{SHORT, settings};

    /// Of a jail, of an action, and of a line that fail2ban cannot read and quotes.
    const SECRETS: [&str; 3] = ["of-the-jail-7Q", "of-the-action-8R", "of no option 9S"];

    pub(super) fn a_password_goes_nowhere(version: Version) {
        let Some(f2b) = Fail2ban::new(version) else {
            return;
        };
        lay_out(&f2b);
        f2b.start();
        f2b.keep_as_good();
        let alerts = f2b.path("alerts");
        let command = format!("[sh, -c, 'cat >>{}']", alerts.display());
        let extra = format!(
            "{}alerts: {{command: {command}, severity: info}}\n",
            settings(SHORT)
        );
        let mut warden = Warden::start(&f2b, &extra);
        warden.wait_for("supervision begins");
        f2b.wait_bans(&["mail", "web"]);

        // What fail2ban says of this has the whole of the option.
        f2b.edit("jail.d/web.conf", "now=\"true\"]", "now=\"true\"], [");
        let said = warden.wait_for("is not applied");
        assert!(said.contains("tell[password=\"********\""), "{said}");
        let mut found = Found(called(&f2b));
        found.add(ran(&f2b));
        f2b.edit("jail.d/web.conf", "now=\"true\"], [", "now=\"true\"]");
        warden.wait_for("mended or withdrawn");

        f2b.edit(
            "jail.d/web.conf",
            "bantime = 600",
            "bantime = of-the-jail-7Q",
        );
        assert!(warden.wait_for("is not applied").contains("bantime"));
        f2b.kill();
        warden.wait_for("web disabled so that the others can run");
        warden.wait_for("fail2ban protects again");
        f2b.wait_ban("mail");
        let rollback = fs::read_to_string(f2b.rollback("web")).unwrap();
        found.add(vec![("the rollback".to_owned(), rollback)]);

        f2b.edit(
            "action.d/tell.conf",
            "[Init]",
            "password of no option 9S\n[Init]",
        );
        let said = warden.wait_for("stays disabled by its rollback");
        assert!(said.contains("action.d/tell.conf:3"), "{said}");
        found.add(called(&f2b));
        found.add(ran(&f2b));

        assert_eq!(warden.end(), 0);
        found.add(vec![
            ("the journal".to_owned(), warden.lines().join("\n")),
            ("systemd's status".to_owned(), warden.told().join("\n")),
            (
                "the alerts".to_owned(),
                fs::read_to_string(&alerts).unwrap(),
            ),
        ]);
        for name in ["state.json", "chronicle.json"] {
            let text = fs::read_to_string(f2b.path("state").join(name)).unwrap();
            found.add(vec![(name.to_owned(), text)]);
        }
        found.assert_silent();
        assert_private(&f2b.path("state"));
    }

    /// Two jails, one of which has an action with two passwords, which are used where it bans.
    fn lay_out(f2b: &Fail2ban) {
        f2b.write(
            "action.d/tell.conf",
            "[Definition]\nactionban = test -n '<password>' && test -n '<apitoken>' && <now> && false\n\
             [Init]\nnow = false\napitoken = of-the-action-8R\n",
        );
        f2b.jail("mail", &JailSpec::default());
        let spec = JailSpec {
            extra: "         tell[password=\"of-the-jail-7Q\", now=\"true\"]",
            ..JailSpec::default()
        };
        f2b.jail("web", &spec);
    }

    /// What a program says to these words, and what it was called with.
    fn said(program: &str, words: &[&str]) -> (String, String) {
        let mut command = Command::new(program);
        let done = command.args(words).stdin(Stdio::null()).output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        (words.join(" "), String::from_utf8(said).unwrap())
    }

    /// All that the API answers.
    fn called(f2b: &Fail2ban) -> Vec<(String, String)> {
        let socket = Warden::control(f2b).display().to_string();
        let call = |method: &str, path: &str| {
            let url = format!("http://localhost{path}");
            let words = ["-sS", "-X", method, "--unix-socket", &socket, &url];
            said("curl", &words)
        };
        let mut answers: Vec<_> = ANSWERED.iter().map(|path| call("GET", path)).collect();
        answers.push(call("POST", "/api/config/reload"));
        let check = call("POST", "/api/check");
        assert!(
            check.1.contains("tell.conf") || check.1.contains("web"),
            "{check:?}"
        );
        answers.push(check);
        let state = fs::read_to_string(f2b.path("state/state.json")).unwrap();
        answers.push(("state.json".to_owned(), state));
        answers
    }

    /// All that the commands print.
    fn ran(f2b: &Fail2ban) -> Vec<(String, String)> {
        let settings = Warden::settings_file(f2b).display().to_string();
        let run = |words: &[&str]| {
            let words = [&["--config", &settings], words].concat();
            said(env!("CARGO_BIN_EXE_jailwarden"), &words)
        };
        let (_, history) = run(&["history", "--json"]);
        let history: serde_json::Value = serde_json::from_str(&history).unwrap();
        let id = history["snapshots"][0]["id"].as_str().unwrap();
        let each = [
            &["check"][..],
            &["check", "--json"],
            &["check", "--format", "sarif"],
            &["check", "--format", "github"],
            &["diff"],
            &["diff", "--json"],
            &["diff", id],
            &["diff", id, "--json"],
            &["restore", id, "--dry-run"],
            &["history"],
            &["incidents", "--json"],
            &["rollback", "list", "--json"],
            &["status"],
        ];
        each.map(run).into()
    }

    struct Found(Vec<(String, String)>);

    impl Found {
        fn add(&mut self, more: Vec<(String, String)>) {
            self.0.extend(more);
        }

        /// That a mask stands somewhere shows that there was something to mask.
        fn assert_silent(&self) {
            for (place, text) in &self.0 {
                for secret in SECRETS {
                    assert!(!text.contains(secret), "{secret} is in {place}: {text}");
                }
            }
            let masked = |(_, text): &&(String, String)| text.contains("********");
            let places: Vec<_> = self.0.iter().filter(masked).map(|it| &it.0).collect();
            for place in ["the journal", "the alerts", "chronicle.json"] {
                assert!(places.iter().any(|it| *it == place), "{place}: {places:?}");
            }
        }
    }

    /// Whoever else looks into the folder finds nothing that can be read.
    fn assert_private(folder: &Path) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = entry.path();
            if entry.file_type().unwrap().is_dir() {
                assert_private(&path);
            } else {
                let mode = entry.metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o077, 0, "{}: {mode:o}", path.display());
            }
        }
    }
}
