//! The text of `.drv` files: ATerms, printed and read byte for byte as Nix does.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use memchr::memchr2;
use thiserror::Error;

use super::content_address::{ContentAddress, Method};
use super::derivation::{Derivation, DynamicInput, DynamicInputs, Output};
use super::hash::Hash;
use super::hash_text::{Base, HashError};
use super::store_path::{StoreDir, StorePath, StorePathError};

/// The inputs of a derivation as they go into its hash: the hash of each input instead of its path.
pub(super) type InputHashes = BTreeMap<String, BTreeSet<Vec<u8>>>;

/// The text of the `.drv` file.
pub fn print(drv: &Derivation, dir: &StoreDir) -> Result<Vec<u8>, StorePathError> {
    let mut out = Printer::start(drv, dir, false)?;
    let inputs: BTreeSet<&StorePath> = drv.input_drvs.keys().chain(drv.dynamic_inputs.keys()).collect();
    let (no_outputs, none_dynamic) = (BTreeSet::new(), DynamicInputs::new());
    out.list(inputs, |out, path| {
        let outputs = drv.input_drvs.get(path).unwrap_or(&no_outputs);
        let dynamic = drv.dynamic_inputs.get(path).unwrap_or(&none_dynamic);
        out.input(dir.print(path).as_bytes(), outputs, dynamic);
    });
    out.finish(drv, dir, false);
    Ok(out.text)
}

/// The text that is hashed to identify the derivation. When `masked`, output paths are left out, both
/// in the list of outputs and in the environment.
pub(super) fn print_for_hash(
    drv: &Derivation,
    dir: &StoreDir,
    inputs: &InputHashes,
    masked: bool,
) -> Result<Vec<u8>, StorePathError> {
    let mut out = Printer::start(drv, dir, masked)?;
    let none_dynamic = DynamicInputs::new();
    out.list(inputs, |out, (hash, outputs)| out.input(hash.as_bytes(), outputs, &none_dynamic));
    out.finish(drv, dir, masked);
    Ok(out.text)
}

struct Printer {
    text: Vec<u8>,
}

impl Printer {
    fn start(drv: &Derivation, dir: &StoreDir, masked: bool) -> Result<Printer, StorePathError> {
        let mut out = Printer { text: Vec::with_capacity(2048) };
        let plain = drv.dynamic_inputs.is_empty();
        out.text.extend_from_slice(if plain { b"Derive([" } else { b"DrvWithVersion(\"xp-dyn-drv\",[" });
        for (i, (name, output)) in drv.outputs.iter().enumerate() {
            let path = if masked { None } else { output.path(dir, &drv.name, name)? };
            let path = path.map_or_else(String::new, |p| dir.print(&p));
            let (algo, hash) = match output {
                Output::InputAddressed(_) | Output::Deferred => (String::new(), Cow::Borrowed("")),
                Output::Fixed(address) => (address.method_algo(), address.hash.bare(Base::Base16).into()),
                Output::Floating { method, algo } => (method.with_algo(*algo), "".into()),
                Output::Impure { method, algo } => (method.with_algo(*algo), "impure".into()),
            };
            out.separate(i);
            out.tuple(&[name, path.as_bytes(), algo.as_bytes(), hash.as_bytes()]);
        }
        out.text.extend_from_slice(b"],");
        Ok(out)
    }

