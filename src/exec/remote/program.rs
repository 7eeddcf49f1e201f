//! The programs for `sh` that run on the other side. POSIX shell; `awk` and `/proc` help to find
//! processes that hide.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::limits;
use crate::workflow::plan::Resources;

/// A text as one word of the shell.
pub(in crate::exec) fn quote(text: impl AsRef<OsStr>) -> Vec<u8> {
    let mut out = vec![b'\''];
    for &byte in text.as_ref().as_bytes() {
        match byte {
            b'\'' => out.extend(b"'\\''"),
            byte => out.push(byte),
        }
    }
    out.push(b'\'');
    out
}

/// A text as one word of the shell, where it is UTF-8 (our own paths are).
pub(in crate::exec) fn word(text: impl AsRef<OsStr>) -> String {
    String::from_utf8_lossy(&quote(text)).into_owned()
}

/// Prints what there is to know about the machine: `NAME=value` lines.
pub(in crate::exec) const PROBE: &str = r#"for n in HOME USER LOGNAME SHELL PATH LANG TZ TMPDIR; do
eval "v=\${$n-}"; [ -z "$v" ] || printf '%s=%s\n' "$n" "$v"; done
printf 'umask=%s\n' "$(umask)"
printf 'uid=%s\ngid=%s\n' "$(id -u)" "$(id -g)"
"#;

/// Shell functions that find the processes of a step or job: by the tag in their environment (where
/// `grep` is busybox's, it sees no further than a null byte), by
/// their working directory when `D` is set, and by descent from such a process.
const TREE: &str = r#"
seeds() {
if printf 'a\000b\n' | grep -qF b; then grep -lsF -e "NIXACTIONS_PROCESS_TAG=$T" /proc/[0-9]*/environ 2>/dev/null
else for f in /proc/[0-9]*/environ; do { tr '\000' '\n' <"$f" | grep -qF -e "NIXACTIONS_PROCESS_TAG=$T" && echo "$f"; } 2>/dev/null; done
fi | while IFS=/ read -r a b p c; do echo "$p"; done
[ -z "$D" ] || ls -ld /proc/[0-9]*/cwd 2>/dev/null | awk -v d="$D" '{ i = index($0, " -> "); if (!i) next
t = substr($0, i + 4); if (t != d && index(t, d "/") != 1) next
p = substr($0, 1, i - 1); sub(/^.*\/proc\//, "", p); sub(/\/cwd$/, "", p); print p }' 2>/dev/null
}
tree() {
s=$(seeds); [ -n "$s" ] || return 0
{ printf 'S %s\n' $s; cat /proc/[0-9]*/stat 2>/dev/null; } | awk '
NF == 2 && $1 == "S" { m[$2] = 1; next }
{ p = $1; sub(/^.*\) /, ""); st[p] = $1; up[p] = $2 }
END { do { n = 0; for (p in up) if (!(p in m) && (up[p] in m)) { m[p] = 1; n++ } } while (n)
for (p in m) if ((p in st) && st[p] !~ /[ZX]/) print p }' 2>/dev/null || printf '%s\n' $s
}
nap() { sleep 0.03 2>/dev/null || sleep 1; }
slay() {
n=0
while p=$(tree); [ -n "$p" ] && [ $n -lt 60 ]; do
kill -s STOP $p; kill -s KILL $p; kill -s KILL $(tree); n=$((n + 1)); [ $n -lt 3 ] || nap
done 2>/dev/null
}
"#;

/// Sends a signal to all processes with a tag. After KILL, prints those that would not go.
pub(in crate::exec) fn signal(tag: &str, signal: &str) -> String {
    let act = if signal == "KILL" {
        "slay; tree"
    } else {
        "p=$(tree); [ -z \"$p\" ] || kill -s SIG $p 2>/dev/null; :"
    };
    format!("T={}; D=\n{TREE}{}\n", word(tag), act.replace("SIG", signal))
}

/// Kills all processes with the tag in the shell's variable `T`.
pub(in crate::exec) fn slay_tagged() -> String {
    format!("D=\n{TREE}slay\n")
}

/// Prints the processes with a tag.
pub(in crate::exec) fn members(tag: &str) -> String {
    format!("T={}; D=\n{TREE}tree\n", word(tag))
}

/// Removes directories and files, read-only ones included.
pub(in crate::exec) fn remove(paths: &str) -> String {
    format!("rm -rf {paths} 2>/dev/null || {{ chmod -R u+rwX {paths}; rm -rf {paths}; }}\n")
}

