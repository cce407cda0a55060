//! The client against daemons that misbehave, on real sockets, and against a real fail2ban.

use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use jailwarden::fail2ban::client::{CallError, Connection, MAX_JAILS, Unreachable};
use jailwarden::fail2ban::pickle::{self, MAX_INPUT, Value};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

const END: &[u8] = b"<F2B_END_COMMAND>";
/// A guard against a hang, for calls that are to be answered.
const PATIENT: Duration = Duration::from_secs(60);
/// A limit that is meant to pass.
const SHORT: Duration = Duration::from_millis(200);

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn socket_in(folder: &TempDir) -> PathBuf {
    folder.path().join("fail2ban.sock")
}

/// Reads one request with its end mark.
async fn request(stream: &mut UnixStream) -> Vec<u8> {
    let mut read = Vec::new();
    while !read.ends_with(END) {
        if stream.read_buf(&mut read).await.expect("the client writes") == 0 {
            break;
        }
    }
    read
}

fn pong() -> Vec<u8> {
    pickle::encode(&[Value::Int(0), "pong".into()])
}

/// Sends `ping` with `limit` to a daemon that, once asked, does what `answer` says.
async fn ping<F, A>(limit: Duration, answer: F) -> Result<(), CallError>
where
    F: FnOnce(UnixStream) -> A,
    A: Future<Output = ()>,
{
    let folder = folder();
    let listener = UnixListener::bind(socket_in(&folder)).expect("bound");
    let daemon = async {
        let (mut stream, _) = listener.accept().await.expect("a client");
        request(&mut stream).await;
        answer(stream).await;
    };
    let client = async {
        let mut connection = Connection::open(&socket_in(&folder), PATIENT).await?;
        let answer = connection.ping(limit).await;
        connection.close();
        answer
    };
    tokio::pin!(daemon, client);
    tokio::select! {
        biased;
        answer = &mut client => answer,
        () = &mut daemon => client.await,
    }
}

/// Sends `bytes` whole and then keeps the connection open.
async fn reply(bytes: Vec<u8>) -> Result<(), CallError> {
    ping(PATIENT, |mut stream| async move {
        stream.write_all(&bytes).await.expect("the client reads");
        std::future::pending::<()>().await;
    })
    .await
}

fn why(answer: Result<(), CallError>) -> Unreachable {
    match answer {
        Err(CallError::Unreachable { why, .. }) => why,
        other => panic!("expected the daemon to be out of reach, got {other:?}"),
    }
}

