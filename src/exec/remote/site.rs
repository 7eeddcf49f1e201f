//! A workspace on a host: the directories of jobs, their steps, and the files that come and go.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::control::{self, Known};
use super::host::{self, Host};
use super::program::{self, word};
use super::{delta, files, import, limits, step, trees};
use crate::engine::event::StepEnd;
use crate::engine::executor::{
    Cancel, ExecError, JobSite, OutputSink, Saved, StepOutcome, StepSpec, Workspace, safe_file_name,
};
use crate::exec::packages;
use crate::workflow::plan;

/// Output of a step that is worth removing before its job ends.
const LARGE: u64 = 1024 * 1024;

/// What a machine says about itself.
#[derive(Clone, Debug)]
pub(in crate::exec) struct Probe {
    /// `PATH`, `HOME` and the like.
    pub(in crate::exec) env: Vec<(OsString, OsString)>,
    /// Its umask.
    pub(in crate::exec) umask: String,
    /// The number of the user that jobs run as.
    pub(in crate::exec) uid: String,
    /// The number of the user's group.
    pub(in crate::exec) gid: String,
}

impl Probe {
    /// Reads what [`program::PROBE`] printed.
    pub(in crate::exec) fn parse(printed: &[u8]) -> Probe {
        let mut probe = Probe { env: Vec::new(), umask: "022".into(), uid: "0".into(), gid: "0".into() };
        for line in printed.split(|b| *b == b'\n') {
            let Some(at) = memchr::memchr(b'=', line) else { continue };
            let (name, value) = (&line[..at], &line[at + 1..]);
            match name {
                b"umask" => probe.umask = String::from_utf8_lossy(value).into_owned(),
                b"gid" => probe.gid = String::from_utf8_lossy(value).into_owned(),
                b"uid" => probe.uid = String::from_utf8_lossy(value).into_owned(),
                name => {
                    probe.env.push((OsStr::from_bytes(name).to_owned(), OsString::from_vec(value.to_vec())));
                }
            }
        }
        probe
    }

    /// Its `PATH`.
    pub(in crate::exec) fn path(&self) -> &OsStr {
        let path = self.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_os_str());
        path.unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"))
    }
}

/// Where a workspace lies.
pub(in crate::exec) struct Place {
    /// The directory that belongs to this executor in this run alone.
    pub(in crate::exec) root: PathBuf,
    /// Where the host keeps its copy of the repository between runs, where it does.
    pub(in crate::exec) cache: Option<PathBuf>,
    /// Later jobs may take the copies of earlier ones.
    pub(in crate::exec) reuses: bool,
}

/// A workspace on a host.
pub(in crate::exec) struct Site {
    pub(in crate::exec) host: Arc<dyn Host>,
    pub(in crate::exec) workspace: Workspace,
    /// Copy the repository into each job directory.
    pub(in crate::exec) copies: bool,
    /// The place itself keeps to the limits of its job.
    pub(in crate::exec) bounded: bool,
    place: OnceLock<(Place, Probe)>,
    known: Known,
    importing: tokio::sync::Mutex<()>,
    next: AtomicU64,
    /// How jobs got their packages, for the log.
    notes: Mutex<HashMap<String, String>>,
    /// The step before, of each job, that printed much.
    large: Mutex<Vec<(String, String)>>,
}

impl Site {
    /// A workspace that is not there yet.
    pub(in crate::exec) fn new(host: Arc<dyn Host>, workspace: Workspace, copies: bool) -> Site {
        Site {
            host,
            workspace,
            copies,
            bounded: false,
            place: OnceLock::new(),
            known: Known::default(),
            importing: tokio::sync::Mutex::default(),
            next: AtomicU64::new(0),
            notes: Mutex::default(),
            large: Mutex::new(Vec::new()),
        }
    }

    fn place(&self) -> Result<&(Place, Probe), ExecError> {
        let missing = || ExecError::infrastructure(format!("{} was not prepared", self.host.describe()));
        self.place.get().ok_or_else(missing)
    }

    /// Asks the machine about itself.
    pub(in crate::exec) async fn probe(&self, cancel: &Cancel) -> Result<Probe, ExecError> {
        let done = host::run(self.host.as_ref(), &["sh", "-c", program::PROBE], Vec::new(), cancel).await?;
        Ok(Probe::parse(&done.checked("say what it is", self.host.as_ref())?.stdout))
    }

