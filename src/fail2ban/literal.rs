//! One Python literal, as `fail2ban-client -d` prints a command and Python's messages quote a path.

use super::pickle::{MAX_DEPTH, Value};

/// Why some text is not a Python literal; positions are bytes from its start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LiteralError {
    /// Something else stands where a part of a literal should.
    #[error("expected {expected} at byte {at}")]
    Expected {
        /// What should stand there.
        expected: &'static str,
        /// Where.
        at: usize,
    },
    /// An escape that stands for no character of Unicode, such as half of a surrogate pair: Python
    /// prints the bytes of a file name that is not UTF-8 so.
    #[error("the escape at byte {at} is no character: is a file name not UTF-8?")]
    NoCharacter {
        /// Where the escape begins.
        at: usize,
    },
    /// Deeper nesting than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels at byte {at}")]
    TooDeep {
        /// Where the bound is passed.
        at: usize,
    },
}

/// Reads the one literal that `text` is, blanks around it aside.
///
/// Takes lists, tuples, sets, dictionaries, strings and bytes with every escape that `repr()` emits,
/// numbers, `True`, `False` and `None`. Numbers beyond 64 bits are read as the nearest that fits.
///
/// # Errors
/// [`LiteralError`], if `text` is anything else.
pub fn parse(text: &str) -> Result<Value, LiteralError> {
    let mut parser = Parser { text, at: 0 };
    let value = parser.value(MAX_DEPTH)?;
    parser.blanks();
    if parser.at < text.len() {
        return Err(parser.expected("the end"));
    }
    Ok(value)
}

