//! Clients that mean harm, while a daemon is brought back.

use std::collections::VecDeque;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::caller::supervised;
use crate::support::daemon::Warden;
use crate::support::{GUARD, wait_until};

/// A body of 100 MB, as far as it is taken.
const BODY: usize = 100 << 20;

/// Who does harm until told to stop, and how often.
struct Hostile {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Hostile {
    fn new() -> Self {
        Self {
            stop: Arc::default(),
            count: Arc::default(),
            threads: Vec::new(),
        }
    }

    fn and(mut self, socket: &Path, harm: fn(&mut UnixStream)) -> Self {
        let (stop, count, socket) = (
            Arc::clone(&self.stop),
            Arc::clone(&self.count),
            socket.to_owned(),
        );
        self.threads.push(thread::spawn(move || {
            let mut held = VecDeque::new();
            while !stop.load(Ordering::Relaxed) {
                let Ok(mut stream) = UnixStream::connect(&socket) else {
                    continue;
                };
                harm(&mut stream);
                held.push_back(stream);
                if held.len() > 100 {
                    held.pop_front();
                }
                count.fetch_add(1, Ordering::Relaxed);
            }
        }));
        self
    }

    /// Waits until more harm was done than before.
    fn wait_more(&self, more: u64) {
        let before = self.count.load(Ordering::Relaxed);
        let enough = || (self.count.load(Ordering::Relaxed) >= before + more).then_some(());
        assert!(wait_until(GUARD, enough).is_some());
    }

    fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
    }
}

fn half_a_request(stream: &mut UnixStream) {
    let _ = stream.write_all(b"POST /api/config/restart HTTP/1.1\r\nHost: x\r\nContent-Le");
}

fn half_a_body(stream: &mut UnixStream) {
    let _ =
        stream.write_all(b"POST /api/pause HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{");
}

fn great_body(stream: &mut UnixStream) {
    let head = format!("POST /api/pause HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY}\r\n\r\n");
    let _ = stream.write_all(head.as_bytes());
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..BODY / piece.len() {
        if stream.write_all(&piece).is_err() {
            break;
        }
    }
}

fn endless_chunks(stream: &mut UnixStream) {
    let _ = stream
        .write_all(b"POST /api/pause HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut piece = format!("{:x}\r\n", 1 << 20).into_bytes();
    piece.extend(vec![b'x'; 1 << 20]);
    piece.extend(b"\r\n");
    for _ in 0..BODY / piece.len() {
        if stream.write_all(&piece).is_err() {
            break;
        }
    }
}

fn unread_answers(stream: &mut UnixStream) {
    let _ = stream.write_all(b"GET /api/status HTTP/1.1\r\nHost: x\r\n\r\n");
}

fn noise(stream: &mut UnixStream) {
    let _ = stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
}

/// What is said of a recovery, without what differs from one to the next.
fn recovery(lines: &[String]) -> Vec<String> {
    let plain = |line: &String| {
        let words = line.split_whitespace();
        let words: Vec<_> = words
            .filter(|word| !word.contains(char::is_numeric))
            .collect();
        words.join(" ")
    };
    lines.iter().map(plain).collect()
}

#[test]
fn a_recovery_goes_its_way_whatever_clients_do() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, wanted).unwrap();
    let Some((f2b, warden, caller)) = supervised() else {
        return;
    };
    // The recovery that nobody disturbs, to compare with.
    let before = warden.lines().len();
    f2b.kill();
    warden.wait_for("fail2ban protects again");
    warden.wait_calm();
    let quiet = recovery(&warden.lines()[before..]);
    assert!(quiet.len() >= 2, "{quiet:?}");

    let socket = Warden::control(&f2b);
    let idle: Vec<UnixStream> = (0..1000)
        .map(|_| UnixStream::connect(&socket).unwrap())
        .collect();
    let hostile = Hostile::new()
        .and(&socket, half_a_request)
        .and(&socket, half_a_body)
        .and(&socket, great_body)
        .and(&socket, endless_chunks)
        .and(&socket, unread_answers)
        .and(&socket, noise);
    hostile.wait_more(100);
    let before = warden.lines().len();
    f2b.kill();
    warden.wait_for("fail2ban protects again");
    hostile.wait_more(100);
    f2b.wait_bans(&["mail", "web"]);
    warden.wait_calm();
    // The same was said in the same order, so nothing came too late for it, and nothing was obeyed.
    assert_eq!(recovery(&warden.lines()[before..]), quiet);
    hostile.stop();
    drop(idle);
    let answered = wait_until(GUARD, || {
        let answer = caller
            .curl("/readyz")
            .args(["-f", "-o", "/dev/null"])
            .output();
        answer.unwrap().status.success().then_some(())
    });
    assert!(answered.is_some(), "the API is not back");
    // None of the bodies was taken in.
    assert!(peak_kib(warden.pid()) < 100 << 10);
}

/// The most memory that a process ever had, in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}
