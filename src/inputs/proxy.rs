//! Proxies of the environment, with the meanings that curl gives the variables.

use ureq::{Proxy, ProxyProtocol};

/// The proxies for both schemes.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies {
    http: Option<Proxy>,
    https: Option<Proxy>,
}

impl Proxies {
    /// From `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`, or the same in capitals.
    pub(super) fn from_environment(env: impl Fn(&str) -> Option<String>) -> Proxies {
        let set = |name: &str| [name.to_owned(), name.to_uppercase()].iter().find_map(|n| env(n));
        let except = set("no_proxy").unwrap_or_default();
        let proxy = |name: &str| {
            let text = set(name).or_else(|| set("all_proxy")).filter(|v| !v.is_empty())?;
            parse(&text, &except)
        };
        Proxies { http: proxy("http_proxy"), https: proxy("https_proxy") }
    }

    /// The one for a URL.
    pub(super) fn of(&self, url: &str) -> Option<Proxy> {
        if url.starts_with("https:") { self.https.clone() } else { self.http.clone() }
    }
}

/// A proxy by its address; one that is not understood is none.
fn parse(text: &str, except: &str) -> Option<Proxy> {
    let plain = Proxy::new(text).ok()?;
    let protocol = match plain.protocol() {
        protocol @ (ProxyProtocol::Http | ProxyProtocol::Https) => protocol,
        _ => return None,
    };
    let mut builder = Proxy::builder(protocol).host(plain.host()).port(plain.port());
    if let Some(user) = plain.username() {
        builder = builder.username(user);
    }
    if let Some(password) = plain.password() {
        builder = builder.password(password);
    }
    for host in except.split([',', ' ']).map(str::trim).filter(|h| !h.is_empty()) {
        let bare = host.trim_start_matches('*').trim_start_matches('.');
        match host {
            "*" => builder = builder.no_proxy("*"),
            // As with curl a name stands for all below it as well.
            _ => builder = builder.no_proxy(bare).no_proxy(&format!(".{bare}")),
        }
    }
    builder.build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_has_its_own() {
        let env = |name: &str| match name {
            "HTTPS_PROXY" => Some("http://me:pw@secure:8080".to_owned()),
            "http_proxy" => Some("plain:3128".to_owned()),
            "no_proxy" => Some("a.org, .b.org".to_owned()),
            _ => None,
        };
        let proxies = Proxies::from_environment(env);
        let secure = proxies.of("https://x/").unwrap();
        assert_eq!((secure.host(), secure.port(), secure.username()), ("secure", 8080, Some("me")));
        assert_eq!(proxies.of("http://x/").unwrap().host(), "plain");
        let direct = |host: &str| secure.is_no_proxy(&format!("https://{host}/").parse().unwrap());
        assert!(direct("a.org") && direct("x.a.org") && direct("y.b.org"));
        assert!(!direct("xa.org") && !direct("c.org"));
        let none = Proxies::from_environment(|_| None);
        assert!(none.of("https://x/").is_none());
        let only = Proxies::from_environment(|n| (n == "http_proxy").then(|| "p:1".into()));
        assert!(only.of("https://x/").is_none());
    }
}
