//! What Nix says it was doing when an argument of a builtin was of a wrong type or failed.
//!
//! Looked up when something has failed: the arguments tell which of them it was.

use crate::base::source::SpanId;
use crate::eval::error::{ErrorKind, EvalError};
use crate::eval::value::{Slot, Value};

/// How a builtin looks at an argument.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Int,
    Float,
    Text,
    Function,
    List,
    Set,
    /// Anything that stands for a string.
    Coerced,
}

struct Argument {
    index: usize,
    wanted: Wanted,
    words: &'static str,
}

/// The arguments of each builtin, in the order in which it looks at them. Words as of Nix 2.34.
const ARGUMENTS: &[(&str, &[Argument])] = &[
    (
        "bitAnd",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Int,
                words: "while evaluating the first argument passed to builtins.bitAnd",
            },
            Argument {
                index: 1,
                wanted: Wanted::Int,
                words: "while evaluating the second argument passed to builtins.bitAnd",
            },
        ],
    ),
    (
        "bitOr",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Int,
                words: "while evaluating the first argument passed to builtins.bitOr",
            },
            Argument {
                index: 1,
                wanted: Wanted::Int,
                words: "while evaluating the second argument passed to builtins.bitOr",
            },
        ],
    ),
    (
        "bitXor",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Int,
                words: "while evaluating the first argument passed to builtins.bitXor",
            },
            Argument {
                index: 1,
                wanted: Wanted::Int,
                words: "while evaluating the second argument passed to builtins.bitXor",
            },
        ],
    ),
    (
        "ceil",
        &[Argument {
            index: 0,
            wanted: Wanted::Float,
            words: "while evaluating the first argument passed to builtins.ceil",
        }],
    ),
    (
        "floor",
        &[Argument {
            index: 0,
            wanted: Wanted::Float,
            words: "while evaluating the first argument passed to builtins.floor",
        }],
    ),
    (
        "elemAt",
        &[
            Argument {
                index: 1,
                wanted: Wanted::Int,
                words: "while evaluating the second argument passed to 'builtins.elemAt'",
            },
            Argument {
                index: 0,
                wanted: Wanted::List,
                words: "while evaluating the first argument passed to 'builtins.elemAt'",
            },
        ],
    ),
    (
        "head",
        &[Argument {
            index: 0,
            wanted: Wanted::List,
            words: "while evaluating the first argument passed to 'builtins.head'",
        }],
    ),
    (
        "tail",
        &[Argument {
            index: 0,
            wanted: Wanted::List,
            words: "while evaluating the first argument passed to 'builtins.tail'",
        }],
    ),
    (
        "map",
        &[
            Argument {
                index: 1,
                wanted: Wanted::List,
                words: "while evaluating the second argument passed to builtins.map",
            },
            Argument {
                index: 0,
                wanted: Wanted::Function,
                words: "while evaluating the first argument passed to builtins.map",
            },
        ],
    ),
    (
        "filter",
        &[
            Argument {
                index: 1,
                wanted: Wanted::List,
                words: "while evaluating the second argument passed to builtins.filter",
            },
            Argument {
                index: 0,
                wanted: Wanted::Function,
                words: "while evaluating the first argument passed to builtins.filter",
            },
        ],
    ),
    (
        "sort",
        &[
            Argument {
                index: 1,
                wanted: Wanted::List,
                words: "while evaluating the second argument passed to builtins.sort",
            },
            Argument {
                index: 0,
                wanted: Wanted::Function,
                words: "while evaluating the first argument passed to builtins.sort",
            },
        ],
    ),
    (
        "elem",
        &[Argument {
            index: 1,
            wanted: Wanted::List,
            words: "while evaluating the second argument passed to builtins.elem",
        }],
    ),
    (
        "concatLists",
        &[Argument {
            index: 0,
            wanted: Wanted::List,
            words: "while evaluating the first argument passed to builtins.concatLists",
        }],
    ),
    (
        "length",
        &[Argument {
            index: 0,
            wanted: Wanted::List,
            words: "while evaluating the first argument passed to builtins.length",
        }],
    ),
    (
        "foldl'",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Function,
                words: "while evaluating the first argument passed to builtins.foldlStrict",
            },
            Argument {
                index: 2,
                wanted: Wanted::List,
                words: "while evaluating the third argument passed to builtins.foldlStrict",
            },
        ],
    ),
    (
        "genList",
        &[
            Argument {
                index: 1,
                wanted: Wanted::Int,
                words: "while evaluating the second argument passed to builtins.genList",
            },
            Argument {
                index: 0,
                wanted: Wanted::Function,
                words: "while evaluating the first argument passed to builtins.genList",
            },
        ],
    ),
    (
        "partition",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Function,
                words: "while evaluating the first argument passed to builtins.partition",
            },
            Argument {
                index: 1,
                wanted: Wanted::List,
                words: "while evaluating the second argument passed to builtins.partition",
            },
        ],
    ),
    (
        "groupBy",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Function,
                words: "while evaluating the first argument passed to builtins.groupBy",
            },
            Argument {
                index: 1,
                wanted: Wanted::List,
                words: "while evaluating the second argument passed to builtins.groupBy",
            },
        ],
    ),
    (
        "concatMap",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Function,
                words: "while evaluating the first argument passed to builtins.concatMap",
            },
            Argument {
                index: 1,
                wanted: Wanted::List,
                words: "while evaluating the second argument passed to builtins.concatMap",
            },
        ],
    ),
    (
        "any",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Function,
                words: "while evaluating the first argument passed to builtins.any",
            },
            Argument {
                index: 1,
                wanted: Wanted::List,
                words: "while evaluating the second argument passed to builtins.any",
            },
        ],
    ),
    (
        "all",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Function,
                words: "while evaluating the first argument passed to builtins.all",
            },
            Argument {
                index: 1,
                wanted: Wanted::List,
                words: "while evaluating the second argument passed to builtins.all",
            },
        ],
    ),
    (
        "attrNames",
        &[Argument {
            index: 0,
            wanted: Wanted::Set,
            words: "while evaluating the argument passed to builtins.attrNames",
        }],
    ),
    (
        "attrValues",
        &[Argument {
            index: 0,
            wanted: Wanted::Set,
            words: "while evaluating the argument passed to builtins.attrValues",
        }],
    ),
    (
        "listToAttrs",
        &[Argument {
            index: 0,
            wanted: Wanted::List,
            words: "while evaluating the argument passed to builtins.listToAttrs",
        }],
    ),
    (
        "unsafeGetAttrPos",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Text,
                words: "while evaluating the first argument passed to builtins.unsafeGetAttrPos",
            },
            Argument {
                index: 1,
                wanted: Wanted::Set,
                words: "while evaluating the second argument passed to builtins.unsafeGetAttrPos",
            },
        ],
    ),
    (
        "hasAttr",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Text,
                words: "while evaluating the first argument passed to builtins.hasAttr",
            },
            Argument {
                index: 1,
                wanted: Wanted::Set,
                words: "while evaluating the second argument passed to builtins.hasAttr",
            },
        ],
    ),
    (
        "getAttr",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Text,
                words: "while evaluating the first argument passed to builtins.getAttr",
            },
            Argument {
                index: 1,
                wanted: Wanted::Set,
                words: "while evaluating the second argument passed to builtins.getAttr",
            },
        ],
    ),
    (
        "removeAttrs",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Set,
                words: "while evaluating the first argument passed to builtins.removeAttrs",
            },
            Argument {
                index: 1,
                wanted: Wanted::List,
                words: "while evaluating the second argument passed to builtins.removeAttrs",
            },
        ],
    ),
    (
        "intersectAttrs",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Set,
                words: "while evaluating the first argument passed to builtins.intersectAttrs",
            },
            Argument {
                index: 1,
                wanted: Wanted::Set,
                words: "while evaluating the second argument passed to builtins.intersectAttrs",
            },
        ],
    ),
    (
        "catAttrs",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Text,
                words: "while evaluating the first argument passed to builtins.catAttrs",
            },
            Argument {
                index: 1,
                wanted: Wanted::List,
                words: "while evaluating the second argument passed to builtins.catAttrs",
            },
        ],
    ),
    (
        "mapAttrs",
        &[Argument {
            index: 1,
            wanted: Wanted::Set,
            words: "while evaluating the second argument passed to builtins.mapAttrs",
        }],
    ),
    (
        "zipAttrsWith",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Function,
                words: "while evaluating the first argument passed to builtins.zipAttrsWith",
            },
            Argument {
                index: 1,
                wanted: Wanted::List,
                words: "while evaluating the second argument passed to builtins.zipAttrsWith",
            },
        ],
    ),
    (
        "toString",
        &[Argument {
            index: 0,
            wanted: Wanted::Coerced,
            words: "while evaluating the first argument passed to builtins.toString",
        }],
    ),
    (
        "stringLength",
        &[Argument {
            index: 0,
            wanted: Wanted::Coerced,
            words: "while evaluating the argument passed to builtins.stringLength",
        }],
    ),
    (
        "substring",
        &[Argument {
            index: 2,
            wanted: Wanted::Coerced,
            words: "while evaluating the third argument (the string) passed to builtins.substring",
        }],
    ),
    (
        "hashString",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Text,
                words: "while evaluating the first argument passed to builtins.hashString",
            },
            Argument {
                index: 1,
                wanted: Wanted::Text,
                words: "while evaluating the second argument passed to builtins.hashString",
            },
        ],
    ),
    (
        "convertHash",
        &[Argument {
            index: 0,
            wanted: Wanted::Set,
            words: "while evaluating the first argument passed to builtins.convertHash",
        }],
    ),
    (
        "concatStringsSep",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Text,
                words: "while evaluating the first argument (the separator string) passed to builtins.concatStringsSep",
            },
            Argument {
                index: 1,
                wanted: Wanted::List,
                words: "while evaluating the second argument (the list of strings to concat) passed to builtins.concatStringsSep",
            },
        ],
    ),
    (
        "replaceStrings",
        &[
            Argument {
                index: 0,
                wanted: Wanted::List,
                words: "while evaluating the first argument passed to builtins.replaceStrings",
            },
            Argument {
                index: 1,
                wanted: Wanted::List,
                words: "while evaluating the second argument passed to builtins.replaceStrings",
            },
            Argument {
                index: 2,
                wanted: Wanted::Text,
                words: "while evaluating the third argument passed to builtins.replaceStrings",
            },
        ],
    ),
    (
        "parseDrvName",
        &[Argument {
            index: 0,
            wanted: Wanted::Text,
            words: "while evaluating the first argument passed to builtins.parseDrvName",
        }],
    ),
    (
        "splitVersion",
        &[Argument {
            index: 0,
            wanted: Wanted::Text,
            words: "while evaluating the first argument passed to builtins.splitVersion",
        }],
    ),
    (
        "compareVersions",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Text,
                words: "while evaluating the first argument passed to builtins.compareVersions",
            },
            Argument {
                index: 1,
                wanted: Wanted::Text,
                words: "while evaluating the second argument passed to builtins.compareVersions",
            },
        ],
    ),
    (
        "unsafeDiscardStringContext",
        &[Argument {
            index: 0,
            wanted: Wanted::Coerced,
            words: "while evaluating the argument passed to builtins.unsafeDiscardStringContext",
        }],
    ),
    (
        "unsafeDiscardOutputDependency",
        &[Argument {
            index: 0,
            wanted: Wanted::Coerced,
            words: "while evaluating the argument passed to builtins.unsafeDiscardOutputDependency",
        }],
    ),
    (
        "addDrvOutputDependencies",
        &[Argument {
            index: 0,
            wanted: Wanted::Coerced,
            words: "while evaluating the argument passed to builtins.addDrvOutputDependencies",
        }],
    ),
    (
        "match",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Text,
                words: "while evaluating the first argument passed to builtins.match",
            },
            Argument {
                index: 1,
                wanted: Wanted::Text,
                words: "while evaluating the second argument passed to builtins.match",
            },
        ],
    ),
    (
        "split",
        &[
            Argument {
                index: 0,
                wanted: Wanted::Text,
                words: "while evaluating the first argument passed to builtins.split",
            },
            Argument {
                index: 1,
                wanted: Wanted::Text,
                words: "while evaluating the second argument passed to builtins.split",
            },
        ],
    ),
    (
        "throw",
        &[Argument {
            index: 0,
            wanted: Wanted::Coerced,
            words: "while evaluating the error message passed to builtin.throw",
        }],
    ),
    (
        "abort",
        &[Argument {
            index: 0,
            wanted: Wanted::Coerced,
            words: "while evaluating the error message passed to builtins.abort",
        }],
    ),
];

