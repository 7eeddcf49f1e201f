//! The names that evaluation itself looks up, interned once.

use crate::base::symbol::Symbol;

macro_rules! words {
    ($($field:ident = $text:literal),* $(,)?) => {
        /// Symbols of well-known names.
        #[allow(missing_docs)]
        pub(crate) struct Words { $(pub(crate) $field: Symbol),* }

        impl Words {
            pub(super) fn new() -> Self {
                Words { $($field: Symbol::intern($text)),* }
            }
        }
    };
}

words! {
    functor = "__functor",
    to_string = "__toString",
    out_path = "outPath",
    drv_path = "drvPath",
    type_ = "type",
    name = "name",
    value = "value",
    path = "path",
    prefix = "prefix",
    file = "file",
    line = "line",
    column = "column",
}
