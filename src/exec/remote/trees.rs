//! Copies of the repository that jobs have used, kept on the other side for later jobs.
//!
//! A job may write into its copy as it likes. When it has ended, what it changed or added is removed;
//! when a later job takes the copy, what is missing of it, or has changed in the repository since, is
//! taken from the clean copy. What has changed is known from a list of what is there, made before the
//! job began: number, size and time of the last change of the inode (which nothing but a change of the
//! clock can forge) of each file, owner and mode of each directory. The job begins when that time has
//! gone on, so that no change of its own can have an old one. Where a host cannot make such a list, or
//! anything about a copy is odd, it is removed, and jobs get fresh copies.
//!
//! `repo/used/N` holds `tree`, its `list`, and `id` (the manifest that it was made from). `repo/log`
//! says what changed from manifest to manifest: a line of `=` and the old one's id, then paths.

use std::path::Path;

use super::program::{remove, word};

/// Used copies that are kept for later jobs.
const KEPT: u32 = 4;

/// `list FILE DIR…` writes the list, sorted; fails where that cannot be done. A line is a kind, numbers,
/// and a path that begins with `./`. An end of line in a name becomes a byte 1, which nothing that
/// reads lists takes.
pub(super) const LIST: &str = r#"list() { (
LC_ALL=C; export LC_ALL; f=$1; shift
if find / -prune -printf '' 2>/dev/null; then
find "$@" \( -type d -printf 'd %m %U %G %p\0' -o -printf '%y %i %s %C@ %p\0' \) >"$f.raw" || exit 1
tr '\n\000' '\001\n' <"$f.raw" | sort >"$f" || exit 1
else
[ -z "$(find "$@" -name '*
*')" ] || exit 1
find "$@" -type d -exec stat -c 'd %a %u %g %n' {} + >"$f.raw" || exit 1
find "$@" ! -type d -exec stat -c 'f %i %s %z %n' {} + >>"$f.raw" || exit 1
sort <"$f.raw" >"$f" || exit 1
fi; rm -f "$f.raw"; [ -s "$f" ]
) 2>/dev/null; }
"#;

/// `plan OLD NEW CLEAN TOUCHED GITS` prints what makes a copy clean that was as in list `OLD` and is as
/// in `NEW`: `-PATH` for what has to go and `+PATH` for what has to come from the clean copy, whose list
/// is `CLEAN`. `TOUCHED` names paths that have changed in the repository, `GITS` the `.git`
/// directories, whose file of alternates is not looked at: it is always written anew.
const PLAN: &str = r#"plan() { (
LC_ALL=C; export LC_ALL
awk 'function path(text,  i, p) { i = index(text, " ./"); p = substr(text, i + 3)
if (!i || index(p, "\001") || index(p, "\\") || p ~ /(^|\/)\.\.(\/|$)/) odd = 1; return p }
part == 1 { i = index($0, " ./tree"); if (i) there[substr($0, i + 8)] = substr($0, 1, 1); next }
part == 2 { touched[$0]; next }
part == 3 { skip[$0 "/objects/info/alternates"]; next }
part == 4 { line[$0]; next }
{ now[substr($0, index($0, " ./") + 3)] = substr($0, 1, 1)
if ($0 in line) delete line[$0]; else fresh[path($0)] = substr($0, 1, 1) }
END { for (l in line) old[path(l)] = substr(l, 1, 1)
if (odd) exit 1
for (p in skip) { delete fresh[p]; delete old[p] }
for (p in fresh) if (fresh[p] != "d" || !(p in old) || old[p] != "d") print "-" p
for (p in touched) { old[p] = old[p]; if (there[p] != "d" || now[p] != "d") print "-" p }
for (p in old) if (p in there) print "+" p }' part=1 "$3" part=2 "$4" part=3 "$5" part=4 "$1" part=5 "$2" >"$2.plan" || exit 1
sort "$2.plan" && rm -f "$2.plan"
) 2>/dev/null; }
"#;

/// `clear PLAN` removes what a plan says, parents first, in the current directory.
const CLEAR: &str = r#"clear() { sed -n 's,^-,./,p' "$1" | tr '\n' '\000' | xargs -0 rm -rf -- 2>/dev/null; }
"#;

