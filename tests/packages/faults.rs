//! Daemons that misbehave: each is played by the test, and each gives a clear error.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use nixactions::store::{Connection, Location, NoMessages, StoreError, Version, Wanted};
use tempfile::TempDir;

const GREETING: u64 = 0x6478_696f;
const LAST: u64 = 0x616c_7473;

fn word(to: &mut UnixStream, n: u64) {
    to.write_all(&n.to_le_bytes()).expect("written");
}

fn string(to: &mut UnixStream, text: &str) {
    word(to, text.len() as u64);
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    to.write_all(&bytes).expect("written");
}

fn take(from: &mut UnixStream, words: usize) -> bool {
    let mut bytes = vec![0; words * 8];
    from.read_exact(&mut bytes).is_ok()
}

/// The greeting of a daemon of protocol 1.`minor`, to its end.
fn greet(stream: &mut UnixStream, minor: u64) {
    assert!(take(stream, 2));
    word(stream, GREETING);
    word(stream, 1 << 8 | minor);
    let spoken = minor.min(38);
    if spoken >= 38 {
        assert!(take(stream, 1));
        word(stream, 1);
        string(stream, "a-feature-of-the-future");
    }
    assert!(take(stream, 2));
    string(stream, "9.9.9");
    if spoken >= 35 {
        word(stream, 1);
    }
    word(stream, LAST);
}

struct Fake {
    _dir: TempDir,
    socket: PathBuf,
}

impl Fake {
    /// Plays a daemon for one connection.
    fn play(behave: impl FnOnce(UnixStream) + Send + 'static) -> Fake {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("socket");
        let listener = UnixListener::bind(&socket).expect("a socket");
        std::thread::spawn(move || {
            if let Ok((stream, _)) = listener.accept() {
                behave(stream);
            }
        });
        Fake { _dir: dir, socket }
    }

    fn location(&self) -> Location {
        let mut location = Location::at(&self.socket);
        location.patience = Duration::from_millis(300);
        location
    }

    async fn refused(&self) -> StoreError {
        Connection::open(&self.location()).await.expect_err("this daemon cannot be used")
    }
}

fn wanted() -> [Wanted; 1] {
    let path = format!("{}-x", "0".repeat(32));
    [Wanted::Path(nixactions::drv::store_path::StorePath::from_base_name(path.as_bytes()).expect("a path"))]
}

#[tokio::test]
async fn newer_minor_versions_are_spoken_with() {
    let fake = Fake::play(|mut s| {
        greet(&mut s, 77);
        let _ = take(&mut s, 1);
    });
    let c = Connection::open(&fake.location()).await.expect("it greets");
    assert_eq!((c.version(), c.nix_version()), (Version(38), "9.9.9"));
}

#[tokio::test]
async fn old_and_foreign_protocols_are_named() {
    let fake = Fake::play(|mut s| {
        take(&mut s, 2);
        word(&mut s, GREETING);
        word(&mut s, 1 << 8 | 21);
        let _ = take(&mut s, 1);
    });
    let e = fake.refused().await.to_string();
    assert!(e.contains("speaks protocol 1.21, and 1.34 (Nix 2.8) or newer is needed"), "{e}");
    let fake = Fake::play(|mut s| {
        drop(s.write_all(b"SSH-2.0-OpenSSH_9.2 and more\r\n"));
        // What it says must be read before it hangs up.
        let _ = take(&mut s, 3);
    });
    let e = fake.refused().await.to_string();
    assert!(e.contains("is not a nix daemon"), "{e}");
}

#[tokio::test]
async fn a_daemon_that_hangs_is_given_up() {
    let fake = Fake::play(|s| {
        std::thread::sleep(Duration::from_secs(5));
        drop(s);
    });
    assert!(matches!(fake.refused().await, StoreError::Timeout { .. }));
    let fake = Fake::play(|mut s| {
        greet(&mut s, 34);
        std::thread::sleep(Duration::from_secs(5));
        drop(s);
    });
    let mut c = Connection::open(&fake.location()).await.expect("it greets");
    let path = wanted()[0].root().clone();
    let e = c.query_path_info(&path).await.expect_err("no answer");
    assert!(matches!(&e, StoreError::Timeout { doing, .. } if doing.contains("path")), "{e}");
    assert!(c.is_broken());
}

#[tokio::test]
async fn a_daemon_that_goes_away_is_told_from_one_that_refuses() {
    let fake = Fake::play(|mut s| {
        greet(&mut s, 34);
        // The build request, then the beginning of a message, then nothing.
        take(&mut s, 3);
        s.write_all(&0x6f6c_6d67u64.to_le_bytes()[..5]).expect("written");
    });
    let mut c = Connection::open(&fake.location()).await.expect("it greets");
    let e = c.build(&wanted(), &mut NoMessages).await.expect_err("it went away");
    assert!(matches!(&e, StoreError::Closed { doing, .. } if doing == "building"), "{e}");
}

#[tokio::test]
async fn what_the_protocol_does_not_have_is_refused() {
    for bad in [0x1234u64, 0x5354_5254] {
        let fake = Fake::play(move |mut s| {
            greet(&mut s, 34);
            take(&mut s, 3);
            word(&mut s, bad);
            for _ in 0..8 {
                // As a start of an activity this has a text of 2^64 - 1 bytes.
                let _ = s.write_all(&u64::MAX.to_le_bytes());
            }
            let _ = take(&mut s, 1);
        });
        let mut c = Connection::open(&fake.location()).await.expect("it greets");
        let e = c.build(&wanted(), &mut NoMessages).await.expect_err("nonsense");
        assert!(matches!(&e, StoreError::Protocol { .. }), "{e}");
        assert!(c.is_broken());
    }
}
