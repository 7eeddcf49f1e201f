//! The hash that identifies a derivation: of its text, with fixed outputs standing for what they
//! contain and not for how they are fetched. Output paths are made from it.

use std::sync::Arc;

use super::aterm::{self, InputHashes};
use super::derivation::{Derivation, DerivationError, Kind, Output};
use super::hash::Hash;
use super::hash_text::Base;
use super::store_path::{StoreDir, StorePath};
use rustc_hash::FxHashMap;

/// The hash of a derivation modulo the derivations of its fixed inputs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Modulo {
    hash: Hash,
    deferred: bool,
    outputs: Box<[Vec<u8>]>,
}

impl Modulo {
    /// The hash, which all outputs share.
    pub fn hash(&self) -> &Hash {
        &self.hash
    }

    /// Whether output paths cannot be made from the hash, as the path of some input is not known.
    pub fn is_deferred(&self) -> bool {
        self.deferred
    }
}

/// The hashes of all derivations met so far.
#[derive(Default)]
pub struct ModuloCache {
    known: FxHashMap<StorePath, Arc<Modulo>>,
}

impl ModuloCache {
    /// An empty cache.
    pub fn new() -> ModuloCache {
        ModuloCache::default()
    }

    /// The hash of a derivation in the store, if it was met before.
    pub fn get(&self, drv: &StorePath) -> Option<&Modulo> {
        self.known.get(drv).map(|known| &**known)
    }

    /// The hash of a derivation in the store; `read` gives the derivations that were not met before.
    pub fn of_path<E: From<DerivationError>>(
        &mut self,
        dir: &StoreDir,
        path: &StorePath,
        read: &mut dyn FnMut(&StorePath) -> Result<Derivation, E>,
    ) -> Result<Arc<Modulo>, E> {
        if let Some(known) = self.known.get(path) {
            return Ok(known.clone());
        }
        let drv = read(path)?;
        let modulo = Arc::new(self.of(dir, &drv, false, read)?);
        self.known.insert(path.clone(), modulo.clone());
        Ok(modulo)
    }

    /// Turns deferred outputs into input-addressed ones and puts their paths into the environment, if
    /// the paths of all inputs are known.
    pub fn fill_outputs<E: From<DerivationError>>(
        &mut self,
        dir: &StoreDir,
        drv: &mut Derivation,
        read: &mut dyn FnMut(&StorePath) -> Result<Derivation, E>,
    ) -> Result<(), E> {
        let modulo = self.of(dir, drv, true, read)?;
        if modulo.deferred {
            return Ok(());
        }
        for (name, output) in &mut drv.outputs {
            let path = dir.make_output_path(name, &modulo.hash, &drv.name).map_err(DerivationError::from)?;
            drv.env.insert(name.clone(), dir.print(&path).into_bytes());
            *output = Output::InputAddressed(path);
        }
        Ok(())
    }

    /// The path and text of a finished derivation, whose hash is kept for derivations that use it.
    pub fn add<E: From<DerivationError>>(
        &mut self,
        dir: &StoreDir,
        drv: &Derivation,
        read: &mut dyn FnMut(&StorePath) -> Result<Derivation, E>,
    ) -> Result<(StorePath, Vec<u8>), E> {
        let (path, text) = drv.to_file(dir).map_err(DerivationError::from)?;
        if !self.known.contains_key(&path) {
            let modulo = self.of(dir, drv, false, read)?;
            self.known.insert(path.clone(), Arc::new(modulo));
        }
        Ok((path, text))
    }

