//! Server-sent events (WHATWG HTML, 9.2): how a happening is written, and read again.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame};
use tokio::sync::OwnedSemaphorePermit;

use super::link::{Heard, Link, Listener};
use crate::text::safe_json_line;

/// How long a client should wait before it comes again, in milliseconds.
const RETRY: u32 = 2000;

/// The header with the id of the last event that a client has.
pub(super) const LAST_EVENT_ID: &str = "last-event-id";
/// The event's name that tells of a gap.
pub(super) const MISSED: &str = "missed";
/// The name of every other.
const HAPPENED: &str = "happening";

/// The listener that goes on after the event of that id, or begins now.
pub(super) fn listener(link: &Link, after: Option<&str>) -> Listener {
    let Some(after) = after else {
        return link.listen();
    };
    match after.split_once('-').map(|(run, seq)| (run, seq.parse())) {
        Some((run, Ok(seq))) if run == &**link.run() => link.listen_after(seq),
        _ => link.listen_anew(),
    }
}

/// Events as the body of an answer.
pub(super) struct Stream {
    run: Arc<str>,
    /// What is said at once, so that a client knows that it is heard, and where to go on.
    first: Option<String>,
    next: Next,
    _place: OwnedSemaphorePermit,
}

/// Gives the listener back with what it heard.
type Next = Pin<Box<dyn Future<Output = (Listener, Option<Heard>)> + Send>>;

impl Stream {
    /// For as long as this lives, it takes `place`.
    pub(super) fn new(run: &Arc<str>, listener: Listener, place: OwnedSemaphorePermit) -> Self {
        Self {
            run: Arc::clone(run),
            first: Some(format!(
                ": jailwarden\nretry: {RETRY}\nid: {run}-{}\n\n",
                listener.last()
            )),
            next: next(listener),
            _place: place,
        }
    }
}

fn next(mut listener: Listener) -> Next {
    Box::pin(async move {
        let heard = listener.next().await;
        (listener, heard)
    })
}

impl Body for Stream {
    type Data = Bytes;
    type Error = serde_json::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first.into()))));
        }
        let (listener, heard) = ready!(self.next.as_mut().poll(context));
        self.next = next(listener);
        let written = heard.map(|heard| written(&self.run, &heard));
        Poll::Ready(written.map(|text| Ok(Frame::data(text?.into()))))
    }
}

/// JSON holds no line end, so an event's data is one line.
fn written(run: &str, heard: &Heard) -> serde_json::Result<String> {
    let Heard::Happened(happening) = heard else {
        return Ok(format!("event: {MISSED}\ndata: {{}}\n\n"));
    };
    let data = safe_json_line(&serde_json::to_value(&**happening)?);
    Ok(format!(
        "id: {run}-{}\nevent: {HAPPENED}\ndata: {data}\n\n",
        happening.seq
    ))
}

/// One event as it is on the wire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) event: String,
    pub(super) data: String,
}

/// Reads events out of pieces of a stream.
#[derive(Debug, Default)]
pub(super) struct Parser {
    unread: Vec<u8>,
}

impl Parser {
    pub(super) fn feed(&mut self, piece: &[u8]) {
        self.unread.extend_from_slice(piece);
    }

    /// The next whole event.
    pub(super) fn next(&mut self) -> Option<Message> {
        while let Some(end) = self.unread.windows(2).position(|two| two == b"\n\n") {
            let block: Vec<u8> = self.unread.drain(..end + 2).collect();
            let message = parsed(&String::from_utf8_lossy(&block));
            if !message.data.is_empty() {
                return Some(message);
            }
        }
        None
    }
}

/// A block without data, such as a comment, is no event.
fn parsed(block: &str) -> Message {
    let mut message = Message::default();
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "id" => value.clone_into(&mut message.id),
            "event" => value.clone_into(&mut message.event),
            "data" if message.data.is_empty() => value.clone_into(&mut message.data),
            "data" => {
                message.data.push('\n');
                message.data.push_str(value);
            }
            _ => {}
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Happening, Timestamp};

    #[test]
    fn what_is_written_is_read_again_however_it_is_cut() {
        let happening = Happening {
            seq: 7,
            at: Timestamp::now(),
            state: "healthy".to_owned(),
            kind: Some("all-clear".to_owned()),
            incident: None,
            jails: vec!["a\nb".to_owned()],
            text: "data: x\n\nid: y".to_owned(),
        };
        let text = written("r", &Heard::Happened(Arc::new(happening.clone()))).unwrap();
        let stream = format!(
            ": hello\nretry: 1\n\n{text}{}",
            written("r", &Heard::Missed).unwrap()
        );
        for size in 1..stream.len() {
            let mut parser = Parser::default();
            let mut read = Vec::new();
            for piece in stream.as_bytes().chunks(size) {
                parser.feed(piece);
                read.extend(std::iter::from_fn(|| parser.next()));
            }
            let [first, second] = read.as_slice() else {
                panic!("{read:?}");
            };
            assert_eq!((&*first.id, &*first.event), ("r-7", HAPPENED));
            let again: Happening = serde_json::from_str(&first.data).unwrap();
            assert_eq!(
                (again.text, again.jails),
                (happening.text.clone(), happening.jails.clone())
            );
            assert_eq!(&*second.event, MISSED);
        }
    }
}
