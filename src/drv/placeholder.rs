//! Placeholders: strings that stand for output paths which are not known before the build.

use super::base32;
use super::hash::Hash;
use super::store_path::{StorePath, output_path_name};

fn render(clear_text: &[u8]) -> String {
    format!("/{}", base32::encode(Hash::sha256(clear_text).as_bytes()))
}

/// What `builtins.placeholder` gives: the path of an output of the derivation it is used in.
pub fn own_output(output: &[u8]) -> String {
    render(&[b"nix-output:", output].concat())
}

/// The path of an output of another, content-addressed derivation.
pub fn unknown_output(drv: &StorePath, output: &[u8]) -> String {
    let name = drv.derivation_name().unwrap_or(drv.name());
    let head = format!("nix-upstream-output:{}:", drv.hash_part());
    render(&[head.as_bytes(), &output_path_name(name.as_bytes(), output)].concat())
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