    /// The hash of a derivation. When `masked`, its own output paths are left out.
    pub fn of<E: From<DerivationError>>(
        &mut self,
        dir: &StoreDir,
        drv: &Derivation,
        masked: bool,
        read: &mut dyn FnMut(&StorePath) -> Result<Derivation, E>,
    ) -> Result<Modulo, E> {
        let outputs = drv.outputs.keys().cloned().collect();
        let mut deferred = match drv.kind()? {
            Kind::Fixed => return Ok(Modulo { hash: fixed_hash(dir, drv)?, deferred: false, outputs }),
            Kind::Impure => return Ok(Modulo { hash: Hash::sha256(b"impure"), deferred: true, outputs }),
            Kind::Floating => true,
            Kind::InputAddressed { deferred: _ } => false,
        };
        let mut inputs = InputHashes::new();
        for (path, used) in &drv.input_drvs {
            let modulo = self.of_path(dir, path, read)?;
            deferred |= modulo.deferred;
            if let Some(missing) = used.iter().find(|name| !modulo.outputs.contains(name)) {
                let output = String::from_utf8_lossy(missing).into_owned();
                return Err(DerivationError::MissingOutput { output, drv: dir.print(path) }.into());
            }
            inputs.entry(modulo.hash.bare(Base::Base16)).or_default().extend(used.iter().cloned());
        }
        // What a derivation will be that is not built yet, nobody knows; the hash then is not used.
        deferred |= !drv.dynamic_inputs.is_empty();
        let text = aterm::print_for_hash(drv, dir, &inputs, masked).map_err(DerivationError::from)?;
        Ok(Modulo { hash: Hash::sha256(&text), deferred, outputs })
    }
}