/// Adds the frame of the argument that made this builtin fail, if it was one.
#[cold]
pub(in crate::eval) fn trace(e: Box<EvalError>, name: &str, slots: &[Slot<'_>]) -> Box<EvalError> {
    let Some((_, arguments)) = ARGUMENTS.iter().find(|(n, _)| *n == name) else { return e };
    let own = e.untraced();
    let wrong_type = own && e.kind == ErrorKind::Type && e.message.starts_with(b"expected ");
    let not_a_string = own && e.kind == ErrorKind::Type && e.message.starts_with(b"cannot coerce ");
    let context = own && e.message.starts_with(b"the string '");
    for argument in *arguments {
        let Some(slot) = slots.get(argument.index) else { continue };
        let v = held(slot);
        let at_fault = match argument.wanted {
            Wanted::List | Wanted::Set | Wanted::Coerced if matches!(v, Value::Failed(_)) => return e,
            _ if matches!(v, Value::Failed(_)) => true,
            Wanted::Int => wrong_type && !matches!(v, Value::Int(..)),
            Wanted::Float => wrong_type && !matches!(v, Value::Int(..) | Value::Float(..)),
            Wanted::Text => match v {
                Value::Str(s) => context && !s.context.is_empty(),
                _ => wrong_type,
            },
            Wanted::Function => {
                wrong_type
                    && !matches!(
                        v,
                        Value::Lambda(..) | Value::Builtin(_) | Value::Partial(_) | Value::Attrs(_)
                    )
            }
            Wanted::List => wrong_type && !matches!(v, Value::List(_)),
            Wanted::Set => wrong_type && !matches!(v, Value::Attrs(_)),
            Wanted::Coerced => not_a_string,
        };
        if at_fault && e.outermost() != Some(argument.words) {
            return e.context(argument.words, SpanId::NONE);
        }
    }
    e
}

/// What a slot leads to.
fn held<'h>(slot: &Slot<'h>) -> Value<'h> {
    let mut v = slot.get();
    while let Value::Ref(next) = v {
        v = next.get();
    }
    v
}
