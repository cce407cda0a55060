//! Server-sent events (WHATWG HTML, 9.2): how a happening is written, and read again.

/// The header with the id of the last event that a client has.
pub(super) const LAST_EVENT_ID: &str = "last-event-id";
/// The event's name that tells of a gap.
pub(super) const MISSED: &str = "missed";

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
        loop {
            let end = self.unread.windows(2).position(|two| two == b"\n\n")?;
            let block: Vec<u8> = self.unread.drain(..end + 2).collect();
            let message = parsed(&String::from_utf8_lossy(&block));
            if !message.data.is_empty() {
                return Some(message);
            }
        }
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
