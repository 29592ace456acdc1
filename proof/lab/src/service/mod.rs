//! The demo service: what runs in every pod of the lab.
//!
//! A small HTTP server that behaves as its image tag says ([`Behaviour`]), so that a release is bad for the reason that
//! stands in the manifest:
//! - `GET /` answers 200, or 500 for the given share of requests, after the given latency;
//! - `GET /panic` panics inside the handler, which is caught, counted and answered with 500;
//! - `GET /healthz` answers 200 once the service is ready, 503 before;
//! - `GET /metrics` is Prometheus text.

mod metrics;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use futures::FutureExt as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, interval, sleep};
use trimtab_kube::clock::Clock;
use trimtab_kube::rng::Rng;
use trimtab_world::behaviour::Behaviour;

use metrics::Metrics;

/// First argument under which every program of the lab turns into the demo service, see [`run_if_asked`].
pub const SUBCOMMAND: &str = "service";
/// Mean of the exponentially distributed time that a request takes by itself.
const MEAN_LATENCY: Duration = Duration::from_millis(3);
/// How often the database is asked for trouble.
const DATABASE_TICK: Duration = Duration::from_millis(100);
/// Database ticks in a minute.
const DATABASE_TICKS_PER_MINUTE: f64 = 600.0;

/// Command line of the demo service.
#[derive(Debug, Clone, clap::Args)]
pub struct ServiceArguments {
    /// Where to listen; without it the service only exists, as a sidecar without a port does
    #[arg(long)]
    pub listen: Option<SocketAddr>,
    /// Image reference whose tag says how to behave, e.g. `shop/payments:v128-errors30`
    #[arg(long, default_value = "")]
    pub image: String,
    /// Seed of the service's luck; requests fail independently of each other, the same ones for the same seed
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Share of requests that fail although nothing is wrong, in percent
    #[arg(long, env = "NORMAL_ERROR_PERCENT", default_value_t = 0.0)]
    pub normal_error_percent: f64,
    /// Database errors per minute although nothing is wrong
    #[arg(long, env = "NORMAL_DATABASE_ERRORS_PER_MINUTE", default_value_t = 0.0)]
    pub normal_database_errors_per_minute: f64,
    /// How long to keep serving after being asked to stop, until nobody sends requests here any more, in seconds
    #[arg(long, env = "DRAIN_SECONDS", default_value_t = 1.0)]
    pub drain_seconds: f64,
}

/// Serves until SIGTERM. With `panicNs` in the image tag, panics after that time.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(arguments: ServiceArguments) -> Result<()> {
    let behaviour = Behaviour::from_image(&arguments.image);
    let panic_after = behaviour.panic_after;
    let listener = match arguments.listen {
        Some(address) => {
            Some(TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?)
        }
        None => None,
    };
    let mut terminated = signal(SignalKind::terminate()).context("cannot receive signals")?;
    let drain =
        Duration::try_from_secs_f64(arguments.drain_seconds).context("--drain-seconds is not a duration")?;
    let service = Arc::new(Service::new(&arguments, behaviour));
    tokio::spawn(run_database(Arc::clone(&service)));
    let shutdown = async move {
        terminated.recv().await;
        sleep(drain).await;
    };
    let serving = async {
        match listener {
            Some(listener) => axum::serve(listener, router(service)).with_graceful_shutdown(shutdown).await,
            None => {
                shutdown.await;
                Ok(())
            }
        }
    };
    let panicking = async {
        match panic_after {
            Some(after) => sleep(after).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        served = serving => served.context("cannot serve"),
        () = panicking => panic!("the image tag asked for a panic after {panic_after:?}"),
    }
}

/// Called first thing in the `main` of any program of the lab: when its first argument is [`SUBCOMMAND`], it is meant
/// to be the demo service, which then runs until its end. So pods can be made of whatever program is running.
///
/// # Errors
/// When the command line is wrong, or as [`serve`].
pub fn run_if_asked() -> Result<()> {
    if std::env::args().nth(1).as_deref() != Some(SUBCOMMAND) {
        return Ok(());
    }
    let command = <ServiceArguments as clap::Args>::augment_args(clap::Command::new(SUBCOMMAND));
    let matches = command.get_matches_from(std::env::args_os().skip(1));
    let arguments = <ServiceArguments as clap::FromArgMatches>::from_arg_matches(&matches)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match runtime.block_on(serve(arguments)) {
        Ok(()) => std::process::exit(0),
        Err(error) => bail!(error),
    }
}

struct Service {
    behaviour: Behaviour,
    error_share: f64,
    database_errors_per_tick: f64,
    started: Instant,
    state: Mutex<Changing>,
}

struct Changing {
    metrics: Metrics,
    luck: Rng,
}

impl Service {
    fn new(arguments: &ServiceArguments, behaviour: Behaviour) -> Self {
        let percent = behaviour.error_percent.map_or(arguments.normal_error_percent, f64::from);
        let per_minute =
            f64::from(behaviour.database_errors_per_minute) + arguments.normal_database_errors_per_minute;
        // Pods of one service share a seed and must not share their luck.
        let address = arguments.listen.map(|address| address.to_string()).unwrap_or_default();
        let luck = Rng::for_key(arguments.seed, "service", &address);
        let metrics = Metrics::new(Clock::system().now());
        Self {
            behaviour,
            error_share: percent / 100.0,
            database_errors_per_tick: per_minute / DATABASE_TICKS_PER_MINUTE,
            started: Instant::now(),
            state: Mutex::new(Changing { metrics, luck }),
        }
    }

    /// A poisoned lock only means that a handler panicked, which is one of the things this service is asked to do.
    fn state(&self) -> MutexGuard<'_, Changing> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ready(&self) -> bool {
        !self.behaviour.never_ready && self.started.elapsed() >= self.behaviour.slow_start
    }
}

fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/", get(answer))
        .route("/panic", get(answer_panicking))
        .route("/healthz", get(health))
        .route("/metrics", get(exposition))
        .with_state(service)
}

async fn answer(State(service): State<Arc<Service>>) -> StatusCode {
    let started = Instant::now();
    let (fails, latency) = {
        let luck = &mut service.state().luck;
        let latency = MEAN_LATENCY.mul_f64(-(1.0 - luck.unit()).ln());
        (luck.unit() < service.error_share, latency)
    };
    sleep(latency + service.behaviour.added_latency).await;
    let status = if fails { StatusCode::INTERNAL_SERVER_ERROR } else { StatusCode::OK };
    service.state().metrics.request(status.as_u16(), started.elapsed());
    status
}

async fn answer_panicking(State(service): State<Arc<Service>>) -> StatusCode {
    let started = Instant::now();
    let handler = async { panic!("asked to panic") };
    let caught: Result<(), _> = std::panic::AssertUnwindSafe(handler).catch_unwind().await;
    let status = if caught.is_ok() { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR };
    let metrics = &mut service.state().metrics;
    metrics.panicked();
    metrics.request(status.as_u16(), started.elapsed());
    status
}

async fn health(State(service): State<Arc<Service>>) -> StatusCode {
    if service.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn exposition(State(service): State<Arc<Service>>) -> impl IntoResponse {
    let text = service.state().metrics.to_string();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

async fn run_database(service: Arc<Service>) {
    let mut ticks = interval(DATABASE_TICK);
    loop {
        ticks.tick().await;
        let state = &mut *service.state();
        // The whole part always happens, the rest with its own probability: the mean is right at any rate.
        let errors = (service.database_errors_per_tick + state.luck.unit()).floor();
        state.metrics.database_errors(errors);
    }
}
