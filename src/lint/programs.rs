//! Which packages of nixpkgs have which programs, for those that workflows use most. What is not in
//! the table is not judged.

/// Attribute in nixpkgs, name of the package, programs.
const TABLE: &[(&str, &str, &[&str])] = &[
    ("bun", "bun", &["bun", "bunx"]),
    ("cargo", "cargo", &["cargo"]),
    ("clippy", "clippy", &["cargo-clippy", "clippy-driver"]),
    ("cmake", "cmake", &["cmake", "ctest", "cpack"]),
    ("curl", "curl", &["curl"]),
    ("deno", "deno", &["deno"]),
    ("diffutils", "diffutils", &["cmp", "diff", "diff3", "sdiff"]),
    ("findutils", "findutils", &["find", "xargs"]),
    ("gawk", "gawk", &["awk", "gawk"]),
    ("gh", "gh", &["gh"]),
    ("git", "git", &["git"]),
    ("gnugrep", "gnugrep", &["egrep", "fgrep", "grep"]),
    ("gnumake", "gnumake", &["make"]),
    ("gnused", "gnused", &["sed"]),
    ("gnutar", "gnutar", &["tar"]),
    ("go", "go", &["go", "gofmt"]),
    ("gzip", "gzip", &["gunzip", "gzip", "zcat"]),
    ("jq", "jq", &["jq"]),
    ("just", "just", &["just"]),
    ("kubectl", "kubectl", &["kubectl"]),
    ("meson", "meson", &["meson"]),
    ("ninja", "ninja", &["ninja"]),
    ("nodejs", "nodejs", &["corepack", "node", "npm", "npx"]),
    ("openssh", "openssh", &["scp", "sftp", "ssh", "ssh-keygen"]),
    ("pnpm", "pnpm", &["pnpm", "pnpx"]),
    ("python3", "python3", &["python", "python3"]),
    ("ripgrep", "ripgrep", &["rg"]),
    ("rsync", "rsync", &["rsync"]),
    ("ruff", "ruff", &["ruff"]),
    ("rustc", "rustc-wrapper", &["rustc", "rustdoc"]),
    ("rustfmt", "rustfmt", &["cargo-fmt", "rustfmt"]),
    ("shellcheck", "shellcheck", &["shellcheck"]),
    ("terraform", "terraform", &["terraform"]),
    ("unzip", "unzip", &["unzip"]),
    ("wget", "wget", &["wget"]),
    ("which", "which", &["which"]),
    ("xz", "xz", &["unxz", "xz", "xzcat"]),
    ("yarn", "yarn", &["yarn"]),
    ("zip", "zip", &["zip"]),
];

/// The attribute of the package that has a program.
pub(super) fn package_of(program: &str) -> Option<&'static str> {
    TABLE.iter().find(|row| row.2.contains(&program)).map(|row| row.0)
}

/// The attribute of this name.
pub(super) fn attribute(name: &str) -> Option<&'static str> {
    TABLE.iter().find(|row| row.0 == name).map(|row| row.0)
}

/// The programs of a store path, told by its name; `None` when they are not known.
pub(super) fn programs_of(path: &std::path::Path) -> Option<&'static [&'static str]> {
    let (_, name) = path.file_name()?.to_str()?.split_once('-')?;
    // A version begins with a digit; outputs other than the first have words after it.
    let version =
        name.match_indices('-').find(|(i, _)| name[i + 1..].starts_with(|c: char| c.is_ascii_digit()));
    let name = version.map_or(name, |(i, _)| &name[..i]);
    TABLE.iter().find(|row| row.1 == name).map(|row| row.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_told_by_name() {
        let of = |path: &str| programs_of(path.as_ref());
        assert_eq!(of("/nix/store/0c5b8vw40dy178xlpddw65q9gf1h2186-gnumake-4.4.1"), Some(&["make"][..]));
        assert_eq!(
            of("/nix/store/0c5b8vw40dy178xlpddw65q9gf1h2186-rustc-wrapper-1.80.0").map(<[_]>::len),
            Some(2)
        );
        assert_eq!(of("/nix/store/0c5b8vw40dy178xlpddw65q9gf1h2186-own-tool-1"), None);
        assert_eq!(
            (package_of("make"), package_of("python"), package_of("own")),
            (Some("gnumake"), Some("python3"), None)
        );
    }

    #[test]
    fn the_table_is_in_order() {
        assert!(TABLE.is_sorted_by_key(|row| row.0));
    }
}
