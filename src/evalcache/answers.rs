//! What an evaluation asked of the machine, what it was told, and whether it would be told the same
//! again.

use std::collections::BTreeMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::bytes::{In, Out};
use crate::eval::io::{EvalIo, FileKind, System, kind_of};
use crate::eval::world::World;

/// A hash of an answer; `None` where there was nothing, such as an unset variable.
pub(super) type Digest = Option<[u8; 32]>;

/// Time that must lie between the last change of a file and looking at it before its state is
/// believed, in nanoseconds: a later change could otherwise fall on the same tick of the file
/// system's clock. FAT counts in steps of 2 s.
const TICK: i128 = 2_000_000_000;

/// What tells that a file or directory was not touched. The time of the last change of the inode is
/// set by the kernel alone, and by every write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    device: u64,
    inode: u64,
    size: u64,
    modified: i128,
    changed: i128,
}

impl State {
    /// The state behind metadata.
    fn of(m: &Metadata) -> State {
        let nanoseconds = |s: i64, ns: i64| i128::from(s) * 1_000_000_000 + i128::from(ns);
        State {
            device: m.dev(),
            inode: m.ino(),
            size: m.size(),
            modified: nanoseconds(m.mtime(), m.mtime_nsec()),
            changed: nanoseconds(m.ctime(), m.ctime_nsec()),
        }
    }

    /// The state of what stands at a path, links followed, if it can be believed.
    pub(super) fn at(path: &Path) -> Option<State> {
        std::fs::metadata(path).ok().and_then(|m| State::settled(&m))
    }

    fn settled(m: &Metadata) -> Option<State> {
        let state = State::of(m);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_nanos() as i128);
        (state.changed + TICK < now).then_some(state)
    }

    /// Bytes of the file.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    fn write(&self, out: &mut Out) {
        [self.device, self.inode, self.size].iter().for_each(|&n| out.number(n));
        out.raw(&self.modified.to_le_bytes());
        out.raw(&self.changed.to_le_bytes());
    }

    fn read(input: &mut In<'_>) -> Option<State> {
        let (device, inode, size) = (input.number()?, input.number()?, input.number()?);
        let mut time = || Some(i128::from_le_bytes(input.raw(16)?.try_into().ok()?));
        Some(State { device, inode, size, modified: time()?, changed: time()? })
    }
}

/// Something with content: its hash, and the state in which it had that; `None` when the state said
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) hash: [u8; 32],
    pub(super) state: Option<State>,
}

/// What was learnt about one path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct AtPath {
    /// What stands there, not following a link.
    pub(super) kind: Option<u8>,
    /// Of a file.
    pub(super) text: Option<Content>,
    /// Of a directory.
    pub(super) names: Option<Content>,
    /// Of a link.
    pub(super) target: Option<[u8; 32]>,
}

/// Everything that was asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Answers {
    pub(super) paths: BTreeMap<PathBuf, AtPath>,
    /// Variables of the environment. The hashes are salted.
    pub(super) variables: BTreeMap<String, Digest>,
    /// Directories for which the locked nixpkgs was looked up.
    pub(super) locked: BTreeMap<PathBuf, [u8; 32]>,
}

/// How asking again went.
pub(super) enum Again {
    /// Something is not what it was.
    Differs,
    /// All is as it was.
    Same,
    /// All is as it was, and more states are now known than before.
    Refreshed,
}

/// A kind as a number.
pub(super) fn kind_number(kind: &io::Result<Option<FileKind>>) -> u8 {
    match kind {
        Ok(None) => 0,
        Ok(Some(FileKind::Regular { executable: false })) => 1,
        Ok(Some(FileKind::Regular { executable: true })) => 2,
        Ok(Some(FileKind::Directory)) => 3,
        Ok(Some(FileKind::Symlink)) => 4,
        Ok(Some(FileKind::Unknown)) => 5,
        Err(_) => 6,
    }
}

fn failure(e: &io::Error) -> [u8; 32] {
    *blake3::hash(
        format!("cannot: {:?}", e.raw_os_error().map_or(e.to_string(), |n| n.to_string())).as_bytes(),
    )
    .as_bytes()
}

/// The hash of a file's text, or of why it cannot be read.
pub(super) fn text_hash(text: &io::Result<std::sync::Arc<[u8]>>) -> [u8; 32] {
    match text {
        Ok(text) => *blake3::hash(text).as_bytes(),
        Err(e) => failure(e),
    }
}

/// The hash of the names in a directory and what they are; not of who may execute them, which is
/// asked for each file by itself.
pub(super) fn names_hash(names: &io::Result<Vec<(Vec<u8>, FileKind)>>) -> [u8; 32] {
    let names = match names {
        Ok(names) => names,
        Err(e) => return failure(e),
    };
    let mut sorted: Vec<(&[u8], &str)> = names.iter().map(|(n, k)| (n.as_slice(), k.name())).collect();
    sorted.sort_unstable();
    let mut out = Out::default();
    for (name, kind) in sorted {
        out.text(name);
        out.text(kind.as_bytes());
    }
    *blake3::hash(&out.0).as_bytes()
}

/// The hash of a link's target.
pub(super) fn target_hash(target: &io::Result<PathBuf>) -> [u8; 32] {
    match target {
        Ok(target) => *blake3::hash(target.as_os_str().as_encoded_bytes()).as_bytes(),
        Err(e) => failure(e),
    }
}

/// The hash of a variable. The salt keeps equal values of two entries from looking equal.
pub(super) fn variable_hash(salt: &[u8; 16], name: &str, value: Option<&[u8]>) -> Digest {
    let mut out = Out::default();
    out.raw(salt);
    out.text(name.as_bytes());
    out.text(value?);
    Some(*blake3::hash(&out.0).as_bytes())
}

