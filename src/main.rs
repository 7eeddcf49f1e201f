//! The `nixactions` program: hands its arguments to [`nixactions::cli::main`].

/// Evaluation and derivations make many small, short-lived allocations on a thread of their own, at
/// which the system's allocator is slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    nixactions::cli::main()
}
