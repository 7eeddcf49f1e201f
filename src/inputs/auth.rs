//! Who we are to servers: netrc files, and access tokens as Nix is given them.

use crate::store::nix_settings;

/// Credentials of this user.
#[derive(Clone, Default)]
pub(super) struct Credentials {
    /// Host, login, password.
    netrc: Vec<(Option<String>, String, String)>,
    /// Host and token.
    tokens: Vec<(String, String)>,
}

impl Credentials {
    /// From `$NETRC`, `~/.netrc`, and `netrc-file` of `nix.conf` (by default beside it); `access-tokens` of
    /// `nix.conf` and `NIX_CONFIG`; and `GITHUB_TOKEN`.
    pub(super) fn from_environment(env: impl Fn(&str) -> Option<String>) -> Credentials {
        let set = |name: &str| env(name).filter(|v| !v.is_empty());
        let read = |path: String| std::fs::read_to_string(path).ok();
        let home = set("HOME").unwrap_or_else(|| "/root".into());
        let settings = nix_settings(&env);
        let mut found = Credentials::default();
        let own = set("NETRC").and_then(read).or_else(|| read(format!("{home}/.netrc")));
        let named = settings.iter().rfind(|(name, _)| name == "netrc-file").map(|(_, file)| file.clone());
        let beside = || format!("{}/netrc", set("NIX_CONF_DIR").unwrap_or_else(|| "/etc/nix".into()));
        let nixs = read(named.unwrap_or_else(beside));
        for text in [own, nixs].into_iter().flatten() {
            found.netrc.extend(parse_netrc(&text));
        }
        found.tokens = tokens(&settings);
        found.tokens.extend(set("GITHUB_TOKEN").map(|token| ("github.com".into(), token)));
        found
    }

    /// Whether there is a token for a host.
    pub(super) fn has_token(&self, host: &str) -> bool {
        self.tokens.iter().any(|(h, _)| h == host)
    }

    /// The `Authorization` header for a host. `forge` is the host that a token is set for, which may
    /// be another one (`github.com` for `api.github.com`).
    pub(super) fn header(&self, host: &str, forge: Option<&str>) -> Option<String> {
        let token = self.tokens.iter().find(|(h, _)| h == host || Some(h.as_str()) == forge);
        if let Some((_, token)) = token {
            // GitLab's tokens are written with their kind before them.
            let bare = token.strip_prefix("PAT:").or(token.strip_prefix("OAuth2:")).unwrap_or(token);
            return Some(format!("Bearer {bare}"));
        }
        let mut entries = self.netrc.iter();
        let (_, login, password) = entries.find(|(h, ..)| h.as_deref().is_none_or(|h| h == host))?;
        let pair = format!("{login}:{password}");
        Some(format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes())))
    }
}

/// Machines of a netrc file; `default` has no host.
fn parse_netrc(text: &str) -> Vec<(Option<String>, String, String)> {
    let mut found: Vec<(Option<String>, String, String)> = Vec::new();
    let mut words = text.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "machine" => found.push((words.next().map(Into::into), String::new(), String::new())),
            "default" => found.push((None, String::new(), String::new())),
            "login" | "password" => {
                let value = words.next().unwrap_or_default().to_owned();
                if let Some(last) = found.last_mut() {
                    *if word == "login" { &mut last.1 } else { &mut last.2 } = value;
                }
            }
            _ => {}
        }
    }
    found
}

/// Hosts and their tokens, from settings of which the later ones count.
fn tokens(settings: &[(String, String)]) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, value) in settings {
        if name == "access-tokens" {
            found.clear();
        }
        if matches!(name.as_str(), "access-tokens" | "extra-access-tokens") {
            let pairs = value.split_whitespace().filter_map(|pair| pair.split_once('='));
            found.extend(pairs.map(|(host, token)| (host.to_owned(), token.to_owned())));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_get_their_own() {
        let c = Credentials {
            netrc: parse_netrc("machine a.org login me\n  password secret\ndefault login x password y"),
            tokens: tokens(&[
                ("access-tokens".into(), "github.com=old".into()),
                ("access-tokens".into(), "github.com=tok".into()),
                ("extra-access-tokens".into(), "gitlab.com=PAT:pat".into()),
            ]),
        };
        assert_eq!(c.header("a.org", None).unwrap(), "Basic bWU6c2VjcmV0");
        assert_eq!(c.header("b.org", None).unwrap(), "Basic eDp5");
        assert_eq!(c.header("api.github.com", Some("github.com")).unwrap(), "Bearer tok");
        assert_eq!(c.header("gitlab.com", None).unwrap(), "Bearer pat");
        assert_eq!(Credentials::default().header("a.org", None), None);
    }
}
