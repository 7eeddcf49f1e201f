//! Derivations: what a `.drv` file says about one build.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::aterm;
use super::content_address::{ContentAddress, Method};
use super::hash::{Algo, Hash};
use super::store_path::{References, StoreDir, StorePath, StorePathError, output_path_name};

/// The environment variable that holds the attributes of a derivation with structured attributes.
pub const STRUCTURED_ATTRS: &[u8] = b"__json";

/// What is known about the path of an output before the build.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// The path follows from the derivation.
    InputAddressed(StorePath),
    /// The content is known beforehand.
    Fixed(ContentAddress),
    /// The path will follow from the content.
    Floating {
        /// How the content will be hashed.
        method: Method,
        /// With what.
        algo: Algo,
    },
    /// The path follows from the derivation once the paths of its inputs are known.
    Deferred,
    /// The content differs from build to build.
    Impure {
        /// How the content will be hashed.
        method: Method,
        /// With what.
        algo: Algo,
    },
}

/// What all outputs of a derivation have in common.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Paths follow from the derivation; known unless `deferred`.
    InputAddressed {
        /// Whether an input's path is not known yet.
        deferred: bool,
    },
    /// One output with known content.
    Fixed,
    /// Paths follow from the content.
    Floating,
    /// Never the same twice.
    Impure,
}

/// One build: its inputs, what runs, and its outputs.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Derivation {
    /// The name, without `.drv`. Not part of the file's text.
    pub name: Vec<u8>,
    /// The outputs by name.
    pub outputs: BTreeMap<Vec<u8>, Output>,
    /// Inputs that are not built.
    pub input_srcs: BTreeSet<StorePath>,
    /// Inputs that are built, with the outputs used.
    pub input_drvs: BTreeMap<StorePath, BTreeSet<Vec<u8>>>,
    /// Inputs that are built from derivations which inputs build, by the derivation known beforehand.
    pub dynamic_inputs: BTreeMap<StorePath, DynamicInputs>,
    /// The system type the builder runs on.
    pub platform: Vec<u8>,
    /// The program.
    pub builder: Vec<u8>,
    /// Its arguments.
    pub args: Vec<Vec<u8>>,
    /// Its environment; structured attributes are the variable [`STRUCTURED_ATTRS`].
    pub env: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Outputs that are derivations, with what is used of those.
pub type DynamicInputs = BTreeMap<Vec<u8>, DynamicInput>;

/// What is used of a derivation that is built.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DynamicInput {
    /// Its outputs.
    pub outputs: BTreeSet<Vec<u8>>,
    /// Its outputs that are derivations in turn.
    pub dynamic: DynamicInputs,
}

/// Why a derivation is refused.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum DerivationError {
    /// A path could not be made or read.
    #[error(transparent)]
    Path(#[from] StorePathError),
    /// There are no outputs.
    #[error("must have at least one output")]
    NoOutputs,
    /// More than one output with known content.
    #[error("only one fixed output is allowed for now")]
    FixedOutputs,
    /// An output with known content that is not called `out`.
    #[error("single fixed output must be named \"out\"")]
    FixedOutputName,
    /// Floating outputs differ in the hash.
    #[error("all floating outputs must use the same hash algorithm")]
    FloatingAlgo,
    /// Impure outputs differ in the hash.
    #[error("all impure outputs must use the same hash algorithm")]
    ImpureAlgo,
    /// Outputs of different kinds.
    #[error("can't mix derivation output types")]
    MixedOutputs,
    /// An output is used that the derivation does not have.
    #[error("no hash for output '{output}' of derivation '{drv}'")]
    MissingOutput {
        /// The output's name.
        output: String,
        /// The derivation's path.
        drv: String,
    },
}

impl Output {
    /// The path, if it is known before the build.
    pub fn path(
        &self,
        dir: &StoreDir,
        drv: &[u8],
        output: &[u8],
    ) -> Result<Option<StorePath>, StorePathError> {
        match self {
            Output::InputAddressed(path) => Ok(Some(path.clone())),
            Output::Fixed(address) => {
                dir.make_fixed_path(&output_path_name(drv, output), address, &References::none()).map(Some)
            }
            Output::Floating { .. } | Output::Deferred | Output::Impure { .. } => Ok(None),
        }
    }
}