    fn finish(&mut self, drv: &Derivation, dir: &StoreDir, masked: bool) {
        self.text.push(b',');
        self.list(&drv.input_srcs, |out, path| out.string(dir.print(path).as_bytes()));
        for text in [&drv.platform, &drv.builder] {
            self.text.push(b',');
            self.string(text);
        }
        self.text.push(b',');
        self.list(&drv.args, |out, arg| out.string(arg));
        self.text.push(b',');
        self.list(&drv.env, |out, (name, value)| {
            let hidden = masked && drv.outputs.contains_key(name);
            out.tuple(&[name, if hidden { b"" } else { value }]);
        });
        self.text.push(b')');
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.text.push(b',');
        }
    }

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut print: impl FnMut(&mut Printer, T)) {
        self.text.push(b'[');
        for (i, item) in items.into_iter().enumerate() {
            self.separate(i);
            print(self, item);
        }
        self.text.push(b']');
    }

    fn tuple(&mut self, fields: &[&[u8]]) {
        self.text.push(b'(');
        for (i, field) in fields.iter().enumerate() {
            self.separate(i);
            self.string(field);
        }
        self.text.push(b')');
    }

    fn input(&mut self, id: &[u8], outputs: &BTreeSet<Vec<u8>>, dynamic: &DynamicInputs) {
        self.text.push(b'(');
        self.string(id);
        self.text.push(b',');
        if dynamic.is_empty() {
            self.list(outputs, |out, name| out.string(name));
        } else {
            self.text.push(b'(');
            self.list(outputs, |out, name| out.string(name));
            self.text.push(b',');
            self.list(dynamic, |out, (output, input)| out.input(output, &input.outputs, &input.dynamic));
            self.text.push(b')');
        }
        self.text.push(b')');
    }

    fn string(&mut self, bytes: &[u8]) {
        self.text.push(b'"');
        let mut rest = bytes;
        let special = |c: &u8| matches!(c, b'"' | b'\\' | b'\n' | b'\r' | b'\t');
        while let Some(plain) = rest.iter().position(special) {
            self.text.extend_from_slice(&rest[..plain]);
            let escaped = match rest[plain] {
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                c => c,
            };
            self.text.extend_from_slice(&[b'\\', escaped]);
            rest = &rest[plain + 1..];
        }
        self.text.extend_from_slice(rest);
        self.text.push(b'"');
    }
}

