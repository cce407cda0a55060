//! Whether somebody's `fail2ban-client restart` is under way: it stops the daemon, and starts it only then.
//!
//! Its start mostly comes to nothing (measured with Debian's unit, systemd 252 and 1.0.2, three times of four):
//! systemd, which knows nothing of it, takes the folder of the socket away when the unit has ended
//! (`RuntimeDirectory=`), so that the new server cannot bind its socket, or loses it. The client waits for that
//! server all the same.

use std::fs;
use std::io;
use std::path::Path;

use rustix::process::Pid;

use super::proc;
use super::process::{CLIENT, program, serves};

/// Whether a `fail2ban-client restart` of the daemon with this socket, or this config folder, runs just now.
/// Only processes of our own pid namespace count. What cannot be read does not.
#[must_use]
pub fn is_under_way(socket: &Path, config: &Path) -> bool {
    let Ok(all) = fs::read_dir("/proc") else {
        return false;
    };
    let pids = all.filter_map(|entry| proc::pid(entry.ok()?.file_name().to_str()?));
    let restarts = |pid| restarts(pid, socket, config).unwrap_or(false);
    pids.into_iter().any(restarts)
}

fn restarts(pid: Pid, socket: &Path, config: &Path) -> io::Result<bool> {
    let line = proc::command_line(pid)?;
    // `restart JAIL` is no more than a reload.
    let is_meant = line.last().is_some_and(|word| word == b"restart")
        && program(&line, &[CLIENT]).is_some()
        && serves(&line, socket, config);
    Ok(is_meant && is_of_our_namespace(pid)?)
}

/// Whether it has but one number: one more would be that within a container.
fn is_of_our_namespace(pid: Pid) -> io::Result<bool> {
    let status = proc::read(pid, "status")?;
    let numbers = proc::status_field(&status, "NSpid");
    Ok(numbers.is_none_or(|numbers| numbers.split_whitespace().count() == 1))
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};
    use std::thread;

    use super::*;

    /// A process with the command line of a client that talks to a socket.
    struct Client(Child);

    impl Client {
        /// `socket` is a FIFO: the process waits for somebody who writes into it.
        fn new(socket: &Path, words: &[&str]) -> Self {
            let mut cat = Command::new("cat");
            cat.arg0("/usr/bin/fail2ban-client").arg("-s").arg(socket);
            let client = Self(cat.args(words).spawn().unwrap());
            // Its parent goes on a moment before the kernel has set its command line (`begin_new_exec`).
            let words = || proc::command_line(Pid::from_child(&client.0)).unwrap();
            while words().iter().all(Vec::is_empty) {
                thread::yield_now();
            }
            client
        }
    }

    impl Drop for Client {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    #[test]
    fn only_a_restart_of_this_daemon_counts_and_only_while_it_lasts() {
        let folder = tempfile::tempdir().unwrap();
        let [ours, other] = ["ours", "other"].map(|name| folder.path().join(name));
        for fifo in [&ours, &other] {
            assert!(Command::new("mkfifo").arg(fifo).status().unwrap().success());
        }
        let is_seen = || is_under_way(&ours, folder.path());
        assert!(!is_seen());
        {
            let _other = Client::new(&other, &["restart"]);
            let _jail = Client::new(&ours, &["restart", "sshd"]);
            let _stop = Client::new(&ours, &["stop"]);
            assert!(!is_seen());
            let _client = Client::new(&ours, &["restart"]);
            assert!(is_seen());
        }
        assert!(!is_seen());
    }
}
