//! Faults as commands of a scenario: `fault KIND key=value … for=SPAN`.
//!
//! | setting | meaning |
//! |---|---|
//! | `for=2m` | how long it lasts; without one it lasts until `end faults` |
//! | `by=20s` | how late, how slow, how far behind |
//! | `resource=pods` | only requests and watches of this resource |
//! | `manager=1` | only the manager that was started first |
//! | `chance=0.3` | how often a request is struck; always when absent |
//! | `code=503` | what `server-error` answers with |
//! | `share=50` | of which share of the pods Prometheus is behind, or has nothing, in percent |

use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;
use trimtab_sim::{Effect, Fault, FaultId, Sim, WatchEffect, Watches};
use trimtab_world::prometheus::{Lag, Prometheus, Service};

use crate::stage::{INSTALLED, MANAGER_USER, Stage, documents, is_admission};
use crate::words::{duration, number, setting};

/// Requests that change something.
const WRITES: [&str; 5] = ["create", "update", "patch", "apply", "delete"];
/// Requests with an answer that ends.
const ANSWERED: [&str; 7] = ["get", "list", "create", "update", "patch", "apply", "delete"];
/// What binds the admission policy; without it the policy does nothing.
const BINDING: &str =
    "/apis/admissionregistration.k8s.io/v1/mutatingadmissionpolicybindings/hold.trimtab.dev";

/// What can go wrong around the managers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Watch events come late, those of one resource later than those of another.
    LateEvents,
    /// Watch events are kept back, then delivered.
    HeldEvents,
    /// Open watches bring nothing more, and do not end.
    HalfOpen,
    /// No bookmarks are sent.
    NoBookmarks,
    /// The server forgets its history and breaks the watches: 410.
    Expired,
    /// Watches break.
    DroppedWatches,
    /// Reads that may be stale see the past. A manager makes none: whoever adds one meets this.
    StaleLists,
    /// Writes are answered with 409.
    Conflict,
    /// Requests are answered with 429 and `Retry-After`.
    Throttled,
    /// Requests are answered with 5xx.
    ServerError,
    /// The connection breaks before the request arrives.
    LostRequest,
    /// The write is applied, and its answer lost.
    LostAnswer,
    /// Requests arrive late.
    SlowRequest,
    /// Requests are answered late.
    SlowAnswer,
    /// Nothing of a manager gets through, and nothing reaches it.
    Partition,
    /// The admission policy is absent.
    NoAdmission,
    /// Prometheus refuses connections.
    PrometheusDown,
    /// Prometheus accepts connections and answers nothing.
    PrometheusSilent,
    /// Prometheus answers late.
    PrometheusSlow,
    /// Prometheus is behind with the samples of some pods.
    PrometheusLag,
    /// Prometheus has nothing of some pods.
    PrometheusPartial,
}

impl FaultKind {
    /// Every kind.
    pub const ALL: [Self; 21] = [
        Self::LateEvents,
        Self::HeldEvents,
        Self::HalfOpen,
        Self::NoBookmarks,
        Self::Expired,
        Self::DroppedWatches,
        Self::StaleLists,
        Self::Conflict,
        Self::Throttled,
        Self::ServerError,
        Self::LostRequest,
        Self::LostAnswer,
        Self::SlowRequest,
        Self::SlowAnswer,
        Self::Partition,
        Self::NoAdmission,
        Self::PrometheusDown,
        Self::PrometheusSilent,
        Self::PrometheusSlow,
        Self::PrometheusLag,
        Self::PrometheusPartial,
    ];

    /// The word in scripts.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::LateEvents => "late-events",
            Self::HeldEvents => "held-events",
            Self::HalfOpen => "half-open",
            Self::NoBookmarks => "no-bookmarks",
            Self::Expired => "expired",
            Self::DroppedWatches => "dropped-watches",
            Self::StaleLists => "stale-lists",
            Self::Conflict => "conflict",
            Self::Throttled => "throttled",
            Self::ServerError => "server-error",
            Self::LostRequest => "lost-request",
            Self::LostAnswer => "lost-answer",
            Self::SlowRequest => "slow-request",
            Self::SlowAnswer => "slow-answer",
            Self::Partition => "partition",
            Self::NoAdmission => "no-admission",
            Self::PrometheusDown => "prometheus-down",
            Self::PrometheusSilent => "prometheus-silent",
            Self::PrometheusSlow => "prometheus-slow",
            Self::PrometheusLag => "prometheus-lag",
            Self::PrometheusPartial => "prometheus-partial",
        }
    }
}

