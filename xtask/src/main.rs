//! `cargo xtask …`: everything one does with this repository beyond `cargo build`.

mod place;
mod prove;
mod provision;
mod run;
mod shell;
mod test;
mod tidy;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask COMMAND

  run [ARGS…]         build the page and the server (release), start it; ARGS go to sparkrtc
  test [--quick]      every check and test; --quick leaves out browsers and what needs minutes
  tidy                crate arrows, file sizes, forbidden words and calls, licences
  prove [NAME…]       long measurements; without a name, the list
  codegen             write the generated files anew (docs/config.md and its like)
  setup               install what tests and page need, then stop
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (command, rest) = match args.split_first() {
        Some((command, rest)) => (command.as_str(), rest),
        None => ("help", args.as_slice()),
    };
    let result = match command {
        "run" => run::run(rest),
        "test" => test::test(rest),
        "tidy" => tidy::run(),
        "prove" => prove::run(rest),
        "codegen" => test::codegen(),
        "setup" => provision::everything(),
        "help" | "-h" | "--help" => {
            shell::say(USAGE);
            return ExitCode::SUCCESS;
        }
        other => Err(anyhow::anyhow!("there is no command \"{other}\"\n\n{USAGE}")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            shell::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