    /// Makes the workspace, with a copy of the repository from which jobs get theirs.
    pub(in crate::exec) async fn prepare(
        &self,
        place: Place,
        probe: Probe,
        cancel: &Cancel,
    ) -> Result<(), ExecError> {
        let root = word(&place.root);
        let make = format!("umask 077; mkdir -p {root}/jobs {root}/control && chmod 700 {root}");
        host::run(self.host.as_ref(), &["sh", "-c", &make], Vec::new(), cancel)
            .await?
            .checked("make the workspace", self.host.as_ref())?;
        if self.copies {
            delta::stage(self.host.as_ref(), &self.workspace, &place, cancel).await?;
        }
        let _first = self.place.set((place, probe));
        Ok(())
    }

    /// The tag of a job's processes.
    fn job_tag(&self, job: &str) -> String {
        let executor = safe_file_name(&self.workspace.executor.name);
        format!("{}/{executor}/{}/", self.workspace.run, safe_file_name(job))
    }

    /// Makes a fresh job directory.
    pub(in crate::exec) async fn prepare_job(
        &self,
        job: &str,
        cancel: &Cancel,
    ) -> Result<JobSite, ExecError> {
        let (place, probe) = self.place()?;
        let file_name = safe_file_name(job);
        let dir = place.root.join("jobs").join(&file_name);
        let control = place.root.join("control").join(&file_name);
        let umask = &probe.umask;
        let make = if self.copies {
            trees::take(&place.root, &dir, &control, umask, place.reuses)
        } else {
            let dir = word(&dir);
            format!("umask {umask}; {}mkdir {dir}\n", program::remove(&dir))
        };
        host::run(self.host.as_ref(), &["sh", "-c", &make], Vec::new(), cancel)
            .await?
            .checked("make a job directory", self.host.as_ref())?;
        self.known.forget(job);
        Ok(JobSite { job: job.into(), dir, control, env: Vec::new(), machine: Some(probe.env.clone()) })
    }

    /// Brings the packages of a job to the host's store.
    pub(in crate::exec) async fn import(&self, job: &plan::Job, cancel: &Cancel) -> Result<(), ExecError> {
        let Some(mut packages) = packages::of_job(job).await? else { return Ok(()) };
        let (place, _) = self.place()?;
        let links = place.root.join("packages").join(safe_file_name(&job.name));
        // One at a time: jobs often share what they need.
        let _turn = self.importing.lock().await;
        let note = import::import(self.host.as_ref(), &job.name, &mut packages, &links, cancel).await?;
        self.note(&job.name, note);
        Ok(())
    }

    /// Remembers how a job got its packages.
    pub(in crate::exec) fn note(&self, job: &str, note: String) {
        self.notes.lock().unwrap_or_else(|e| e.into_inner()).insert(job.to_owned(), note);
    }

    /// How the limits of a job are enforced, for the log.
    pub(in crate::exec) fn limits_note(&self, limits: &plan::Resources) -> String {
        if self.bounded { "resources: by the job's container".to_owned() } else { limits::note(limits) }
    }

    /// How a job got its packages, told once.
    pub(in crate::exec) fn take_note(&self, job: &str) -> Option<String> {
        self.notes.lock().unwrap_or_else(|e| e.into_inner()).remove(job)
    }

    /// Runs a process of a job.
    pub(in crate::exec) async fn run_step(
        &self,
        site: &JobSite,
        spec: &StepSpec,
        sink: &dyn OutputSink,
        cancel: &Cancel,
    ) -> StepOutcome {
        if cancel.is_cancelled() {
            return StepEnd::Cancelled;
        }
        let (_, probe) = match self.place() {
            Ok(place) => place,
            Err(error) => return StepEnd::Infrastructure { message: error.message },
        };
        if spec.argv.is_empty() {
            return StepEnd::Infrastructure { message: format!("{} names no program to run", spec.label) };
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let tag = format!("{}{number}/", self.job_tag(&site.job));
        let control = site.control.to_string_lossy().into_owned();
        let prefix = format!("{control}.step{number}");
        let token = token();
        let told = control::named(&spec.env, &control);
        let spool = self.host.may_reconnect();
        let program = program::Step {
            path: probe.path(),
            umask: &probe.umask,
            prefix: &prefix,
            control: &control,
            told: &told,
            token: &token,
            dir: &site.dir.join(&spec.workdir),
            env: &spec.env,
            tag: &tag,
            argv: &spec.argv,
            script: spec.script.as_deref(),
            spool,
            remove: self.take_large(&site.job),
            limits: spec.limits.as_ref().filter(|_| !self.bounded),
        };
        self.known.forget(&site.job);
        let run = step::Run {
            host: self.host.as_ref(),
            program: program.text(),
            token: &token,
            tag: &tag,
            prefix: &prefix,
            timeout: spec.timeout,
            stop: self.workspace.stop,
            sink,
            cancel,
        };
        let ended = run.run().await;
        if let Some(verdict) = ended.verdict.filter(|verdict| verdict.kind == b'x') {
            self.known.learn(&site.job, &told, &verdict.trailer);
        }
        if spool && ended.printed > LARGE {
            let mut large = self.large.lock().unwrap_or_else(|e| e.into_inner());
            large.push((site.job.to_string(), format!("{0}.out {0}.err", word(&prefix))));
        }
        match ended.end {
            StepEnd::Infrastructure { message } if message.ends_with("its shell") => {
                let program = spec.argv[0].to_string_lossy().into_owned();
                let path = spec.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value);
                let path = path.map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
                let host = self.host.describe();
                StepEnd::Infrastructure {
                    message: format!(
                        "there is no program `{program}` on the PATH of the step on {host} ({path})"
                    ),
                }
            }
            end => end,
        }
    }

