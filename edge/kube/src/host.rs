//! What a process owes its platform: probes, metrics, and a graceful end.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::sync::locked;

type Check = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Health and metrics of this process, cheap to clone.
#[derive(Clone, Default)]
pub struct Host {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    registry: Mutex<Registry>,
    readiness: Mutex<BTreeMap<&'static str, Check>>,
}

impl Host {
    /// A host with no checks: alive and ready.
    pub fn new() -> Host {
        Host::default()
    }

    /// Makes readiness depend on `check`, which says what it waits for.
    pub fn ready_when(
        &self,
        name: &'static str,
        check: impl Fn() -> Result<(), String> + Send + Sync + 'static,
    ) {
        locked(&self.shared.readiness).insert(name, Arc::new(check));
    }

    /// Adds metrics.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut locked(&self.shared.registry));
    }

    /// Exposes `trimtab_build_info{version,commit}`.
    pub fn build_info(&self, version: &'static str, commit: &'static str) {
        let info = Info::new([("version", version), ("commit", commit)]);
        self.register(|registry| registry.register("trimtab_build", "what this binary was built from", info));
    }

    /// All metrics in OpenMetrics text: what was registered several times, under other labels, is one family.
    pub fn metrics(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &locked(&self.shared.registry))?;
        Ok(one_family_each(&text))
    }

    /// Whether all readiness checks pass; otherwise one line for each that does not.
    pub fn readiness(&self) -> Result<(), String> {
        // Copied out, so that a check may itself use the host.
        let checks = locked(&self.shared.readiness).clone();
        let failing: Vec<String> =
            checks.iter().filter_map(|(name, check)| Some(format!("{name}: {}\n", check().err()?))).collect();
        if failing.is_empty() { Ok(()) } else { Err(failing.concat()) }
    }

    /// The routes `/healthz`, `/livez`, `/readyz` and `/metrics`, to be served alone or merged into a larger server.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/healthz", get(livez))
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self.clone())
    }

    /// Serves [`Host::router`] on `listener` until `stop` is cancelled and open requests are answered.
    pub async fn serve(self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        axum::serve(listener, self.router()).with_graceful_shutdown(stop.cancelled_owned()).await
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

/// Puts the samples of each family behind one header. Every queue and every watch has a collector of its own, each of which
/// prints the header anew; readers of the format may refuse a family that comes twice.
fn one_family_each(text: &str) -> String {
    let mut order = Vec::new();
    let mut families: BTreeMap<&str, (String, String)> = BTreeMap::new();
    let mut current = "";
    for line in text.lines().filter(|line| *line != END) {
        let header = line.strip_prefix("# ");
        current = header.and_then(|header| header.split(' ').nth(1)).unwrap_or(current);
        let (headers, samples) = families.entry(current).or_insert_with(|| {
            order.push(current);
            Default::default()
        });
        if header.is_none() {
            samples.extend([line, "\n"]);
        } else if !headers.lines().any(|held| held == line) {
            headers.extend([line, "\n"]);
        }
    }
    let held = order.iter().filter_map(|name| families.get(name));
    let mut merged: String = held.map(|(headers, samples)| format!("{headers}{samples}")).collect();
    merged.extend([END, "\n"]);
    merged
}

/// The last line of OpenMetrics text.
const END: &str = "# EOF";

/// A process that answers lives: whatever else is wrong with it, a restart does not cure.
async fn livez() -> impl IntoResponse {
    "ok\n"
}

async fn readyz(State(host): State<Host>) -> impl IntoResponse {
    match host.readiness() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(failing) => (StatusCode::SERVICE_UNAVAILABLE, failing),
    }
}

async fn metrics(State(host): State<Host>) -> impl IntoResponse {
    match host.metrics() {
        Ok(text) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            (StatusCode::OK, [(header::CONTENT_TYPE, kind)], text)
        }
        Err(error) => {
            let text = format!("metrics cannot be encoded: {error}\n");
            (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], text)
        }
    }
}

/// A token that is cancelled by SIGTERM or SIGINT. A second signal ends the process at once.
pub fn stop_on_signals() -> io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    /// What shells report for a process ended by SIGINT.
    const EXIT_INTERRUPTED: i32 = 130;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        for _ in 0..2 {
            if token.is_cancelled() {
                tracing::info!("stopping; a second signal ends the process at once");
            }
            tokio::select! {
                biased;
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if token.is_cancelled() {
                std::process::exit(EXIT_INTERRUPTED);
            }
            token.cancel();
        }
    });
    Ok(stop)
}
