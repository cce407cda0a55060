//! One connection to a peer that speaks D-Bus without a bus, for one call at a time.
//!
//! There are libraries for whole connections, but systemd calls itself `org.freedesktop.systemd1` in what it sends
//! here, where they take only the name that a bus gives. What is in a message is read and written by one of them.

use std::io;
use std::path::Path;

use rustix::process::geteuid;
use serde::Deserialize;
use serde::ser::{Serialize, SerializeStruct as _, Serializer};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use zbus::wire::serialized::{Context, Data};
use zbus::wire::{DynamicType, Endian, NATIVE_ENDIAN, OwnedVariant, Signature, Type, to_bytes};

/// The most that is read of a message's fields, and of its values, in bytes; what systemd tells of a unit has some
/// 15,000.
const MAX_LENGTH: usize = 8 << 20;

/// Types of messages, and what is told in their headers ("Message Format" of the D-Bus specification, 0.41).
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
const VERSION: u8 = 1;
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const REPLY_SERIAL: u8 = 5;
const SIGNATURE: u8 = 8;

/// The order of bytes, the type, flags, the version, the length of the body, the serial, and the fields.
type Header<V> = (u8, u8, u8, u8, u32, u32, Vec<(u8, V)>);
/// The same, with the length of the fields for them.
type Fixed = (u8, u8, u8, u8, u32, u32, u32);
const FIXED: usize = 16;

/// A text of this type, in a variant.
#[derive(Type)]
#[zbus(signature = "v")]
struct Text<'a>(Signature, &'a str);

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(signature, text) = self;
        let mut variant = serializer.serialize_struct("Variant", 2)?;
        variant.serialize_field("signature", signature)?;
        variant.serialize_field("value", text)?;
        variant.end()
    }
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// It was refused, in the peer's words.
    #[error("{0}")]
    Refused(String),
    /// Nobody listens.
    #[error("nobody listens there")]
    Absent,
    /// The connection is over, or a call before was broken off.
    #[error("it ended the connection")]
    Closed,
    /// We may not connect.
    #[error("permission denied; only root may")]
    Denied,
    /// Anything else that the system reports.
    #[error(transparent)]
    Io(io::Error),
    /// What was to be sent or came is no message.
    #[error("D-Bus: {0}")]
    Odd(#[from] zbus::Error),
}

impl From<io::Error> for CallError {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind::{
            BrokenPipe, ConnectionRefused, ConnectionReset, NotFound, PermissionDenied,
            UnexpectedEof,
        };
        match error.kind() {
            NotFound | ConnectionRefused => Self::Absent,
            BrokenPipe | ConnectionReset | UnexpectedEof => Self::Closed,
            PermissionDenied => Self::Denied,
            _ => Self::Io(error),
        }
    }
}

/// A connection that was let in.
#[derive(Debug)]
pub(super) struct Link {
    /// Gone once a call was broken off: what comes then may be the rest of a message.
    stream: Option<BufReader<UnixStream>>,
    /// That of the last call.
    serial: u32,
}

/// The values of an answer.
#[derive(Debug)]
pub(super) struct Body(Vec<u8>);

/// What came.
struct Message {
    kind: u8,
    reply_to: Option<u32>,
    /// The name of an error.
    error: Option<String>,
    body: Body,
}

impl Link {
    pub(super) async fn open(socket: &Path) -> Result<Self, CallError> {
        let mut stream = BufReader::new(UnixStream::connect(socket).await?);
        // The user's number in decimal digits, of which each is sent as two hexadecimal ones.
        let user = geteuid().as_raw().to_string();
        let user: String = user.bytes().map(hex).collect();
        let hello = format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n");
        stream.write_all(hello.as_bytes()).await?;
        let mut answer = String::new();
        (&mut stream).take(256).read_line(&mut answer).await?;
        if answer.is_empty() {
            return Err(CallError::Closed);
        }
        if !answer.starts_with("OK ") {
            let words = format!("it lets us not in: {}", answer.trim_end());
            return Err(CallError::Refused(words));
        }
        Ok(Self {
            stream: Some(stream),
            serial: 0,
        })
    }