impl Derivation {
    /// What the outputs have in common; checks that they have.
    pub fn kind(&self) -> Result<Kind, DerivationError> {
        let mut outputs = self.outputs.iter();
        let (name, first) = outputs.next().ok_or(DerivationError::NoOutputs)?;
        for (_, other) in outputs {
            match (first, other) {
                (Output::InputAddressed(_), Output::InputAddressed(_))
                | (Output::Deferred, Output::Deferred) => {}
                (Output::Floating { algo: a, .. }, Output::Floating { algo: b, .. }) if a != b => {
                    return Err(DerivationError::FloatingAlgo);
                }
                (Output::Impure { algo: a, .. }, Output::Impure { algo: b, .. }) if a != b => {
                    return Err(DerivationError::ImpureAlgo);
                }
                (Output::Floating { .. }, Output::Floating { .. })
                | (Output::Impure { .. }, Output::Impure { .. }) => {}
                (Output::Fixed(_), Output::Fixed(_)) => return Err(DerivationError::FixedOutputs),
                _ => return Err(DerivationError::MixedOutputs),
            }
        }
        match first {
            Output::InputAddressed(_) => Ok(Kind::InputAddressed { deferred: false }),
            Output::Deferred => Ok(Kind::InputAddressed { deferred: true }),
            Output::Fixed(_) if name != b"out" => Err(DerivationError::FixedOutputName),
            Output::Fixed(_) => Ok(Kind::Fixed),
            Output::Floating { .. } => Ok(Kind::Floating),
            Output::Impure { .. } => Ok(Kind::Impure),
        }
    }

    /// The path of an output, if it is known before the build and the output exists.
    pub fn output_path(&self, dir: &StoreDir, output: &[u8]) -> Result<Option<StorePath>, StorePathError> {
        match self.outputs.get(output) {
            Some(known) => known.path(dir, &self.name, output),
            None => Ok(None),
        }
    }

    /// Every store path the `.drv` file refers to.
    pub fn references(&self) -> BTreeSet<StorePath> {
        let built = self.input_drvs.keys().chain(self.dynamic_inputs.keys());
        self.input_srcs.iter().chain(built).cloned().collect()
    }

    /// Adds an input that the last of some outputs stands for, each of the derivation that the one
    /// before is.
    pub fn add_input<'a>(&mut self, path: StorePath, outputs: impl IntoIterator<Item = &'a [u8]>) {
        let mut outputs: Vec<_> = outputs.into_iter().map(<[u8]>::to_vec).collect();
        let Some(last) = outputs.pop() else { return };
        let Some((first, rest)) = outputs.split_first() else {
            self.input_drvs.entry(path).or_default().insert(last);
            return;
        };
        let mut input = self.dynamic_inputs.entry(path).or_default().entry(first.clone()).or_default();
        for output in rest {
            input = input.dynamic.entry(output.clone()).or_default();
        }
        input.outputs.insert(last);
    }

    /// The text of the `.drv` file and the path it has in the store.
    pub fn to_file(&self, dir: &StoreDir) -> Result<(StorePath, Vec<u8>), StorePathError> {
        let text = aterm::print(self, dir)?;
        let name = [self.name.as_slice(), b".drv"].concat();
        let path = dir.make_text_path(&name, &Hash::sha256(&text), &self.references())?;
        Ok((path, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(outputs: &[(&str, Output)]) -> Derivation {
        let outputs = outputs.iter().map(|(n, o)| (n.as_bytes().to_vec(), o.clone())).collect();
        Derivation { outputs, ..Derivation::default() }
    }

    #[test]
    fn kinds() {
        let fixed = Output::Fixed(ContentAddress { method: Method::Flat, hash: Hash::sha256(b"") });
        let floating = |algo| Output::Floating { method: Method::Nar, algo };
        assert_eq!(with(&[]).kind(), Err(DerivationError::NoOutputs));
        assert_eq!(with(&[("out", fixed.clone())]).kind(), Ok(Kind::Fixed));
        assert_eq!(with(&[("dev", fixed.clone())]).kind(), Err(DerivationError::FixedOutputName));
        assert_eq!(
            with(&[("out", fixed.clone()), ("x", fixed.clone())]).kind(),
            Err(DerivationError::FixedOutputs)
        );
        assert_eq!(
            with(&[("out", fixed), ("x", Output::Deferred)]).kind(),
            Err(DerivationError::MixedOutputs)
        );
        assert_eq!(
            with(&[("a", floating(Algo::Sha1)), ("b", floating(Algo::Sha256))]).kind(),
            Err(DerivationError::FloatingAlgo)
        );
        assert_eq!(with(&[("a", Output::Deferred)]).kind(), Ok(Kind::InputAddressed { deferred: true }));
    }
}