/// Ends what a job left running, TERM first, and runs `after`. Prints the processes that would not go;
/// while there are such, the job's files stay.
pub(in crate::exec) fn end_job(tag: &str, dir: &Path, rounds: u32, after: &str) -> String {
    format!(
        "T={}; D={}\n{TREE}p=$(tree)\nif [ -n \"$p\" ]; then kill -s TERM $p; kill -s CONT $p; n=0\n\
         while [ -n \"$(tree)\" ] && [ $n -lt {rounds} ]; do nap; n=$((n + 1)); done; slay\n\
         p=$(tree); [ -z \"$p\" ] || {{ printf '%s\\n' $p; exit 0; }}; fi 2>/dev/null\n{after}",
        word(tag),
        word(dir),
    )
}

/// What a step's program needs to know.
pub(in crate::exec) struct Step<'a> {
    /// `PATH` of the supervisor itself.
    pub(in crate::exec) path: &'a OsStr,
    /// The umask of the step.
    pub(in crate::exec) umask: &'a str,
    /// Prefix of this step's own files.
    pub(in crate::exec) prefix: &'a str,
    /// Prefix of the job's control files.
    pub(in crate::exec) control: &'a str,
    /// Control files to be told of at the end.
    pub(in crate::exec) told: &'a [String],
    /// The token of the marker.
    pub(in crate::exec) token: &'a str,
    /// The working directory.
    pub(in crate::exec) dir: &'a Path,
    /// The whole environment.
    pub(in crate::exec) env: &'a [(OsString, OsString)],
    /// The process tag.
    pub(in crate::exec) tag: &'a str,
    /// Program and arguments.
    pub(in crate::exec) argv: &'a [OsString],
    /// The script, which is put into a file.
    pub(in crate::exec) script: Option<&'a str>,
    /// Keep the output there, so that it can be asked for again.
    pub(in crate::exec) spool: bool,
    /// Files to remove first.
    pub(in crate::exec) remove: Option<String>,
    /// Limits of each process that the step starts.
    pub(in crate::exec) limits: Option<&'a Resources>,
}

/// Names that a shell sets itself, or that would change how the supervisor works.
fn is_settable(name: &OsStr) -> bool {
    let bytes = name.as_bytes();
    let own =
        ["UID", "EUID", "PPID", "GROUPS", "IFS", "OPTIND", "SHELLOPTS", "BASHOPTS", "POSIXLY_CORRECT", "_"];
    let letters = bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_');
    letters && !bytes.first().is_none_or(u8::is_ascii_digit) && !own.iter().any(|o| o.as_bytes() == bytes)
}

