//! What is made of the command line's own definition: completions and man pages.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::{Shell, generate, generate_to};

use super::{exit, output};

const NAME: &str = "jailwarden";

/// The shells whose completions are shipped, and where below `share` each looks for them.
const SHIPPED: [(Shell, &str, &str); 3] = [
    (Shell::Bash, "bash-completion/completions", "jailwarden"),
    (Shell::Zsh, "zsh/site-functions", "_jailwarden"),
    (Shell::Fish, "fish/vendor_completions.d", "jailwarden.fish"),
];

const AFTER_COMPLETIONS: &str = "\
The packages bring them along for bash, zsh and fish.

Exit codes: 0 printed, 2 wrong usage.

Example: jailwarden completions bash > ~/.local/share/bash-completion/completions/jailwarden";

/// The arguments of `jailwarden completions`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_COMPLETIONS)]
pub(super) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// The arguments of `jailwarden assets`, which is for whoever packages it.
#[derive(Debug, Args)]
pub(super) struct AssetsArgs {
    /// The folder in which a tree as of /usr/share is made
    folder: PathBuf,
}

/// Prints the completions for a shell.
pub(super) fn completions(args: &CompletionsArgs, mut command: Command) -> ExitCode {
    let mut text = Vec::new();
    generate(args.shell, &mut command, NAME, &mut text);
    output::print(&String::from_utf8_lossy(&text));
    ExitCode::SUCCESS
}

/// Writes the man pages and the completions.
pub(super) fn assets(args: &AssetsArgs, command: Command) -> ExitCode {
    match write(&args.folder, command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::complain(format_args!("{}: {error}", args.folder.display()));
            ExitCode::from(exit::UNREACHABLE)
        }
    }
}

fn write(folder: &Path, mut command: Command) -> io::Result<()> {
    for (shell, inner, name) in SHIPPED {
        let folder = folder.join(inner);
        fs::create_dir_all(&folder)?;
        let written = generate_to(shell, &mut command, NAME, &folder)?;
        fs::rename(written, folder.join(name))?;
    }
    let pages = folder.join("man/man1");
    fs::create_dir_all(&pages)?;
    clap_mangen::generate_to(command, pages)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::cli::Cli;

    /// Every command that people see, by its name with those above it.
    fn commands(of: &Command, name: &str, found: &mut Vec<(String, Command)>) {
        found.push((name.to_owned(), of.clone()));
        for command in of.get_subcommands().filter(|it| !it.is_hide_set()) {
            commands(command, &format!("{name}-{}", command.get_name()), found);
        }
    }

    #[test]
    fn each_command_has_a_page_and_completions() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), Cli::command()).unwrap();
        let mut all = Vec::new();
        commands(&Cli::command(), NAME, &mut all);
        assert!(all.len() > 15, "{}", all.len());
        for (name, command) in &all {
            let page = folder.path().join(format!("man/man1/{name}.1"));
            let page = fs::read_to_string(&page).unwrap_or_default();
            assert!(
                page.contains(".TH") && page.contains("Example"),
                "{name}: {page}"
            );
            for (_, inner, file) in SHIPPED {
                let text = fs::read_to_string(folder.path().join(inner).join(file)).unwrap();
                assert!(text.contains(command.get_name()), "{name} in {file}");
            }
        }
        let pages = fs::read_dir(folder.path().join("man/man1"))
            .unwrap()
            .count();
        assert_eq!(pages, all.len(), "a page for nothing");
    }

    #[test]
    fn each_help_has_an_example_and_its_exit_codes() {
        let mut all = Vec::new();
        commands(&Cli::command(), NAME, &mut all);
        for (name, mut command) in all {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Example"), "{name}: {help}");
            let is_group = command.get_subcommands().next().is_some() && name != NAME;
            assert!(is_group || help.contains("Exit codes"), "{name}: {help}");
        }
    }
}