/// Why a text is not a derivation.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum AtermError {
    /// Something else stood where this was due.
    #[error("expected {expected} at byte {offset}")]
    Expected {
        /// What was due.
        expected: &'static str,
        /// Where.
        offset: usize,
    },
    /// A version of the format that is not understood.
    #[error("derivation has the unknown format version '{0}'")]
    Version(String),
    /// A list that is a map or a set names something twice.
    #[error("'{0}' is listed twice")]
    Duplicate(String),
    /// An output that cannot have a path before the build has one, or one that must have it has none.
    #[error("output '{0}' has a path and hash that do not go together")]
    Output(String),
    /// A store path is malformed.
    #[error(transparent)]
    Path(#[from] StorePathError),
    /// A hash is malformed.
    #[error(transparent)]
    Hash(#[from] HashError),
}

/// Reads the text of a `.drv` file. The derivation's name comes from the file's own name.
pub fn parse(text: &[u8], name: &[u8], dir: &StoreDir) -> Result<Derivation, AtermError> {
    let mut parser = Parser { text, at: 0 };
    let mut drv = Derivation { name: name.to_vec(), ..Derivation::default() };
    if parser.eat(b"DrvWithVersion(") {
        let version = parser.string()?;
        if *version != *b"xp-dyn-drv" {
            return Err(AtermError::Version(lossy(&version)));
        }
        parser.comma()?;
    } else {
        parser.expect(b"Derive(", "'Derive('")?;
    }
    parser.list(|p| {
        let [output, path, algo, hash] = p.tuple()?;
        let parsed = parse_output(&output, &path, &algo, &hash, dir)?;
        unique(drv.outputs.insert(output.to_vec(), parsed).is_none(), &output)
    })?;
    parser.comma()?;
    parser.list(|p| {
        p.expect(b"(", "'('")?;
        let path = p.string()?;
        p.comma()?;
        let DynamicInput { outputs, dynamic } = p.input()?;
        p.expect(b")", "')'")?;
        let parsed = dir.parse(&path)?;
        if !dynamic.is_empty() {
            drv.dynamic_inputs.insert(parsed.clone(), dynamic);
            if outputs.is_empty() {
                return Ok(());
            }
        }
        unique(drv.input_drvs.insert(parsed, outputs).is_none(), &path)
    })?;
    parser.comma()?;
    parser.list(|p| {
        let path = p.string()?;
        unique(drv.input_srcs.insert(dir.parse(&path)?), &path)
    })?;
    parser.comma()?;
    drv.platform = parser.string()?.into_owned();
    parser.comma()?;
    drv.builder = parser.string()?.into_owned();
    parser.comma()?;
    parser.list(|p| {
        drv.args.push(p.string()?.into_owned());
        Ok(())
    })?;
    parser.comma()?;
    parser.list(|p| {
        let [name, value] = p.tuple()?;
        unique(drv.env.insert(name.to_vec(), value.into_owned()).is_none(), &name)
    })?;
    parser.expect(b")", "')'")?;
    if parser.at < text.len() { Err(parser.error("the end of the file")) } else { Ok(drv) }
}

fn unique(is_new: bool, what: &[u8]) -> Result<(), AtermError> {
    if is_new { Ok(()) } else { Err(AtermError::Duplicate(lossy(what))) }
}

fn parse_output(
    name: &[u8],
    path: &[u8],
    algo: &[u8],
    hash: &[u8],
    dir: &StoreDir,
) -> Result<Output, AtermError> {
    let mismatch = || AtermError::Output(lossy(name));
    if algo.is_empty() {
        return match (path, hash) {
            (b"", b"") => Ok(Output::Deferred),
            (_, b"") => Ok(Output::InputAddressed(dir.parse(path)?)),
            _ => Err(mismatch()),
        };
    }
    let (method, algo) = Method::parse_with_algo(algo)?;
    match (path, hash) {
        (b"", b"impure") => Ok(Output::Impure { method, algo }),
        (b"", b"") => Ok(Output::Floating { method, algo }),
        (b"", _) | (_, b"" | b"impure") => Err(mismatch()),
        _ => {
            dir.parse(path)?;
            Ok(Output::Fixed(ContentAddress { method, hash: Hash::parse_bare(hash, algo)? }))
        }
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Parser<'a> {
    fn error(&self, expected: &'static str) -> AtermError {
        AtermError::Expected { expected, offset: self.at }
    }

    fn eat(&mut self, token: &[u8]) -> bool {
        let found = self.text[self.at..].starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn expect(&mut self, token: &[u8], name: &'static str) -> Result<(), AtermError> {
        if self.eat(token) { Ok(()) } else { Err(self.error(name)) }
    }

    /// What is used of a derivation: outputs, or a pair of those and outputs that are derivations.
    fn input(&mut self) -> Result<DynamicInput, AtermError> {
        let nested = self.eat(b"(");
        let mut found = DynamicInput::default();
        self.list(|p| {
            let output = p.string()?;
            unique(found.outputs.insert(output.to_vec()), &output)
        })?;
        if nested {
            self.comma()?;
            self.list(|p| {
                p.expect(b"(", "'('")?;
                let output = p.string()?;
                p.comma()?;
                let inside = p.input()?;
                p.expect(b")", "')'")?;
                unique(found.dynamic.insert(output.to_vec(), inside).is_none(), &output)
            })?;
            self.expect(b")", "')'")?;
        }
        Ok(found)
    }

    fn comma(&mut self) -> Result<(), AtermError> {
        self.expect(b",", "','")
    }

    fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), AtermError>) -> Result<(), AtermError> {
        self.expect(b"[", "'['")?;
        if self.eat(b"]") {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.eat(b"]") {
                return Ok(());
            }
            self.comma()?;
        }
    }

    fn tuple<const N: usize>(&mut self) -> Result<[Cow<'a, [u8]>; N], AtermError> {
        let mut fields = [const { Cow::Borrowed(b"".as_slice()) }; N];
        self.expect(b"(", "'('")?;
        for (i, field) in fields.iter_mut().enumerate() {
            if i > 0 {
                self.comma()?;
            }
            *field = self.string()?;
        }
        self.expect(b")", "')'")?;
        Ok(fields)
    }

    fn string(&mut self) -> Result<Cow<'a, [u8]>, AtermError> {
        self.expect(b"\"", "a string")?;
        let mut unescaped = Vec::new();
        loop {
            let rest = &self.text[self.at..];
            let Some(length) = memchr2(b'"', b'\\', rest) else {
                return Err(self.error("the end of the string"));
            };
            let plain = &rest[..length];
            self.at += length + 1;
            if rest[length] == b'"' {
                if unescaped.is_empty() {
                    return Ok(Cow::Borrowed(plain));
                }
                unescaped.extend_from_slice(plain);
                return Ok(Cow::Owned(unescaped));
            }
            unescaped.extend_from_slice(plain);
            let Some(&c) = rest.get(length + 1) else {
                return Err(self.error("an escaped character"));
            };
            self.at += 1;
            unescaped.push(match c {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                other => other,
            });
        }
    }
}