/// Faults that are going to end by themselves.
#[derive(Debug, Default)]
pub(crate) struct Ongoing {
    ends: Vec<JoinHandle<()>>,
}

/// How a fault ends.
enum Ends {
    /// It ended as it began: an instant.
    AtOnce,
    Faults(Sim, Vec<FaultId>),
    Thaw(Sim),
    Admission(Sim),
    Prometheus(Prometheus),
}

impl Ends {
    fn end(self) {
        match self {
            Self::AtOnce => {}
            Self::Faults(sim, ids) => ids.into_iter().for_each(|id| sim.end_fault(id)),
            Self::Thaw(sim) => sim.faults().thaw_reads(MANAGER_USER),
            Self::Admission(sim) => admit(&sim),
            Self::Prometheus(prometheus) => recover(&prometheus),
        }
    }
}

fn recover(prometheus: &Prometheus) {
    prometheus.set_service(Service::Up);
    prometheus.set_lag(None);
}

/// Puts the admission policy back.
fn admit(sim: &Sim) {
    let objects: Vec<Value> =
        INSTALLED.iter().flat_map(|text| documents(text)).filter(is_admission).collect();
    for object in objects {
        // What is there already is refused, which is as good.
        let _ = sim.load(vec![object]);
    }
}

/// Ends whatever goes wrong; where no manager is left, one starts.
pub(crate) fn end_all(stage: &mut Stage) {
    for end in stage.faults().ends.drain(..) {
        end.abort();
    }
    stage.sim.end_faults();
    recover(stage.world.prometheus());
    admit(&stage.sim);
    if stage.managers().next().is_none() {
        stage.start_manager();
    }
}

/// Begins a fault.
pub(crate) async fn begin(stage: &mut Stage, word: &str, settings: &[&str]) -> Result<String, String> {
    let kind = FaultKind::ALL.into_iter().find(|kind| kind.word() == word);
    let kind = kind.ok_or_else(|| format!("`{word}` is not a fault"))?;
    let whom = match setting(settings, "manager", "") {
        "" => None,
        text => {
            let wanted: u32 = number(text)?;
            let found = stage.managers().find(|(number, _)| *number == wanted);
            match found {
                Some((_, actor)) => Some(actor.number()),
                None => return Ok(format!("manager {wanted} does not run\n")),
            }
        }
    };
    let ends = strike(stage, kind, whom, settings).await?;
    let span = setting(settings, "for", "");
    if !span.is_empty() {
        let span = duration(span)?;
        stage.faults().ends.push(tokio::spawn(async move {
            tokio::time::sleep(span).await;
            ends.end();
        }));
    }
    Ok(String::new())
}

