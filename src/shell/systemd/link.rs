//! One connection to a peer that speaks D-Bus without a bus, for one call at a time.
//!
//! There are libraries for whole connections, but systemd calls itself `org.freedesktop.systemd1` in what it sends
//! here, where they take only the name that a bus gives. What is in a message is read and written by one of them.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::geteuid;
use serde::Deserialize;
use serde::ser::{Serialize, SerializeStruct as _, Serializer};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use zbus::wire::serialized::{Context, Data};
use zbus::wire::{DynamicType, Endian, NATIVE_ENDIAN, OwnedVariant, Signature, Type, to_bytes};

/// How long a call may take.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest message that is read, in bytes; what systemd tells of a unit has some 15,000.
const MAX_MESSAGE: usize = 16 << 20;

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
    /// The connection does not work.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What was to be sent or came is no message.
    #[error("its answer cannot be read: {0}")]
    Odd(#[from] zbus::Error),
}

/// A connection that was let in.
#[derive(Debug)]
pub(super) struct Link {
    stream: BufReader<UnixStream>,
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
        within(async {
            let mut stream = BufReader::new(UnixStream::connect(socket).await?);
            // The user's number in decimal digits, of which each is sent as two hexadecimal ones.
            let user = geteuid().as_raw().to_string();
            let user: String = user.bytes().map(hex).collect();
            let hello = format!("\0AUTH EXTERNAL {user}\r\nBEGIN\r\n");
            stream.write_all(hello.as_bytes()).await?;
            let mut answer = String::new();
            (&mut stream).take(256).read_line(&mut answer).await?;
            if answer.is_empty() {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if !answer.starts_with("OK ") {
                return Err(CallError::Refused("it lets nobody in".to_owned()));
            }
            Ok(Self { stream, serial: 0 })
        })
        .await
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
        within(async {
            self.stream.write_all(&call).await?;
            loop {
                let message = self.receive().await?;
                if message.reply_to == Some(self.serial) {
                    return message.answer();
                }
            }
        })
        .await
    }

    async fn receive(&mut self) -> Result<Message, CallError> {
        let mut bytes = vec![0; FIXED];
        self.stream.read_exact(&mut bytes).await?;
        let (order, .., body, _, fields): Fixed = decode(&bytes)?;
        let is_ours = order == order_of_bytes();
        let lengths = [fields, body].map(|length| usize::try_from(length).unwrap_or(usize::MAX));
        let start = lengths[0]
            .checked_next_multiple_of(8)
            .and_then(|length| length.checked_add(FIXED));
        let end = start.and_then(|start| start.checked_add(lengths[1]));
        let (Some(start), Some(end)) = (start, end.filter(|end| is_ours && *end <= MAX_MESSAGE))
        else {
            return Err(zbus::Error::ExcessData.into());
        };
        bytes.resize(end, 0);
        self.stream.read_exact(&mut bytes[FIXED..]).await?;
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
    pub(super) fn read<T>(&self) -> Result<T, CallError>
    where
        T: for<'de> Deserialize<'de> + Type,
    {
        Ok(decode(&self.0)?)
    }
}

async fn within<T>(work: impl Future<Output = Result<T, CallError>>) -> Result<T, CallError> {
    let ended = tokio::time::timeout(LIMIT, work).await;
    ended.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))
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
mod tests;
