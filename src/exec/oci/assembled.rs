//! Images made of a job's packages, when the executor names none: an OCI layout (image-spec v1) that is
//! an archive of `docker save` too, streamed to the engine's load call as it is made.
//!
//! Layers hold store paths and depend on nothing else, so that images share them. The largest paths
//! have a layer each; an engine takes some 125 layers.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hyper::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::api::{Api, Pieces, encode};
use crate::engine::executor::{Cancel, ExecError};
use crate::exec::packages::Packages;

/// Name of the images; the tag says what is in one.
const NAME: &str = "nixactions-closure";
/// Label of the images, by which they can be found and removed.
const LABEL: &str = "nixactions.closure";
/// Paths that have a layer of their own.
const OWN_LAYERS: usize = 60;
/// Changes with the form of the images, so that those of an older form are not used.
const FORM: &str = "1";
/// What has to be there for jobs to run.
const NEEDED: [&str; 4] = ["bash", "cat", "mkdir", "tar"];
/// Bytes that wait to be sent, in pieces of this size.
const PIECE: usize = 256 * 1024;
/// Size of a block of an archive.
const BLOCK: u64 = 512;

/// What an image is made of.
struct Contents {
    /// Store paths of each layer.
    layers: Vec<Vec<PathBuf>>,
    /// Programs in `/bin`, and where they are.
    programs: BTreeMap<String, PathBuf>,
}

/// Makes sure that the engine has an image with these packages; its name, and what to tell.
pub(super) async fn provide(
    api: &Api,
    job: &str,
    packages: Option<&Packages>,
    cancel: &Cancel,
) -> Result<(String, String), ExecError> {
    let Some(packages) = packages else {
        return Err(ExecError::infrastructure(format!(
            "the executor of job `{job}` names no `image`, and the job has no packages to make one of; name an image, \
             or add the packages of a shell and tar to `extraPackages`"
        )));
    };
    let contents = contents(packages)?;
    let missing: Vec<&str> =
        NEEDED.into_iter().filter(|name| !contents.programs.contains_key(*name)).collect();
    if !missing.is_empty() {
        return Err(ExecError::infrastructure(format!(
            "the image made of the packages of job `{job}` would have no {}; add their packages to `extraPackages` \
             (bash, coreutils, gnutar, gnugrep and gawk of nixpkgs, say), or name an `image`",
            missing.join(", ")
        )));
    }
    let count = packages.closure.paths.len();
    let name = format!("{NAME}:{}", tag(packages, &contents));
    let there = api.ask(Method::GET, &format!("/images/{}/json", encode(&name)), None).await?;
    if there.is_done() {
        return Ok((name.clone(), format!("packages: image {name} of {count} store paths, made before")));
    }
    let label = name.clone();
    let (send, pieces) = mpsc::channel(8);
    let writing = tokio::task::spawn_blocking(move || write(&contents, &label, send));
    let loaded = tokio::select! {
        loaded = api.upload("/images/load?quiet=1", Pieces(pieces)) => loaded,
        () = cancel.cancelled() => return Err(crate::exec::remote::host::cancelled()),
    };
    let written = writing.await.map_err(io::Error::other).and_then(|written| written);
    if let Err(error) = written {
        return Err(ExecError::infrastructure(format!("cannot read the packages of job `{job}`: {error}")));
    }
    let answer = loaded?;
    let why = if answer.is_done() { answer.progress_error() } else { Some(answer.complaint()) };
    match why {
        None => Ok((name.clone(), format!("packages: image {name} made of {count} store paths"))),
        Some(why) => Err(ExecError::infrastructure(format!(
            "the {} engine does not take the image made of the packages of job `{job}`: {why}",
            api.name
        ))),
    }
}

fn contents(packages: &Packages) -> Result<Contents, ExecError> {
    let dir = packages.dir();
    let full = |path| PathBuf::from(dir.print(path));
    let mut programs = BTreeMap::new();
    for root in packages.roots.iter().map(full) {
        // A package without programs is one too.
        for program in fs::read_dir(root.join("bin")).into_iter().flatten().flatten() {
            if let Ok(name) = program.file_name().into_string() {
                programs.entry(name).or_insert_with(|| program.path());
            }
        }
    }
    if let (None, Some(bash)) = (programs.get("sh"), programs.get("bash").cloned()) {
        programs.insert("sh".into(), bash);
    }
    let mut paths: Vec<_> = packages.closure.paths.iter().collect();
    paths.sort_by(|a, b| b.nar_size.cmp(&a.nar_size).then_with(|| a.path.cmp(&b.path)));
    let rest = paths.split_off(paths.len().min(OWN_LAYERS));
    let mut layers: Vec<Vec<PathBuf>> = paths.iter().map(|info| vec![full(&info.path)]).collect();
    layers.sort();
    let mut rest: Vec<PathBuf> = rest.iter().map(|info| full(&info.path)).collect();
    rest.sort();
    layers.extend(Some(rest).filter(|rest| !rest.is_empty()));
    Ok(Contents { layers, programs })
}