fn fixed_hash(dir: &StoreDir, drv: &Derivation) -> Result<Hash, DerivationError> {
    let Some((name, Output::Fixed(address))) = drv.outputs.first_key_value() else {
        return Err(DerivationError::NoOutputs);
    };
    let path = drv.output_path(dir, name)?.map_or_else(String::new, |p| dir.print(&p));
    let text = format!("fixed:out:{}:{}:{path}", address.method_algo(), address.hash.bare(Base::Base16));
    Ok(Hash::sha256(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drv::content_address::{ContentAddress, Method};
    use crate::drv::derivation::STRUCTURED_ATTRS;
    use crate::drv::hash::Algo;
    use crate::drv::placeholder;

    /// A small `derivationStrict` whose answers were compared with Nix's.
    struct Maker {
        cache: ModuloCache,
        dir: StoreDir,
    }

    struct Made {
        path: StorePath,
        drv: Derivation,
    }

    fn no_reading(path: &StorePath) -> Result<Derivation, DerivationError> {
        unreachable!("{path:?} is in the cache")
    }

    impl Maker {
        fn new() -> Maker {
            Maker { cache: ModuloCache::new(), dir: StoreDir::default() }
        }

        fn base(&self, name: &str, outputs: &[(&str, Output)]) -> Derivation {
            let mut drv = Derivation {
                name: name.into(),
                platform: b"x86_64-linux".into(),
                builder: b"/bin/sh".into(),
                ..Derivation::default()
            };
            for (key, value) in [("name", name), ("system", "x86_64-linux"), ("builder", "/bin/sh")] {
                drv.env.insert(key.into(), value.into());
            }
            for (output, kind) in outputs {
                let value = match kind {
                    Output::Deferred => Vec::new(),
                    Output::Fixed(_) => {
                        let path = kind.path(&self.dir, &drv.name, output.as_bytes()).unwrap().unwrap();
                        self.dir.print(&path).into_bytes()
                    }
                    _ => placeholder::own_output(output.as_bytes()).into_bytes(),
                };
                drv.env.insert(output.as_bytes().to_vec(), value);
                drv.outputs.insert(output.as_bytes().to_vec(), kind.clone());
            }
            drv
        }

        fn use_output(&self, drv: &mut Derivation, key: &str, input: &Made, output: &str) {
            let known = input.drv.output_path(&self.dir, output.as_bytes()).unwrap();
            let value = match known {
                Some(path) => self.dir.print(&path),
                None => placeholder::unknown_output(&input.path, output.as_bytes()),
            };
            drv.env.insert(key.into(), value.into_bytes());
            drv.input_drvs.entry(input.path.clone()).or_default().insert(output.into());
        }

        fn make(&mut self, mut drv: Derivation) -> Made {
            if drv.outputs.values().all(|o| *o == Output::Deferred) {
                self.cache.fill_outputs(&self.dir, &mut drv, &mut no_reading).unwrap();
            }
            let (path, text) = self.cache.add(&self.dir, &drv, &mut no_reading).unwrap();
            assert_eq!(aterm::parse_file(&text, &path, &self.dir).unwrap(), drv);
            Made { path, drv }
        }

        fn check(&self, made: &Made, drv_path: &str, outputs: &[(&str, &str)]) {
            assert_eq!(made.path.base_name(), drv_path);
            for (output, expected) in outputs {
                let path = made.drv.output_path(&self.dir, output.as_bytes()).unwrap();
                match path {
                    Some(path) => assert_eq!(path.base_name(), *expected),
                    None => assert_eq!(placeholder::unknown_output(&made.path, output.as_bytes()), *expected),
                }
            }
        }

        fn two_outputs(&mut self) -> Made {
            let mut drv = self.base("a", &[("out", Output::Deferred), ("dev", Output::Deferred)]);
            drv.args = vec![b"-c".to_vec(), b"echo \"q\" \\ \n\r\t $out".to_vec()];
            drv.env.insert(b"outputs".to_vec(), b"out dev".to_vec());
            self.make(drv)
        }

        fn fixed(&mut self, name: &str, method: Method, algo: Algo, hash: &str) -> Made {
            let address = ContentAddress { method, hash: Hash::of(algo, b"abc") };
            let mut drv = self.base(name, &[("out", Output::Fixed(address))]);
            drv.env.insert(b"outputHash".to_vec(), hash.into());
            drv.env.insert(b"outputHashAlgo".to_vec(), algo.name().into());
            if method == Method::Nar {
                drv.env.insert(b"outputHashMode".to_vec(), b"recursive".to_vec());
            }
            self.make(drv)
        }
    }

    #[test]
    fn input_addressed() {
        let mut maker = Maker::new();
        let made = maker.two_outputs();
        maker.check(
            &made,
            "ffymnnmr44yxranjys62yjg50sy5090l-a.drv",
            &[
                ("out", "b2kb09k6igq2ndz0jnzs5bnk74xlmp6d-a"),
                ("dev", "qzq1hjbk0mfdfjnfr0cx4zbxjka50dmq-a-dev"),
            ],
        );
    }

    #[test]
    fn fixed_outputs_and_their_user() {
        let mut maker = Maker::new();
        let p = maker.two_outputs();
        let f = maker.fixed("f", Method::Nar, Algo::Sha256, "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
        maker.check(
            &f,
            "x5q2gq1bvkydj6iffp3pfdlrrmbbzxlh-f.drv",
            &[("out", "92mx48lzpi4pbjmxnj2hdspiss0vgr6s-f")],
        );
        let g = maker.fixed("g", Method::Flat, Algo::Sha1, "a9993e364706816aba3e25717850c26c9cd0d89d");
        maker.check(
            &g,
            "cg9d50z34ggx18701x1wjjrd1gscazvm-g.drv",
            &[("out", "p5c7xr6n06xasp9yx75z87d6rzzd8mqy-g")],
        );
        let mut user = maker.base("u", &[("out", Output::Deferred)]);
        maker.use_output(&mut user, "x", &p, "dev");
        maker.use_output(&mut user, "y", &p, "out");
        maker.use_output(&mut user, "z", &f, "out");
        maker.use_output(&mut user, "w", &g, "out");
        let hello = maker.dir.make_text_path(b"hello", &Hash::sha256(b"world"), &Default::default()).unwrap();
        user.env.insert(b"s".to_vec(), maker.dir.print(&hello).into_bytes());
        user.input_srcs.insert(hello);
        let user = maker.make(user);
        maker.check(
            &user,
            "37d89w97v9i2pangkihm4gd6l30ixz33-u.drv",
            &[("out", "s2i1pzr4fn5iry3zvbg5n08dv5cdkkyj-u")],
        );
    }

    #[test]
    fn floating_outputs_defer_their_users() {
        let mut maker = Maker::new();
        let mut floating =
            maker.base("c", &[("out", Output::Floating { method: Method::Nar, algo: Algo::Sha256 })]);
        floating.env.insert(b"outputHashMode".to_vec(), b"recursive".to_vec());
        floating.env.insert(b"outputHashAlgo".to_vec(), b"sha256".to_vec());
        let floating = maker.make(floating);
        maker.check(
            &floating,
            "05hrfjj3xs0wlhkk40fa8p7cz9cizjdd-c.drv",
            &[("out", "/0vrc4z4hp1mi3p1a8pjan3m3v7lrwc5vlbycmldqrqr4jiz7d2v0")],
        );
        let mut user = maker.base("uc", &[("out", Output::Deferred)]);
        maker.use_output(&mut user, "x", &floating, "out");
        let user = maker.make(user);
        maker.check(
            &user,
            "bnf6c2wvajjr4anznkbc88977sf78i45-uc.drv",
            &[("out", "/1d2rgs9ahrkzljsiz87309cpjgsgm2rfnnywc7mbq83jf0bdahjy")],
        );
        let mut second = maker.base("ucu", &[("out", Output::Deferred)]);
        maker.use_output(&mut second, "x", &user, "out");
        let second = maker.make(second);
        maker.check(
            &second,
            "g8ryag13hwh1xdjlcvwjsh72g4j193ih-ucu.drv",
            &[("out", "/1w0lnplky1h2bshfwlaqmg3hhrxp4ld1xq8sxb857mya9xgwc9cn")],
        );
    }

    #[test]
    fn impure_outputs() {
        let mut maker = Maker::new();
        let mut impure =
            maker.base("i", &[("out", Output::Impure { method: Method::Nar, algo: Algo::Sha256 })]);
        impure.env.insert(b"outputHashMode".to_vec(), b"recursive".to_vec());
        impure.env.insert(b"outputHashAlgo".to_vec(), b"sha256".to_vec());
        let impure = maker.make(impure);
        maker.check(
            &impure,
            "jcxy0z97p43hsrwf5r9fvff9223x5pyv-i.drv",
            &[("out", "/14b5p8j9592vlynsc0ybrb3sji43l23kwzk0pwl9j4kpf9scn6k8")],
        );
    }

    #[test]
    fn structured_attributes() {
        let mut maker = Maker::new();
        let p = maker.two_outputs();
        let mut drv = maker.base("t", &[("out", Output::Deferred), ("bin", Output::Deferred)]);
        drv.env.retain(|name, _| drv.outputs.contains_key(name));
        maker.use_output(&mut drv, "z", &p, "out");
        drv.env.remove(b"z".as_slice());
        let json =
            r#"{"a":{"b":[1,2.5,null,true,"x\n"]},"builder":"/bin/sh","name":"t","outputs":["out","bin"],"#;
        let json =
            format!(r#"{json}"system":"x86_64-linux","z":"/nix/store/b2kb09k6igq2ndz0jnzs5bnk74xlmp6d-a"}}"#);
        drv.env.insert(STRUCTURED_ATTRS.to_vec(), json.into_bytes());
        let made = maker.make(drv);
        maker.check(
            &made,
            "k4v2gh31b4gi5k47z9z9d1m51n6yiqlz-t.drv",
            &[
                ("out", "2w6w90jyqwjzssh7j6rvnks9mk9v9adc-t"),
                ("bin", "swpjq58j6g6pjl07zl4xnhbjx5aafckv-t-bin"),
            ],
        );
    }

    #[test]
    fn missing_output_of_an_input() {
        let mut maker = Maker::new();
        let p = maker.two_outputs();
        let mut user = maker.base("u", &[("out", Output::Deferred)]);
        user.input_drvs.entry(p.path.clone()).or_default().insert(b"lib".to_vec());
        let error = maker.cache.fill_outputs(&maker.dir, &mut user, &mut no_reading).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no hash for output 'lib' of derivation '/nix/store/ffymnnmr44yxranjys62yjg50sy5090l-a.drv'"
        );
    }

    #[test]
    fn inputs_are_read_when_unknown() {
        let mut maker = Maker::new();
        let p = maker.two_outputs();
        let mut empty = ModuloCache::new();
        let mut reads = 0;
        let modulo = empty.of_path::<DerivationError>(&maker.dir, &p.path, &mut |path| {
            assert_eq!(path.clone(), p.path);
            reads += 1;
            Ok(p.drv.clone())
        });
        assert_eq!(modulo.as_deref(), Ok(maker.cache.get(&p.path).unwrap()));
        assert_eq!(reads, 1);
    }
}
