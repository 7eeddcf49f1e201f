//! What can be told of a bash script without running it: the variables it takes from outside, the
//! programs it calls. Both leave out what is not certain.

use std::collections::BTreeSet;

/// Variables in capitals that a script reads, in the order of their names, without a default and without
/// setting them itself.
pub(super) fn undefined(script: &str) -> Vec<String> {
    let mut read = BTreeSet::new();
    let bytes = script.as_bytes();
    let mut single = false;
    let mut double = false;
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' if !single => i += 1,
            b'\'' if !double => single = !single,
            b'"' if !single => double = !double,
            // A here-document may be quoted as a whole; what is in it is not certain.
            b'<' if !single
                && !double
                && script[i..].starts_with("<<")
                && !script[i..].starts_with("<<<") =>
            {
                return Vec::new();
            }
            b'#' if !single && !double && (i == 0 || bytes[i - 1].is_ascii_whitespace()) => {
                i += script[i..].find('\n').unwrap_or(script.len() - i);
            }
            b'$' if !single => {
                if let Some(name) = reference(&script[i + 1..]) {
                    read.insert(name.to_string());
                }
            }
            _ => {}
        }
        i += 1;
    }
    // Any word of this name elsewhere may set it: `read NAME`, `for NAME`, `NAME=…`, `printf -v NAME`.
    read.into_iter().filter(|name| !sets(script, name)).collect()
}

/// The name after a `$`, when it is in capitals and has no default.
fn reference(rest: &str) -> Option<&str> {
    let (braced, rest) = match rest.strip_prefix('{') {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
    let name = &rest[..end];
    let capitals = name.len() > 1
        && name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    // `${NAME:-…}`, `${NAME+…}` and the like say what happens without it.
    let certain = !braced || !rest[end..].trim_start_matches(':').starts_with(['-', '+', '?', '=']);
    (capitals && certain).then_some(name)
}

/// Whether a name occurs without a `$` before it.
fn sets(script: &str, name: &str) -> bool {
    script.match_indices(name).any(|(at, _)| {
        let before = script[..at].chars().next_back();
        let after = script[at + name.len()..].chars().next();
        let part_of_word = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_');
        !part_of_word(before) && !part_of_word(after) && !matches!(before, Some('$' | '{'))
    })
}

/// Programs that a script calls by a plain name at the start of a simple line, without those that bash and
/// coreutils have.
pub(super) fn programs(script: &str) -> Vec<String> {
    let mut found = BTreeSet::new();
    // Functions, aliases, here-documents and line continuations change what a word means.
    if ["()", "function ", "alias ", "<<", "\\\n", "eval", "case "].iter().any(|w| script.contains(w)) {
        return Vec::new();
    }
    let mut quotes = 0usize;
    for line in script.lines() {
        let inside = quotes % 2 == 1;
        quotes += line.matches('"').count() + line.matches('\'').count();
        let line = line.trim_start();
        if inside || line.starts_with('#') {
            continue;
        }
        let word =
            line.split(|c: char| c.is_whitespace() || c == ';' || c == '|' || c == '&').next().unwrap_or("");
        let plain = !word.is_empty()
            && word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.' || c == '+');
        if plain && !KNOWN.contains(&word) {
            found.insert(word.to_string());
        }
    }
    found.into_iter().collect()
}

/// Words of bash and programs of coreutils.
const KNOWN: &[&str] = &[
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "case",
    "cd",
    "command",
    "compgen",
    "complete",
    "continue",
    "coproc",
    "declare",
    "dirs",
    "disown",
    "do",
    "done",
    "echo",
    "elif",
    "else",
    "enable",
    "esac",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "fi",
    "for",
    "function",
    "getopts",
    "hash",
    "help",
    "history",
    "if",
    "in",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "select",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "test",
    "then",
    "time",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "until",
    "wait",
    "while",
    "arch",
    "b2sum",
    "base32",
    "base64",
    "basename",
    "basenc",
    "bash",
    "cat",
    "chcon",
    "chgrp",
    "chmod",
    "chown",
    "chroot",
    "cksum",
    "comm",
    "cp",
    "csplit",
    "cut",
    "date",
    "dd",
    "df",
    "dir",
    "dircolors",
    "dirname",
    "du",
    "env",
    "expand",
    "expr",
    "factor",
    "fmt",
    "fold",
    "groups",
    "head",
    "hostid",
    "hostname",
    "id",
    "install",
    "join",
    "link",
    "ln",
    "logname",
    "ls",
    "md5sum",
    "mkdir",
    "mkfifo",
    "mknod",
    "mktemp",
    "mv",
    "nice",
    "nl",
    "nohup",
    "nproc",
    "numfmt",
    "od",
    "paste",
    "pathchk",
    "pinky",
    "pr",
    "printenv",
    "ptx",
    "readlink",
    "realpath",
    "rm",
    "rmdir",
    "runcon",
    "seq",
    "sh",
    "sha1sum",
    "sha224sum",
    "sha256sum",
    "sha384sum",
    "sha512sum",
    "shred",
    "shuf",
    "sleep",
    "sort",
    "split",
    "stat",
    "stdbuf",
    "stty",
    "sum",
    "sync",
    "tac",
    "tail",
    "tee",
    "timeout",
    "touch",
    "tr",
    "truncate",
    "tsort",
    "tty",
    "uname",
    "unexpand",
    "uniq",
    "unlink",
    "uptime",
    "users",
    "vdir",
    "wc",
    "who",
    "whoami",
    "yes",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_from_outside() {
        assert_eq!(
            undefined("curl -H \"$TOKEN\" ${HOST_URL}/x '$QUOTED' \\$ESCAPED # $NOTE\n"),
            ["HOST_URL", "TOKEN"]
        );
        assert!(undefined("A_B=1; echo $A_B; read -r C_D; echo $C_D ${E_F:-x} ${G_H?} $lower $1").is_empty());
        assert!(undefined("cat <<EOF\n$HERE\nEOF").is_empty());
    }

    #[test]
    fn programs_by_plain_names() {
        assert_eq!(programs("set -e\nmake test\ncat x | jq .\n# cargo\ngit log\n./run\n"), ["git", "make"]);
        assert!(programs("f() { make; }\nf").is_empty());
        assert!(programs("echo \"\nmake\n\"").is_empty());
    }
}
