use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream as Stream};
use std::thread::{self, JoinHandle};

use tempfile::TempDir;

use super::*;

const SIGNAL: u8 = 4;
pub(in super::super) const AUTHENTICATED: &[u8] = b"OK 00000000000000000000000000000000\r\n";

/// A peer that lets us in and sends that after the first call, of which it returns the bytes.
fn peer(sends: Vec<u8>) -> (TempDir, JoinHandle<Vec<u8>>) {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("socket")).unwrap();
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let hello = received(&mut stream);
        assert!(hello.starts_with(b"\0AUTH EXTERNAL 3"), "{hello:?}");
        stream.write_all(AUTHENTICATED).unwrap();
        let call = received(&mut stream);
        // In pieces, as it may come. Who cannot read it hangs up.
        let mut pieces = sends.chunks(7);
        pieces.all(|piece| stream.write_all(piece).is_ok());
        call
    });
    (dir, peer)
}

pub(in super::super) fn received(stream: &mut Stream) -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    let length = stream.read(&mut bytes).unwrap();
    bytes.truncate(length);
    bytes
}

/// As systemd names itself: no library takes it for a sender.
pub(in super::super) fn message<B>(
    kind: u8,
    reply_to: u32,
    error: Option<&str>,
    with: &B,
) -> Vec<u8>
where
    B: Serialize + DynamicType,
{
    let body = to_bytes(context(), with).unwrap();
    let mut fields = vec![
        (REPLY_SERIAL, OwnedVariant::from(reply_to)),
        (7, text("org.freedesktop.systemd1")),
    ];
    fields.extend(error.map(|name| (ERROR_NAME, text(name))));
    let length = u32::try_from(body.len()).unwrap();
    let header: Header<OwnedVariant> = (order_of_bytes(), kind, 1, VERSION, length, 9, fields);
    let mut message = to_bytes(context(), &header).unwrap().to_vec();
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend_from_slice(&body);
    message
}

fn text(text: &str) -> OwnedVariant {
    zbus::wire::Variant::from(text).try_into().unwrap()
}

async fn call(sends: Vec<u8>) -> (Result<String, CallError>, Vec<u8>) {
    let (dir, peer) = peer(sends);
    let mut link = Link::open(&dir.path().join("socket")).await.unwrap();
    let answer = link.call("/a/b", "c.D", "E", &("f", "g")).await;
    let is_whole = matches!(
        answer,
        Ok(_) | Err(CallError::Refused(_) | CallError::Odd(zbus::Error::InvalidReply))
    );
    assert_eq!(link.stream.is_some(), is_whole);
    let answer = answer.and_then(|body| body.read());
    (answer, peer.join().unwrap())
}

#[tokio::test]
async fn a_call_is_as_the_specification_has_it() {
    let (_, call) = call(message(METHOD_RETURN, 1, None, &"")).await;
    let expected: &[&[u8]] = &[
        &[order_of_bytes(), 1, 0, 1],
        &14_u32.to_ne_bytes(),
        &1_u32.to_ne_bytes(),
        &56_u32.to_ne_bytes(),
        b"\x01\x01o\0",
        &4_u32.to_ne_bytes(),
        b"/a/b\0\0\0\0",
        b"\x02\x01s\0",
        &3_u32.to_ne_bytes(),
        b"c.D\0\0\0\0\0",
        b"\x03\x01s\0",
        &1_u32.to_ne_bytes(),
        b"E\0\0\0\0\0\0\0",
        b"\x08\x01g\0\x02ss\0",
        &1_u32.to_ne_bytes(),
        b"f\0\0\0",
        &1_u32.to_ne_bytes(),
        b"g\0",
    ];
    assert_eq!(call, expected.concat());
}

#[tokio::test]
async fn what_is_no_answer_is_passed_over() {
    let sends = [
        message(SIGNAL, 0, None, &"signal"),
        message(METHOD_RETURN, 7, None, &"that of another call"),
        message(METHOD_RETURN, 1, None, &"answer"),
    ];
    assert_eq!(call(sends.concat()).await.0.unwrap(), "answer");
}

#[tokio::test]
async fn a_refusal_is_told_in_its_words_or_by_its_name() {
    let refused = async |words| {
        let error = Some("org.freedesktop.systemd1.UnitMasked");
        call(message(ERROR, 1, error, &words)).await.0.unwrap_err()
    };
    let masked = refused("Unit x.service is masked.").await;
    assert_eq!(masked.to_string(), "Unit x.service is masked.");
    let without = refused("").await;
    assert_eq!(without.to_string(), "org.freedesktop.systemd1.UnitMasked");
}

#[tokio::test]
async fn what_is_no_message_is_an_error() {
    let whole = message(METHOD_RETURN, 1, None, &"answer");
    let with = |at: usize, bytes: &[u8]| {
        let mut message = whole.clone();
        message[at..at + bytes.len()].copy_from_slice(bytes);
        message
    };
    let length = u32::MAX.to_ne_bytes();
    let all = [
        with(0, b"x"),
        with(4, &length),
        with(12, &length),
        with(17, b"\xff"),
        message(SIGNAL, 1, None, &"no answer"),
        whole[..whole.len() - 1].to_vec(),
        Vec::new(),
    ];
    for sends in all {
        let answer = call(sends.clone()).await.0;
        assert!(answer.is_err(), "{answer:?} of {sends:?}");
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let peer = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        received(&mut stream);
        stream.write_all(b"REJECTED EXTERNAL\r\n").unwrap();
    });
    let refused = Link::open(&path).await.unwrap_err();
    assert_eq!(refused.to_string(), "it lets us not in: REJECTED EXTERNAL");
    peer.join().unwrap();
}
