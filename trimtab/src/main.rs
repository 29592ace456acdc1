//! `trimtab`, and `kubectl trimtab` when it is installed as `kubectl-trimtab`.

use std::process::ExitCode;

fn main() -> ExitCode {
    trimtab::cli::main()
}
