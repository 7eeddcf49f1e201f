//! The engine's API (Docker Engine API 1.41, which podman serves too) over its socket.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http1;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use crate::engine::executor::ExecError;

/// The version of the API that is spoken.
const VERSION: &str = "v1.40";
/// Longest answer that is read whole.
const ANSWER_LIMIT: usize = 64 * 1024 * 1024;

/// What is sent with a request: a text, or pieces as they come.
type Body = http_body_util::Either<Full<Bytes>, Pieces>;

/// Pieces that come through a channel; the body ends with it.
pub(in crate::exec) struct Pieces(pub(in crate::exec) mpsc::Receiver<Vec<u8>>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(Bytes::from(piece)))))
    }
}

/// An engine.
#[derive(Clone, Debug)]
pub(in crate::exec) struct Api {
    socket: PathBuf,
    /// What it is called in messages.
    pub(in crate::exec) name: &'static str,
}

/// What an engine answered.
#[derive(Debug)]
pub(in crate::exec) struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Answer {
    /// The answer as JSON.
    pub(in crate::exec) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Whether it says anything.
    pub(in crate::exec) fn has_body(&self) -> bool {
        !self.body.trim_ascii().is_empty()
    }

    /// The first complaint in a stream of progress reports.
    pub(in crate::exec) fn progress_error(&self) -> Option<String> {
        let lines = self.body.split(|b| *b == b'\n');
        let error = |line: &[u8]| {
            let report: Value = serde_json::from_slice(line).ok()?;
            Some(report.get("error")?.as_str()?.to_owned())
        };
        lines.filter_map(error).next()
    }

    /// Whether what was asked about does not exist.
    pub(in crate::exec) fn is_missing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    /// What the engine says went wrong.
    pub(in crate::exec) fn complaint(&self) -> String {
        match self.json().get("message").and_then(Value::as_str) {
            Some(message) => message.trim().to_owned(),
            None => format!("status {}", self.status.as_u16()),
        }
    }

    /// Whether it did what was asked.
    pub(in crate::exec) fn is_done(&self) -> bool {
        self.status.is_success() || self.status == StatusCode::NOT_MODIFIED
    }
}

impl Api {
    /// An engine behind a socket.
    pub(in crate::exec) fn new(socket: &Path, name: &'static str) -> Api {
        Api { socket: socket.to_path_buf(), name }
    }

    /// The socket.
    pub(in crate::exec) fn socket(&self) -> &Path {
        &self.socket
    }

    fn lost(&self, error: &dyn std::fmt::Display) -> ExecError {
        let socket = self.socket.display();
        ExecError::infrastructure(format!("the {} engine at {socket} cannot be reached: {error}", self.name))
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, ExecError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|e| self.lost(&e))?;
        let (mut sender, connection) =
            http1::handshake::<_, Body>(TokioIo::new(stream)).await.map_err(|e| self.lost(&e))?;
        tokio::spawn(connection.with_upgrades());
        sender.send_request(request).await.map_err(|e| self.lost(&e))
    }

    fn request(method: Method, path: &str, kind: &str, body: Body) -> Result<Request<Body>, ExecError> {
        Request::builder()
            .method(method)
            .uri(format!("/{VERSION}{path}"))
            .header("Host", "engine")
            .header("Content-Type", kind)
            .body(body)
            .map_err(|e| ExecError::infrastructure(format!("cannot ask for {path}: {e}")))
    }

    /// Asks and waits for the whole answer.
    pub(in crate::exec) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, ExecError> {
        self.ask_with(method, path, body, &[]).await
    }

    /// The same, with headers.
    pub(in crate::exec) async fn ask_with(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        headers: &[(&'static str, String)],
    ) -> Result<Answer, ExecError> {
        let bytes = body.map(Value::to_string).unwrap_or_default();
        let body = Body::Left(Full::new(Bytes::from(bytes)));
        let mut request = Api::request(method, path, "application/json", body)?;
        for (name, value) in headers {
            let value = value.parse().map_err(|_| ExecError::infrastructure("a header cannot be sent"))?;
            request.headers_mut().insert(*name, value);
        }
        self.answer(self.send(request).await?).await
    }

    /// Sends an archive as it is made, and waits for the whole answer.
    pub(in crate::exec) async fn upload(&self, path: &str, pieces: Pieces) -> Result<Answer, ExecError> {
        let request = Api::request(Method::POST, path, "application/x-tar", Body::Right(pieces))?;
        self.answer(self.send(request).await?).await
    }

    async fn answer(&self, response: Response<Incoming>) -> Result<Answer, ExecError> {
        let status = response.status();
        let limited = http_body_util::Limited::new(response.into_body(), ANSWER_LIMIT);
        let body = limited.collect().await.map_err(|e| self.lost(&e))?.to_bytes();
        Ok(Answer { status, body })
    }

    /// Starts something whose streams take over the connection.
    pub(in crate::exec) async fn hijack(
        &self,
        path: &str,
        body: Option<&Value>,
    ) -> Result<TokioIo<Upgraded>, ExecError> {
        let text = Body::Left(Full::new(Bytes::from(body.map(Value::to_string).unwrap_or_default())));
        let mut request = Api::request(Method::POST, path, "application/json", text)?;
        request.headers_mut().insert("Connection", hyper::header::HeaderValue::from_static("Upgrade"));
        request.headers_mut().insert("Upgrade", hyper::header::HeaderValue::from_static("tcp"));
        let response = self.send(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let answer = self.answer(response).await?;
            return Err(ExecError::infrastructure(format!(
                "the {} engine did not start a command: {}",
                self.name,
                answer.complaint()
            )));
        }
        let upgraded = tokio::time::timeout(Duration::from_secs(30), hyper::upgrade::on(response)).await;
        let upgraded = upgraded.map_err(|e| self.lost(&e))?.map_err(|e| self.lost(&e))?;
        Ok(TokioIo::new(upgraded))
    }
}

/// A text as a part of a URL.
pub(in crate::exec) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'/' | b':' | b'@') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
