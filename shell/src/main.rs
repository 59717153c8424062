use std::process::ExitCode;

fn main() -> ExitCode {
    shell::cli::main()
}