/// `renew DIR` makes the used copy in `DIR` clean and up to date, or fails.
const RENEW: &str = r#"renew() { (
cd "$1/tree" && list "$1/now" ./ && [ -s "$R/repo/list" ] && was=$(cat "$1/id") && is=$(cat "$R/repo/id") || exit 1
: >"$1/touched"
[ "$was" = "$is" ] || awk -v from="=$was" '!/^=/ { if (found) print; next } $0 == from { found = 1 } END { exit !found }' "$R/repo/log" >"$1/touched" || exit 1
plan "$1/list" "$1/now" "$R/repo/list" "$1/touched" "$R/repo/gits" >"$1/plan" || exit 1
[ -s "$1/plan" ] || exit 0
clear "$1/plan" || exit 1
sed -n 's,^+,./,p' "$1/plan" >"$1/back"
[ ! -s "$1/back" ] || { (cd "$R/repo/tree" && tar -cf - --no-recursion -T "$1/back") | tar -xpof -; } || exit 1
list "$1/list" ./
) 2>/dev/null; }
"#;

/// `settle` waits until a change that is made now has a later time than all changes up to here.
const SETTLE: &str = r#"settle() {
stamp() { find "$C.tick" -printf %C@ 2>/dev/null || stat -c %z "$C.tick"; }
: >"$C.tick"; a=$(stamp); n=0
while printf x >"$C.tick"; [ "$(stamp)" = "$a" ]; do n=$((n + 1)); [ $n -lt 1500 ] || return 1; done
}
"#;

