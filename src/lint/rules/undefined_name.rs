//! NXA011: a name that nothing defines, in files that are not evaluated.

use crate::base::suggest;
use crate::diag::{Diagnostic, Severity};
use crate::lint::text::Text;
use crate::syntax::names::Target;

pub(in crate::lint) fn check(text: &Text, out: &mut Vec<Diagnostic>) {
    let names = text.names();
    for u in names.uses.iter().filter(|u| u.target == Target::Undefined) {
        let in_scope = names.bindings.iter().filter(|b| b.owner.text_range().contains_range(u.range));
        let near = suggest::did_you_mean(&u.name, in_scope.map(|b| b.name.as_str()));
        let message = format!("undefined variable '{}'", u.name);
        let mut d = text.find(Severity::Error, "NXA011", message, u.range, "");
        d.help = near;
        out.push(d);
    }
}
