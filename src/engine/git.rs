//! What `NIXACTIONS_GIT_*` say, read from the repository's files without running git.

use std::fs;
use std::path::{Path, PathBuf};

/// Commit, branch and tag that a directory's repository has checked out.
pub(super) fn variables(project: &Path) -> Vec<(&'static str, String)> {
    let Some(git) = project.ancestors().find_map(git_dir) else { return Vec::new() };
    // A linked worktree has its own HEAD, and shares the references.
    let common = read(&git.join("commondir")).map_or_else(|| git.clone(), |dir| git.join(dir));
    let Some(head) = read(&git.join("HEAD")) else { return Vec::new() };
    let mut out = Vec::new();
    let packed = fs::read_to_string(common.join("packed-refs")).unwrap_or_default();
    let sha = match head.strip_prefix("ref: ") {
        Some(reference) => {
            if let Some(branch) = reference.strip_prefix("refs/heads/") {
                out.push(("NIXACTIONS_GIT_BRANCH", branch.to_owned()));
            }
            is_plain(reference)
                .then(|| read(&common.join(reference)).or_else(|| packed_ref(&packed, reference)))
                .flatten()
        }
        None => Some(head),
    };
    if let Some(sha) = sha.filter(|sha| sha.len() >= 40 && sha.bytes().all(|b| b.is_ascii_hexdigit())) {
        if let Some(tag) = tag_of(&common, &packed, &sha) {
            out.push(("NIXACTIONS_GIT_TAG", tag));
        }
        out.push(("NIXACTIONS_GIT_SHA", sha));
    }
    out
}

fn git_dir(dir: &Path) -> Option<PathBuf> {
    let git = dir.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    Some(dir.join(read(&git)?.strip_prefix("gitdir: ")?))
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim_end().to_owned())
}

fn is_plain(reference: &str) -> bool {
    !reference.split('/').any(|part| part == ".." || part.is_empty())
}

fn packed_ref(packed: &str, reference: &str) -> Option<String> {
    packed.lines().find_map(|line| line.strip_suffix(reference)?.strip_suffix(' ').map(str::to_owned))
}

/// A tag on the commit: lightweight ones as files, packed ones also peeled. (An annotated tag that
/// is not packed names its tag object, which would have to be inflated; it is left out.)
fn tag_of(common: &Path, packed: &str, sha: &str) -> Option<String> {
    let mut last = None;
    for line in packed.lines() {
        if let Some(peeled) = line.strip_prefix('^') {
            if peeled == sha {
                return last;
            }
        } else if let Some((id, name)) = line.split_once(" refs/tags/") {
            if id == sha {
                return Some(name.to_owned());
            }
            last = Some(name.to_owned());
        }
    }
    let root = common.join("refs/tags");
    let mut pending = vec![root.clone()];
    while let Some(dir) = pending.pop() {
        let mut entries: Vec<_> = fs::read_dir(&dir).ok()?.flatten().map(|e| e.path()).collect();
        entries.sort();
        for path in entries {
            if path.is_dir() {
                pending.push(path);
            } else if read(&path).as_deref() == Some(sha) {
                return Some(path.strip_prefix(&root).ok()?.to_string_lossy().into_owned());
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_head_packed_references_and_tags() {
        let root = tempfile::tempdir().expect("tempdir");
        let git = root.path().join(".git");
        fs::create_dir_all(git.join("refs/tags/v")).expect("made");
        fs::create_dir_all(root.path().join("sub")).expect("made");
        let sha = "a".repeat(40);
        fs::write(git.join("HEAD"), "ref: refs/heads/feature/x\n").expect("written");
        fs::write(git.join("packed-refs"), format!("# pack-refs\n{sha} refs/heads/feature/x\n"))
            .expect("written");
        fs::write(git.join("refs/tags/v/1"), format!("{sha}\n")).expect("written");
        assert_eq!(
            variables(&root.path().join("sub")),
            [
                ("NIXACTIONS_GIT_BRANCH", "feature/x".to_owned()),
                ("NIXACTIONS_GIT_TAG", "v/1".to_owned()),
                ("NIXACTIONS_GIT_SHA", sha),
            ]
        );
    }
}
