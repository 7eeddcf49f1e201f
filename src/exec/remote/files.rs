//! Artifacts to and from the other side.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use globset::GlobBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::host::{self, Host, Session};
use super::pack::{self, Entry};
use super::program::{remove, word};
use crate::engine::artifact;
use crate::engine::executor::{Cancel, ExecError, Saved};

/// Exit codes of our own programs.
const MISSING: i32 = 44;
const OUTSIDE: i32 = 45;

/// A shell function that fails with [`OUTSIDE`] unless a directory, links followed, lies in the job
/// directory `$J`.
const INSIDE: &str = "inside() { r=$(cd -P -- \"$1\" 2>/dev/null && pwd -P) || exit 44\n\
    case $r/ in \"$J\"/*) ;; *) exit 45;; esac; }\n";

/// Runs a program with an archive as its input.
pub(super) async fn send(
    host: &dyn Host,
    program: &str,
    entries: Vec<Entry>,
    cancel: &Cancel,
) -> Result<host::Done, ExecError> {
    let work = async {
        let Session { mut stdin, mut stdout, mut stderr, end } = host.open(&["sh", "-c", program]).await?;
        let (mut pieces, task) = pack::pack(entries);
        let feed = async move {
            while let Some(piece) = pieces.recv().await {
                if stdin.write_all(&piece).await.is_err() {
                    break;
                }
            }
            drop(pieces);
            let _unread = stdin.shutdown().await;
        };
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (_, _, _) = tokio::join!(feed, stdout.read_to_end(&mut out), stderr.read_to_end(&mut err));
        let code = end.await?;
        task.await.map_err(|e| ExecError::infrastructure(format!("packing did not finish: {e}")))??;
        Ok(host::Done { code, stdout: out, stderr: err })
    };
    tokio::select! {
        done = work => done,
        () = cancel.cancelled() => Err(host::cancelled()),
    }
}

/// Runs a program that prints an archive, and unpacks that into `dest`.
async fn fetch(host: &dyn Host, program: &str, dest: &Path) -> Result<(host::Done, Saved), ExecError> {
    let Session { mut stdin, stdout, mut stderr, end } = host.open(&["sh", "-c", program]).await?;
    drop(stdin.shutdown().await);
    drop(stdin);
    let (pieces, task) = pack::unpack(dest.to_path_buf());
    let mut err = Vec::new();
    let (_, _) = tokio::join!(pump(stdout, pieces), stderr.read_to_end(&mut err));
    let code = end.await?;
    let unpacked =
        task.await.map_err(|e| ExecError::infrastructure(format!("unpacking did not finish: {e}")))?;
    let done = host::Done { code, stdout: Vec::new(), stderr: err };
    match unpacked {
        Ok(saved) => Ok((done, saved)),
        // What the other side says is the cause; a cut archive only its consequence.
        Err(_) if code != 0 => Ok((done, Saved::default())),
        Err(error) => Err(error),
    }
}

async fn pump(mut from: host::Reader, to: mpsc::Sender<Vec<u8>>) {
    loop {
        let mut piece = Vec::with_capacity(128 * 1024);
        match from.read_buf(&mut piece).await {
            Ok(0) | Err(_) => return,
            // The unpacking has failed; the rest is read all the same, so that the sender ends.
            Ok(_) => drop(to.send(piece).await),
        }
    }
}

fn outside(pattern: &str) -> ExecError {
    ExecError::job(format!("path `{pattern}` leads out of the job directory through a link"))
}

/// Copies what `pattern` matches below `dir` there into `dest` here.
pub(super) async fn save(
    host: &dyn Host,
    dir: &Path,
    pattern: &str,
    dest: &Path,
) -> Result<Saved, ExecError> {
    let path = artifact::relative(pattern)?;
    let text = path.to_string_lossy().into_owned();
    let missing = || ExecError::job(format!("path `{pattern}` does not exist in the job directory"));
    let head = format!("J=$(cd -P -- {} && pwd -P) || exit 1\ncd -- \"$J\" || exit 1\n{INSIDE}", word(dir));
    let exact = if text.is_empty() { ".".to_owned() } else { text.clone() };
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let program = format!(
        "{head}p={}\n[ -e \"$p\" ] || [ -h \"$p\" ] || exit {MISSING}\ninside {}\nexec tar -cf - -- \"$p\"",
        word(format!("./{exact}")),
        word(format!("./{}", parent.display())),
    );
    let (done, saved) = fetch(host, &program, dest).await?;
    match done.code {
        0 => return Ok(saved),
        OUTSIDE => return Err(outside(pattern)),
        MISSING if text.contains(['*', '?', '[', '{']) => {}
        MISSING => return Err(missing()),
        _ => return Err(done.checked("pack an artifact", host).map_or_else(|e| e, |_| missing())),
    }
    let matches = matching(host, &head, &path, pattern).await?;
    if matches.is_empty() {
        return Err(ExecError::job(format!("nothing matches `{pattern}` in the job directory")));
    }
    let words: Vec<String> = matches.iter().map(|p| word(format!("./{}", p.display()))).collect();
    // Far below what a system takes as arguments of one command.
    let mut total = Saved::default();
    for words in words.chunks(500) {
        let program = format!("{head}exec tar -cf - -- {}", words.join(" "));
        let (done, saved) = fetch(host, &program, dest).await?;
        done.checked("pack an artifact", host)?;
        total = Saved { files: total.files + saved.files, bytes: total.bytes + saved.bytes };
    }
    Ok(total)
}