async fn strike(
    stage: &mut Stage,
    kind: FaultKind,
    actor: Option<u64>,
    settings: &[&str],
) -> Result<Ends, String> {
    let sim = stage.sim.clone();
    let resource = Some(setting(settings, "resource", "")).filter(|text| !text.is_empty()).map(str::to_owned);
    let watches = Watches { user: Some(MANAGER_USER.to_owned()), actor, resource: resource.clone() };
    let by = duration(setting(settings, "by", "10s"))?;
    let late = |effect| Ends::Faults(sim.clone(), vec![sim.faults().add_to_watches(watches.clone(), effect)]);
    let probability: f64 = number(setting(settings, "chance", "1"))?;
    let strike = |verbs: &[&str], effect| {
        let fault = Fault {
            user: Some(MANAGER_USER.to_owned()),
            actor,
            verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            resource: resource.clone(),
            effect,
            probability,
            times: None,
        };
        Ends::Faults(sim.clone(), vec![sim.faults().add(fault)])
    };
    Ok(match kind {
        FaultKind::LateEvents => late(WatchEffect::Late(by)),
        FaultKind::HeldEvents => late(WatchEffect::Held),
        FaultKind::NoBookmarks => late(WatchEffect::NoBookmarks),
        FaultKind::HalfOpen => instant(|| sim.abandon_watches(&watches)),
        FaultKind::DroppedWatches => instant(|| sim.drop_watches_of(&watches)),
        FaultKind::Expired => instant(|| {
            sim.compact();
            sim.drop_watches_of(&watches);
        }),
        FaultKind::StaleLists => {
            sim.faults().freeze_reads(MANAGER_USER, sim.revision());
            Ends::Thaw(sim)
        }
        FaultKind::Conflict => strike(&WRITES, Effect::Refuse { code: 409, retry_after: None }),
        FaultKind::Throttled => {
            strike(&[], Effect::Refuse { code: 429, retry_after: Some(RETRY_AFTER_SECONDS) })
        }
        FaultKind::ServerError => {
            let code = number(setting(settings, "code", "500"))?;
            strike(&[], Effect::Refuse { code, retry_after: None })
        }
        FaultKind::LostRequest => strike(&[], Effect::DropBefore),
        FaultKind::LostAnswer => strike(&WRITES, Effect::DropAfter),
        FaultKind::SlowRequest => strike(&ANSWERED, Effect::Delay(by)),
        FaultKind::SlowAnswer => strike(&ANSWERED, Effect::DelayAnswer(by)),
        FaultKind::Partition => {
            let (Ends::Faults(_, mut ids), Ends::Faults(_, held)) =
                (strike(&[], Effect::DropBefore), late(WatchEffect::Held))
            else {
                return Ok(Ends::AtOnce);
            };
            ids.extend(held);
            Ends::Faults(sim.clone(), ids)
        }
        FaultKind::NoAdmission => {
            let operator = sim.client("operator").client;
            let request = http::Request::delete(BINDING).body(Vec::new()).expect("a constant path is valid");
            // Already absent is as good.
            let _ = operator.request_text(request).await;
            Ends::Admission(sim)
        }
        FaultKind::PrometheusDown => service(stage, Service::Refusing),
        FaultKind::PrometheusSilent => service(stage, Service::Silent),
        FaultKind::PrometheusSlow => service(stage, Service::Slow(by)),
        FaultKind::PrometheusLag | FaultKind::PrometheusPartial => {
            // What comes never is not there.
            let by = if kind == FaultKind::PrometheusPartial { Duration::MAX } else { by };
            let lag = Lag { share_percent: number(setting(settings, "share", "50"))?, by };
            stage.world.prometheus().set_lag(Some(lag));
            Ends::Prometheus(stage.world.prometheus().clone())
        }
    })
}

/// What a throttled client is asked to wait.
const RETRY_AFTER_SECONDS: u32 = 3;

fn instant(act: impl FnOnce()) -> Ends {
    act();
    Ends::AtOnce
}

fn service(stage: &Stage, service: Service) -> Ends {
    let prometheus = stage.world.prometheus();
    prometheus.set_service(service);
    Ends::Prometheus(prometheus.clone())
}

/// How often a script looks for a write of the manager: no request is shorter.
const LOOK: Duration = Duration::from_millis(1);
/// How long it looks.
const LOOK_FOR: Duration = Duration::from_secs(60);

/// Lets time pass until a manager has written to `resource`, so that what comes next comes between two of its writes.
pub(crate) async fn await_write(stage: &Stage, resource: &str) -> String {
    let start = tokio::time::Instant::now();
    let mut seen = stage.sim.ledger_since(0).len();
    while start.elapsed() < LOOK_FOR {
        stage.advance(LOOK).await;
        let fresh = stage.sim.ledger_since(seen);
        seen += fresh.len();
        if fresh.iter().any(|entry| entry.user == MANAGER_USER && entry.resource == resource) {
            return String::new();
        }
    }
    format!("no write to {resource} within a minute\n")
}