/// Stands for what is in an image, known without reading it: the store knows the paths' hashes.
fn tag(packages: &Packages, contents: &Contents) -> String {
    let mut hash = Sha256::new();
    hash.update(FORM);
    let mut lines: Vec<String> = packages
        .closure
        .paths
        .iter()
        .map(|info| format!("{}\n{:?}\n", packages.dir().print(&info.path), info.nar_hash))
        .collect();
    lines.sort();
    lines.extend(contents.programs.iter().map(|(name, path)| format!("{name}\n{}\n", path.display())));
    lines.iter().for_each(|line| hash.update(line));
    data_encoding::HEXLOWER.encode(&hash.finalize())[..32].to_owned()
}

/// Counts and hashes what is written.
#[derive(Default)]
struct Measure {
    hash: Sha256,
    size: u64,
}

impl Write for Measure {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends what is written, in pieces.
struct Sender {
    piece: Vec<u8>,
    channel: mpsc::Sender<Vec<u8>>,
    /// The engine has stopped listening, and says why itself.
    unheard: bool,
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = std::mem::take(&mut self.piece);
        if !piece.is_empty() && !self.unheard {
            self.unheard = self.channel.blocking_send(piece).is_err();
        }
        Ok(())
    }
}

/// Writes the whole archive.
fn write(contents: &Contents, name: &str, channel: mpsc::Sender<Vec<u8>>) -> io::Result<()> {
    let mut out = Sender { piece: Vec::new(), channel, unheard: false };
    let mut measured = Vec::new();
    for layer in Layer::all(contents) {
        let mut measure = Measure::default();
        layer.write(&mut measure)?;
        measured.push((data_encoding::HEXLOWER.encode(&measure.hash.finalize()), measure.size));
    }
    let digest = |hash: &str| format!("sha256:{hash}");
    let blob = |hash: &str| format!("blobs/sha256/{hash}");
    let config = json!({
        "architecture": match std::env::consts::ARCH { "x86_64" => "amd64", "aarch64" => "arm64", other => other },
        "os": "linux",
        "created": "1970-01-01T00:00:01Z",
        "config": { "Env": ["PATH=/bin"], "Labels": { LABEL: name } },
        "rootfs": {
            "type": "layers",
            "diff_ids": measured.iter().map(|(hash, _)| digest(hash)).collect::<Vec<_>>(),
        },
    });
    let layers: Vec<Value> = measured
        .iter()
        .map(|(hash, size)| {
            json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest(hash), "size": size })
        })
        .collect();
    let (config_hash, config) = text(&config);
    let (manifest_hash, manifest) = text(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": digest(&config_hash), "size": config.len(),
        },
        "layers": layers,
    }));
    let (_, index) = text(&json!({
        "schemaVersion": 2,
        "manifests": [{
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest(&manifest_hash), "size": manifest.len(),
            "annotations": { "org.opencontainers.image.ref.name": name },
        }],
    }));
    let (_, saved) = text(&json!([{
        "Config": blob(&config_hash),
        "RepoTags": [name],
        "Layers": measured.iter().map(|(hash, _)| blob(hash)).collect::<Vec<_>>(),
    }]));
    for (path, bytes) in [
        ("oci-layout", &br#"{"imageLayoutVersion":"1.0.0"}"#[..]),
        ("index.json", &index),
        ("manifest.json", &saved),
        (&blob(&config_hash), &config),
        (&blob(&manifest_hash), &manifest),
    ] {
        begin(&mut out, path, bytes.len() as u64)?;
        out.write_all(bytes)?;
        pad(&mut out, bytes.len() as u64)?;
    }
    for (layer, (hash, size)) in Layer::all(contents).into_iter().zip(&measured) {
        begin(&mut out, &blob(hash), *size)?;
        layer.write(&mut out)?;
        pad(&mut out, *size)?;
    }
    out.write_all(&[0; 2 * BLOCK as usize])?;
    out.flush()
}

fn text(value: &Value) -> (String, Vec<u8>) {
    let bytes = value.to_string().into_bytes();
    (data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes)), bytes)
}

