//! The program `nablac`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}
