//! Requests to fail2ban as pickles of protocol 2.

use super::Value;

/// Pickles `items` as one Python list, which is what fail2ban takes for a request.
///
/// A [`Value::Object`] has no place in a request and goes out as the string of its message.
/// A string longer than 4 GiB, which protocol 2 cannot hold, is cut there.
#[must_use]
pub fn encode(items: &[Value]) -> Vec<u8> {
    let mut out = vec![0x80, 2];
    list(&mut out, items);
    out.push(b'.');
    out
}

fn put(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::None => out.push(b'N'),
        Value::Bool(yes) => out.push(if *yes { 0x88 } else { 0x89 }),
        Value::Int(number) => int(out, *number),
        Value::Float(number) => {
            out.push(b'G');
            out.extend(number.to_be_bytes());
        }
        Value::Str(text) => string(out, text),
        Value::List(items) => list(out, items),
        Value::Dict(pairs) => {
            out.extend(b"}(");
            for (key, value) in pairs {
                put(out, key);
                put(out, value);
            }
            out.push(b'u');
        }
        Value::Object { .. } => string(out, &value.message()),
    }
}

fn list(out: &mut Vec<u8>, items: &[Value]) {
    out.extend(b"](");
    for item in items {
        put(out, item);
    }
    out.push(b'e');
}

fn int(out: &mut Vec<u8>, number: i64) {
    if let Ok(small) = i32::try_from(number) {
        out.push(b'J');
        out.extend(small.to_le_bytes());
    } else {
        out.extend([0x8a, 8]);
        out.extend(number.to_le_bytes());
    }
}

fn string(out: &mut Vec<u8>, text: &str) {
    let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
    out.push(b'X');
    out.extend(len.to_le_bytes());
    out.extend(text.bytes().take(len as usize));
}
