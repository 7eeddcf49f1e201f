//! Placeholders: strings that stand for output paths which are not known before the build.

use super::base32;
use super::hash::Hash;
use super::store_path::{StorePath, output_path_name};

fn render(hash: &Hash) -> String {
    format!("/{}", base32::encode(hash.as_bytes()))
}

/// What `builtins.placeholder` gives: the path of an output of the derivation it is used in.
pub fn own_output(output: &[u8]) -> String {
    render(&Hash::sha256(&[b"nix-output:", output].concat()))
}

/// The path of an output of another, content-addressed derivation.
pub fn unknown_output(drv: &StorePath, output: &[u8]) -> String {
    render(&unknown_output_hash(drv, output))
}

fn unknown_output_hash(drv: &StorePath, output: &[u8]) -> Hash {
    let name = drv.derivation_name().unwrap_or(drv.name());
    let head = format!("nix-upstream-output:{}:", drv.hash_part());
    Hash::sha256(&[head.as_bytes(), &output_path_name(name.as_bytes(), output)].concat())
}

/// The path of the last of some outputs, each of the derivation that the one before is.
pub fn dynamic_output<'a>(drv: &StorePath, outputs: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut outputs = outputs.into_iter();
    let first = unknown_output_hash(drv, outputs.next().unwrap_or_default());
    let last = outputs.fold(first, |of, output| {
        let head = format!("nix-computed-output:{}:", base32::encode(&of.compressed::<20>()));
        Hash::sha256(&[head.as_bytes(), output].concat())
    });
    render(&last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own() {
        assert_eq!(own_output(b"out"), "/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9");
    }

    #[test]
    fn of_a_floating_output() {
        let drv = StorePath::from_base_name(b"05hrfjj3xs0wlhkk40fa8p7cz9cizjdd-c.drv").unwrap();
        assert_eq!(unknown_output(&drv, b"out"), "/0vrc4z4hp1mi3p1a8pjan3m3v7lrwc5vlbycmldqrqr4jiz7d2v0");
    }
}
