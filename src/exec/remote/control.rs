//! The files through which jobs and the engine talk, remembered from what steps said at their end.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::sync::Mutex;

use super::marker;

/// What is known of a job's control files, by job and suffix.
#[derive(Default)]
pub(in crate::exec) struct Known(Mutex<HashMap<String, HashMap<String, Vec<u8>>>>);

/// Control files that a step's environment names: `env`, `1.1.output`, ….
pub(in crate::exec) fn named(env: &[(OsString, OsString)], control: &str) -> Vec<String> {
    let prefix = format!("{control}.");
    let suffix = |value: &OsString| {
        let rest = value.as_bytes().strip_prefix(prefix.as_bytes())?;
        let harmless = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        (!rest.is_empty() && rest.iter().all(harmless)).then(|| String::from_utf8_lossy(rest).into_owned())
    };
    let mut found: Vec<String> = env.iter().filter_map(|(_, value)| suffix(value)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

impl Known {
    /// A step is about to run: nothing is known any more.
    pub(in crate::exec) fn forget(&self, job: &str) {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).remove(job);
    }

    /// A step has ended: the files asked for are those in the trailer, or empty.
    pub(in crate::exec) fn learn(&self, job: &str, told: &[String], trailer: &[u8]) {
        let mut files: HashMap<String, Vec<u8>> = told.iter().map(|s| (s.clone(), Vec::new())).collect();
        for (suffix, content) in marker::files(trailer) {
            match content {
                Some(content) => drop(files.insert(suffix, content)),
                // Too large to be told: it has to be read.
                None => drop(files.remove(&suffix)),
            }
        }
        self.0.lock().unwrap_or_else(|e| e.into_inner()).insert(job.to_owned(), files);
    }

    /// A file's content, when it is known.
    pub(in crate::exec) fn get(&self, job: &str, suffix: &str) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(|e| e.into_inner()).get(job)?.get(suffix).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_the_environment_and_known_from_the_trailer() {
        let env: Vec<(OsString, OsString)> =
            [("JOB_ENV", "/c/j.env"), ("X", "/c/j"), ("Y", "/c/j.a b"), ("O", "/c/j.1.output")]
                .map(|(n, v)| (n.into(), v.into()))
                .to_vec();
        let told = named(&env, "/c/j");
        assert_eq!(told, ["1.output", "env"]);
        let known = Known::default();
        known.learn("j", &told, b"env !:");
        assert_eq!((known.get("j", "env"), known.get("j", "1.output")), (None, Some(Vec::new())));
        known.forget("j");
        assert_eq!(known.get("j", "1.output"), None);
    }
}
