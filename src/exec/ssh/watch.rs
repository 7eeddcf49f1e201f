//! The watchdog on a host: the first session of a connection. It says what the machine is, makes the
//! workspace, runs what cannot wait for a free session, and cleans up after a runner that died.

use std::path::Path;

use crate::exec::owner::Runs;
use crate::exec::remote::program::{self, word};

/// How long a lost connection may stay lost before the host cleans up, in seconds.
pub(super) const GRACE: u32 = 120;

/// Stands for the end of a line in a program that is sent as one line.
const LINE_END: char = '\x01';

/// What the watchdog says first; what came before is of the login shell.
pub(super) const BEGIN: &str = "nixactions-watchdog-begins";
/// What the watchdog says when it is ready.
pub(super) const READY: &str = "ready";

/// The watchdog's program. `base` is the directory for the workspaces of all users of the host,
/// `owner` stands for the machine and user that runs nixactions, `member` names the workspace among
/// those of the run, `runs` are the runs of this owner: those that live, and
/// those that ended without cleaning up.
pub(super) fn program(
    base: &Path,
    owner: &str,
    run: &str,
    executor: &str,
    member: &str,
    runs: &Runs,
) -> String {
    let probe = program::PROBE;
    let (live, dead) = (runs.live.join(" "), runs.dead.join(" "));
    let base = word(base);
    let (owner, tag) = (word(owner), word(format!("{run}/{executor}/")));
    let dir = word(format!("{run}.{member}"));
    let remove = program::remove("\"$W\"");
    let slay = program::slay_tagged();
    format!(
        r#"echo {BEGIN}; trap '' HUP PIPE
fail() {{ printf 'failed %s\n' "$1"; exit 1; }}
{probe}
B={base}; O={owner}; T={tag}
[ -d "$B" ] || {{ (umask 0; mkdir -p -m 1777 -- "$B") 2>/dev/null; }}
[ -d "$B" ] || fail "cannot create $B"
U=$B/$(id -u); (umask 077; mkdir -p -- "$U") 2>/dev/null
[ -d "$U" ] && [ ! -h "$U" ] && [ -O "$U" ] && [ -w "$U" ] || fail "$U is not a directory of this user"
end_() {{ ( {slay} ) >/dev/null 2>&1; {remove} }}
for W in "$U/$O"/runs/*; do [ -d "$W" ] || continue
r=${{W##*/}}; r=${{r%%.*}}
case " {live} " in *" $r "*) continue;; esac
case " {dead} " in *" $r "*) ;; *) ! kill -0 "$(cat "$W/watch" 2>/dev/null)" 2>/dev/null || continue;; esac
T=$r/; end_; done
T={tag}; W=$U/$O/runs/{dir}
(umask 077; mkdir -p -- "$W") || fail "cannot create $W"
echo $$ >"$W/watch" || fail "cannot write below $W; is the file system full?"
printf 'root=%s\ncache=%s\n' "$W" "$U/$O/cache"
echo {READY}
while read -r op token line; do case $op in
run) printf '%s' "$line" | tr '\001' '\n' | sh 2>/dev/null; printf '\ndone %s %d\n' "$token" "$?";;
end) exit 0;;
clean) rm -f "$W/watch"; [ ! -d "$W" ] || end_; exit 0;;
esac; done
sleep 1
if ! echo bye 2>/dev/null; then
n=0; while [ $n -lt {GRACE} ]; do
[ "$(cat "$W/watch" 2>/dev/null)" = $$ ] || exit 0
sleep 1; n=$((n + 1)); done
fi
[ "$(cat "$W/watch" 2>/dev/null)" = $$ ] || exit 0
end_
"#
    )
}

/// The line that has the watchdog run a program.
pub(super) fn line(token: &str, program: &str) -> String {
    format!("run {token} {}\n", program.trim_end().replace('\n', &LINE_END.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_travel_in_one_line() {
        let line = line("t", "a\nb\n");
        assert_eq!(line, "run t a\x01b\n");
    }

    #[test]
    fn the_program_is_a_program() {
        let text = program(Path::new("/tmp/it's"), "o", "r", "e", "e", &Runs::default());
        let status = std::process::Command::new("sh").args(["-n", "-c", &text]).status().unwrap();
        assert!(status.success());
    }
}
