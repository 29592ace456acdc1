//! Project tasks.

mod pages;
mod programs;
mod step;
mod tier;
mod warm_up;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};

/// Project tasks
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run every test, tier by tier
    ///
    /// A tier whose tools cannot be had on this machine is skipped and named, unless `CI=true` or
    /// `TRIMTAB_REQUIRE_LAB=1` is set: then it fails.
    Test {
        /// Only this tier; may be given several times
        #[arg(long = "tier", value_name = "NAME", value_parser = PossibleValuesParser::new(tier::names()))]
        tiers: Vec<String>,
        /// Name the tiers and what each one shows
        #[arg(long)]
        list: bool,
    },
    /// Write the reference pages from the schemas and from `trimtab --help`
    Reference {
        /// Write nothing; fail when a page is out of date
        #[arg(long)]
        check: bool,
        /// The binary whose help is printed; without it the page about the command line is left out
        #[arg(long, value_name = "PATH")]
        trimtab: Option<PathBuf>,
    },
}

fn main() -> ExitCode {
    let done = match Arguments::parse().task {
        Task::Test { list: true, .. } => {
            tier::list();
            Ok(ExitCode::SUCCESS)
        }
        Task::Test { tiers, list: false } => tier::run(&tiers),
        Task::Reference { check, trimtab } => {
            let mode = if check { pages::Mode::Check } else { pages::Mode::Write };
            pages::bring_up_to_date(mode, trimtab.as_deref()).map(|()| ExitCode::SUCCESS)
        }
    };
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
