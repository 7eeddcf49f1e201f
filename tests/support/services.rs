//! The real programs and services that tests talk to: installed when missing, or a loud failure.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The path of a program, which the Debian package `package` brings where it is missing.
///
/// # Panics
/// When the program is missing and cannot be installed: a test that needs it has then failed.
pub(crate) fn program(name: &str, package: &str) -> PathBuf {
    if let Some(found) = find(name) {
        return found;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/install");
    let output = Command::new(&script).arg(format!("{name}={package}")).output().expect("a shell");
    let found = find(name);
    assert!(
        output.status.success() && found.is_some(),
        "this test needs `{name}` (Debian's package `{package}`), and it cannot be installed here:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    found.expect("it was just found")
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    dirs.map(|dir| dir.join(name)).find(|p| p.is_file())
}