/// The hash of what the locked nixpkgs of a directory is.
pub(super) fn locked_hash(world: &dyn World, dir: &Path) -> [u8; 32] {
    *blake3::hash(format!("{:?}", world.locked_nixpkgs(dir)).as_bytes()).as_bytes()
}

impl AtPath {
    /// Asks again about a path.
    fn again(&mut self, path: &Path) -> Again {
        let found = std::fs::symlink_metadata(path);
        let is_link = found.as_ref().is_ok_and(|m| m.file_type().is_symlink());
        if let Some(kind) = self.kind
            && kind != kind_number(&kind_of(found.as_ref()))
        {
            return Again::Differs;
        }
        if let Some(target) = self.target
            && target != target_hash(&System.read_link(path))
        {
            return Again::Differs;
        }
        let followed = if is_link { std::fs::metadata(path) } else { found };
        let mut refreshed = false;
        let mut content = |known: &mut Content, hash: &dyn Fn() -> [u8; 32]| {
            let settled = followed.as_ref().ok().and_then(State::settled);
            if known.state.is_some() && known.state == followed.as_ref().ok().map(State::of) {
                return true;
            }
            if hash() != known.hash {
                return false;
            }
            refreshed |= settled != known.state;
            known.state = settled;
            true
        };
        let same = self.text.as_mut().is_none_or(|t| content(t, &|| text_hash(&System.read_file(path))))
            && self.names.as_mut().is_none_or(|n| content(n, &|| names_hash(&System.read_dir(path))));
        match (same, refreshed) {
            (false, _) => Again::Differs,
            (true, true) => Again::Refreshed,
            (true, false) => Again::Same,
        }
    }
}

impl Answers {
    /// Asks everything again, and notes newer states of files that are the same by their hashes.
    /// `variable` is a variable's present value.
    pub(super) fn again(
        &mut self,
        salt: &[u8; 16],
        world: &dyn World,
        variable: &dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Again {
        let same = |name: &String, was: &Digest| variable_hash(salt, name, variable(name).as_deref()) == *was;
        if !self.variables.iter().all(|(name, was)| same(name, was)) {
            return Again::Differs;
        }
        let mut refreshed = false;
        for (path, known) in &mut self.paths {
            match known.again(path) {
                Again::Differs => return Again::Differs,
                Again::Refreshed => refreshed = true,
                Again::Same => {}
            }
        }
        if !self.locked.iter().all(|(dir, was)| locked_hash(world, dir) == *was) {
            return Again::Differs;
        }
        if refreshed { Again::Refreshed } else { Again::Same }
    }

    /// Writes them.
    pub(super) fn write(&self, out: &mut Out) {
        out.number(self.variables.len() as u64);
        for (name, digest) in &self.variables {
            out.text(name.as_bytes());
            out.byte(u8::from(digest.is_some()));
            out.raw(digest.as_ref().map_or(&[], |d| d.as_slice()));
        }
        out.number(self.locked.len() as u64);
        for (dir, hash) in &self.locked {
            out.text(dir.as_os_str().as_encoded_bytes());
            out.raw(hash);
        }
        out.number(self.paths.len() as u64);
        for (path, known) in &self.paths {
            out.text(path.as_os_str().as_encoded_bytes());
            known.write(out);
        }
    }

    /// Reads what [`Answers::write`] wrote.
    pub(super) fn read(input: &mut In<'_>) -> Option<Answers> {
        let mut answers = Answers::default();
        for _ in 0..input.number()? {
            let name = std::str::from_utf8(input.text()?).ok()?.to_owned();
            let digest = if input.byte()? == 1 { Some(input.hash()?) } else { None };
            answers.variables.insert(name, digest);
        }
        for _ in 0..input.number()? {
            let dir = path(input.text()?);
            answers.locked.insert(dir, input.hash()?);
        }
        let mut paths = Vec::new();
        for _ in 0..input.number()? {
            paths.push((path(input.text()?), AtPath::read(input)?));
        }
        // They were written in order, from which a map is made at once.
        answers.paths = paths.into_iter().collect();
        Some(answers)
    }
}

fn path(bytes: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(bytes))
}

const KIND: u8 = 1;
const TEXT: u8 = 2;
const NAMES: u8 = 4;
const TARGET: u8 = 8;

impl AtPath {
    fn write(&self, out: &mut Out) {
        let flag = |there: bool, flag: u8| if there { flag } else { 0 };
        out.byte(
            flag(self.kind.is_some(), KIND)
                | flag(self.text.is_some(), TEXT)
                | flag(self.names.is_some(), NAMES)
                | flag(self.target.is_some(), TARGET),
        );
        if let Some(kind) = self.kind {
            out.byte(kind);
        }
        for content in [&self.text, &self.names].into_iter().flatten() {
            out.raw(&content.hash);
            out.byte(u8::from(content.state.is_some()));
            if let Some(state) = &content.state {
                state.write(out);
            }
        }
        if let Some(target) = &self.target {
            out.raw(target);
        }
    }

    fn read(input: &mut In<'_>) -> Option<AtPath> {
        let flags = input.byte()?;
        let content = |input: &mut In<'_>| {
            let hash = input.hash()?;
            let state = if input.byte()? == 1 { Some(State::read(input)?) } else { None };
            Some(Content { hash, state })
        };
        let mut known = AtPath::default();
        if flags & KIND != 0 {
            known.kind = Some(input.byte()?);
        }
        if flags & TEXT != 0 {
            known.text = Some(content(input)?);
        }
        if flags & NAMES != 0 {
            known.names = Some(content(input)?);
        }
        if flags & TARGET != 0 {
            known.target = Some(input.hash()?);
        }
        Some(known)
    }
}
