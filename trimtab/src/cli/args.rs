//! Every command and flag. `--help` is the manual, so the words here are complete.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use trimtab_units::GoDuration;

use super::exit;
use super::output::Form;
use values::{image, label, matchers, name, prometheus_url, release, timeout};

mod manager;
pub(super) mod values;

pub use manager::{LogFormat, ManagerArgs};

const MANUAL: &str = "\
Claim a service once, then deploy it as often as you like:
  trimtab claim payments -n shop
  trimtab deploy payments -n shop --image registry.example/payments:8c1f --wait

Every deploy has a number (payments v128). The new pods are judged against
the old ones by rules: error rate, panics and crashes, database errors, and
whatever your alerts say. A release that fails is rolled back by itself, and
its template is held when somebody applies it again. A person may decide
otherwise at any time:
  trimtab promote payments -n shop --because \"the errors are the load test's\"
  trimtab abort payments -n shop --because \"refunds are stuck\"
  trimtab rollback payments -n shop --to v120
  trimtab explain payments -n shop

Trimtab is never in the path of a deploy. If it is gone, a held Deployment
is freed with
  kubectl annotate deployment payments -n shop trimtab.dev/claim-
  kubectl rollout resume deployment/payments -n shop";

/// Ships every service safely.
///
/// Data goes to stdout and talk to stderr.
#[derive(Debug, Parser)]
#[command(name = "trimtab", version, after_help = exit::HELP, after_long_help = format!("{MANUAL}\n\n{}", exit::HELP),
    disable_help_subcommand = true, max_term_width = 110)]
pub struct Arguments {
    /// Flags of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Globals {
    /// Kubeconfig file; default is $KUBECONFIG, then ~/.kube/config, then the pod's service account
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Namespace of the service; default is the context's
    #[arg(short, long, global = true, value_parser = label)]
    pub namespace: Option<String>,
    /// Form of the data on stdout; default is a table
    #[arg(short, long, global = true, value_name = "FORM")]
    pub output: Option<Form>,
    /// No colour; so does NO_COLOR in the environment
    #[arg(long, global = true)]
    pub no_color: bool,
}

impl Globals {
    /// The form of data.
    #[must_use]
    pub fn form(&self) -> Form {
        self.output.unwrap_or_default()
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Deploy an image as a numbered release
    Deploy(DeployArgs),
    /// List services and how they are
    Get(GetArgs),
    /// List the releases of a service
    History {
        /// Name of the service
        #[arg(value_parser = name)]
        service: String,
    },
    /// Say why: why a release was kept or rolled back, what a service waits for, and how to free it by hand
    Explain(ExplainArgs),
    /// Bring back an earlier release
    ///
    /// While a release is under way this is `abort`. Otherwise the template of the release before the current one, or of
    /// --to, becomes a new release. Databases, feature flags, ConfigMaps and Secrets are not rolled back.
    Rollback(RollbackArgs),
    /// Keep a release, whatever the evidence says
    ///
    /// Works on the release under way, on a held one, and on a rejected one, which is then deployed again.
    Promote(PromoteArgs),
    /// Roll back the release under way, now
    Abort(AbortArgs),
    /// Put a Deployment under Trimtab's care, in place
    Claim(ClaimArgs),
    /// Let go of a service; its pods stay as they are
    Release(ReleaseArgs),
    /// Check ManagedApp and FleetPolicy files, with file and line
    Lint(LintArgs),
    /// Show the rules that judge a service, and where each comes from
    Rules {
        /// Name of the service
        #[arg(value_parser = name)]
        service: String,
    },
    /// Print everything that the cluster needs, in the order in which to apply it
    ///
    /// trimtab install --prometheus-url http://prometheus.monitoring:9090 | kubectl apply --server-side -f -
    Install(InstallArgs),
    /// Remove Trimtab; every workload keeps running
    ///
    /// Stops the manager first. Then every claim is removed, and a Deployment that holds a rejected template gets the one
    /// that runs back before it is let go. Then definitions, policy and permissions are deleted. Without --yes it only says
    /// what it would do.
    Uninstall(UninstallArgs),
    /// Run the manager; this is what the container does
    Manager(Box<ManagerArgs>),
    /// Watch Trimtab work on a simulated cluster; needs nothing else
    #[cfg(feature = "demo")]
    Demo(DemoArgs),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the version
    Version,
}

/// Arguments of `deploy`.
#[derive(Debug, Args)]
pub struct DeployArgs {
    /// Name of the service
    #[arg(value_parser = name)]
    pub service: String,
    /// Image to deploy
    #[arg(long, value_name = "REF", value_parser = image)]
    pub image: String,
    /// Container that gets the image; default is the service container
    #[arg(long, value_parser = label)]
    pub container: Option<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", alias = "reason")]
    pub because: Option<String>,
    /// Wait for the verdict, at most this long, 1h if nothing is said; the exit code tells it
    #[arg(long, value_name = "TIMEOUT", num_args = 0..=1, require_equals = true, default_missing_value = "1h", value_parser = timeout)]
    pub wait: Option<GoDuration>,
}

/// Arguments of `get`.
#[derive(Debug, Args)]
pub struct GetArgs {
    /// Name of a service; default is every service
    #[arg(value_parser = name)]
    pub service: Option<String>,
    /// All namespaces
    #[arg(short = 'A', long)]
    pub all_namespaces: bool,
    /// Deployments that are not claimed, too
    #[arg(long, conflicts_with = "service")]
    pub all: bool,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Name of the service
    #[arg(value_parser = name)]
    pub service: String,
    /// A release, such as v128
    #[arg(value_parser = release)]
    pub release: Option<u64>,
}

/// Arguments of `rollback`.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// Name of the service
    #[arg(value_parser = name)]
    pub service: String,
    /// Release to bring back, such as v126; default is the one before
    #[arg(long, value_name = "RELEASE", value_parser = release)]
    pub to: Option<u64>,
    /// Understood, so that whoever writes it is told to write --to
    #[arg(hide = true, value_parser = release)]
    pub misplaced: Option<u64>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    pub because: Option<String>,
    /// Wait for what becomes of it, at most this long, 1h if nothing is said; the exit code tells it
    #[arg(long, value_name = "TIMEOUT", num_args = 0..=1, require_equals = true, default_missing_value = "1h", value_parser = timeout)]
    pub wait: Option<GoDuration>,
}

