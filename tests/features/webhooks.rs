//! `notify`: webhooks after a run.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use serde_json::Value;

use crate::harness::Project;

/// A server that answers each request with the next status and gives back what was sent.
fn serve(statuses: &'static [u16]) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let thread = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for status in statuses {
            let (mut stream, _) = listener.accept().expect("a request");
            let mut text = String::new();
            let mut buffer = [0; 4096];
            loop {
                let n = stream.read(&mut buffer).expect("read");
                text.push_str(&String::from_utf8_lossy(&buffer[..n]));
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head
                    .lines()
                    .find_map(|l| l.to_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
                if n == 0 || body.len() >= length.unwrap_or(0) {
                    break;
                }
            }
            write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .expect("answered");
            requests.push(text);
        }
        requests
    });
    (port, thread)
}

#[test]
fn a_failed_run_is_told_with_headers_and_a_summary() {
    let (port, server) = serve(&[200]);
    let ran = Project::new(&format!(
        r#"notify = [
             {{ url = "http://127.0.0.1:{port}/hook"; headers = {{ Authorization = nixactions.fromEnv "HOOK_TOKEN"; X-N = 1; }}; }}
             {{ url = "http://127.0.0.1:1/never"; on = [ "success" ]; }}
           ];
           jobs.a.steps = [ {{ bash = "exit 1"; }} ];"#
    ))
    .env("HOOK_TOKEN", "Bearer t0ken")
    .run(&[]);
    assert_eq!(ran.code, 1);
    let requests = server.join().expect("served");
    let (head, body) = requests[0].split_once("\r\n\r\n").expect("a body");
    assert!(
        head.starts_with("POST /hook HTTP/1.1")
            && head.to_lowercase().contains("authorization: bearer t0ken"),
        "{head}"
    );
    let body: Value = serde_json::from_str(body).expect("JSON");
    assert_eq!((body["result"].as_str(), body["workflow"].as_str()), (Some("failure"), Some("ci")));
    assert_eq!(
        (body["jobs"][0]["name"].as_str(), body["jobs"][0]["result"].as_str()),
        (Some("a"), Some("failure"))
    );
    assert!(!ran.out.contains("t0ken"));
}

#[test]
fn a_body_of_ones_own_is_filled_in_and_a_busy_server_is_asked_again() {
    let (port, server) = serve(&[503, 204]);
    let ran = Project::new(&format!(
        r#"notify = [ {{ url = "http://127.0.0.1:{port}/"; on = "always"; body.text = "$WORKFLOW_NAME: $RESULT"; }} ];
           jobs.a.steps = [ {{ bash = "true"; }} ];"#
    ))
    .ok(&[]);
    let requests = server.join().expect("served");
    assert!(requests[1].ends_with(r#"{"text":"ci: success"}"#), "{}", requests[1]);
    assert!(!ran.notices().contains("was not sent"));
}

#[test]
fn a_webhook_that_cannot_be_sent_is_a_warning() {
    let ran = Project::new(
        r#"notify = [ { url = nixactions.fromEnv "NO_SUCH"; on = "success"; } { url = "http://127.0.0.1:1/s3cret-path"; on = "success"; } ];
           jobs.a.steps = [ { bash = "true"; } ];"#,
    )
    .ok(&[]);
    let notices = ran.notices();
    assert!(
        notices.contains("webhook 1 was not sent: the environment variable NO_SUCH is not set"),
        "{notices}"
    );
    assert!(notices.contains("webhook 2 was not sent") && !notices.contains("s3cret-path"), "{notices}");
}
