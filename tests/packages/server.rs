//! A server on loopback that answers with what it is told to: asked directly, or as a proxy that plays every
//! host there is, with TLS where it is asked for.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::services::program;

/// In the place of a status: hang up in the midst of the body.
pub(crate) const HANG_UP: u16 = 0;
/// Accept, and never answer.
pub(crate) const SILENT: u16 = 1;
/// Send half of the body, and then nothing more.
pub(crate) const SILENT_BODY: u16 = 2;

#[derive(Clone)]
struct Answer {
    path: String,
    status: u16,
    headers: String,
    body: Vec<u8>,
}

#[derive(Default)]
struct State {
    requests: AtomicUsize,
    answers: Mutex<Vec<Answer>>,
    heads: Mutex<Vec<String>>,
}

pub(crate) struct Server {
    pub(crate) url: String,
    state: Arc<State>,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::listen(None)
    }

    /// One that is a proxy, too, and speaks TLS for each of these hosts; `dir` gets its certificate, which is
    /// `certificate(dir)`.
    pub(crate) fn playing(hosts: &[&str], dir: &Path) -> Server {
        Server::listen(Some(Arc::new(tls(hosts, dir))))
    }

    fn listen(tls: Option<Arc<ServerConfig>>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let state = Arc::new(State::default());
        let served = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, tls) = (Arc::clone(&served), tls.clone());
                // What goes wrong here is seen by who asked.
                std::thread::spawn(move || state.connection(stream, tls));
            }
        });
        Server { url, state }
    }

    /// Answers a path, or as a proxy a whole URL. Of several answers for one each is given once, the last one
    /// for ever.
    pub(crate) fn give(&self, path: &str, status: u16, headers: &str, body: impl Into<Vec<u8>>) {
        let answer = Answer { path: path.into(), status, headers: headers.into(), body: body.into() };
        self.state.answers.lock().expect("unpoisoned").push(answer);
    }

    /// The head of the last request, in small letters.
    pub(crate) fn last(&self) -> String {
        self.state.heads.lock().expect("unpoisoned").last().cloned().unwrap_or_default().to_lowercase()
    }

    /// The heads of the requests for a path or URL, in small letters.
    pub(crate) fn heads(&self, path: &str) -> Vec<String> {
        let all = self.state.heads.lock().expect("unpoisoned");
        let wanted = format!("get {} ", path.to_lowercase());
        all.iter().map(|h| h.to_lowercase()).filter(|h| h.starts_with(&wanted)).collect()
    }

    /// How many requests there were.
    pub(crate) fn asked(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }
}

impl State {
    fn connection(&self, stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> std::io::Result<()> {
        let mut plain = BufReader::new(stream);
        let head = head(&mut plain)?;
        let Some(target) = head.strip_prefix("CONNECT ").and_then(|h| h.split(' ').next()) else {
            return self.answer(head, plain.get_mut());
        };
        let (host, port) = target.split_once(':').unwrap_or((target, "443"));
        let mut stream = plain.into_inner();
        stream.write_all(b"HTTP/1.1 200 X\r\n\r\n")?;
        match tls.filter(|_| port == "443") {
            None => {
                let mut inner = BufReader::new(stream);
                let head = self::head(&mut inner)?;
                self.answer(with_host(&head, &format!("http://{host}")), inner.get_mut())
            }
            Some(config) => {
                let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
                let mut inner = BufReader::new(StreamOwned::new(connection, stream));
                let head = self::head(&mut inner)?;
                let answered = self.answer(with_host(&head, &format!("https://{host}")), inner.get_mut());
                inner.get_mut().conn.send_close_notify();
                inner.get_mut().flush()?;
                answered
            }
        }
    }

    fn answer(&self, head: String, stream: &mut (impl Read + Write)) -> std::io::Result<()> {
        self.requests.fetch_add(1, Ordering::SeqCst);
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        self.heads.lock().expect("unpoisoned").push(head.clone());
        let answer = {
            let mut all = self.answers.lock().expect("unpoisoned");
            let at = all.iter().position(|a| a.path == path);
            let several = all.iter().filter(|a| a.path == path).count() > 1;
            match at {
                Some(at) if several => all.remove(at),
                Some(at) => all[at].clone(),
                None => Answer { path, status: 404, headers: String::new(), body: Vec::new() },
            }
        };
        if answer.status == SILENT {
            return until_hung_up(stream);
        }
        let not_modified = answer
            .headers
            .lines()
            .filter_map(|l| l.strip_prefix("ETag: "))
            .any(|tag| head.to_lowercase().contains(&format!("if-none-match: {tag}")));
        let status = if not_modified { 304 } else { answer.status.max(200) };
        let body = if not_modified { &[][..] } else { &answer.body[..] };
        write!(
            stream,
            "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n{}\r\n",
            body.len(),
            answer.headers
        )?;
        let whole = !matches!(answer.status, HANG_UP | SILENT_BODY);
        stream.write_all(&body[..if whole { body.len() } else { body.len() / 2 }])?;
        stream.flush()?;
        if answer.status == SILENT_BODY { until_hung_up(stream) } else { Ok(()) }
    }
}

/// Waits for the other end to give up.
fn until_hung_up(stream: &mut impl Read) -> std::io::Result<()> {
    while stream.read(&mut [0; 64])? > 0 {}
    Ok(())
}

/// What comes before the first empty line; nothing, when it does not begin like a request.
fn head(from: &mut impl BufRead) -> std::io::Result<String> {
    let mut head = Vec::new();
    if !from.fill_buf()?.first().is_some_and(u8::is_ascii_uppercase) {
        return Ok(String::new());
    }
    while from.read_until(b'\n', &mut head)? > 2 {}
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// The head of a request as a proxy would have got it.
fn with_host(head: &str, host: &str) -> String {
    head.replacen(" /", &format!(" {host}/"), 1)
}

/// Where the certificate of a playing server is.
pub(crate) fn certificate(dir: &Path) -> PathBuf {
    dir.join("server.pem")
}

fn tls(hosts: &[&str], dir: &Path) -> ServerConfig {
    let names: Vec<String> = hosts.iter().map(|h| format!("DNS:{h}")).collect();
    let config = format!(
        "[req]\ndistinguished_name = name\nx509_extensions = more\nprompt = no\n[name]\nCN = test\n[more]\nsubjectAltName = {}\nbasicConstraints = critical, CA:FALSE\n",
        names.join(", ")
    );
    std::fs::write(dir.join("server.cnf"), config).expect("written");
    let mut openssl = Command::new(program("openssl", "openssl"));
    openssl.current_dir(dir).args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    openssl.args(["-nodes", "-days", "30", "-config", "server.cnf", "-keyout", "server.key"]);
    let output = openssl.arg("-out").arg(certificate(dir)).output().expect("openssl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let chain = CertificateDer::pem_file_iter(certificate(dir)).expect("a certificate");
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(dir.join("server.key")).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    builder.expect("versions").with_no_client_auth().with_single_cert(chain, key).expect("they fit")
}
