//! `trimtab manager`: flags to parts, and then `trimtab_control` runs.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;
use trimtab_control::measure::{NoPrometheus, PrometheusMeasure};
use trimtab_control::measurements::Measure;
use trimtab_control::{ManagerOptions, Parts};
use trimtab_delivery::names;
use trimtab_kube::entropy::Entropy;
use trimtab_kube::host::{Host, stop_on_signals};
use trimtab_kube::kinds::Namespaces;
use trimtab_kube::{Api, Clock};
use trimtab_providers::http::{
    ClientIdentity, Credentials, EgressPolicy, HyperTransport, Roots, SystemResolver, TlsFloor,
    TransportConfig,
};
use trimtab_providers::prometheus::{Prometheus, PrometheusConfig};
use trimtab_units::line::one_line;
use trimtab_units::names::check_dns_label;

use super::args::{Globals, LogFormat, ManagerArgs};
use super::exit::{Exit, Failure};
use super::install::{NAMESPACE, instance};

/// Runs the manager until it is told to stop.
///
/// # Errors
/// When a flag cannot be used, the cluster cannot be configured, or the address for probes is taken.
pub async fn manager(args: ManagerArgs, globals: &Globals) -> Result<Exit, Failure> {
    log(args.log_format);
    let (watched, instance) = (watched(&args)?, instance(args.instance.as_deref())?);
    let stop = stop_on_signals()?;
    let (path, context) = (globals.kubeconfig.as_deref(), globals.context.as_deref());
    let api = Api::from_kubeconfig(path, context, names::MANAGER)
        .await
        .map_err(|error| Failure::error(error.to_string()))?;
    let measure = measure(&args)?;
    let transport = messages(&args)?;
    let host = Host::new();
    host.build_info(env!("CARGO_PKG_VERSION"), option_env!("TRIMTAB_COMMIT").unwrap_or("unknown"));
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        Failure::error(format!("cannot serve probes on {}: {error}", args.listen))
            .hint("choose another address with --listen")
    })?;
    let namespace = args.leader_election_namespace.clone().or_else(|| globals.namespace.clone());
    let options = ManagerOptions {
        namespace: namespace.unwrap_or_else(|| NAMESPACE.to_owned()),
        identity: identity(&args),
        watched,
        instance,
        entropy: Entropy::system(),
    };
    let probes = tokio::spawn(host.clone().serve(listener, stop.clone()));
    let parts = Parts { api, clock: Clock::system(), measure, transport, host };
    trimtab_control::run(options, parts, stop.clone()).await;
    stop.cancel();
    probes.await.map_err(|error| Failure::error(format!("the server of probes failed: {error}")))??;
    Ok(Exit::Done)
}

fn log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Lines(std::io::stderr()))
        // Colour is made of control characters, which no line may hold.
        .with_ansi(false);
    match format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.init(),
    }
}

/// A log whose events stay on one line each, whatever text of others they repeat.
struct Lines<W>(W);

