//! The client of the daemon, against Debian's daemon.

use std::collections::BTreeSet;
use std::path::Path;

use nixactions::drv::content_address::{ContentAddress, Method};
use nixactions::drv::hash::Hash;
use nixactions::drv::nar::{self, FileTree, Node};
use nixactions::drv::object::{Content, Object, Objects, Text};
use nixactions::drv::store_path::{References, StoreDir, StorePath};
use nixactions::store::{BuildOptions, BuildStatus, Connection, NoMessages, StoreError, Version, Wanted};

use crate::daemon::Daemon;

fn text_object(dir: &StoreDir, name: &str, text: &str, references: &[&StorePath]) -> (StorePath, Object) {
    let references: BTreeSet<StorePath> = references.iter().map(|&p| p.clone()).collect();
    let path = dir
        .make_text_path(name.as_bytes(), &Hash::sha256(text.as_bytes()), &references)
        .expect("a store path");
    (path, Object { references, content: Content::Text(Text(text.as_bytes().into())) })
}

/// A derivation whose builder runs a script of `/bin/sh`.
fn derivation(dir: &StoreDir, name: &str, script: &str) -> (StorePath, Object) {
    use nixactions::drv::derivation::{Derivation, Output};
    let mut drv = Derivation {
        name: name.into(),
        platform: format!("{}-linux", std::env::consts::ARCH).into_bytes(),
        builder: b"/bin/sh".to_vec(),
        args: vec![b"-c".to_vec(), format!("PATH=/usr/bin:/bin; {script}").into_bytes()],
        ..Derivation::default()
    };
    drv.env.insert(b"out".to_vec(), Vec::new());
    drv.outputs.insert(b"out".to_vec(), Output::Deferred);
    let mut cache = nixactions::drv::modulo::ModuloCache::new();
    let mut none = |_: &StorePath| -> Result<Derivation, nixactions::drv::derivation::DerivationError> {
        unreachable!("it has no inputs")
    };
    cache.fill_outputs(dir, &mut drv, &mut none).expect("outputs");
    let (path, text) = cache.add(dir, &drv, &mut none).expect("a derivation");
    (path, Object { references: BTreeSet::new(), content: Content::Text(Text(text.into())) })
}

#[tokio::test]
async fn what_is_added_is_valid_and_comes_back() {
    let daemon = Daemon::start();
    let mut c = Connection::open(&daemon.location()).await.expect("a connection");
    assert!(c.version() >= Version(34), "{:?}", c.version());
    assert!(c.nix_version().starts_with("2."), "{}", c.nix_version());
    let dir = c.store_dir().clone();
    let (a, a_object) = text_object(&dir, "a", "the first\n", &[]);
    let (b, b_object) = text_object(&dir, "b", &format!("{}\n", dir.print(&a)), &[&a]);
    let objects = Objects::from([(a.clone(), a_object), (b.clone(), b_object)]);
    assert_eq!(c.add_objects(&objects).await.expect("added"), 2);
    assert_eq!(c.add_objects(&objects).await.expect("there already"), 0);
    assert_eq!(std::fs::read(dir.print(&a)).expect("readable"), b"the first\n");

    let closure = c.closure(&BTreeSet::from([b.clone()])).await.expect("a closure");
    let order: Vec<&StorePath> = closure.paths.iter().map(|i| &i.path).collect();
    assert_eq!(order, [&a, &b]);
    for info in &closure.paths {
        let mut archive = Vec::new();
        c.export(info, &mut archive).await.expect("an archive");
        assert_eq!((archive.len() as u64, Hash::sha256(&archive)), (info.nar_size, info.nar_hash));
    }
    // The connection goes on working after a long answer, and after an error.
    let nowhere = StorePath::from_base_name(format!("{}-x", "0".repeat(32)).as_bytes()).expect("a path");
    assert_eq!(c.query_path_info(&nowhere).await.expect("an answer"), None);
    assert!(matches!(c.closure(&BTreeSet::from([nowhere.clone()])).await, Err(StoreError::Unknown(_))));
    assert!(matches!(c.ensure_path(&nowhere, &mut NoMessages).await, Err(StoreError::Daemon(_))));
    assert!(!c.is_broken());
    assert_eq!(
        c.query_valid_paths(&BTreeSet::from([a.clone(), nowhere])).await.expect("valid"),
        BTreeSet::from([a])
    );
}

struct Disk;

impl FileTree for Disk {
    type Error = std::io::Error;

    fn node(&mut self, path: &Path) -> std::io::Result<Node> {
        let meta = std::fs::symlink_metadata(path)?;
        if meta.is_dir() {
            let names = std::fs::read_dir(path)?.map(|e| Ok(e?.file_name().into_encoded_bytes()));
            return Ok(Node::Directory { names: names.collect::<std::io::Result<_>>()? });
        }
        Ok(Node::Regular { executable: false, size: meta.len() })
    }

