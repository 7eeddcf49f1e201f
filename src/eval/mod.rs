//! Owns: values, heap, evaluation, builtins.
//! May import: base diag ir drv syntax.