impl<W: Write> Write for Lines<W> {
    /// An event comes as one write that ends its line.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
        self.0.write_all(format!("{}{end}", one_line(line)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Unique among replicas: the pod's name, or the host's with the process.
fn identity(args: &ManagerArgs) -> String {
    let host = || std::env::var("HOSTNAME").unwrap_or_else(|_| "trimtab".to_owned());
    args.identity.clone().unwrap_or_else(|| format!("{}-{}", host(), std::process::id()))
}

fn watched(args: &ManagerArgs) -> Result<Namespaces, Failure> {
    // An empty variable is one that nobody set.
    let names: Vec<&String> = args.watch_namespace.iter().filter(|name| !name.is_empty()).collect();
    for name in &names {
        check_dns_label(name).map_err(|error| Failure::error(format!("--watch-namespace: {error}")))?;
    }
    if names.is_empty() {
        return Ok(Namespaces::All);
    }
    Ok(Namespaces::These(names.into_iter().map(|name| Arc::from(name.as_str())).collect()))
}

fn transport(config: TransportConfig) -> Result<Arc<HyperTransport>, Failure> {
    let transport = HyperTransport::new(config, Arc::new(SystemResolver));
    transport.map(Arc::new).map_err(|error| Failure::error(error.to_string()))
}

/// What messages are sent through. Owners of services write where to, so it reaches nothing inside that the operator does
/// not allow.
fn messages(args: &ManagerArgs) -> Result<Arc<HyperTransport>, Failure> {
    transport(TransportConfig::new(EgressPolicy::Guarded { allowed: args.notify_allow.clone() }))
}

fn measure(args: &ManagerArgs) -> Result<Arc<dyn Measure>, Failure> {
    match &args.prometheus_url {
        Some(url) => Ok(Arc::new(PrometheusMeasure::new(Arc::new(prometheus(url, args)?)))),
        None => Ok(Arc::new(NoPrometheus)),
    }
}

/// A Prometheus as the manager's flags describe it. The operator names it, so it may be anywhere.
fn prometheus(url: &str, args: &ManagerArgs) -> Result<Prometheus, Failure> {
    let mut config = TransportConfig::new(EgressPolicy::Unrestricted);
    config.tls.floor = TlsFloor::V12;
    if let Some(file) = &args.prometheus_ca_file {
        config.tls.roots = Roots::File(file.clone());
    }
    if let (Some(certificate), Some(key)) = (&args.prometheus_cert_file, &args.prometheus_key_file) {
        config.tls.identity =
            Some(ClientIdentity { certificate_file: certificate.clone(), key_file: key.clone() });
    }
    config.credentials = match (&args.prometheus_bearer_token_file, &args.prometheus_basic_auth_file) {
        (Some(file), _) => Credentials::BearerFile(file.clone()),
        (None, Some(file)) => Credentials::BasicFile(file.clone()),
        (None, None) => Credentials::None,
    };
    let mut settings = PrometheusConfig::new("prometheus", url);
    settings.scope.clone_from(&args.prometheus_matchers);
    settings.limits.timeout = Duration::try_from(args.prometheus_timeout)
        .map_err(|error| Failure::error(format!("--prometheus-timeout: {error}")))?;
    settings.limits.max_series = args.prometheus_max_series;
    settings.limits.max_sums = args.prometheus_max_sums;
    settings.limits.response_bytes = args.prometheus_max_answer_bytes;
    Prometheus::new(transport(config)?, settings).map_err(|error| Failure::error(error.to_string()))
}

/// A Prometheus that a person names on the command line, without credentials.
///
/// # Errors
/// When the address is no URL, or the matchers are none.
pub(super) fn plain_prometheus(url: &str, matchers: &str) -> Result<Prometheus, Failure> {
    let mut config = TransportConfig::new(EgressPolicy::Unrestricted);
    config.tls.floor = TlsFloor::V12;
    let settings =
        PrometheusConfig { scope: matchers.to_owned(), ..PrometheusConfig::new("prometheus", url) };
    Prometheus::new(transport(config)?, settings).map_err(|error| Failure::error(error.to_string()))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use trimtab_providers::http::HttpTransport;

    use super::*;
    use crate::cli::args::Command;

    /// Why a manager with these flags cannot send a message there.
    async fn refusal(flags: &[&str], url: &str) -> String {
        let line = ["trimtab", "manager"].iter().chain(flags).map(OsString::from);
        let Command::Manager(args) = crate::cli::parse(line).unwrap().command else { panic!("{flags:?}") };
        let request = http::Request::post(url).body(Default::default()).unwrap();
        messages(&args).unwrap().send(request).await.err().unwrap().to_string()
    }

    #[tokio::test]
    async fn messages_reach_nothing_inside_but_what_the_operator_allows() {
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            listener.local_addr().unwrap().port()
        };
        let here = format!("http://127.0.0.1:{port}/");
        for url in [&*here, "http://grafana.monitoring.svc/", "http://10.96.0.1/"] {
            let told = refusal(&[], url).await;
            assert!(
                told.contains(" is refused: it is ") && told.contains("nothing is sent"),
                "{url}: {told}"
            );
        }
        // Nobody listens there any more, and it was tried.
        let told = refusal(&["--notify-allow", "127.0.0.0/8"], &here).await;
        assert!(told.starts_with("cannot connect to 127.0.0.1: "), "{told}");
    }

    #[test]
    fn an_event_of_the_log_is_one_line() {
        let mut log = Lines(Vec::new());
        log.write_all("INFO image=v2\n{\"level\":\"ERROR\"}\u{1b}[2J\u{202e}\n".as_bytes()).unwrap();
        let text = String::from_utf8(log.0).unwrap();
        assert_eq!(text, "INFO image=v2 {\"level\":\"ERROR\"}\u{fffd}[2J\u{fffd}\n");
    }
}
