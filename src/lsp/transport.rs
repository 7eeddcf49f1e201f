//! Messages over a pair of byte streams: JSON-RPC 2.0 with the header of the Language Server
//! Protocol 3.17 ("Base Protocol").
//!
//! A peer that sends something malformed gets an error, and the next message is looked for. (The
//! usual crate for this ends at the first malformed message, and knows only 32-bit identifiers.)

use std::io::{self, BufRead, Read, Write};

use serde_json::{Value, json};

/// Longest message that is read.
const LONGEST_MESSAGE: u64 = 256 << 20;
/// Longest line of a header.
const LONGEST_HEADER: u64 = 4096;

/// Error codes of JSON-RPC and of the protocol.
pub mod code {
    /// Not JSON.
    pub const PARSE_ERROR: i32 = -32700;
    /// JSON, but no request.
    pub const INVALID_REQUEST: i32 = -32600;
    /// A request that is not served.
    pub const METHOD_NOT_FOUND: i32 = -32601;
    /// Parameters of the wrong shape.
    pub const INVALID_PARAMS: i32 = -32602;
    /// The server failed.
    pub const INTERNAL_ERROR: i32 = -32603;
    /// A request before `initialize`.
    pub const NOT_INITIALIZED: i32 = -32002;
    /// The request cannot be carried out, for a reason to be shown.
    pub const REQUEST_FAILED: i32 = -32803;
    /// The client took the request back.
    pub const REQUEST_CANCELLED: i32 = -32800;
}

/// An error as an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ResponseError {
    /// One of [`code`].
    pub code: i32,
    /// For people.
    pub message: String,
}

impl ResponseError {
    /// An error with this code.
    pub fn new(code: i32, message: impl Into<String>) -> Self {
        ResponseError { code, message: message.into() }
    }
}

/// A message that came in.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// To be answered.
    Request {
        /// A number or string.
        id: Value,
        /// What is asked.
        method: String,
        /// Its parameters, or null.
        params: Value,
    },
    /// Not to be answered.
    Notification {
        /// What happened.
        method: String,
        /// Its parameters, or null.
        params: Value,
    },
    /// An answer to a request of ours.
    Response {
        /// Of the request.
        id: Value,
        /// The result, or null.
        result: Value,
    },
    /// Something else, and the error to answer it with.
    Malformed {
        /// Its identifier, or null.
        id: Value,
        /// The answer.
        error: ResponseError,
    },
}

/// Reads the next message; `None` at the end of the stream.
///
/// # Errors
/// If the stream cannot be read.
pub fn read(input: &mut impl BufRead) -> io::Result<Option<Incoming>> {
    let mut length: Option<u64> = None;
    let mut lines = 0;
    loop {
        let mut line = Vec::new();
        if input.by_ref().take(LONGEST_HEADER).read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.trim();
        if text.is_empty() {
            match length {
                Some(n) => return body(input, n),
                None if lines == 0 => continue,
                None => return Ok(Some(malformed("a header without Content-Length"))),
            }
        }
        lines += 1;
        if let Some((name, value)) = text.split_once(':')
            && name.trim().eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok();
        }
    }
}

fn malformed(why: &str) -> Incoming {
    Incoming::Malformed { id: Value::Null, error: ResponseError::new(code::PARSE_ERROR, why) }
}

fn body(input: &mut impl BufRead, length: u64) -> io::Result<Option<Incoming>> {
    if length > LONGEST_MESSAGE {
        io::copy(&mut input.by_ref().take(length), &mut io::sink())?;
        return Ok(Some(malformed("the message is longer than 256 MiB")));
    }
    let mut bytes = Vec::new();
    input.by_ref().take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length {
        return Ok(None);
    }
    Ok(Some(match serde_json::from_slice::<Value>(&bytes) {
        Ok(v) => classify(v),
        Err(e) => malformed(&format!("not JSON: {e}")),
    }))
}

fn classify(v: Value) -> Incoming {
    let invalid = |id: Value, why: &str| Incoming::Malformed {
        id,
        error: ResponseError::new(code::INVALID_REQUEST, why),
    };
    let Value::Object(mut map) = v else { return invalid(Value::Null, "a message must be an object") };
    let mut id = map.remove("id");
    if id.as_ref().is_some_and(|id| !id.is_number() && !id.is_string() && !id.is_null()) {
        return invalid(Value::Null, "an id must be a number or a string");
    }
    let params = map.remove("params").unwrap_or(Value::Null);
    match (map.remove("method"), id.take().filter(|id| !id.is_null())) {
        (Some(Value::String(method)), Some(id)) => Incoming::Request { id, method, params },
        (Some(Value::String(method)), None) => Incoming::Notification { method, params },
        (Some(_), id) => invalid(id.unwrap_or(Value::Null), "a method must be a string"),
        (None, Some(id)) if map.contains_key("result") || map.contains_key("error") => {
            Incoming::Response { id, result: map.remove("result").unwrap_or(Value::Null) }
        }
        (None, id) => invalid(id.unwrap_or(Value::Null), "neither a request nor an answer"),
    }
}

/// Writes a message.
///
/// # Errors
/// If the stream cannot be written.
pub fn write(output: &mut impl Write, message: &Value) -> io::Result<()> {
    let text = message.to_string();
    write!(output, "Content-Length: {}\r\n\r\n{text}", text.len())?;
    output.flush()
}

/// An answer to a request.
pub fn response(id: &Value, result: Result<Value, ResponseError>) -> Value {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(e) => {
            json!({ "jsonrpc": "2.0", "id": id, "error": { "code": e.code, "message": e.message } })
        }
    }
}

/// A notification.
pub fn notification(method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

/// A request of ours.
pub fn request(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Incoming> {
        let mut input = io::BufReader::new(text.as_bytes());
        std::iter::from_fn(|| read(&mut input).expect("reads from memory")).collect()
    }

    fn framed(body: &str) -> String {
        format!("Content-Length: {}\r\n\r\n{body}", body.len())
    }

    #[test]
    fn malformed_messages_do_not_end_the_stream() {
        let text = [
            framed("{"),
            framed("[1]"),
            "X-Nothing: 1\r\n\r\n".into(),
            framed(r#"{"jsonrpc":"2.0","id":{},"method":"a"}"#),
            framed(r#"{"jsonrpc":"2.0","id":9007199254740993,"method":"a"}"#),
            framed(r#"{"jsonrpc":"2.0","method":"b","params":[1]}"#),
        ]
        .concat();
        let found = all(&text);
        let malformed = found.iter().filter(|m| matches!(m, Incoming::Malformed { .. })).count();
        assert_eq!((found.len(), malformed), (6, 4));
        assert!(matches!(&found[4], Incoming::Request { method, .. } if method == "a"));
        assert!(matches!(&found[5], Incoming::Notification { method, .. } if method == "b"));
    }

    #[test]
    fn a_message_cut_short_is_the_end() {
        assert_eq!(all("Content-Length: 10\r\n\r\n{}"), []);
        assert_eq!(all("Content-Length: 10\r\n"), []);
    }
}
