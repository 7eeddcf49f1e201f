//! Packages on a host: what its store lacks of a job's closure is copied there.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use flate2::{Compression, write::GzEncoder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::host::{self, Done, Host, Writer};
use super::program::word;
use crate::drv::store_path::StorePath;
use crate::engine::executor::{Cancel, ExecError};
use crate::exec::packages::Packages;
use crate::store::PathInfo;

/// Finds nix where shells that are no login shells often do not.
const FIND: &str = "PATH=$PATH:$HOME/.nix-profile/bin:/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin; export PATH\n";
/// Exit code of [`FIND`]'s user where there is no nix.
const NO_NIX: i32 = 44;
/// Room between the daemon's archives and their compression.
const BUFFER: usize = 256 * 1024;
/// What stands before each path's facts in an export. (Nix: `libstore/export-import.cc`.)
const EXPORT_MAGIC: u64 = 0x4558_494e;

/// Copies what a host's store lacks, and keeps it there for as long as links below `links` exist.
/// Says what was done.
pub(super) async fn import(
    host: &dyn Host,
    job: &str,
    packages: &mut Packages,
    links: &Path,
    cancel: &Cancel,
) -> Result<String, ExecError> {
    let dir = packages.dir();
    let list = |paths: &mut dyn Iterator<Item = &StorePath>| {
        paths.map(|path| dir.print(path) + "\n").collect::<String>().into_bytes()
    };
    let look = format!(
        "{FIND}command -v nix-store >/dev/null 2>&1 || exit {NO_NIX}
command -v gzip >/dev/null 2>&1 && echo gzip || echo plain
exec xargs nix-store --check-validity --print-invalid"
    );
    let all = list(&mut packages.closure.paths.iter().map(|info| &info.path));
    let done = host::run(host, &["sh", "-c", &look], all, cancel).await?;
    if done.code == NO_NIX {
        return Err(ExecError::infrastructure(format!(
            "job `{job}` needs packages, and {} has no nix to take them (no `nix-store` on its PATH); install nix \
             there, or use what the host has instead of `deps`",
            host.describe()
        )));
    }
    let printed = done.checked("say which packages it has", host)?.stdout;
    let printed = String::from_utf8_lossy(&printed);
    let mut lines = printed.lines().map(str::trim);
    let compressed = lines.next() == Some("gzip");
    let missing: BTreeSet<&str> = lines.collect();
    let count = packages.closure.paths.len();
    let missing: Vec<PathInfo> = packages
        .closure
        .paths
        .iter()
        .filter(|info| missing.contains(dir.print(&info.path).as_str()))
        .cloned()
        .collect();
    let note = if missing.is_empty() {
        format!("packages: {} has all {count} store paths", host.describe())
    } else {
        let size: u64 = missing.iter().map(|info| info.nar_size).sum();
        let done = tokio::select! {
            done = send(host, packages, &missing, compressed) => done?,
            () = cancel.cancelled() => return Err(host::cancelled()),
        };
        check(done, host)?;
        let kib = size.div_ceil(1024);
        format!(
            "packages: copied {} of {count} store paths ({kib} KiB) to {}",
            missing.len(),
            host.describe()
        )
    };
    let links = word(links);
    let hold = format!(
        "{FIND}mkdir -p {links} && exec xargs nix-store --add-root {links}/package --indirect --realise >/dev/null"
    );
    let roots = list(&mut packages.roots.iter());
    host::run(host, &["sh", "-c", &hold], roots, cancel).await?.checked("hold the job's packages", host)?;
    Ok(note)
}

fn check(done: Done, host: &dyn Host) -> Result<(), ExecError> {
    let complaint = done.complaint();
    if done.code != 0 && (complaint.contains("signature") || complaint.contains("not trusted")) {
        return Err(ExecError::infrastructure(format!(
            "{} does not take packages from this user: {complaint}; add the user to `trusted-users` in its nix.conf",
            host.describe()
        )));
    }
    done.checked("take the job's packages", host).map(|_| ())
}

/// Streams an export to the host's `nix-store --import`.
async fn send(
    host: &dyn Host,
    packages: &mut Packages,
    missing: &[PathInfo],
    compressed: bool,
) -> Result<Done, ExecError> {
    let unpack = if compressed { "gzip -dc | " } else { "" };
    let take = format!("{FIND}{unpack}nix-store --import >/dev/null");
    let session = host.open(&["sh", "-c", &take]).await?;
    let host::Session { mut stdin, mut stdout, mut stderr, end } = session;
    let (mut near, mut far) = tokio::io::duplex(BUFFER);
    let export = async move {
        let written = export(packages, missing, &mut near).await;
        // What is cut short here must not look whole there.
        drop(near);
        written
    };
    let forward = async move {
        let sent =
            if compressed { compress(&mut far, &mut stdin).await } else { copy(&mut far, &mut stdin).await };
        // A host that has stopped listening says why itself.
        drop(far);
        sent.is_ok()
    };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let (exported, forwarded, _, _) =
        tokio::join!(export, forward, stdout.read_to_end(&mut out), stderr.read_to_end(&mut err));
    if let (Err(error), true) = (exported, forwarded) {
        return Err(ExecError::infrastructure(format!(
            "cannot read the job's packages from the store: {error}"
        )));
    }
    Ok(Done { code: end.await?, stdout: out, stderr: err })
}

/// Writes the paths as `nix-store --export` does.
async fn export(
    packages: &mut Packages,
    paths: &[PathInfo],
    out: &mut tokio::io::DuplexStream,
) -> Result<(), String> {
    let dir = packages.dir();
    let io = |error: std::io::Error| error.to_string();
    for info in paths {
        out.write_all(&1u64.to_le_bytes()).await.map_err(io)?;
        packages.connection.export(info, out).await.map_err(|error| error.to_string())?;
        let mut facts = EXPORT_MAGIC.to_le_bytes().to_vec();
        text(&mut facts, &dir.print(&info.path));
        facts.extend((info.references.len() as u64).to_le_bytes());
        info.references.iter().for_each(|path| text(&mut facts, &dir.print(path)));
        text(&mut facts, &info.deriver.as_ref().map(|path| dir.print(path)).unwrap_or_default());
        // No signature of the old kind.
        facts.extend(0u64.to_le_bytes());
        out.write_all(&facts).await.map_err(io)?;
    }
    out.write_all(&0u64.to_le_bytes()).await.map_err(io)
}

/// A text with its length, padded to eight bytes.
fn text(to: &mut Vec<u8>, text: &str) {
    to.extend((text.len() as u64).to_le_bytes());
    to.extend(text.as_bytes());
    to.resize(to.len().next_multiple_of(8), 0);
}

async fn copy(from: &mut tokio::io::DuplexStream, to: &mut Writer) -> std::io::Result<()> {
    tokio::io::copy(from, to).await?;
    to.shutdown().await
}

async fn compress(from: &mut tokio::io::DuplexStream, to: &mut Writer) -> std::io::Result<()> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let mut piece = vec![0; BUFFER];
    loop {
        let n = from.read(&mut piece).await?;
        if n == 0 {
            break;
        }
        encoder.write_all(&piece[..n])?;
        let ready = std::mem::take(encoder.get_mut());
        to.write_all(&ready).await?;
    }
    to.write_all(&encoder.finish()?).await?;
    to.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_padded() {
        let mut bytes = Vec::new();
        text(&mut bytes, "ab");
        assert_eq!(bytes, [2, 0, 0, 0, 0, 0, 0, 0, b'a', b'b', 0, 0, 0, 0, 0, 0]);
        text(&mut bytes, "");
        assert_eq!(bytes.len(), 24);
    }
}
