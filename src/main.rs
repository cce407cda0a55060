//! The `jailwarden` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    jailwarden::cli::main()
}
