//! Builtins on hashes.

use super::attrs::required;
use super::{Builtin, during};
use crate::base::source::SpanId;
use crate::base::symbol::Symbol;
use crate::drv::hash::{Algo, Hash};
use crate::drv::hash_text::{Base, Format};
use crate::eval::Evaluation;
use crate::eval::error::{ErrorKind, EvalError};
use crate::eval::value::{Res, Slot, Value};

/// The builtins of this family.
pub const TABLE: &[Builtin] = &[
    Builtin::new("hashString", 2, hash_string, "The hash of a string, in base 16."),
    Builtin::new("convertHash", 1, convert_hash, "A hash in another format."),
];

/// The algorithm of this name, when the features allow it.
fn algorithm(ev: &Evaluation<'_>, name: &[u8], span: SpanId) -> Res<Algo> {
    let algo = Algo::parse(name).map_err(|e| EvalError::other(e.to_string(), span))?;
    if name == b"blake3" && !ev.settings.feature("blake3-hashes") {
        let text = "experimental Nix feature 'blake3-hashes' is disabled; add '--extra-experimental-features blake3-hashes' to enable it";
        return Err(EvalError::new(ErrorKind::Restricted, text, span));
    }
    Ok(algo)
}

fn hash_string<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let name = ev
        .force_str_no_context(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.hashString"))?;
    let algo = algorithm(ev, name.bytes, span)?;
    let s = ev
        .force_str(&args[1], span)
        .map_err(during("while evaluating the second argument passed to builtins.hashString"))?;
    let text = Hash::of(algo, s.bytes).bare(Base::Base16);
    Ok(ev.heap.string(text.as_bytes()))
}

fn convert_hash<'h>(ev: &mut Evaluation<'h>, args: &[Slot<'h>], span: SpanId) -> Res<Value<'h>> {
    let a = ev
        .force_attrs(&args[0], span)
        .map_err(during("while evaluating the first argument passed to builtins.convertHash"))?;
    let hash = ev.force_str_no_context(required(a, "hash", span)?, span)?;
    let algo = match a.get(Symbol::intern("hashAlgo")) {
        Some(slot) => {
            let name = ev.force_str_no_context(slot, span)?;
            Some(algorithm(ev, name.bytes, span)?)
        }
        None => None,
    };
    let format = ev.force_str_no_context(required(a, "toHashFormat", span)?, span)?;
    let error = |e: crate::drv::hash_text::HashError| EvalError::other(e.to_string(), span);
    let format = Format::parse(format.bytes).map_err(error)?;
    let hash = Hash::parse(hash.bytes, algo).map_err(error)?;
    Ok(ev.heap.string(hash.format(format).as_bytes()))
}