#[tokio::test]
async fn a_reply_may_come_byte_by_byte() {
    let whole = [&pong(), END].concat();
    let answer = ping(PATIENT, |mut stream| async move {
        for byte in whole {
            stream.write_all(&[byte]).await.expect("the client reads");
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    });
    answer.await.expect("a pong");
}

#[tokio::test]
async fn the_end_mark_may_be_split_anywhere() {
    for at in 0..=END.len() {
        let (first, second) = END.split_at(at);
        let first = [&pong(), first].concat();
        let answer = ping(PATIENT, |mut stream| async move {
            stream.write_all(&first).await.expect("the client reads");
            // Lets the client read the first part before the second is there.
            tokio::time::sleep(Duration::from_millis(5)).await;
            drop(stream.write_all(second).await);
            std::future::pending::<()>().await;
        });
        answer
            .await
            .unwrap_or_else(|error| panic!("split at {at}: {error}"));
    }
}

#[tokio::test]
async fn a_hang_ends_at_the_limit() {
    let silent = ping(SHORT, |stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    });
    assert!(matches!(why(silent.await), Unreachable::TimedOut { after } if after == SHORT));

    let stalled = ping(SHORT, |mut stream| async move {
        stream.write_all(&pong()).await.expect("the client reads");
        std::future::pending::<()>().await;
    });
    assert!(matches!(why(stalled.await), Unreachable::TimedOut { .. }));

    // Each byte comes in time, the whole never does.
    let dripping = ping(SHORT, |mut stream| async move {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(matches!(why(dripping.await), Unreachable::TimedOut { .. }));
}

#[tokio::test]
async fn a_hang_at_any_byte_ends_at_the_limit() {
    let whole = [&pong(), END].concat();
    let limit = Duration::from_millis(20);
    for sent in 0..whole.len() {
        let part = whole[..sent].to_vec();
        let answer = ping(limit, |mut stream| async move {
            stream.write_all(&part).await.expect("the client reads");
            std::future::pending::<()>().await;
        });
        assert!(
            matches!(why(answer.await), Unreachable::TimedOut { .. }),
            "after {sent} bytes"
        );
    }
}

/// Of jails there are thousands at most, and each byte of their names may be any.
#[tokio::test]
async fn a_list_of_jails_is_read_within_limits() {
    for (count, named, is_read) in [
        (MAX_JAILS, MAX_JAILS, true),
        (MAX_JAILS + 1, MAX_JAILS + 1, false),
        (2, MAX_JAILS + 1, true),
    ] {
        let names: Vec<_> = (0..named).map(|n| format!("jail-{n}")).collect();
        let list = |name: &str, value: Value| Value::List(vec![name.into(), value]);
        let reply = pickle::encode(&[
            Value::Int(0),
            Value::List(vec![
                list(
                    "Number of jail",
                    Value::Int(i64::try_from(count).expect("few")),
                ),
                list("Jail list", names.join(", ").into()),
            ]),
        ]);
        let folder = folder();
        let listener = UnixListener::bind(socket_in(&folder)).expect("bound");
        let daemon = async {
            let (mut stream, _) = listener.accept().await.expect("a client");
            request(&mut stream).await;
            let whole = [&reply, END].concat();
            stream.write_all(&whole).await.expect("the client reads");
            stream
        };
        let mut connection = Connection::open(&socket_in(&folder), PATIENT)
            .await
            .expect("open");
        let (list, _stream) = tokio::join!(connection.status(PATIENT), daemon);
        assert_eq!(list.is_ok(), is_read, "{list:?}");
        if let Ok(list) = list {
            assert!(list.has("jail-0") && list.has("jail-9999") && !list.has("jail-"));
            assert_eq!(list.names().is_some(), count == named);
        }
    }
}

#[tokio::test]
async fn an_end_half_way_is_no_reply() {
    for part in [0, 5, pong().len()] {
        let answer = ping(PATIENT, |mut stream| async move {
            stream
                .write_all(&pong()[..part])
                .await
                .expect("the client reads");
        });
        assert!(
            matches!(why(answer.await), Unreachable::Closed),
            "after {part} bytes"
        );
    }
}

#[tokio::test]
async fn an_endless_reply_is_cut_off() {
    let answer = ping(PATIENT, |mut stream| async move {
        while stream.write_all(&[b'x'; 8192]).await.is_ok() {}
    });
    assert!(matches!(why(answer.await), Unreachable::TooLarge));
}

/// The jails that are asked for after one with a million bans are known.
#[tokio::test]
async fn a_reply_that_is_too_big_does_not_cost_the_next_one() {
    // More than is kept, and a small one of which much more would come.
    let long = vec![b'x'; 3 * MAX_INPUT];
    let bomb = [&b"\x80\x04N"[..], &b"N\x94".repeat(1 << 20), b"."].concat();
    for (big, is_kept) in [(long, false), (bomb, true)] {
        let folder = folder();
        let listener = UnixListener::bind(socket_in(&folder)).expect("bound");
        let daemon = async {
            let (mut stream, _) = listener.accept().await.expect("a client");
            for reply in [big, pong()] {
                request(&mut stream).await;
                let whole = [&reply, END].concat();
                stream.write_all(&whole).await.expect("the client reads");
            }
            stream
        };
        let client = async {
            let mut connection = Connection::open(&socket_in(&folder), PATIENT).await?;
            let first = why(connection.ping(PATIENT).await);
            assert_eq!(matches!(first, Unreachable::Garbled(_)), is_kept, "{first}");
            assert_eq!(matches!(first, Unreachable::TooLarge), !is_kept, "{first}");
            connection.ping(PATIENT).await
        };
        let (answer, _stream) = tokio::join!(client, daemon);
        answer.expect("a pong");
    }
}

#[tokio::test]
async fn garbage_is_said_to_be_so() {
    for garbage in [
        &b"HTTP/1.1 400 Bad Request\r\n"[..],
        b"",
        b"\x80\x04",
        b"\x80\x04N.N",
    ] {
        let answer = reply([garbage, END].concat()).await;
        assert!(
            matches!(why(answer), Unreachable::Garbled(_)),
            "{garbage:?}"
        );
    }
    for odd in [
        vec![],
        vec![Value::Int(7), Value::None],
        vec!["pong".into()],
    ] {
        let answer = reply([&pickle::encode(&odd), END].concat()).await;
        assert!(matches!(why(answer), Unreachable::Odd(_)), "{odd:?}");
    }
    let other = pickle::encode(&[Value::Int(0), "pang".into()]);
    let Unreachable::Odd(said) = why(reply([&other, END].concat()).await) else {
        panic!("a pang is no pong");
    };
    assert_eq!(said, "'pang'");
}

#[tokio::test]
async fn a_daemon_that_shuts_down_is_told_from_one_that_refuses() {
    let down = pickle::encode(&["SHUTDOWN".into()]);
    let answer = reply([&down, END].concat()).await;
    assert!(matches!(why(answer), Unreachable::ShuttingDown));
}

#[tokio::test]
async fn a_refusal_keeps_class_and_words() {
    // pickle.dumps("ERROR: no", 4), and (1, my.own.Trouble("why")).
    let bare = b"\x80\x04\x8c\x09ERROR: no.";
    let unknown = b"\x80\x04K\x01\x8c\x06my.own\x8c\x07Trouble\x93\x8c\x03why\x85R\x86.";
    for (pickled, expected_class, words) in [
        (&bare[..], None, "no"),
        (&unknown[..], Some("my.own.Trouble"), "why"),
    ] {
        match reply([pickled, END].concat()).await {
            Err(CallError::Refused { class, message }) => {
                assert_eq!(class.as_deref(), expected_class);
                assert_eq!(message, words);
            }
            other => panic!("expected a refusal, got {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_connection_is_of_no_use_after_a_failed_call() {
    let folder = folder();
    let listener = UnixListener::bind(socket_in(&folder)).expect("bound");
    let mut connection = Connection::open(&socket_in(&folder), PATIENT)
        .await
        .expect("open");
    let (mut daemon, _) = listener.accept().await.expect("a client");
    assert!(matches!(
        why(connection.ping(SHORT).await),
        Unreachable::TimedOut { .. }
    ));
    assert!(connection.peer_pid().is_none());
    // The late answer to the first call must not answer the second.
    drop(daemon.write_all(&[&pong(), END].concat()).await);
    assert!(matches!(
        why(connection.ping(PATIENT).await),
        Unreachable::Closed
    ));
}

#[tokio::test]
async fn several_calls_go_over_one_connection_and_the_peer_is_known() {
    let folder = folder();
    let listener = UnixListener::bind(socket_in(&folder)).expect("bound");
    let daemon = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        for _ in 0..3 {
            let request = request(&mut stream).await;
            assert_eq!(request, [&pickle::encode(&["ping".into()]), END].concat());
            stream
                .write_all(&[&pong(), END].concat())
                .await
                .expect("the client reads");
        }
        request(&mut stream).await
    });
    let mut connection = Connection::open(&socket_in(&folder), PATIENT)
        .await
        .expect("open");
    assert_eq!(
        connection.peer_pid(),
        i32::try_from(std::process::id()).ok()
    );
    for _ in 0..3 {
        connection.ping(PATIENT).await.expect("a pong");
    }
    connection.close();
    let last = daemon.await.expect("the daemon ends");
    assert_eq!(last, b"<F2B_CLOSE_COMMAND><F2B_END_COMMAND>");
}

async fn open(socket: &Path, limit: Duration) -> Unreachable {
    why(Connection::open(socket, limit).await.map(drop))
}

#[tokio::test]
async fn the_ways_not_to_connect_are_told_apart() {
    let folder = folder();
    let socket = socket_in(&folder);
    assert!(matches!(
        open(&socket, PATIENT).await,
        Unreachable::NoSocket
    ));

    drop(UnixListener::bind(&socket).expect("bound"));
    assert!(matches!(
        open(&socket, PATIENT).await,
        Unreachable::ConnectionRefused
    ));

    let long = folder.path().join("x".repeat(200));
    let error = Connection::open(&long, PATIENT)
        .await
        .expect_err("too long a path");
    assert!(
        error.to_string().contains(&long.display().to_string()),
        "{error}"
    );
}

/// A daemon stopped with SIGSTOP accepts nobody; once its backlog is full, a connection waits.
#[tokio::test]
async fn a_full_backlog_is_waited_for_until_the_limit() {
    let folder = folder();
    let socket = socket_in(&folder);
    let listener = rustix::net::socket_with(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        rustix::net::SocketFlags::NONBLOCK | rustix::net::SocketFlags::CLOEXEC,
        None,
    );
    let listener = listener.expect("a socket");
    let address = rustix::net::SocketAddrUnix::new(&socket).expect("an address");
    rustix::net::bind(&listener, &address).expect("bound");
    rustix::net::listen(&listener, 1).expect("listening");

    let mut waiting = Vec::new();
    let busy = loop {
        let began = Instant::now();
        match Connection::open(&socket, SHORT).await {
            Ok(connection) => waiting.push(connection),
            Err(error) => {
                assert!(began.elapsed() >= SHORT, "it took {:?}", began.elapsed());
                break error;
            }
        }
        assert!(waiting.len() < 10, "a backlog of 1 takes them all");
    };
    assert!(matches!(why(Err(busy)), Unreachable::Busy { after } if after == SHORT));

    let freed = async {
        tokio::time::sleep(SHORT).await;
        let listener = std::os::unix::net::UnixListener::from(listener);
        let listener = UnixListener::from_std(listener).expect("a listener");
        listener.accept().await.expect("a client");
        // Dropping the listener would end the connection that is being made.
        listener
    };
    let (_listener, opened) = tokio::join!(freed, Connection::open(&socket, PATIENT));
    opened.expect("the backlog has room again");
}

/// A private fail2ban with jails that ban nobody.
struct Daemon {
    home: TempDir,
}

impl Daemon {
    fn start(jails: &[&str]) -> Self {
        let daemon = Self { home: folder() };
        let path = |name: &str| daemon.home.path().join(name);
        for folder in ["etc/filter.d", "etc/action.d"] {
            fs::create_dir_all(path(folder)).expect("made");
        }
        let log = path("log").display().to_string();
        let sections = jails.iter().map(|name| {
            format!("[{name}]\nenabled = true\nbackend = polling\nfilter = web\nlogpath = {log}\n")
        });
        for (name, text) in [
            ("log", String::new()),
            (
                "etc/fail2ban.conf",
                "[Definition]\ndbfile = none\nallowipv6 = auto\n".to_owned(),
            ),
            (
                "etc/filter.d/web.conf",
                "[Definition]\nfailregex = ^fail <HOST>$\n".to_owned(),
            ),
            ("etc/jail.conf", sections.collect()),
        ] {
            fs::write(path(name), text).expect("written");
        }
        assert!(daemon.client(&["start"]).success(), "fail2ban starts");
        daemon
    }

    fn socket(&self) -> PathBuf {
        self.home.path().join("sock")
    }

    fn client(&self, command: &[&str]) -> std::process::ExitStatus {
        let path = |name: &str| self.home.path().join(name);
        std::process::Command::new("fail2ban-client")
            .arg("-c")
            .arg(path("etc"))
            .arg("-s")
            .arg(self.socket())
            .arg("-p")
            .arg(path("pid"))
            .arg("--logtarget")
            .arg(path("daemon.log"))
            .args(["--loglevel", "INFO", "--syslogsocket", "auto"])
            .args(command)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .expect("fail2ban-client runs")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.client(&["stop"]);
    }
}

#[tokio::test]
async fn a_real_daemon_answers() {
    let daemon = Daemon::start(&["web", "a, b", "jäil"]);
    let mut connection = Connection::open(&daemon.socket(), PATIENT)
        .await
        .expect("open");
    connection.ping(PATIENT).await.expect("a pong");
    let version = connection.version(PATIENT).await.expect("a version");
    assert!(
        version.starts_with(|c: char| c.is_ascii_digit()),
        "{version}"
    );

    let list = connection.status(PATIENT).await.expect("a list");
    assert_eq!(list.len(), 3);
    assert_eq!(
        list.names(),
        None,
        "'{}' cannot be told apart",
        list.joined()
    );
    for name in ["web", "a, b", "jäil"] {
        assert!(list.has(name), "{name} is in '{}'", list.joined());
    }
    assert!(!list.has("we") && !list.has("") && !list.has("b, web"));

    let pid = connection.peer_pid().expect("a peer");
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).expect("a process");
    assert_eq!(comm.trim(), "fail2ban-server");

    let refused = connection
        .call(&["status".into(), "nope".into()], PATIENT)
        .await;
    match refused {
        Err(CallError::Refused { class, message }) => {
            assert_eq!(
                class.as_deref(),
                Some("fail2ban.exceptions.UnknownJailException")
            );
            assert_eq!(message, "'nope'");
        }
        other => panic!("expected a refusal, got {other:?}"),
    }

    let held = connection
        .call(&["echo".into(), Value::Int(1 << 40), Value::None], PATIENT)
        .await;
    assert_eq!(
        held.expect("an echo"),
        Value::List(vec![Value::Int(1 << 40), Value::None])
    );
    connection.close();
}
