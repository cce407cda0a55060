use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::net::UnixListener;
use std::thread::{self, JoinHandle};

use tempfile::TempDir;
use zbus::wire::{ObjectPath, Structure, Variant};

use super::link::tests::{AUTHENTICATED, message, received};
use super::*;

const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;

/// What is answered to a call of that number.
type Answer = Box<dyn Fn(u32) -> Vec<u8> + Send>;

fn returns<B>(with: B) -> Answer
where
    B: Serialize + DynamicType + Send + 'static,
{
    Box::new(move |serial| message(METHOD_RETURN, serial, None, &with))
}

/// It gives these answers over one connection after the other, each of which it then ends.
fn gives(connections: Vec<Vec<Answer>>) -> (TempDir, JoinHandle<()>) {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(socket(&dir)).unwrap();
    let peer = thread::spawn(move || {
        for answers in connections {
            let (mut stream, _) = listener.accept().unwrap();
            received(&mut stream);
            stream.write_all(AUTHENTICATED).unwrap();
            for answer in answers {
                let call = received(&mut stream);
                let serial = u32::from_ne_bytes(call[8..12].try_into().unwrap());
                stream.write_all(&answer(serial)).unwrap();
            }
        }
    });
    (dir, peer)
}

fn socket(dir: &TempDir) -> PathBuf {
    dir.path().join("private")
}

fn path() -> OwnedObjectPath {
    ObjectPath::try_from("/a/b").unwrap().into()
}

/// One of each that is read, and one that is not.
fn shown() -> HashMap<&'static str, Variant<'static>> {
    let job = Structure::from((7_u32, ObjectPath::try_from("/job/7").unwrap()));
    HashMap::from([
        ("LoadState", Variant::from("loaded")),
        ("ActiveState", Variant::from("active")),
        ("SubState", Variant::from("running")),
        ("Result", Variant::from("success")),
        ("ExecMainCode", Variant::from(1_i32)),
        ("ExecMainStatus", Variant::from(2_i32)),
        ("MainPID", Variant::from(3_u32)),
        ("Job", Variant::from(job)),
        ("TriggeredBy", Variant::from(vec!["a.socket", "b.timer"])),
        ("UnitFileState", Variant::from("enabled")),
        ("NRestarts", Variant::from(4_u32)),
        ("TimeoutStopUSec", Variant::from(5_u64)),
        ("StartLimitIntervalUSec", Variant::from(6_u64)),
        ("RuntimeMaxUSec", Variant::from(7_u64)),
        ("StateChangeTimestampMonotonic", Variant::from(8_u64)),
        ("InactiveExitTimestampMonotonic", Variant::from(9_u64)),
        ("ActiveEnterTimestampMonotonic", Variant::from(10_u64)),
        ("ActiveExitTimestampMonotonic", Variant::from(11_u64)),
        ("ExecMainStartTimestampMonotonic", Variant::from(12_u64)),
        ("Environment", Variant::from(vec!["A=b"])),
    ])
}

#[tokio::test]
async fn what_is_told_of_a_unit_is_read() {
    let (dir, peer) = gives(vec![vec![returns(path()), returns(shown())]]);
    let mut systemd = Systemd::at(&socket(&dir)).await.unwrap();
    let of = systemd.properties("a.service").await.unwrap();
    let states = [of.load_state, of.active_state, of.sub_state, of.result];
    assert_eq!(states, ["loaded", "active", "running", "success"]);
    assert_eq!((of.exec_main_code, of.exec_main_status), (1, 2));
    assert_eq!((of.main_pid, of.restarts), (3, 4));
    assert_eq!((of.job.0, of.job.1.as_str()), (7, "/job/7"));
    assert_eq!(of.triggered_by, ["a.socket", "b.timer"]);
    assert_eq!(of.unit_file_state, "enabled");
    let limits = [of.timeout_stop, of.start_limit_interval, of.runtime_max];
    assert_eq!(limits, [5, 6, 7]);
    let moments = [
        of.state_change,
        of.inactive_exit,
        of.active_enter,
        of.active_exit,
        of.main_start,
    ];
    assert_eq!(moments, [8, 9, 10, 11, 12]);
    peer.join().unwrap();
}

#[tokio::test]
async fn a_unit_of_another_kind_has_no_limits() {
    let shown = HashMap::from([("LoadState", Variant::from("loaded"))]);
    let (dir, peer) = gives(vec![vec![returns(path()), returns(shown)]]);
    let mut systemd = Systemd::at(&socket(&dir)).await.unwrap();
    let of = systemd.properties("a.socket").await.unwrap();
    let limits = [of.timeout_stop, of.start_limit_interval, of.runtime_max];
    assert_eq!((limits, of.main_pid, of.job.0), ([u64::MAX; 3], 0, 0));
    peer.join().unwrap();
}

#[tokio::test]
async fn a_call_whose_connection_ends_is_made_again() {
    let answers = vec![vec![returns(path())], vec![returns(shown())]];
    let (dir, peer) = gives(answers);
    let mut systemd = Systemd::at(&socket(&dir)).await.unwrap();
    let of = systemd.properties("a.service").await.unwrap();
    assert_eq!(of.main_pid, 3);
    peer.join().unwrap();
}

#[tokio::test]
async fn a_job_that_is_over_has_no_type_and_silence_is_an_error() {
    let job = (7, path());
    let kind = async |connections| {
        let (dir, peer) = gives(connections);
        let mut systemd = Systemd::at(&socket(&dir)).await.unwrap();
        let kind = systemd.job_type(&job).await;
        peer.join().unwrap();
        kind
    };
    let restart = kind(vec![vec![returns(Variant::from("restart"))]]).await;
    assert_eq!(restart.unwrap().as_deref(), Some("restart"));
    let unknown = Some("org.freedesktop.DBus.Error.UnknownObject");
    let over: Answer = Box::new(move |serial| message(ERROR, serial, unknown, &"Unknown object"));
    assert_eq!(kind(vec![vec![over]]).await.unwrap(), None);
    let ended = kind(vec![vec![], vec![]]).await.unwrap_err();
    assert!(
        ended.to_string().ends_with("it ended the connection"),
        "{ended}"
    );
}

#[tokio::test]
async fn an_order_that_is_refused_is_told_in_words_of_systemd() {
    let name = Some("org.freedesktop.systemd1.UnitMasked");
    let no: Answer =
        Box::new(move |serial| message(ERROR, serial, name, &"Unit a.service is masked."));
    let (dir, peer) = gives(vec![vec![no]]);
    let mut systemd = Systemd::at(&socket(&dir)).await.unwrap();
    let refused = systemd.start("a.service", "replace").await.unwrap_err();
    let expected = "systemd does not start a.service: Unit a.service is masked.";
    assert_eq!(refused.to_string(), expected);
    peer.join().unwrap();
}

#[tokio::test]
async fn one_that_begins_anew_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = socket(&dir);
    // Left behind by a listener that is gone.
    drop(UnixListener::bind(&path).unwrap());
    let late = path.clone();
    let peer = thread::spawn(move || {
        thread::sleep(3 * PACE);
        std::fs::remove_file(&late).unwrap();
        thread::sleep(3 * PACE);
        let listener = UnixListener::bind(&late).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        received(&mut stream);
        stream.write_all(AUTHENTICATED).unwrap();
    });
    Systemd::at(&path).await.unwrap();
    peer.join().unwrap();
}
