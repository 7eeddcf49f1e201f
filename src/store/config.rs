//! How this machine wants things done: the settings of `nix.conf`, in the order in which Nix reads them, and
//! those of them that a client sends along with builds. (Nix manual: "nix.conf".)

use std::path::{Path, PathBuf};

use super::ops::BuildOptions;

/// Files that include files, at most one within the other.
const DEEPEST: u32 = 10;

/// Names and values of the settings of the system's `nix.conf` (in `NIX_CONF_DIR`, or `/etc/nix`), of the user's
/// (`NIX_USER_CONF_FILES`, or below `XDG_CONFIG_HOME`), and of `NIX_CONFIG`; of two for one name the later one
/// counts.
pub fn nix_settings(env: impl Fn(&str) -> Option<String>) -> Vec<(String, String)> {
    let set = |name: &str| env(name).filter(|v| !v.is_empty());
    let system = set("NIX_CONF_DIR").unwrap_or_else(|| "/etc/nix".into());
    let mut files = vec![Path::new(&system).join("nix.conf")];
    match set("NIX_USER_CONF_FILES") {
        // Of several files the first counts most.
        Some(named) => files.extend(named.split(':').rev().map(PathBuf::from)),
        None => {
            let home = set("HOME").map(|h| PathBuf::from(h).join(".config"));
            let config = set("XDG_CONFIG_HOME").map(PathBuf::from).or(home);
            files.extend(config.map(|c| c.join("nix/nix.conf")));
        }
    }
    let mut found = Vec::new();
    for file in files {
        read_file(&file, &mut found, 0);
    }
    read(&set("NIX_CONFIG").unwrap_or_default(), Path::new("/"), &mut found, 0);
    found
}

fn read_file(file: &Path, found: &mut Vec<(String, String)>, depth: u32) {
    if depth < DEEPEST
        && let Ok(text) = std::fs::read_to_string(file)
    {
        read(&text, file.parent().unwrap_or(Path::new("/")), found, depth);
    }
}

fn read(text: &str, dir: &Path, found: &mut Vec<(String, String)>, depth: u32) {
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default().trim();
        let mut words = line.splitn(2, char::is_whitespace);
        if let (Some("include" | "!include"), Some(file)) = (words.next(), words.next()) {
            read_file(&dir.join(file.trim()), found, depth + 1);
        } else if let Some((name, value)) = line.split_once('=') {
            found.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
}

impl BuildOptions {
    /// The options that [`nix_settings`] ask for; as many builds at a time as there are processors when they do
    /// not say.
    pub fn from_environment(env: impl Fn(&str) -> Option<String>) -> BuildOptions {
        let mut options = BuildOptions::default();
        options.take(&nix_settings(env));
        options
    }

    fn take(&mut self, settings: &[(String, String)]) {
        for (name, value) in settings {
            match name.as_str() {
                "max-jobs" if value == "auto" => self.max_jobs = processors(),
                "max-jobs" => self.max_jobs = value.parse().unwrap_or(self.max_jobs),
                "cores" => self.cores = value.parse().unwrap_or(self.cores),
                "substitute" => self.substitute = value != "false",
                "fallback" => self.fallback = value == "true",
                _ => {}
            }
        }
    }
}

/// Processors of this machine.
pub(super) fn processors() -> u64 {
    std::thread::available_parallelism().map_or(1, |n| n.get() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_settings_win_and_files_include_files() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
        write(
            "nix.conf",
            "# x\nmax-jobs = 3 # why\ncores=2\n!include more.conf\nsubstitute = false\nbroken\n",
        );
        write("more.conf", "fallback = true\ninclude nix.conf\n!include none.conf\n");
        write("user.conf", "cores = 4\n");
        let env = |name: &str| match name {
            "NIX_CONF_DIR" => Some(dir.path().to_string_lossy().into_owned()),
            "NIX_USER_CONF_FILES" => Some(format!("{}/user.conf:/none", dir.path().display())),
            "NIX_CONFIG" => Some("max-jobs = 5\ncores = many".into()),
            _ => None,
        };
        let options = BuildOptions::from_environment(env);
        assert_eq!((options.max_jobs, options.cores), (5, 4));
        assert!(!options.substitute && options.fallback);
    }
}