fn begin(out: &mut impl Write, path: &str, size: u64) -> io::Result<()> {
    let mut header = header(tar::EntryType::Regular, 0o644, size);
    header.set_path(path)?;
    header.set_cksum();
    out.write_all(header.as_bytes())
}

fn pad(out: &mut impl Write, size: u64) -> io::Result<()> {
    let rest = (size.next_multiple_of(BLOCK) - size) as usize;
    out.write_all(&[0; BLOCK as usize][..rest])
}

fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    // The time of everything in a store.
    header.set_mtime(1);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// A layer: the same archive whenever it is written.
enum Layer<'a> {
    /// The skeleton of a system, with the programs in `/bin`.
    Base(&'a BTreeMap<String, PathBuf>),
    Paths(&'a [PathBuf]),
}

impl Layer<'_> {
    /// The layers of an image. What differs most comes last.
    fn all(contents: &Contents) -> Vec<Layer<'_>> {
        let paths = contents.layers.iter().map(|paths| Layer::Paths(paths));
        paths.chain([Layer::Base(&contents.programs)]).collect()
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(out);
        match self {
            Layer::Base(programs) => base(&mut archive, programs)?,
            Layer::Paths(paths) => paths.iter().try_for_each(|path| tree(&mut archive, path))?,
        }
        archive.into_inner().map(|_| ())
    }
}

fn base(archive: &mut tar::Builder<&mut impl Write>, programs: &BTreeMap<String, PathBuf>) -> io::Result<()> {
    for (dir, mode) in [("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777), ("usr/bin", 0o755)]
    {
        let mut header = header(tar::EntryType::Directory, mode, 0);
        archive.append_data(&mut header, dir, io::empty())?;
    }
    for (file, text) in [
        ("etc/group", "root:x:0:\nnogroup:x:65534:\n"),
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n"),
    ] {
        let mut header = header(tar::EntryType::Regular, 0o644, text.len() as u64);
        archive.append_data(&mut header, file, text.as_bytes())?;
    }
    for (name, target) in programs {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        archive.append_link(&mut header, Path::new("bin").join(name), target)?;
    }
    let mut header = header(tar::EntryType::Symlink, 0o777, 0);
    archive.append_link(&mut header, "usr/bin/env", "/bin/env")
}

/// A store path with all that is in it, in the order of names.
fn tree(archive: &mut tar::Builder<&mut impl Write>, path: &Path) -> io::Result<()> {
    let at = path.strip_prefix("/").unwrap_or(path);
    let meta = fs::symlink_metadata(path)?;
    if meta.is_symlink() {
        let mut header = header(tar::EntryType::Symlink, 0o777, 0);
        return archive.append_link(&mut header, at, fs::read_link(path)?);
    }
    if meta.is_dir() {
        let mut header = header(tar::EntryType::Directory, 0o555, 0);
        archive.append_data(&mut header, at, io::empty())?;
        let mut names = fs::read_dir(path)?.map(|e| Ok(e?.file_name())).collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        return names.iter().try_for_each(|name| tree(archive, &path.join(name)));
    }
    let mode = if meta.permissions().mode() & 0o100 != 0 { 0o555 } else { 0o444 };
    let mut header = header(tar::EntryType::Regular, mode, meta.len());
    archive.append_data(&mut header, at, fs::File::open(path)?.take(meta.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_the_same_each_time_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/bin")).unwrap();
        fs::write(dir.path().join("a/bin/tool"), vec![7; 700]).unwrap();
        std::os::unix::fs::symlink("tool", dir.path().join("a/bin/link")).unwrap();
        let contents = Contents {
            layers: vec![vec![dir.path().join("a")]],
            programs: [("tool".to_owned(), dir.path().join("a/bin/tool"))].into(),
        };
        let archive = || {
            let (send, mut pieces) = mpsc::channel(64);
            write(&contents, "name:tag", send).unwrap();
            let mut all = Vec::new();
            while let Ok(piece) = pieces.try_recv() {
                all.extend(piece);
            }
            all
        };
        let first = archive();
        assert_eq!(first, archive());
        let mut named = BTreeMap::new();
        for entry in tar::Archive::new(&first[..]).entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            named.insert(entry.path().unwrap().to_string_lossy().into_owned(), bytes);
        }
        let saved: Value = serde_json::from_slice(&named["manifest.json"]).unwrap();
        for layer in saved[0]["Layers"].as_array().unwrap() {
            let layer = layer.as_str().unwrap();
            let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(&named[layer]));
            assert!(layer.ends_with(&hash), "{layer}");
        }
        let config: Value = serde_json::from_slice(&named[saved[0]["Config"].as_str().unwrap()]).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), 2);
    }
}
