//! The Nix side of the language, embedded: a table of virtual files.

/// The directory that the embedded files seem to be in; no real path can be read through it.
pub const ROOT: &str = "/builtin/nixactions";

/// The embedded files, by name.
pub static FILES: &[(&str, &str)] = &[
    ("actions.nix", include_str!("../../nixlib/actions.nix")),
    ("app.nix", include_str!("../../nixlib/app.nix")),
    ("default.nix", include_str!("../../nixlib/default.nix")),
    ("entry.nix", include_str!("../../nixlib/entry.nix")),
    ("env-providers.nix", include_str!("../../nixlib/env-providers.nix")),
    ("executors.nix", include_str!("../../nixlib/executors.nix")),
    ("hash-files.nix", include_str!("../../nixlib/hash-files.nix")),
    ("jobs.nix", include_str!("../../nixlib/jobs.nix")),
    ("lib.nix", include_str!("../../nixlib/lib.nix")),
    ("matrix.nix", include_str!("../../nixlib/matrix.nix")),
    ("outputs.nix", include_str!("../../nixlib/outputs.nix")),
    ("workflow.nix", include_str!("../../nixlib/workflow.nix")),
];

/// The text of an embedded file, by its name or by its path below [`ROOT`].
pub fn file(path: &str) -> Option<(&'static str, &'static str)> {
    let name = path.strip_prefix(ROOT).map_or(path, |rest| rest.trim_start_matches('/'));
    FILES.iter().find(|f| f.0 == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_embedded() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/nixlib");
        let mut on_disk: Vec<String> =
            std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        on_disk.sort();
        let embedded: Vec<&str> = FILES.iter().map(|f| f.0).collect();
        assert_eq!(on_disk, embedded);
        assert!(file("/builtin/nixactions/lib.nix").is_some());
        assert!(file("/etc/passwd").is_none());
    }
}