/// The paths that a glob matches, none of them below another.
async fn matching(
    host: &dyn Host,
    head: &str,
    path: &Path,
    pattern: &str,
) -> Result<Vec<PathBuf>, ExecError> {
    let text = path.to_string_lossy().into_owned();
    let glob = GlobBuilder::new(&text)
        .literal_separator(true)
        .build()
        .map_err(|e| ExecError::job(format!("pattern `{pattern}`: {e}")))?
        .compile_matcher();
    let literal: PathBuf = path
        .components()
        .take_while(|c| !c.as_os_str().to_string_lossy().contains(['*', '?', '[', '{']))
        .collect();
    let from = word(format!("./{}", literal.display()));
    let program = format!("{head}[ -d {from} ] || exit 0\ninside {from}\nexec find {from}/. -print");
    let done = host::run(host, &["sh", "-c", &program], Vec::new(), &Cancel::new()).await?;
    if done.code == OUTSIDE {
        return Err(outside(pattern));
    }
    let done = done.checked("list the job directory", host)?;
    let mut found: Vec<PathBuf> = Vec::new();
    let mut inside = HashSet::new();
    for line in done.stdout.split(|b| *b == b'\n') {
        use std::os::unix::ffi::OsStrExt;
        let listed = Path::new(std::ffi::OsStr::from_bytes(line));
        let path: PathBuf = listed.components().filter(|c| *c != std::path::Component::CurDir).collect();
        // `find` names a directory before what is in it.
        let is_taken = path.ancestors().skip(1).any(|outer| inside.contains(outer));
        if !path.as_os_str().is_empty() && !is_taken && glob.is_match(&path) {
            inside.insert(path.clone());
            found.push(path);
        }
    }
    Ok(found)
}

/// Copies the content of `src` here into `path` below `dir` there.
pub(super) async fn restore(host: &dyn Host, dir: &Path, src: &Path, path: &str) -> Result<(), ExecError> {
    let relative = artifact::relative(path)?;
    let tree = pack::tree(src).map_err(|e| ExecError::io("read", src, &e))?;
    let target = word(format!("./{}", relative.display()));
    let mut program = format!(
        "J=$(cd -P -- {} && pwd -P) || exit 1\ncd -- \"$J\" || exit 1\n{INSIDE}mkdir -p -- {target} || exit 1\ninside {target}\ncd -- {target} || exit 1\n",
        word(dir)
    );
    for (directory, _) in tree.iter().filter(|(_, is_dir)| *is_dir) {
        let directory = word(format!("./{}", directory.display()));
        program += &format!("[ ! -d {directory} ] || inside {directory}\n");
    }
    program += "exec tar -xpof -\n";
    let entries = tree.into_iter().map(|(path, _)| Entry::Path(src.join(&path), path)).collect();
    // A program with many directories does not fit into an argument.
    let (program, staged) =
        if program.len() > 100_000 { (stage_program(host, &program).await?, true) } else { (program, false) };
    let done = send(host, &program, entries, &Cancel::new()).await?;
    if staged {
        let clean = remove(&program.replacen("sh ", "", 1));
        host::run(host, &["sh", "-c", &clean], Vec::new(), &Cancel::new()).await?;
    }
    if done.code == OUTSIDE {
        return Err(outside(path));
    }
    done.checked("unpack an artifact", host).map(|_| ())
}

/// Puts a long program into a file there; the command that runs it.
async fn stage_program(host: &dyn Host, program: &str) -> Result<String, ExecError> {
    let put = "f=$(mktemp) && cat >\"$f\" && printf %s \"$f\"";
    let done = host::run(host, &["sh", "-c", put], program.as_bytes().to_vec(), &Cancel::new()).await?;
    let done = done.checked("take a program", host)?;
    Ok(format!("sh {}", word(String::from_utf8_lossy(&done.stdout).as_ref())))
}
