//! Downloads: with timeouts, a few attempts, proxies of the environment, credentials, progress.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::auth::Credentials;
use super::error::FetchError;
use super::proxy::Proxies;
use crate::store::nix_settings;

/// The first pause between attempts; each next one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(400);
/// The longest pause that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Told how far a download is: URL, bytes so far, bytes in all if known.
pub type Progress = Arc<dyn Fn(&str, u64, Option<u64>) + Send + Sync>;

/// A client for downloads.
#[derive(Clone)]
pub struct Http {
    agent: ureq::Agent,
    proxies: Proxies,
    credentials: Arc<Credentials>,
    progress: Option<Progress>,
    patience: Patience,
}

/// When a download is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Patience {
    /// For a connection.
    connect: Duration,
    /// For the answer, and for each next part of it.
    silence: Duration,
    /// Attempts in all.
    attempts: u32,
}

impl Patience {
    /// As `connect-timeout`, `stalled-download-timeout` and `download-attempts` of `nix.conf` say;
    /// `NIXACTIONS_DOWNLOAD_TIMEOUT`, in seconds, wins over the first two.
    fn from_environment(env: &dyn Fn(&str) -> Option<String>) -> Patience {
        let mut patience =
            Patience { connect: Duration::from_secs(15), silence: Duration::from_secs(60), attempts: 4 };
        // Zero is Nix's word for its own default.
        let seconds = |text: &str| text.parse().ok().filter(|n| *n > 0).map(Duration::from_secs);
        for (name, value) in nix_settings(env) {
            match name.as_str() {
                "connect-timeout" => patience.connect = seconds(&value).unwrap_or(patience.connect),
                "stalled-download-timeout" => patience.silence = seconds(&value).unwrap_or(patience.silence),
                "download-attempts" => patience.attempts = value.parse().unwrap_or(patience.attempts).max(1),
                _ => {}
            }
        }
        if let Some(limit) = env("NIXACTIONS_DOWNLOAD_TIMEOUT").and_then(|text| seconds(&text)) {
            (patience.connect, patience.silence) = (limit, limit);
        }
        patience
    }
}

/// A response to a conditional request.
pub(super) enum Got {
    /// What is known already is still true.
    NotModified,
    /// It was written to the file.
    New {
        etag: Option<String>,
        /// The URL that always means this content, when the server names one.
        immutable: Option<String>,
    },
}

/// What an error without an answer means. Trouble with TLS does not go away by asking again.
fn failed(e: &ureq::Error, patience: &Patience) -> Attempt {
    if let ureq::Error::Timeout(phase) = e {
        let reason = match phase {
            ureq::Timeout::Resolve | ureq::Timeout::Connect => {
                format!("no connection within {} s", patience.connect.as_secs())
            }
            _ => silent(patience),
        };
        return Attempt::Again { reason, pause: None };
    }
    let text = e.to_string();
    let text = text.strip_prefix("io: ").unwrap_or(&text);
    let lower = text.to_lowercase();
    if lower.contains("certificate") {
        let reason = format!(
            "the server's certificate is not trusted: {text}; NIX_SSL_CERT_FILE names the certificates to trust"
        );
        return Attempt::Stopped { reason };
    }
    if lower.contains("corrupt message") || lower.contains("handshake") {
        return Attempt::Stopped { reason: format!("the server does not speak TLS as we do: {text}") };
    }
    Attempt::Again { reason: text.to_owned(), pause: None }
}

fn silent(patience: &Patience) -> String {
    format!("the server sent nothing for {} s", patience.silence.as_secs())
}

/// What one attempt came to.
enum Attempt {
    Done(Got),
    Refused(FetchError),
    /// It would end the same way again.
    Stopped {
        reason: String,
    },
    Again {
        reason: String,
        pause: Option<Duration>,
    },
}

