//! Any request, of root, of a member of the group, and of whoever is at the address of the page: it gets an
//! answer of HTTP or none, and nobody who may only read has anything done.

#![no_main]

use std::fs;
use std::str;

use jailwarden::control::fuzz::talk;
use jailwarden::control::link::{Ask, Loop, Reply, pair};
use jailwarden::settings::Settings;
use jailwarden::status::{Past, Status, Timestamp};
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// What is true of the host that is asked about.
const STATUS: &str = include_str!("status.json");

/// The user nobody, who is in the group and no admin.
const MEMBER: u32 = 65534;

struct Stage {
    runtime: Runtime,
    settings: Settings,
    folder: TempDir,
    status: Status,
    past: Past,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut settings = Settings::default();
        settings.config_dir = folder.path().join("fail2ban");
        settings.state_dir = folder.path().join("state");
        // No dry run is begun.
        settings.daemon.client.clear();
        for dir in [&settings.config_dir, &settings.state_dir] {
            fs::create_dir(dir).expect("a folder");
        }
        Self {
            runtime: Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
            settings,
            folder,
            status: serde_json::from_str(STATUS).expect("a status"),
            past: Past {
                since: Timestamp::now(),
                incidents: Vec::new(),
                hours: Vec::new(),
            },
        }
    }

    /// What the client gets, and how often something was to be done.
    fn ask(&self, user: Option<u32>, bytes: &[u8]) -> (Vec<u8>, usize) {
        self.runtime.block_on(async {
            let (link, Loop { mut asks, feed }) = pair();
            let (status, past) = (self.status.clone(), self.past.clone());
            let played = tokio::spawn(async move {
                let _feed = feed;
                let mut done = 0;
                while let Some(ask) = asks.recv().await {
                    match ask {
                        Ask::Status(asker) => drop(asker.send(status.clone())),
                        Ask::Past(asker) => drop(asker.send(past.clone())),
                        Ask::Metrics(asker) => drop(asker.send("# EOF\n".to_owned())),
                        Ask::Do(_, asker) => {
                            done += 1;
                            drop(asker.send(Reply::Done { alive: 4 }));
                        }
                    }
                }
                done
            });
            let answer = talk(&self.settings, link, user, bytes).await;
            (answer, played.await.expect("the loop ends"))
        })
    }

    fn is_untouched(&self) -> bool {
        let is_empty = |dir: &str| {
            let mut entries = fs::read_dir(self.folder.path().join(dir)).expect("a folder");
            entries.next().is_none()
        };
        is_empty("state") && is_empty("fail2ban")
    }
}

thread_local! {
    /// What root has done, maybe only after its request, stays out of the way of what others must not do.
    static STAGES: [Stage; 2] = [Stage::new(), Stage::new()];
}

fuzz_target!(|bytes: &[u8]| {
    let Some((first, request)) = bytes.split_first() else {
        return;
    };
    let user = [Some(0), Some(MEMBER), None][usize::from(first % 3)];
    STAGES.with(|[of_root, of_others]| {
        let stage = if user == Some(0) { of_root } else { of_others };
        let (answer, done) = stage.ask(user, request);
        if !answer.is_empty() {
            let line = answer
                .split(|byte| *byte == b'\r')
                .next()
                .unwrap_or_default();
            let line = str::from_utf8(line).expect("a line of text");
            let status = line
                .strip_prefix("HTTP/1.1 ")
                .or(line.strip_prefix("HTTP/1.0 "));
            let status: u16 = status
                .and_then(|rest| rest.get(..3))
                .map_or(0, |it| it.parse().unwrap_or(0));
            assert!((200..=599).contains(&status), "{line}");
        }
        if user == Some(0) {
            assert!(done <= 1, "{done} commands by one request");
        } else {
            assert_eq!(done, 0, "{user:?} had something done");
            assert!(stage.is_untouched(), "{user:?} had something written");
        }
    });
});