/// The derivation of a `.drv` file in the store, by its path.
pub fn parse_file(text: &[u8], path: &StorePath, dir: &StoreDir) -> Result<Derivation, AtermError> {
    let name = path.derivation_name().unwrap_or(path.name());
    parse(text, name.as_bytes(), dir)
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SAMPLE: &[u8] = br#"Derive([("dev","","",""),("out","","","")],[("/nix/store/nnqh7675wghd0xmrywqm2yh9psrkk13q-a.drv",["dev","out"])],["/nix/store/a8pm5wln4zaphc7x9iaqrgm9fravifib-hello"],"x86_64-linux","/bin/sh",["-c","echo \"q\" \\ \n\r\t $out"],[("builder","/bin/sh"),("out",""),("raw","a'b")])"#;

    #[test]
    fn print_is_the_inverse_of_parse() {
        let dir = StoreDir::default();
        let drv = parse(SAMPLE, b"a", &dir).unwrap();
        assert_eq!(drv.args[1], b"echo \"q\" \\ \n\r\t $out");
        assert_eq!(drv.outputs[b"dev".as_slice()], Output::Deferred);
        assert_eq!(print(&drv, &dir).unwrap(), SAMPLE);
    }

    #[test]
    fn every_kind_of_output() {
        let dir = StoreDir::default();
        let hash = Hash::sha256(b"abc").bare(Base::Base16);
        for output in [
            r#"("out","/nix/store/mx735vk17fbgvrjr0zk0wqfylg1i1996-a","","")"#.to_owned(),
            format!(r#"("out","/nix/store/92mx48lzpi4pbjmxnj2hdspiss0vgr6s-f","r:sha256","{hash}")"#),
            r#"("out","","r:sha256","")"#.to_owned(),
            r#"("out","","text:sha256","impure")"#.to_owned(),
        ] {
            let text = format!(r#"Derive([{output}],[],[],"","",[],[])"#);
            let drv = parse(text.as_bytes(), b"f", &dir).unwrap();
            assert_eq!(print(&drv, &dir).unwrap(), text.as_bytes());
        }
    }

    #[test]
    fn malformed_texts() {
        let dir = StoreDir::default();
        let error = |text: &str| parse(text.as_bytes(), b"a", &dir).unwrap_err().to_string();
        assert_eq!(error(""), "expected 'Derive(' at byte 0");
        assert_eq!(error(r#"Derive([("a"#), "expected the end of the string at byte 10");
        assert_eq!(error(r#"Derive([],[],[],"","",[],[]) "#), "expected the end of the file at byte 28");
        assert_eq!(error(r#"DrvWithVersion("v9",[])"#), "derivation has the unknown format version 'v9'");
        assert_eq!(
            error(r#"Derive([("o","","",""),("o","","","")],[],[],"","",[],[])"#),
            "'o' is listed twice"
        );
        assert_eq!(
            error(r#"Derive([("o","","","00")],[],[],"","",[],[])"#),
            "output 'o' has a path and hash that do not go together"
        );
        for end in 0..SAMPLE.len() {
            assert!(parse(&SAMPLE[..end], b"a", &dir).is_err());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_round_trip(
            args in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 0..4),
            value in proptest::collection::vec(any::<u8>(), 0..20),
        ) {
            let dir = StoreDir::default();
            let env = [(b"key".to_vec(), value)].into();
            let drv = Derivation { name: b"a".to_vec(), args, env, ..Derivation::default() };
            prop_assert_eq!(parse(&print(&drv, &dir).unwrap(), b"a", &dir).unwrap(), drv);
        }

        #[test]
        fn no_text_panics(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse(&[b"Derive([", text.as_slice()].concat(), b"a", &StoreDir::default());
        }
    }
}
