//! Downloads from servers that are slow, silent or broken, through proxies, with credentials.

use std::time::{Duration, Instant};

use crate::inputs::{eval, write};
use crate::run::{Project, assert_contains, out};
use crate::server::{SILENT, SILENT_BODY, Server};

/// Evaluates with further variables.
fn eval_with(p: &Project, expr: &str, variables: &[(&str, &str)]) -> std::process::Output {
    let mut command = p.command(&["eval", "--strict", "-E", expr]);
    command.envs(variables.iter().copied()).output().expect("it runs")
}

#[test]
fn servers_are_told_who_asks() {
    let p = Project::new();
    let s = Server::start();
    for name in ["plain", "netrc", "token"] {
        s.give(&format!("/{name}"), 200, "", "content");
    }
    let get = |name: &str| format!("builtins.readFile (builtins.fetchurl \"{}/{name}\")", s.url);
    let plain = eval_with(&p, &get("plain"), &[("NETRC", "/nowhere")]);
    assert!(plain.status.success(), "{}", out(&plain));
    assert!(!s.last().contains("authorization"), "{}", s.last());
    let netrc = p.dir.path().join("netrc");
    write(&netrc, "machine 127.0.0.1 login me password secret\n");
    let known = eval_with(&p, &get("netrc"), &[("NETRC", &netrc.to_string_lossy())]);
    assert!(known.status.success(), "{}", out(&known));
    assert!(s.last().contains("authorization: basic bwu6c2vjcmv0"), "{}", s.last());
    let config = "access-tokens = 127.0.0.1=tok";
    let known = eval_with(&p, &get("token"), &[("NIX_CONFIG", config), ("NETRC", "/nowhere")]);
    assert!(known.status.success(), "{}", out(&known));
    assert!(s.last().contains("authorization: bearer tok"), "{}", s.last());
}

#[test]
fn downloads_go_through_the_proxy_of_the_environment() {
    let p = Project::new();
    let proxy = Server::start();
    proxy.give("http://sources.test/f", 200, "", "by the proxy");
    let expr = "builtins.readFile (builtins.fetchurl \"http://sources.test/f\")";
    let output = eval_with(&p, expr, &[("http_proxy", &proxy.url)]);
    assert!(proxy.asked() > 0, "the proxy was not asked: {}", out(&output));
    assert!(proxy.last().contains("sources.test"), "{}", proxy.last());
    let direct = Server::start();
    direct.give("/g", 200, "", "without it");
    let asked = proxy.asked();
    let expr = format!("builtins.readFile (builtins.fetchurl \"{}/g\")", direct.url);
    let output = eval_with(&p, &expr, &[("http_proxy", &proxy.url), ("no_proxy", "127.0.0.1")]);
    assert_contains(&output, "without it");
    assert_eq!(proxy.asked(), asked);
}

#[test]
fn servers_that_speak_no_tls_are_named() {
    let p = Project::new();
    let s = Server::start();
    let url = s.url.replace("http:", "https:");
    let output = eval_with(&p, &format!("builtins.fetchurl \"{url}/f\""), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    assert_contains(&output, &url);
    assert!(out(&output).to_lowercase().contains("tls"), "{}", out(&output));
}

/// With limits that do not keep a test waiting.
const SHORT: &str = "stalled-download-timeout = 1\ndownload-attempts = 2";

#[test]
fn servers_that_stay_silent_are_given_up() {
    let p = Project::new();
    let s = Server::start();
    s.give("/never", SILENT, "", "");
    s.give("/half", SILENT_BODY, "", "this is cut in the middle");
    for path in ["never", "half"] {
        let asked = s.asked();
        let begun = Instant::now();
        let expr = format!("builtins.fetchurl \"{}/{path}\"", s.url);
        let output = eval_with(&p, &expr, &[("NIX_CONFIG", SHORT)]);
        assert_eq!(output.status.code(), Some(1), "{}", out(&output));
        let said =
            format!("cannot download {}/{path}: the server sent nothing for 1 s (tried 2 times)", s.url);
        assert_contains(&output, &said);
        assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(s.asked() - asked, 2);
    }
    // Nothing half-written was kept: the next attempt gets the whole.
    s.give("/half", 200, "", "this is whole");
    let expr = format!("builtins.readFile (builtins.fetchurl \"{}/half\")", s.url);
    let output = eval_with(&p, &expr, &[("NIXACTIONS_DOWNLOAD_TIMEOUT", "1")]);
    assert_contains(&output, "this is whole");
}

#[test]
fn servers_that_fail_and_then_answer_are_asked_again() {
    let p = Project::new();
    let s = Server::start();
    s.give("/f", 503, "Retry-After: 0\r\n", "");
    s.give("/f", 429, "Retry-After: 0\r\n", "");
    s.give("/f", 200, "", "at last");
    let expr = format!("builtins.readFile (builtins.fetchurl \"{}/f\")", s.url);
    let output = eval(&p, &expr);
    assert_contains(&output, "at last");
    assert_eq!(s.asked(), 3);
    s.give("/down", 500, "", "");
    let expr = format!("builtins.fetchurl \"{}/down\"", s.url);
    let output = eval_with(&p, &expr, &[("NIX_CONFIG", "download-attempts = 2")]);
    assert_contains(&output, "the server answers 500 (tried 2 times)");
    assert_eq!(s.asked(), 5);
}

#[test]
fn a_server_that_nobody_is_behind_is_named() {
    let p = Project::new();
    // A port that was free a moment ago.
    let url = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        format!("http://{}", listener.local_addr().expect("an address"))
    };
    let output = eval_with(&p, &format!("builtins.fetchurl \"{url}/f\""), &[("NIX_CONFIG", SHORT)]);
    assert_eq!(output.status.code(), Some(1), "{}", out(&output));
    assert_contains(&output, &format!("cannot download {url}/f: Connection refused"));
}