    /// Calls a method. What else comes meanwhile is passed over.
    pub(super) async fn call<B>(
        &mut self,
        path: &str,
        interface: &str,
        method: &str,
        with: &B,
    ) -> Result<Body, CallError>
    where
        B: Serialize + DynamicType,
    {
        self.serial += 1;
        let call = encode(self.serial, path, interface, method, with)?;
        let mut stream = self.stream.take().ok_or(CallError::Closed)?;
        stream.write_all(&call).await?;
        loop {
            let message = receive(&mut stream).await?;
            if message.reply_to == Some(self.serial) {
                self.stream = Some(stream);
                return message.answer();
            }
        }
    }
}

async fn receive(stream: &mut BufReader<UnixStream>) -> Result<Message, CallError> {
    let mut bytes = vec![0; FIXED];
    stream.read_exact(&mut bytes).await?;
    let (order, .., body, _, fields): Fixed = decode(&bytes)?;
    if order != order_of_bytes() {
        return Err(zbus::Error::IncorrectEndian.into());
    }
    let [fields, body] = [fields, body].map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if fields.max(body) > MAX_LENGTH {
        return Err(zbus::Error::ExcessData.into());
    }
    let start = FIXED + fields.next_multiple_of(8);
    bytes.resize(start + body, 0);
    stream.read_exact(&mut bytes[FIXED..]).await?;
    let body = Body(bytes.split_off(start));
    let (_, kind, .., fields): Header<OwnedVariant> = decode(&bytes)?;
    let (mut reply_to, mut error) = (None, None);
    for (code, value) in fields {
        match code {
            REPLY_SERIAL => reply_to = u32::try_from(value).ok(),
            ERROR_NAME => error = String::try_from(value).ok(),
            _ => {}
        }
    }
    Ok(Message {
        kind,
        reply_to,
        error,
        body,
    })
}

impl Message {
    fn answer(self) -> Result<Body, CallError> {
        match self.kind {
            METHOD_RETURN => Ok(self.body),
            ERROR => {
                let words = self.body.read::<String>().ok();
                let words = words.filter(|words| !words.is_empty()).or(self.error);
                Err(CallError::Refused(words.unwrap_or_default()))
            }
            _ => Err(zbus::Error::InvalidReply.into()),
        }
    }
}

impl Body {
    /// The types are those of whoever asks: that the message says what they are is not looked at.
    pub(super) fn read<T>(&self) -> Result<T, CallError>
    where
        T: for<'de> Deserialize<'de> + Type,
    {
        Ok(decode(&self.0)?)
    }
}

fn encode<B>(
    serial: u32,
    path: &str,
    interface: &str,
    method: &str,
    with: &B,
) -> zbus::Result<Vec<u8>>
where
    B: Serialize + DynamicType,
{
    let body = to_bytes(context(), with)?;
    // Several values stand beside each other in a message; elsewhere, they are a structure.
    let signature = with.signature().to_string_no_parens();
    let fields = vec![
        (PATH, Text(Signature::ObjectPath, path)),
        (INTERFACE, Text(Signature::Str, interface)),
        (MEMBER, Text(Signature::Str, method)),
        (SIGNATURE, Text(Signature::Signature, &signature)),
    ];
    let length = u32::try_from(body.len()).map_err(|_| zbus::Error::ExcessData)?;
    let header: Header<Text<'_>> = (
        order_of_bytes(),
        METHOD_CALL,
        0,
        VERSION,
        length,
        serial,
        fields,
    );
    let mut message = to_bytes(context(), &header)?.to_vec();
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend_from_slice(&body);
    Ok(message)
}

fn decode<'a, T>(bytes: &'a [u8]) -> zbus::Result<T>
where
    T: for<'de> Deserialize<'de> + Type,
{
    let data: Data<'a, 'static> = Data::new(bytes, context());
    data.deserialize().map(|(value, _)| value)
}

/// Header and body both begin at a multiple of eight.
fn context() -> Context {
    Context::new(NATIVE_ENDIAN, 0)
}

fn order_of_bytes() -> u8 {
    match NATIVE_ENDIAN {
        Endian::Little => b'l',
        Endian::Big => b'B',
    }
}

fn hex(byte: u8) -> String {
    format!("{byte:02x}")
}

#[cfg(test)]
pub(super) mod tests;