impl Http {
    /// A client set up by the environment: `https_proxy` and its kin, `NIX_SSL_CERT_FILE` or
    /// `SSL_CERT_FILE`, credentials, `nix.conf`, `NIXACTIONS_DOWNLOAD_TIMEOUT`.
    pub fn from_environment(env: impl Fn(&str) -> Option<String>, progress: Option<Progress>) -> Http {
        use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
        let set = |name: &str| env(name).filter(|v| !v.is_empty());
        let pem = ["NIX_SSL_CERT_FILE", "SSL_CERT_FILE"].iter().find_map(|n| std::fs::read(set(n)?).ok());
        let certificates: Vec<_> = pem
            .iter()
            .flat_map(|pem| parse_pem(pem))
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(c)) => Some(c),
                _ => None,
            })
            .collect();
        let roots = match certificates.is_empty() {
            true => RootCerts::WebPki,
            false => RootCerts::new_with_certs(&certificates),
        };
        let patience = Patience::from_environment(&env);
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_resolve(Some(patience.connect))
            .timeout_connect(Some(patience.connect))
            .timeout_recv_response(Some(patience.silence))
            .timeout_per_read(Some(patience.silence))
            .proxy(None)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .user_agent(concat!("nixactions/", env!("CARGO_PKG_VERSION")))
            .build();
        Http {
            agent: config.into(),
            proxies: Proxies::from_environment(&env),
            credentials: Arc::new(Credentials::from_environment(env)),
            progress,
            patience,
        }
    }

    /// Downloads into a file, which is made anew; not when `etag` still names its state.
    pub(super) fn get(
        &self,
        url: &str,
        etag: Option<&str>,
        to: &Path,
        headers: &[(&str, &str)],
    ) -> Result<Got, FetchError> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            match self.once(url, etag, to, headers) {
                Attempt::Done(got) => return Ok(got),
                Attempt::Refused(error) => return Err(error),
                Attempt::Stopped { reason } => {
                    return Err(FetchError::Unreachable { url: url.to_owned(), reason, attempts: attempt });
                }
                Attempt::Again { reason, .. } if attempt >= self.patience.attempts => {
                    return Err(FetchError::Unreachable { url: url.to_owned(), reason, attempts: attempt });
                }
                Attempt::Again { pause: asked, .. } => {
                    std::thread::sleep(asked.unwrap_or(pause).min(LONGEST_PAUSE));
                    pause *= 2;
                    attempt += 1;
                }
            }
        }
    }

    /// Whether servers of this host are told who asks.
    pub(super) fn has_token(&self, host: &str) -> bool {
        self.credentials.has_token(host)
    }

    fn once(&self, url: &str, etag: Option<&str>, to: &Path, headers: &[(&str, &str)]) -> Attempt {
        let host = host_of(url);
        let mut request = self.agent.get(url).config().proxy(self.proxies.of(url)).build();
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(header) = self.credentials.header(host, forge_of(host)) {
            request = request.header("authorization", header);
        }
        if let Some(etag) = etag {
            request = request.header("if-none-match", etag);
        }
        let response = match request.call() {
            Ok(response) => response,
            Err(e @ (ureq::Error::BadUri(_) | ureq::Error::Http(_))) => {
                let (url, reason) = (url.to_owned(), e.to_string());
                return Attempt::Refused(FetchError::Unreachable { url, reason, attempts: 1 });
            }
            Err(e) => return failed(&e, &self.patience),
        };
        let header = |name: &str| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        match response.status().as_u16() {
            304 => return Attempt::Done(Got::NotModified),
            200..=299 => {}
            status @ (408 | 425 | 429 | 500..=599) => {
                let pause = header("retry-after").and_then(|s| s.parse().ok()).map(Duration::from_secs);
                return Attempt::Again { reason: format!("the server answers {status}"), pause };
            }
            status => {
                let help = match status {
                    401 | 403 => Some(
                        "; give credentials in ~/.netrc, or a token in `access-tokens` of nix.conf".into(),
                    ),
                    _ => None,
                };
                return Attempt::Refused(FetchError::Status { url: url.to_owned(), status, help });
            }
        }
        let immutable = header("link").and_then(|l| immutable_link(&l));
        let got = Got::New { etag: header("etag"), immutable };
        let total = header("content-length").and_then(|l| l.parse().ok());
        match self.copy(url, total, response.into_body().into_reader(), to) {
            Ok(()) => Attempt::Done(got),
            Err(Copy::From(e)) => match e.get_ref().and_then(|inner| inner.downcast_ref()) {
                Some(ureq::Error::Timeout(_)) => {
                    Attempt::Again { reason: silent(&self.patience), pause: None }
                }
                _ => Attempt::Again { reason: e.to_string(), pause: None },
            },
            Err(Copy::To(error)) => Attempt::Refused(FetchError::Cache { path: to.to_owned(), error }),
        }
    }

    fn copy(&self, url: &str, total: Option<u64>, mut from: impl Read, to: &Path) -> Result<(), Copy> {
        let mut out = File::create(to).map_err(Copy::To)?;
        let mut buffer = vec![0; 64 << 10];
        let mut so_far = 0;
        loop {
            let n = from.read(&mut buffer).map_err(Copy::From)?;
            if n == 0 {
                break;
            }
            out.write_all(&buffer[..n]).map_err(Copy::To)?;
            so_far += n as u64;
            if let Some(progress) = &self.progress {
                progress(url, so_far, total);
            }
        }
        match total {
            Some(total) if so_far < total => Err(Copy::From(io::ErrorKind::UnexpectedEof.into())),
            _ => Ok(()),
        }
    }
}

enum Copy {
    From(io::Error),
    To(io::Error),
}

/// The host that access tokens for this one are set for, where that is another.
fn forge_of(host: &str) -> Option<&str> {
    host.strip_prefix("api.").or(host.strip_prefix("codeload."))
}

/// The host of a URL, without user and port.
fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    host.split(':').next().unwrap_or_default()
}

/// The target of a `Link` header whose relation is `immutable` (Nix manual: "Lockable HTTP Tarball
/// Protocol").
fn immutable_link(header: &str) -> Option<String> {
    let link = header.split(',').find(|l| l.contains("rel=\"immutable\"") || l.contains("rel=immutable"))?;
    let (target, _) = link.trim().strip_prefix('<')?.split_once('>')?;
    Some(target.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_set_like_nixs() {
        let default = Patience::from_environment(&|_| None);
        let nix = "connect-timeout = 0\nstalled-download-timeout = 2\ndownload-attempts = 0";
        let env = |name: &str| (name == "NIX_CONFIG").then(|| nix.to_owned());
        let set = Patience::from_environment(&env);
        assert_eq!(set, Patience { silence: Duration::from_secs(2), attempts: 1, ..default });
        let ours = |name: &str| match name {
            "NIXACTIONS_DOWNLOAD_TIMEOUT" => Some("1".to_owned()),
            other => env(other),
        };
        let second = Duration::from_secs(1);
        let expected = Patience { connect: second, silence: second, attempts: 1 };
        assert_eq!(Patience::from_environment(&ours), expected);
    }

    #[test]
    fn hosts_and_links() {
        assert_eq!(host_of("https://me@a.org:8080/x?y"), "a.org");
        assert_eq!(host_of("http://a.org"), "a.org");
        let link = "<https://a/x>; rel=\"next\", <https://a/y?z=1>; rel=\"immutable\"";
        assert_eq!(immutable_link(link).as_deref(), Some("https://a/y?z=1"));
    }
}
