//! A way to a host that can be cut, slowed and garbled.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is done to connections.
#[derive(Default)]
struct State {
    open: Mutex<Vec<TcpStream>>,
    /// Nobody gets through.
    refuse: AtomicBool,
    /// Milliseconds before each piece is passed on.
    delay: AtomicU64,
    /// Bytes to the host, and from it, after which the connection is cut; below zero: never.
    cut: [AtomicI64; 2],
    /// The same for turning one byte into another.
    garble: [AtomicI64; 2],
    /// Whether that happens to each connection, or to one.
    always: AtomicBool,
    accepted: AtomicU64,
}

/// Which way bytes go.
#[derive(Clone, Copy)]
pub(crate) enum Way {
    ToHost = 0,
    FromHost = 1,
}

/// A proxy on loopback; ends with the test's process.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    state: Arc<State>,
}

impl Proxy {
    /// A proxy to a port of this machine.
    pub(crate) fn to(port: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let own = listener.local_addr().expect("an address").port();
        let state = Arc::new(State::default());
        for counter in state.cut.iter().chain(&state.garble) {
            counter.store(-1, Ordering::SeqCst);
        }
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                shared.accepted.fetch_add(1, Ordering::SeqCst);
                if shared.refuse.load(Ordering::SeqCst) {
                    continue;
                }
                let Ok(host) = TcpStream::connect(("127.0.0.1", port)) else { continue };
                for stream in [&stream, &host] {
                    stream.set_nodelay(true).expect("set");
                    shared.open.lock().expect("unpoisoned").push(stream.try_clone().expect("cloned"));
                }
                let pump = |from: &TcpStream, to: &TcpStream, way: Way| {
                    let (from, to) = (from.try_clone().expect("cloned"), to.try_clone().expect("cloned"));
                    let state = Arc::clone(&shared);
                    std::thread::spawn(move || state.pump(from, to, way));
                };
                pump(&stream, &host, Way::ToHost);
                pump(&host, &stream, Way::FromHost);
            }
        });
        Proxy { port: own, state }
    }

    /// Cuts every connection there is.
    pub(crate) fn cut(&self) {
        for stream in self.state.open.lock().expect("unpoisoned").drain(..) {
            let _gone = stream.shutdown(Shutdown::Both);
        }
    }

    /// Lets nobody through, or everybody again.
    pub(crate) fn refuse(&self, refuse: bool) {
        self.state.refuse.store(refuse, Ordering::SeqCst);
    }

    /// Waits before each piece.
    pub(crate) fn delay(&self, delay: Duration) {
        self.state.delay.store(delay.as_millis() as u64, Ordering::SeqCst);
    }

    /// Cuts a connection after so many bytes; each one, or the first that gets so far.
    pub(crate) fn cut_after(&self, way: Way, bytes: i64, always: bool) {
        self.state.always.store(always, Ordering::SeqCst);
        self.state.cut[way as usize].store(bytes, Ordering::SeqCst);
    }

    /// Changes a byte after so many; of each connection, or of the first that gets so far.
    pub(crate) fn garble_after(&self, way: Way, bytes: i64, always: bool) {
        self.state.always.store(always, Ordering::SeqCst);
        self.state.garble[way as usize].store(bytes, Ordering::SeqCst);
    }

    /// Connections that were made.
    pub(crate) fn accepted(&self) -> u64 {
        self.state.accepted.load(Ordering::SeqCst)
    }
}

impl State {
    /// Whether the fault of a counter is due, which then is over unless it comes always.
    fn due(&self, counter: &AtomicI64, passed: i64, next: usize) -> bool {
        let after = counter.load(Ordering::SeqCst);
        if after < 0 || passed + (next as i64) < after {
            return false;
        }
        self.always.load(Ordering::SeqCst) || counter.swap(-1, Ordering::SeqCst) >= 0
    }

    fn pump(&self, mut from: TcpStream, mut to: TcpStream, way: Way) {
        let (mut buffer, mut passed) = (vec![0; 16 * 1024], 0);
        let mut garbled = false;
        while let Ok(n) = from.read(&mut buffer) {
            let delay = self.delay.load(Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(delay));
            if n == 0 || self.due(&self.cut[way as usize], passed, n) {
                break;
            }
            if !garbled && self.due(&self.garble[way as usize], passed, n) {
                garbled = true;
                buffer[n / 2] ^= 0x55;
            }
            passed += n as i64;
            if to.write_all(&buffer[..n]).is_err() {
                break;
            }
        }
        let _gone = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
    }
}
