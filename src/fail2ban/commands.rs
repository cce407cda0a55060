//! Ending what a jail waits for: the commands of its actions, and its `ignorecommand`.
//!
//! All jails share one lock for their commands (server/action.py `_cmd_lock`), so that one which does not end
//! keeps every jail from acting. fail2ban itself kills it after 60 s, unless the action has another `timeout`, and
//! then runs the next one of that jail.

use std::io;
use std::time::Duration;

use super::proc::{self, status_field, tasks};
use super::process::{Pid, Process, Signal};
use super::threads::Owners;
use super::vitals::uptime;

/// How deep the processes of a command are followed.
const DEEPEST: usize = 8;

/// What a command runs, without what differs from one ban to the next: addresses and numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script(Vec<Vec<u8>>);

/// Kills the commands that run in process `daemon` for `jail` and have for `longer` at least, each with all that
/// it started; and at once those that run what is `known` to take that long, which the killed ones are from then
/// on. None is touched where the name of a thread does not tell whose it is; `jails` are all that the daemon has.
///
/// # Errors
/// Whatever reading `/proc` of the daemon may give. A command that ends meanwhile is no error.
pub fn end_commands(
    daemon: Pid,
    jail: &str,
    jails: &[String],
    longer: Duration,
    known: &mut Vec<Script>,
) -> io::Result<()> {
    let owners = Owners::new(jails);
    for task in tasks(daemon)? {
        let name = task.read("comm")?.unwrap_or_default();
        let whose = owners.of(name.trim_ascii_end());
        if whose.is_none_or(|(_, whose)| whose != [jail]) {
            continue;
        }
        for child in task.children()? {
            let Ok(line) = proc::command_line(child) else {
                continue;
            };
            let script = Script::of(line);
            let is_known = known.contains(&script);
            if is_known || uptime(child).is_ok_and(|age| age >= longer) {
                end(daemon, child);
                known.extend((!is_known).then_some(script));
            }
        }
    }
    Ok(())
}

impl Script {
    fn of(mut line: Vec<Vec<u8>>) -> Self {
        let differs = |byte: &u8| byte.is_ascii_hexdigit() || b".:".contains(byte);
        for word in &mut line {
            word.retain(|byte| !differs(byte));
        }
        Self(line)
    }
}

/// The first process goes first: a shell would go on with its next command.
fn end(daemon: Pid, command: Pid) {
    let mut held = Vec::new();
    hold(daemon, command, 0, &mut held);
    for process in held {
        // One that cannot be killed has ended.
        let _ = process.signal(Signal::KILL);
    }
}

/// Takes hold of a child and all that it started, but of none that has got its number later.
fn hold(parent: Pid, child: Pid, depth: usize, held: &mut Vec<Process>) {
    let Ok(process) = Process::open(child) else {
        return;
    };
    let is_child = process.look(parent_of).is_ok_and(|of| of == Some(parent));
    if !is_child || depth >= DEEPEST {
        return;
    }
    held.push(process);
    for task in tasks(child).unwrap_or_default() {
        for grandchild in task.children().unwrap_or_default() {
            hold(child, grandchild, depth + 1, held);
        }
    }
}

fn parent_of(pid: Pid) -> io::Result<Option<Pid>> {
    let status = proc::read(pid, "status")?;
    Ok(status_field(&status, "PPid").and_then(proc::pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_script_for_another_address_is_the_same() {
        let of = |script: &str| Script::of(vec![b"/bin/sh".into(), b"-c".into(), script.into()]);
        let slow = of("curl https://example.net/192.0.2.1; sleep 50");
        assert_eq!(of("curl https://example.net/2001:db8::a; sleep 50"), slow);
        assert_ne!(of("iptables -D f2b-web -s 192.0.2.1 -j REJECT"), slow);
    }
}