    fn open(&mut self, path: &Path) -> std::io::Result<Box<dyn std::io::Read + '_>> {
        Ok(Box::new(std::fs::File::open(path)?))
    }

    fn includes(&mut self, path: &Path) -> std::io::Result<bool> {
        Ok(!path.ends_with("left-out"))
    }
}

#[tokio::test]
async fn directories_are_copied_and_changes_are_noticed() {
    let daemon = Daemon::start();
    let source = tempfile::tempdir().expect("a directory");
    let root = source.path().canonicalize().expect("a path");
    std::fs::create_dir(root.join("sub")).expect("made");
    std::fs::write(root.join("sub/big"), vec![7u8; 3 << 20]).expect("written");
    std::fs::write(root.join("left-out"), "x").expect("written");
    let mut c = Connection::open(&daemon.location()).await.expect("a connection");
    let dir = c.store_dir().clone();
    let (hash, _) = nar::hash(&mut Disk, &root, nixactions::drv::hash::Algo::Sha256).expect("a hash");
    let address = ContentAddress { method: Method::Nar, hash };
    let path = dir.make_fixed_path(b"source", &address, &References::none()).expect("a path");
    let content = Content::Copy {
        source: root.clone(),
        method: Method::Nar,
        left_out: BTreeSet::from([root.join("left-out")]),
    };
    let objects = Objects::from([(path.clone(), Object { references: BTreeSet::new(), content })]);
    c.add_objects(&objects).await.expect("added");
    let copy = Path::new(&dir.print(&path)).to_owned();
    assert!(copy.join("sub/big").is_file() && !copy.join("left-out").exists());

    // A source that has changed since, or is gone, is told by its path.
    let other = dir.make_fixed_path(b"other", &address, &References::none()).expect("a path");
    let mut objects = objects;
    let object = objects.remove(&path).expect("there");
    objects.insert(other, object);
    std::fs::write(root.join("sub/big"), "changed").expect("written");
    let e = c.add_objects(&objects).await.expect_err("it changed");
    assert!(matches!(&e, StoreError::Changed { path, .. } if *path == root), "{e}");
    std::fs::remove_dir_all(&root).expect("removed");
    let e = c.add_objects(&objects).await.expect_err("it is gone");
    assert!(matches!(&e, StoreError::Source { path, .. } if *path == root), "{e}");
}

#[tokio::test]
async fn builds_succeed_or_say_why_not() {
    let daemon = Daemon::start();
    let mut c = Connection::open(&daemon.location()).await.expect("a connection");
    let dir = c.store_dir().clone();
    let (good, good_object) = derivation(&dir, "good", "echo made > $out");
    let (bad, bad_object) = derivation(&dir, "bad", "echo no; exit 4");
    let objects = Objects::from([(good.clone(), good_object), (bad.clone(), bad_object)]);
    c.add_objects(&objects).await.expect("added");
    c.set_options(&BuildOptions::default()).await.expect("options");
    let outputs = |drv: &StorePath| Wanted::Outputs(drv.clone(), BTreeSet::from(["out".to_owned()]));
    let wanted = [outputs(&good), outputs(&bad)];
    let missing = c.query_missing(&wanted).await.expect("an answer");
    assert_eq!(missing.build, BTreeSet::from([good.clone(), bad.clone()]));
    let mut lines = Vec::new();
    let mut observer = |m| {
        if let nixactions::store::Message::LogLine { line, .. } = m {
            lines.push(line);
        }
    };
    let results = c.build(&wanted, &mut observer).await.expect("results");
    assert_eq!(lines, ["no"]);
    let of = |drv: &StorePath| {
        let drv = dir.print(drv);
        results.iter().find(|r| r.wanted.starts_with(&drv)).expect("a result")
    };
    assert_eq!(of(&good).status, BuildStatus::Success);
    assert_eq!(of(&bad).status, BuildStatus::Failed, "{:?}", of(&bad));
    let out = c.query_outputs(&good).await.expect("outputs")["out"].clone().expect("a path");
    assert_eq!(std::fs::read(dir.print(&out)).expect("made"), b"made\n");
    assert!(c.query_missing(&wanted[..1]).await.expect("an answer").build.is_empty());
    let link = daemon.dir().join("result");
    std::os::unix::fs::symlink(dir.print(&out), &link).expect("linked");
    c.add_indirect_root(&link).await.expect("a root");
    assert!(std::fs::read_dir(daemon.dir().join("var/gcroots/auto")).expect("roots").count() == 1);
}
