//! Names of characters in bracket expressions, `[[.hyphen.]]`: those of the portable character set
//! (POSIX.1-2017, XBD 6.1), as libstdc++ knows them.

/// The names of the characters up to `@`.
const FIRST: [&str; 65] = [
    "NUL",
    "SOH",
    "STX",
    "ETX",
    "EOT",
    "ENQ",
    "ACK",
    "alert",
    "backspace",
    "tab",
    "newline",
    "vertical-tab",
    "form-feed",
    "carriage-return",
    "SO",
    "SI",
    "DLE",
    "DC1",
    "DC2",
    "DC3",
    "DC4",
    "NAK",
    "SYN",
    "ETB",
    "CAN",
    "EM",
    "SUB",
    "ESC",
    "IS4",
    "IS3",
    "IS2",
    "IS1",
    "space",
    "exclamation-mark",
    "quotation-mark",
    "number-sign",
    "dollar-sign",
    "percent-sign",
    "ampersand",
    "apostrophe",
    "left-parenthesis",
    "right-parenthesis",
    "asterisk",
    "plus-sign",
    "comma",
    "hyphen",
    "period",
    "slash",
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "colon",
    "semicolon",
    "less-than-sign",
    "equals-sign",
    "greater-than-sign",
    "question-mark",
    "commercial-at",
];

/// The names of those between `Z` and `a`.
const BETWEEN: [&str; 6] =
    ["left-square-bracket", "backslash", "right-square-bracket", "circumflex", "underscore", "grave-accent"];

/// The names of those after `z`.
const LAST: [&str; 5] = ["left-curly-bracket", "vertical-line", "right-curly-bracket", "tilde", "DEL"];

/// The byte with this name; letters are their own names.
pub(super) fn byte(name: &[u8]) -> Option<u8> {
    if let [letter] = name {
        return letter.is_ascii_alphabetic().then_some(*letter);
    }
    let find = |names: &[&str], first: u8| {
        names.iter().zip(first..).find(|(n, _)| n.as_bytes() == name).map(|(_, b)| b)
    };
    find(&FIRST, 0).or_else(|| find(&BETWEEN, b'Z' + 1)).or_else(|| find(&LAST, b'z' + 1))
}
