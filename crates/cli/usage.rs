//! How temper was called: what is said when that was wrong, and the facts that a log begins with.

use clap::error::ErrorKind;

use crate::log::Level;
use crate::terminal::{insist, quoted};

/// Prints help or version as asked for, or what is wrong, in the words of every other failure.
pub fn exit(error: &clap::Error) -> ! {
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        error.exit();
    }
    insist(Level::Error, with_hints(&error.render().to_string()));
    std::process::exit(error.exit_code());
}

fn with_hints(text: &str) -> String {
    text.replace("\n  tip: ", "\nhint: ")
        .replace("\nFor more information, try '--help'.", "hint: `--help` shows every option, and examples")
}

/// Version, machine and command line.
pub fn about() -> String {
    let words: Vec<String> = std::env::args().map(quoted).collect();
    let folder = std::env::current_dir().map_or_else(|e| e.to_string(), |path| path.display().to_string());
    format!(
        "temper {}, {} threads, {}, in {folder}: {}",
        env!("CARGO_PKG_VERSION"),
        rayon::current_num_threads(),
        temper_kernels::instruction_set(),
        words.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory as _};

    use super::*;
    use crate::Cli;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_examples() {
        for command in Cli::command().get_subcommands().filter(|command| command.get_name() != "help") {
            let help = command.get_after_long_help().or(command.get_after_help());
            let help = help.map(ToString::to_string).unwrap_or_default();
            let name = command.get_name();
            assert!(help.contains("Examples:"), "`temper {name} --help` shows no examples");
            assert!(
                help.contains(&format!("temper {name}")),
                "the examples of `temper {name}` are another's"
            );
        }
    }

    #[test]
    fn a_wrong_call_is_answered_with_a_hint() {
        let wrong = Command::new("temper")
            .subcommand(Command::new("embed"))
            .try_get_matches_from(["temper", "embde"])
            .map_err(|error| with_hints(&error.render().to_string()));
        let said = wrong.err().unwrap_or_default();
        assert!(said.starts_with("error: unrecognized subcommand"), "{said}");
        assert!(said.contains("\nhint: a similar subcommand exists: 'embed'\n"), "{said}");
        assert!(said.contains("\nhint: `--help`"), "{said}");
    }
}
