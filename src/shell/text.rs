//! Text made safe for where it goes.

/// At most `max` bytes of `text`, whole characters only; a cut is shown by an ellipsis.
pub(super) fn cut(text: &str, max: usize) -> String {
    const MARK: &str = "…";
    if text.len() <= max {
        return text.to_owned();
    }
    let mut end = max.saturating_sub(MARK.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", &text[..end])
}

/// Control characters as Rust would write them (`\u{1b}`), but for those that `keep` lets through.
pub(super) fn escape(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && !keep(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_keeps_characters_whole() {
        for (text, max, expected) in [
            ("abc", 3, "abc"),
            ("abcdef", 5, "ab…"),
            ("ééééé", 8, "éé…"),
            ("abcd", 3, "…"),
        ] {
            assert_eq!(cut(text, max), expected);
        }
    }

    #[test]
    fn control_characters_are_shown_not_sent() {
        let text = "a\x1b[2Jb\r\x00\u{9b}\nc\td";
        assert_eq!(
            escape(text, |c| c == '\t'),
            "a\\u{1b}[2Jb\\r\\u{0}\\u{9b}\\nc\td"
        );
    }
}
