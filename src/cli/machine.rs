//! The machine as evaluation sees it: its files, its environment, its daemon, and the sources that it
//! can fetch.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::eval::io::{EvalIo, FileKind, System};
use crate::eval::world::World;
use crate::inputs::{Progress, Real};

/// What evaluation may do besides reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Build and fetch.
    Everything,
    /// Read what is at hand, and nothing else.
    AtHand,
}

/// Files of the machine, and its world.
pub(super) struct Machine {
    world: Rc<dyn World>,
}

impl Machine {
    /// The machine of this process.
    pub(super) fn new(reach: Reach, store_dir: &str, offline: bool) -> Rc<Machine> {
        let env = |name: &str| std::env::var(name).ok();
        let world = match reach {
            Reach::Everything => Real::from_environment(&env, store_dir, offline, progress()),
            Reach::AtHand => Real::at_hand(&env, store_dir),
        };
        Rc::new(Machine { world: Rc::new(world) })
    }
}

/// Tells on a terminal what is being downloaded, once it takes more than a moment.
fn progress() -> Option<Progress> {
    const MOMENT: Duration = Duration::from_millis(700);
    if !io::stderr().is_terminal() {
        return None;
    }
    let last: Mutex<(String, Instant)> = Mutex::new((String::new(), Instant::now()));
    Some(Arc::new(move |url: &str, so_far: u64, total: Option<u64>| {
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0 != url {
            *last = (url.to_owned(), Instant::now());
            return;
        }
        if last.1.elapsed() < MOMENT {
            return;
        }
        last.1 = Instant::now();
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let of = total.map_or(String::new(), |total| format!(" of {:.1}", mib(total)));
        // With the terminal gone there is nobody to tell.
        let _ = writeln!(io::stderr(), "fetching {url}: {:.1}{of} MiB", mib(so_far));
    }))
}

impl EvalIo for Machine {
    fn read_file(&self, path: &Path) -> io::Result<Arc<[u8]>> {
        System.read_file(path)
    }

    fn lstat(&self, path: &Path) -> io::Result<Option<FileKind>> {
        System.lstat(path)
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<(Vec<u8>, FileKind)>> {
        System.read_dir(path)
    }

    fn read_link(&self, path: &Path) -> io::Result<PathBuf> {
        System.read_link(path)
    }

    fn env(&self, name: &str) -> Option<Vec<u8>> {
        System.env(name)
    }

    fn world(&self) -> Rc<dyn World> {
        Rc::clone(&self.world)
    }
}
