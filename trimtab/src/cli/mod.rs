//! The command line: flags, wiring, and one file per command.

pub mod args;
pub mod attended;
pub mod claim;
pub mod decide;
pub mod deploy;
mod evidence;
pub mod exit;
pub mod explain;
pub mod get;
pub mod history;
pub mod install;
pub mod lint;
pub mod locate;
pub mod manager;
pub mod objects;
pub mod output;
mod put_back;
pub mod records;
pub mod rollback;
pub mod rules;
pub mod service;
pub mod session;
pub mod uninstall;
pub mod wait;
mod whereabouts;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use trimtab_kube::{Api, Clock};

use args::Command;
pub use args::{Arguments, Globals};
use exit::{Exit, Failure};
use output::{Form, Paint};
use session::{FIELD_MANAGER, Session};

/// The whole program: reads the command line, runs the command, and turns its end into an exit code.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = match parse(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => {
            let printed = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return match printed {
                _ if !asked => Exit::Usage,
                Ok(()) => Exit::Done,
                Err(unread) => Failure::from(unread).exit,
            }
            .into();
        }
    };
    #[cfg(feature = "demo")]
    if let Command::Demo(args) = &arguments.command {
        return match crate::demo::demo(args) {
            Ok(exit) => exit.into(),
            Err(failure) => report(&failure, &mut std::io::stderr()).into(),
        };
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return report(&Failure::error(format!("cannot start: {error}")), &mut std::io::stderr()).into();
        }
    };
    match runtime.block_on(run(arguments)) {
        Ok(exit) => exit.into(),
        Err(failure) => report(&failure, &mut std::io::stderr()).into(),
    }
}

/// Reads a command line, whether it was typed as `trimtab` or as `kubectl trimtab`.
///
/// # Errors
/// What is wrong with it, ready to print.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(arguments).map_err(|mut error| {
        let missing = match error.get(ContextKind::InvalidArg) {
            Some(ContextValue::Strings(missing)) => missing.iter().any(|flag| flag.starts_with("--because")),
            _ => false,
        };
        if error.kind() == ErrorKind::MissingRequiredArgument && missing {
            let tip = "a decision is recorded with its reason: add --because \"...\" to the command".into();
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip]));
        }
        error
    })
}

/// Prints why a command did not do what was asked. Of a reader that went away nothing is said: it had what it wanted.
pub fn report(failure: &Failure, err: &mut dyn Write) -> Exit {
    if failure.exit == Exit::Unread {
        return failure.exit;
    }
    let _ = writeln!(err, "error: {}", output::printable(&failure.message));
    if let Some(hint) = &failure.hint {
        let _ = writeln!(err, "hint: {}", output::printable(hint));
    }
    failure.exit
}

async fn run(arguments: Arguments) -> Result<Exit, Failure> {
    let Arguments { globals, command } = arguments;
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    match command {
        Command::Install(args) => install::install(&args, &globals, &mut out),
        Command::Lint(args) => lint::lint(&args, globals.form(), &mut out, &mut err).await,
        Command::Completions { shell } => {
            let mut command = Arguments::command();
            // The generator panics on a stream that was closed.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command, "trimtab", &mut script);
            out.write_all(&script)?;
            Ok(Exit::Done)
        }
        Command::Version => {
            writeln!(out, "trimtab {}", env!("CARGO_PKG_VERSION"))?;
            Ok(Exit::Done)
        }
        Command::Manager(args) => manager::manager(*args, &globals).await,
        command => {
            let api = connect(&globals).await?;
            let namespace = globals.namespace.clone().unwrap_or_else(|| api.default_namespace().to_owned());
            // This machine may be minutes off, and what is shown was dated by the server.
            let clock = api.server_clock(Clock::system());
            let mut session = Session {
                api,
                namespace,
                clock,
                form: globals.form(),
                paint: paint(&globals),
                reach: reach(&globals),
                named_command: false,
                out: &mut out,
                err: &mut err,
            };
            let outcome = dispatch(command, &mut session).await;
            session.remind(outcome)
        }
    }
}

/// The flags that choose the cluster, as they were given.
fn reach(globals: &Globals) -> String {
    let quoted = |text: String| {
        let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c));
        if plain { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
    };
    let kubeconfig = globals.kubeconfig.as_ref().map(|path| path.display().to_string());
    let kubeconfig = kubeconfig.map(|path| format!("--kubeconfig {}", quoted(path)));
    let context = globals.context.clone().map(|context| format!("--context {}", quoted(context)));
    [kubeconfig, context].into_iter().flatten().collect::<Vec<_>>().join(" ")
}

async fn connect(globals: &Globals) -> Result<Api, Failure> {
    let (path, context) = (globals.kubeconfig.as_deref(), globals.context.as_deref());
    Api::from_kubeconfig(path, context, FIELD_MANAGER).await.map_err(|error| {
        Failure::error(error.to_string()).hint("choose a cluster with --kubeconfig and --context")
    })
}

fn paint(globals: &Globals) -> Paint {
    let unwanted = globals.no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if !unwanted && globals.form() == Form::Table && std::io::stdout().is_terminal() {
        Paint::Colour
    } else {
        Paint::Plain
    }
}

/// Runs a command that talks to a cluster.
///
/// # Errors
/// Why it did not do what was asked.
pub async fn dispatch(command: Command, session: &mut Session<'_>) -> Result<Exit, Failure> {
    match command {
        Command::Deploy(args) => deploy::deploy(session, &args).await,
        Command::Get(args) => get::get(session, &args).await,
        Command::History { service } => history::history(session, &service).await,
        Command::Explain(args) => explain::explain(session, &args).await,
        Command::Rollback(args) => rollback::rollback(session, &args).await,
        Command::Promote(args) => decide::promote(session, &args).await,
        Command::Abort(args) => decide::abort(session, &args).await,
        Command::Claim(args) => claim::claim(session, &args).await,
        Command::Release(args) => claim::release(session, &args).await,
        Command::Rules { service } => rules::rules(session, &service).await,
        Command::Uninstall(args) => uninstall::uninstall(session, &args).await,
        #[cfg(feature = "demo")]
        Command::Demo(_) => Err(Failure::error("this command needs no cluster")),
        Command::Install(_)
        | Command::Lint(_)
        | Command::Completions { .. }
        | Command::Version
        | Command::Manager(_) => Err(Failure::error("this command needs no cluster")),
    }
}
