//! The `nixactions` program: hands its arguments to [`nixactions::cli::main`].

fn main() -> std::process::ExitCode {
    nixactions::cli::main()
}