/// Arguments of `promote`.
#[derive(Debug, Args)]
pub struct PromoteArgs {
    /// Name of the service
    #[arg(value_parser = name)]
    pub service: String,
    /// A release, such as v128; default is the one under way, then the one that is held, then the one
    /// that was rejected last
    #[arg(value_parser = release)]
    pub release: Option<u64>,
    /// Why; recorded with your name
    #[arg(long, value_name = "TEXT")]
    pub because: String,
}

/// Arguments of `abort`.
#[derive(Debug, Args)]
pub struct AbortArgs {
    /// Name of the service
    #[arg(value_parser = name)]
    pub service: String,
    /// Understood, so that whoever writes it is told what abort acts on
    #[arg(hide = true, value_parser = release)]
    pub release: Option<u64>,
    /// Why; recorded with your name
    #[arg(long, value_name = "TEXT")]
    pub because: Option<String>,
}

/// How releases are shipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StrategyWord {
    /// Record releases, do not judge them.
    Rolling,
    /// Judge every release and restore the previous one when it fails.
    Guarded,
}

/// Arguments of `claim`.
#[derive(Debug, Args)]
pub struct ClaimArgs {
    /// Name of the Deployment
    #[arg(value_parser = name)]
    pub service: String,
    /// How releases are shipped; default is what policy says, then guarded
    #[arg(long)]
    pub strategy: Option<StrategyWord>,
    /// Print the ManagedApp instead of creating it
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `release`.
#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// Name of the service
    #[arg(value_parser = name)]
    pub service: String,
    /// Let go although a rejected template is held: the Deployment gets the template that runs back
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `lint`.
#[derive(Debug, Args)]
pub struct LintArgs {
    /// Files with YAML documents or JSON; `-` is stdin
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// Ask this Prometheus whether the series of every rule exist
    #[arg(long, value_name = "URL", value_parser = prometheus_url)]
    pub prometheus_url: Option<String>,
    /// Matchers that narrow every query, such as cluster="eu-1", where one Prometheus knows several clusters
    #[arg(
        long,
        value_name = "MATCHERS",
        value_parser = matchers,
        requires = "prometheus_url",
        default_value = "",
        hide_default_value = true
    )]
    pub prometheus_matchers: String,
}

/// Arguments of `install`.
#[derive(Debug, Args)]
pub struct InstallArgs {
    /// Image of the manager
    #[arg(long, value_name = "REF", value_parser = image, default_value = concat!("trimtab:", env!("CARGO_PKG_VERSION")))]
    pub image: String,
    /// Prometheus that measures releases; without it only restarts and kills are judged
    #[arg(long, value_name = "URL", value_parser = prometheus_url)]
    pub prometheus_url: Option<String>,
    /// Matchers that narrow every query, such as cluster="eu-1", where one Prometheus knows several clusters
    #[arg(
        long,
        value_name = "MATCHERS",
        value_parser = matchers,
        requires = "prometheus_url",
        default_value = "",
        hide_default_value = true
    )]
    pub prometheus_matchers: String,
    /// Namespace to look after; the manager gets rights in these alone; may be given several times; default is all
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',')]
    pub watch_namespace: Vec<String>,
    /// Install one more manager, beside others in the same namespace: it looks after ManagedApps whose label
    /// trimtab.dev/instance has this value
    #[arg(long, value_name = "ID", value_parser = label)]
    pub instance: Option<String>,
}

/// Arguments of `uninstall`.
#[derive(Debug, Args)]
pub struct UninstallArgs {
    /// Remove the manager of this instance alone, after its services were let go of; everything else stays
    #[arg(long, value_name = "ID", value_parser = label)]
    pub instance: Option<String>,
    /// Do it
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `demo`.
#[cfg(feature = "demo")]
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Tell the story as fast as possible and exit 0 only if every outcome was the expected one
    #[arg(long)]
    pub once: bool,
    /// How much faster than real time the simulated cluster runs
    #[arg(long, value_name = "FACTOR", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    pub speed: u32,
    /// Loopback address on which kubectl and trimtab reach the simulated cluster; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    pub listen: std::net::SocketAddr,
    /// Where to write the kubeconfig, a file that does not exist yet; default: one in the folder for temporary files
    #[arg(long, value_name = "FILE")]
    pub write_kubeconfig: Option<PathBuf>,
}
