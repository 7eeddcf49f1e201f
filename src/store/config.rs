//! How this machine wants builds done: the settings of `nix.conf` that a client sends along. (Nix
//! manual: "nix.conf".)

use std::path::Path;

use super::ops::BuildOptions;

impl BuildOptions {
    /// The options that `nix.conf` (in `NIX_CONF_DIR`, or `/etc/nix`) and `NIX_CONFIG` ask for; as
    /// many builds at a time as there are processors when they do not say.
    pub fn from_environment(env: impl Fn(&str) -> Option<String>) -> BuildOptions {
        let dir = env("NIX_CONF_DIR").filter(|d| !d.is_empty()).unwrap_or_else(|| "/etc/nix".into());
        let file = std::fs::read_to_string(Path::new(&dir).join("nix.conf")).unwrap_or_default();
        let mut options = BuildOptions::default();
        for text in [file, env("NIX_CONFIG").unwrap_or_default()] {
            options.read(&text);
        }
        options
    }

    fn read(&mut self, text: &str) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let Some((name, value)) = line.split_once('=') else { continue };
            let value = value.trim();
            match name.trim() {
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
    fn later_settings_win() {
        let mut options = BuildOptions::default();
        options.read("# x\nmax-jobs = 3 # why\ncores=2\nsubstitute = false\nbroken\nfallback = true\n");
        options.read("max-jobs = 5\ncores = many");
        assert_eq!((options.max_jobs, options.cores), (5, 2));
        assert!(!options.substitute && options.fallback);
    }
}