impl Step<'_> {
    /// The program, for a `sh` with an empty environment that reads it from its standard input.
    pub(in crate::exec) fn text(&self) -> Vec<u8> {
        let mut out: Vec<u8> = b"{ PATH=".to_vec();
        out.extend(quote(self.path));
        let script_file = self.script.map(|_| format!("{}.sh", self.prefix));
        if let Some(remove) = &self.remove {
            out.extend(format!("\nrm -f {remove}").bytes());
        }
        if let (Some(text), Some(file)) = (self.script, &script_file) {
            out.extend(b"\numask 077\nprintf '%s' ");
            out.extend(quote(text));
            out.extend(
                format!(" >{} || {{ {} >&2; exit 0; }}", word(file), self.mark("w", "1", false)).bytes(),
            );
        }
        out.extend(format!("\numask {}\ncd -- ", self.umask).bytes());
        out.extend(quote(self.dir));
        out.extend(
            format!(
                " 2>/dev/null || {{ {} >&2; exit 0; }}\nexec 5>&2 2>/dev/null\n",
                self.mark("d", "1", false)
            )
            .bytes(),
        );
        if self.spool {
            let prefix = word(self.prefix);
            out.extend(
                format!("echo $$ $PPID >{prefix}.pid\n{{ {{ ( exec </dev/null 2>&1 >&3 3>&-\n").bytes(),
            );
            self.start(&mut out, script_file.as_deref());
            out.extend(format!(") ; c=$?; echo $c >{prefix}.end\n{}\n", self.tell()).bytes());
            out.extend(
                format!(
                    "}} | ( trap '' PIPE; exec tee {prefix}.err >&5 3>&- 5>&- 2>/dev/null ) ; }} 3>&1 | \
                     ( trap '' PIPE; exec tee {prefix}.out 5>&- 2>/dev/null )\nexit 0 ; }}\n"
                )
                .bytes(),
            );
        } else {
            out.extend(b"( exec </dev/null 2>&5\n");
            self.start(&mut out, script_file.as_deref());
            out.extend(format!(") ; c=$?\n{}\nexit 0 ; }}\n", self.tell()).bytes());
        }
        out
    }

    fn start(&self, out: &mut Vec<u8>, script: Option<&str>) {
        for (name, value) in self.env.iter().filter(|(name, _)| is_settable(name)) {
            out.extend(b"export ");
            out.extend(name.as_bytes());
            out.push(b'=');
            out.extend(quote(value));
            out.push(b'\n');
        }
        out.extend(format!("export NIXACTIONS_PROCESS_TAG={}\n", word(self.tag)).bytes());
        if let Some(program) = self.argv.first() {
            out.extend(b"command -v ");
            out.extend(quote(program));
            out.extend(
                format!(" >/dev/null 2>&1 || {{ {} >&5; exit 127; }}\n", self.mark("p", "127", false))
                    .bytes(),
            );
        }
        out.extend(self.limits.map(limits::program).unwrap_or_default().bytes());
        out.extend(b"exec");
        for argument in self.argv {
            out.push(b' ');
            out.extend(quote(argument));
        }
        if let Some(script) = script {
            out.push(b' ');
            out.extend(quote(script));
        }
        out.extend(b" 5>&-\n");
    }

    /// Prints the marker; with a trailer, `$t` is it.
    fn mark(&self, kind: &str, code: &str, trailer: bool) -> String {
        let (length, text) = if trailer { ("${#t}", "\"$t\"") } else { ("0", "''") };
        format!("printf '\\002{} {kind} %d %d;%s' {code} {length} {text}", self.token)
    }

    /// Prints the final marker with the control files that are small.
    fn tell(&self) -> String {
        if self.told.is_empty() {
            return format!("t=; {} >&5", self.mark("x", "$c", true));
        }
        let suffixes: Vec<String> = self.told.iter().map(word).collect();
        format!(
            "t=; for s in {}; do f={}.$s; [ -s \"$f\" ] || continue\n\
             v=$(cat \"$f\"; echo x); v=${{v%x}}\n\
             if [ $((${{#t}} + ${{#v}})) -gt 1500 ]; then t=\"$t$s !:\"; else t=\"$t$s ${{#v}}:$v\"; fi; done\n{} >&5",
            suffixes.join(" "),
            word(self.control),
            self.mark("x", "$c", true)
        )
    }
}

/// Goes on with the output of a step whose connection was lost: from these offsets on, until its
/// end, which the marker tells. What is left of the old connection is ended first, so that nothing
/// waits for it.
pub(in crate::exec) fn attach(prefix: &str, token: &str, out: u64, err: u64) -> String {
    let p = word(prefix);
    format!(
        r#"o={out}; e={err}; l=0; q=0
read -r pid up <{p}.pid || {{ printf '\002{token} l 1 0;' >&2; exit 0; }}
case $(cat "/proc/$up/comm" 2>/dev/null) in sshd*) kill "$up" 2>/dev/null;; esac
nap() {{ sleep 0.05 2>/dev/null || sleep 1; }}
while :; do
m=0; d=0; [ ! -s {p}.end ] || d=1; g=0; kill -0 "$pid" 2>/dev/null || g=1
s=$(wc -c <{p}.out); if [ "$s" -gt "$o" ]; then tail -c +$((o + 1)) {p}.out | head -c $((s - o)); o=$s; m=1; fi
s=$(wc -c <{p}.err); if [ "$s" -gt "$e" ]; then tail -c +$((e + 1)) {p}.err | head -c $((s - e)) >&2; e=$s; m=1; fi
if [ $m = 1 ]; then q=0; continue; fi
q=$((q + 1))
if [ $d = 1 ] && {{ [ $g = 1 ] || [ $q -gt 4 ]; }}; then read -r c <{p}.end; printf '\002{token} x %d 0;' "$c" >&2; exit 0; fi
if [ $d = 0 ] && [ $g = 1 ]; then l=$((l + 1)); [ $l -lt 3 ] || {{ printf '\002{token} l 1 0;' >&2; exit 0; }}; fi
nap
done
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        for text in ["", "a b", "it's", "$(x) `y` \\ \" * \n é", "'"] {
            let command = format!("printf %s {}", word(text));
            let output = std::process::Command::new("sh").args(["-c", &command]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }

    #[test]
    fn only_names_that_a_shell_can_set_are_set() {
        assert!(is_settable(OsStr::new("PATH_2")));
        for name in ["", "2A", "A.B", "BASH_FUNC_x%%", "UID", "IFS"] {
            assert!(!is_settable(OsStr::new(name)), "{name}");
        }
    }
}