    fn take_large(&self, job: &str) -> Option<String> {
        let mut large = self.large.lock().unwrap_or_else(|e| e.into_inner());
        let at = large.iter().position(|(owner, _)| owner == job)?;
        Some(large.swap_remove(at).1)
    }

    /// The content of a control file.
    pub(in crate::exec) async fn read_control(
        &self,
        site: &JobSite,
        suffix: &str,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, ExecError> {
        let content = match self.known.get(&site.job, suffix) {
            Some(known) => known,
            None => {
                let file = word(site.control_file(suffix));
                let program = format!("[ -s {file} ] || exit 0; head -c {} {file}", limit.saturating_add(1));
                let done = host::run(self.host.as_ref(), &["sh", "-c", &program], Vec::new(), &Cancel::new())
                    .await?;
                done.checked("give a file of the job", self.host.as_ref())?.stdout
            }
        };
        if content.len() as u64 > limit {
            let file = site.control_file(suffix);
            return Err(ExecError::job(format!("{} is larger than {limit} bytes", file.display())));
        }
        Ok(Some(content).filter(|content| !content.is_empty()))
    }

    /// Copies what a pattern matches to this machine.
    pub(in crate::exec) async fn save(
        &self,
        site: &JobSite,
        pattern: &str,
        dest: &Path,
    ) -> Result<Saved, ExecError> {
        files::save(self.host.as_ref(), &site.dir, pattern, dest).await
    }

    /// Copies a directory of this machine into the job directory.
    pub(in crate::exec) async fn restore(
        &self,
        site: &JobSite,
        src: &Path,
        path: &str,
    ) -> Result<(), ExecError> {
        files::restore(self.host.as_ref(), &site.dir, src, path).await
    }

    /// Ends what the job left running and removes its files.
    pub(in crate::exec) async fn finish_job(&self, site: &JobSite) -> Result<(), ExecError> {
        let rounds = u32::try_from(self.workspace.stop.terminate.as_millis() / 30).unwrap_or(80).max(1);
        let (place, _) = self.place()?;
        let after = match self.workspace.keep {
            true => ":\n".to_owned(),
            false if self.copies && place.reuses => trees::give(&place.root, &site.dir, &site.control),
            false => program::remove(&format!("{} {}.*", word(&site.dir), word(&site.control))),
        };
        self.take_large(&site.job);
        let program = program::end_job(&self.job_tag(&site.job), &site.dir, rounds, &after);
        let done = host::run(self.host.as_ref(), &["sh", "-c", &program], Vec::new(), &Cancel::new()).await?;
        let done = done.checked("remove the job's files", self.host.as_ref())?;
        let stuck = String::from_utf8_lossy(&done.stdout).split_whitespace().collect::<Vec<_>>().join(", ");
        match stuck.as_str() {
            "" => Ok(()),
            stuck => Err(ExecError::infrastructure(format!(
                "processes on {} that cannot be killed are left running: {stuck}",
                self.host.describe()
            ))),
        }
    }

    /// Removes the workspace; the copy of the repository goes back to where the next run finds it.
    pub(in crate::exec) async fn remove(&self) -> Result<(), ExecError> {
        let Ok((place, _)) = self.place() else { return Ok(()) };
        let root = word(&place.root);
        let mut program = String::new();
        if let (Some(cache), true) = (&place.cache, self.copies) {
            program += &delta::give_back(&place.root, cache);
        }
        program += &program::remove(&root);
        let done = host::run(self.host.as_ref(), &["sh", "-c", &program], Vec::new(), &Cancel::new()).await?;
        done.checked("remove the workspace", self.host.as_ref()).map(|_| ())
    }
}

/// A token that nobody guesses.
pub(in crate::exec) fn token() -> String {
    use std::hash::{BuildHasher, RandomState};
    let random = || RandomState::new().hash_one(std::process::id());
    format!("{:016x}{:016x}", random(), random())
}