/// The program that gives a job its copy: `root` is the workspace, `dir` the job directory, `control` the
/// prefix of the job's files, `umask` the umask of the job. With `reuse`, used copies are taken.
pub(super) fn take(root: &Path, dir: &Path, control: &Path, umask: &str, reuse: bool) -> String {
    let (root, dir, control) = (word(root), word(dir), word(control));
    let share = r#"while read -r d; do [ -z "$d" ] || { rm -f "$J/$d/objects/info/alternates"
printf '%s\n' "$R/repo/objects" >"$J/$d/objects/info/alternates" || exit 1; }; done <"$R/repo/gits"
"#;
    let begin = format!("R={root}; J={dir}; C={control}; umask {umask}\n{}", remove("\"$J\""));
    let copy = r#"cp -pR "$R/repo/tree" "$J" || exit 1"#;
    if !reuse {
        return format!("{begin}{copy}\n{share}");
    }
    let discard = remove("\"$C.used\"");
    format!(
        r#"{begin}{LIST}{PLAN}{CLEAR}{RENEW}{SETTLE}rm -rf "$C.list" "$C.used"
for u in "$R"/repo/used/*; do
[ -d "$u/tree" ] && mv "$u" "$C.used" 2>/dev/null || continue
if renew "$C.used" && mv "$C.used/tree" "$J"; then mv "$C.used/list" "$C.list"; fi
{discard}[ ! -d "$J" ] || break
done
if [ ! -d "$J" ]; then {copy}
(cd "$J" && list "$C.list" ./) || rm -f "$C.list"; fi
{share}[ ! -s "$C.list" ] || settle || rm -f "$C.list"
:
"#
    )
}

/// The program that takes a job's copy back, for a later one or to remove it.
pub(super) fn give(root: &Path, dir: &Path, control: &Path) -> String {
    let (root, dir, control) = (word(root), word(dir), word(control));
    let discard = remove("\"$J\"");
    format!(
        r#"{LIST}{PLAN}{CLEAR}R={root}; J={dir}; C={control}
back() {{ (
[ -s "$C.list" ] && [ -s "$R/repo/id" ] && cd "$J" || exit 1
umask 077; mkdir -p "$R/repo/used"; n=1; while U=$R/repo/used/$n; ! mkdir "$U"; do n=$((n + 1)); [ $n -le {KEPT} ] || exit 1; done
list "$C.now" ./ && plan "$C.list" "$C.now" /dev/null /dev/null "$R/repo/gits" >"$C.plan" && clear "$C.plan" &&
! {{ find . -type d -exec ls -ld {{}} + | grep -q '^d[^ ]*+'; }} &&
cp "$C.list" "$U/list" && cp "$R/repo/id" "$U/id" && cd / && mv "$J" "$U/tree" && exit 0
rm -rf "$U"; exit 1
) 2>/dev/null; }}
back || {{ {discard}}}
rm -rf "$C".*
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::PathBuf;
    use std::process::Command;

    /// A workspace with a clean copy, as `delta` makes it.
    struct Host {
        dir: tempfile::TempDir,
        shell: &'static [&'static str],
    }

    impl Host {
        fn new(shell: &'static [&'static str]) -> Host {
            let host = Host { dir: tempfile::tempdir().unwrap(), shell };
            let repo = host.root().join("repo");
            for path in
                ["tree/d/e/f", "tree/d/g", "tree/a", "tree/s p/ü", "tree/.git/objects/info/alternates"]
            {
                fs::create_dir_all(repo.join(path).parent().unwrap()).unwrap();
                fs::write(repo.join(path), format!("content of {path}")).unwrap();
            }
            symlink("a", repo.join("tree/l")).unwrap();
            fs::create_dir(repo.join("objects")).unwrap();
            fs::write(repo.join("gits"), ".git\n").unwrap();
            host.identify("one", "");
            host
        }

        fn root(&self) -> PathBuf {
            self.dir.path().join("w s")
        }

        fn repo(&self) -> PathBuf {
            self.root().join("repo")
        }

        fn job(&self) -> PathBuf {
            self.root().join("jobs/j")
        }

        /// The clean copy has changed, and is called `id` now.
        fn identify(&self, id: &str, log: &str) {
            fs::write(self.repo().join("id"), id).unwrap();
            fs::write(self.repo().join("log"), log).unwrap();
            let repo = word(self.repo());
            self.sh(&format!("{LIST}cd {repo} && list list ./tree ./objects\n"));
        }

        fn sh(&self, program: &str) {
            let output =
                Command::new(self.shell[0]).args(&self.shell[1..]).args(["-c", program]).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && said.is_empty(), "{:?} {}: {said}", self.shell, output.status);
        }

        fn take(&self) {
            for dir in ["jobs", "control"] {
                fs::create_dir_all(self.root().join(dir)).unwrap();
            }
            self.sh(&super::take(&self.root(), &self.job(), &self.root().join("control/j"), "022", true));
        }

        fn give(&self) {
            self.sh(&super::give(&self.root(), &self.job(), &self.root().join("control/j")));
            assert!(!self.job().exists());
            assert_eq!(fs::read_dir(self.root().join("control")).unwrap().count(), 0);
        }

        fn is_kept(&self) -> bool {
            self.repo().join("used/1/tree").is_dir()
        }

        /// The job's copy is as the clean one, but for the place of git's objects.
        fn assert_clean(&self) {
            let look = |dir: &Path| {
                let mut found = Vec::new();
                for (path, is_dir) in super::super::pack::tree(dir).unwrap() {
                    let (at, meta) = (dir.join(&path), fs::symlink_metadata(dir.join(&path)).unwrap());
                    let content = match (is_dir, meta.is_symlink()) {
                        (true, _) => Vec::new(),
                        (_, true) => fs::read_link(at).unwrap().into_os_string().into_encoded_bytes(),
                        _ => fs::read(at).unwrap(),
                    };
                    if !path.ends_with("alternates") {
                        found.push((path, meta.mode(), content));
                    }
                }
                found
            };
            assert_eq!(look(&self.job()), look(&self.repo().join("tree")));
            let objects = fs::read_to_string(self.job().join(".git/objects/info/alternates")).unwrap();
            assert_eq!(objects, format!("{}\n", self.repo().join("objects").display()));
        }

        /// Runs `job` on a copy that was kept, which has to be clean for the next one.
        fn after(&self, job: impl Fn(&Path)) {
            self.take();
            job(&self.job());
            self.give();
            self.take();
            self.assert_clean();
            self.give();
        }
    }

    const SH: &[&str] = &["sh"];

    /// The shells of hosts: this machine's, and busybox's, which runs its own programs before those on the
    /// PATH.
    fn shells() -> [&'static [&'static str]; 2] {
        let there = || Command::new("busybox").arg("true").status().is_ok_and(|status| status.success());
        if !there() {
            let install = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services/install");
            let installed = Command::new(install).arg("busybox=busybox-static").status();
            assert!(installed.is_ok_and(|status| status.success()) && there(), "this test needs busybox");
        }
        [SH, &["busybox", "sh"]]
    }

    #[test]
    fn a_copy_is_taken_again_as_it_is() {
        for shell in shells() {
            let host = Host::new(shell);
            host.take();
            host.assert_clean();
            let inode = fs::metadata(host.job().join("d/e/f")).unwrap().ino();
            host.give();
            host.take();
            host.assert_clean();
            assert_eq!(fs::metadata(host.job().join("d/e/f")).unwrap().ino(), inode, "{shell:?}");
        }
    }

    #[test]
    fn whatever_a_job_did_the_next_one_sees_nothing_of_it() {
        let jobs: &[fn(&Path)] = &[
            |j| {
                // In place, with the size and the time that it had.
                let file = fs::File::options().write(true).open(j.join("a")).unwrap();
                let time = file.metadata().unwrap().modified().unwrap();
                std::io::Write::write_all(&mut &file, b"CONTENT").unwrap();
                file.set_modified(time).unwrap();
            },
            |j| fs::remove_dir_all(j.join("d")).unwrap(),
            |j| {
                fs::remove_dir_all(j.join("d")).unwrap();
                fs::write(j.join("d"), "a file now").unwrap();
            },
            |j| {
                fs::remove_file(j.join("a")).unwrap();
                fs::create_dir_all(j.join("a/b")).unwrap();
                fs::write(j.join("a/b/c"), "").unwrap();
            },
            |j| {
                fs::create_dir_all(j.join("target/x y/z")).unwrap();
                fs::write(j.join("target/x y/z/-rf"), "built").unwrap();
                fs::write(j.join("-rf"), "").unwrap();
            },
            |j| fs::set_permissions(j.join("d"), fs::Permissions::from_mode(0o700)).unwrap(),
            |j| fs::set_permissions(j.join("a"), fs::Permissions::from_mode(0o777)).unwrap(),
            |j| fs::set_permissions(j, fs::Permissions::from_mode(0o711)).unwrap(),
            |j| fs::rename(j.join("a"), j.join("d/e/f")).unwrap(),
            |j| {
                let other = j.parent().unwrap().join("other");
                let _earlier = fs::remove_file(&other);
                fs::hard_link(j.join("a"), &other).unwrap();
                fs::write(other, "through another name").unwrap();
            },
            |j| {
                fs::remove_file(j.join("l")).unwrap();
                symlink("d", j.join("l")).unwrap();
            },
            |j| fs::write(j.join(".git/index"), "of the job").unwrap(),
            |j| fs::write(j.join("back\\nslash"), "").unwrap(),
            |j| {
                fs::create_dir(j.join("end\nf 1 2 3 .")).unwrap();
                fs::write(j.join("end\nf 1 2 3 ./a"), "").unwrap();
            },
            |j| {
                fs::create_dir_all(j.join("ro/deep")).unwrap();
                fs::write(j.join("ro/deep/f"), "").unwrap();
                fs::set_permissions(j.join("ro/deep"), fs::Permissions::from_mode(0o500)).unwrap();
            },
        ];
        for shell in shells() {
            let host = Host::new(shell);
            for job in jobs {
                host.after(job);
            }
        }
    }

    #[test]
    fn nothing_outside_a_copy_is_touched() {
        let host = Host::new(SH);
        let outside = host.dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("e"), "mine").unwrap();
        host.after(|j| {
            fs::remove_dir_all(j.join("d")).unwrap();
            symlink(&outside, j.join("d")).unwrap();
            fs::remove_dir_all(j.join(".git/objects")).unwrap();
            symlink(&outside, j.join(".git/objects")).unwrap();
        });
        let left: Vec<_> = fs::read_dir(&outside).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["e"]);
        assert_eq!(fs::read(outside.join("e")).unwrap(), b"mine");
    }

    #[test]
    fn what_changed_in_the_repository_since_comes_along() {
        for shell in shells() {
            let host = Host::new(shell);
            host.take();
            fs::write(host.job().join("d/g"), "of the job").unwrap();
            host.give();
            let tree = host.repo().join("tree");
            fs::write(tree.join("a"), "changed").unwrap();
            fs::remove_dir_all(tree.join("d")).unwrap();
            symlink("s p", tree.join("d")).unwrap();
            fs::create_dir_all(tree.join("new/er")).unwrap();
            fs::write(tree.join("new/er/f"), "new").unwrap();
            host.identify("three", "=zero\nl\n=one\na\nd/e/f\nd/g\nd/e\nd\n=two\nnew/er/f\nd\n");
            host.take();
            host.assert_clean();
            host.give();
            // A copy from before all that is known is not used.
            fs::write(host.repo().join("used/1/id"), "unknown").unwrap();
            host.take();
            host.assert_clean();
        }
    }

    #[test]
    fn a_copy_that_was_damaged_meanwhile_is_mended() {
        let host = Host::new(SH);
        host.take();
        host.give();
        assert!(host.is_kept());
        fs::remove_file(host.repo().join("used/1/tree/a")).unwrap();
        fs::write(host.repo().join("used/1/tree/d/g"), "damaged").unwrap();
        host.take();
        host.assert_clean();
    }
}