/// Reads the quoted string that `text` begins with, whatever follows it.
///
/// # Errors
/// [`LiteralError`], if `text` does not begin with a whole quoted string.
pub fn leading_string(text: &str) -> Result<String, LiteralError> {
    Parser { text, at: 0 }.string(false)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn blanks(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t']).len();
    }

    fn expected(&self, expected: &'static str) -> LiteralError {
        LiteralError::Expected {
            expected,
            at: self.at,
        }
    }

    fn value(&mut self, depth: usize) -> Result<Value, LiteralError> {
        let depth = depth
            .checked_sub(1)
            .ok_or(LiteralError::TooDeep { at: self.at })?;
        self.blanks();
        match self.peek() {
            Some('[') => self.items(depth, ']'),
            Some('(') => self.items(depth, ')'),
            Some('{') => self.braces(depth),
            Some('\'' | '"') => self.string(false).map(Value::Str),
            Some('b') => {
                self.next();
                self.string(true).map(Value::Str)
            }
            Some('0'..='9' | '-' | '+' | '.') => self.number(),
            _ => self.word(),
        }
    }

    fn word(&mut self) -> Result<Value, LiteralError> {
        for (word, value) in [
            ("None", Value::None),
            ("True", Value::Bool(true)),
            ("False", Value::Bool(false)),
            ("nan", Value::Float(f64::NAN)),
            ("inf", Value::Float(f64::INFINITY)),
            ("set()", Value::List(Vec::new())),
        ] {
            if self.eat(word) {
                return Ok(value);
            }
        }
        Err(self.expected("a value"))
    }

    fn number(&mut self) -> Result<Value, LiteralError> {
        let rest = self.rest();
        if rest.starts_with("-inf") {
            self.at += 4;
            return Ok(Value::Float(f64::NEG_INFINITY));
        }
        let end = rest.find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'));
        let digits = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
        let whole = !digits.contains(['.', 'e', 'E']);
        let value = match (digits.parse::<i64>(), digits.parse::<f64>()) {
            (Ok(number), _) => Value::Int(number),
            (Err(_), Ok(number)) if whole && number < 0.0 => Value::Int(i64::MIN),
            (Err(_), Ok(_)) if whole => Value::Int(i64::MAX),
            (Err(_), Ok(number)) => Value::Float(number),
            _ => return Err(self.expected("a number")),
        };
        self.at += digits.len();
        Ok(value)
    }

    /// The items of a list or tuple; `(x)` is just `x`, as in Python.
    fn items(&mut self, depth: usize, close: char) -> Result<Value, LiteralError> {
        self.next();
        let mut items = Vec::new();
        let mut comma = true;
        loop {
            self.blanks();
            if self.peek() == Some(close) {
                self.next();
                break;
            }
            if !comma {
                return Err(self.expected("a comma or the closing bracket"));
            }
            items.push(self.value(depth)?);
            self.blanks();
            comma = self.eat(",");
        }
        if close == ')' && !comma && items.len() == 1 {
            return items.pop().ok_or(self.expected("a value"));
        }
        Ok(Value::List(items))
    }

    fn braces(&mut self, depth: usize) -> Result<Value, LiteralError> {
        self.next();
        let mut pairs = Vec::new();
        let mut items = Vec::new();
        let mut comma = true;
        loop {
            self.blanks();
            if self.eat("}") {
                break;
            }
            if !comma {
                return Err(self.expected("a comma or the closing brace"));
            }
            let first = self.value(depth)?;
            self.blanks();
            if items.is_empty() && self.eat(":") {
                pairs.push((first, self.value(depth)?));
            } else if pairs.is_empty() {
                items.push(first);
            } else {
                return Err(self.expected("a colon"));
            }
            self.blanks();
            comma = self.eat(",");
        }
        if items.is_empty() {
            Ok(Value::Dict(pairs))
        } else {
            Ok(Value::List(items))
        }
    }

    fn string(&mut self, bytes: bool) -> Result<String, LiteralError> {
        let Some(quote @ ('\'' | '"')) = self.peek() else {
            return Err(self.expected("a quote"));
        };
        self.next();
        let mut raw = Vec::new();
        loop {
            raw.extend_from_slice(self.plain(quote).as_bytes());
            let at = self.at;
            match self.next() {
                None | Some('\n') => return Err(self.expected("the closing quote")),
                Some(c) if c == quote => break,
                Some('\\') => {
                    let c = self.escape(at)?;
                    match u8::try_from(c) {
                        Ok(byte) if bytes => raw.push(byte),
                        _ => raw.extend(c.encode_utf8(&mut [0; 4]).bytes()),
                    }
                }
                Some(c) => raw.extend(c.encode_utf8(&mut [0; 4]).bytes()),
            }
        }
        Ok(String::from_utf8(raw)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }

    /// What stands for itself, up to the next quote, escape or end of the line.
    fn plain(&mut self, quote: char) -> &str {
        let from = self.at;
        let is_special = |byte: u8| matches!(byte, b'\\' | b'\n') || char::from(byte) == quote;
        let rest = self.rest();
        self.at += rest.bytes().position(is_special).unwrap_or(rest.len());
        self.text.get(from..self.at).unwrap_or_default()
    }

    fn escape(&mut self, began: usize) -> Result<char, LiteralError> {
        let width = match self.next() {
            Some(c @ ('\\' | '\'' | '"')) => return Ok(c),
            Some('n') => return Ok('\n'),
            Some('r') => return Ok('\r'),
            Some('t') => return Ok('\t'),
            Some('a') => return Ok('\x07'),
            Some('b') => return Ok('\x08'),
            Some('f') => return Ok('\x0c'),
            Some('v') => return Ok('\x0b'),
            Some('x') => 2,
            Some('u') => 4,
            Some('U') => 8,
            _ => {
                self.at = began;
                return Err(self.expected("an escape that Python prints"));
            }
        };
        let digits = self.rest().get(..width).unwrap_or_default();
        let all_hex = digits.len() == width && digits.bytes().all(|c| c.is_ascii_hexdigit());
        let Some(code) = all_hex
            .then(|| u32::from_str_radix(digits, 16).ok())
            .flatten()
        else {
            return Err(self.expected("the hexadecimal digits of an escape"));
        };
        self.at += width;
        char::from_u32(code).ok_or(LiteralError::NoCharacter { at: began })
    }
}

#[cfg(test)]
mod tests;
