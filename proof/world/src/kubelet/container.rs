//! One container of one pod: waiting, running, crashed, backing off, done.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::runtime::{Exit, ExitReason, Happening, PodIdentity};
use crate::object::{self, stamp, text};

/// First wait before a crashed container is started again, or a failed pull tried again; doubles each time.
/// The very first restart does not wait.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(10);
/// The longest such wait.
pub const BACKOFF_LONGEST: Duration = Duration::from_secs(300);
/// A container that ran this long has its crashes forgiven.
pub const BACKOFF_FORGIVEN_AFTER: Duration = Duration::from_secs(600);
/// How long a failed pull shows as `ErrImagePull` before it shows as `ImagePullBackOff`.
const PULL_ERROR_SHOWN: Duration = Duration::from_secs(2);

/// When a container that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Whatever its exit code.
    Always,
    /// When its exit code was not 0.
    OnFailure,
    /// Never.
    Never,
}

impl RestartPolicy {
    /// Reads the word of a pod or container spec; `None` if it says nothing known.
    pub fn read(word: &str) -> Option<Self> {
        match word {
            "Always" => Some(RestartPolicy::Always),
            "OnFailure" => Some(RestartPolicy::OnFailure),
            "Never" => Some(RestartPolicy::Never),
            _ => None,
        }
    }

    fn restarts_after(self, exit: Exit) -> bool {
        match self {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => exit.code != 0,
            RestartPolicy::Never => false,
        }
    }
}

/// What the kubelet is doing about a container.
#[derive(Debug, Clone, PartialEq)]
enum Doing {
    /// Its turn has not come.
    Idle,
    /// It will be started, again, at this instant.
    Resting { until: Timestamp },
    /// The runtime was asked to start it.
    Starting,
    /// Its process runs.
    Running,
    /// It ended and will not be started again.
    Done,
}

/// What the status says about a container; lags behind what is being done.
#[derive(Debug, Clone, PartialEq)]
enum Shown {
    Waiting { reason: &'static str, message: String },
    Running { since: Timestamp },
    Terminated(Termination),
}

#[derive(Debug, Clone, PartialEq)]
struct Termination {
    exit: Exit,
    started: Timestamp,
    finished: Timestamp,
    container_id: String,
}

impl Termination {
    fn body(&self) -> Value {
        json!({
            "exitCode": self.exit.code, "reason": self.exit.reason.word(),
            "startedAt": stamp(self.started), "finishedAt": stamp(self.finished), "containerID": self.container_id,
        })
    }
}

/// What is left to do about a container that will not be started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retired {
    /// Nothing, or it was asked to stop before.
    Quietly,
    /// Its run has to be asked to stop.
    StopIt,
}

/// The state of one container.
#[derive(Debug, Clone)]
pub struct Container {
    /// Its name in the pod.
    pub name: Arc<str>,
    /// Its image reference.
    pub image: Arc<str>,
    /// As it stands in the pod's spec.
    pub spec: Arc<Value>,
    /// Which run is the current or next one.
    pub attempt: u32,
    policy: RestartPolicy,
    doing: Doing,
    shown: Shown,
    last: Option<Termination>,
    restarts: u32,
    ready: bool,
    retired: bool,
    crash_backoff: Option<Duration>,
    pull_backoff: Option<Duration>,
}

impl Container {
    /// A container that has not been started by anyone.
    pub fn new(spec: &Value, policy: RestartPolicy, first_reason: &'static str) -> Self {
        Container {
            name: text(spec, "/name").into(),
            image: text(spec, "/image").into(),
            spec: Arc::new(spec.clone()),
            attempt: 0,
            policy,
            doing: Doing::Idle,
            shown: Shown::Waiting { reason: first_reason, message: String::new() },
            last: None,
            restarts: 0,
            ready: false,
            retired: false,
            crash_backoff: None,
            pull_backoff: None,
        }
    }

    /// Continues the count of a container whose earlier runs this kubelet has not seen.
    pub fn resume_after(&mut self, restarts: u32) {
        self.attempt = restarts;
        self.restarts = restarts;
    }

    /// Goes on with a run that its status tells of, if that says it runs. Whether it does.
    pub fn recover(&mut self, status: &Value) -> bool {
        let Some(since) = object::instant(status, "/state/running/startedAt") else { return false };
        self.resume_after(object::count(status, "/restartCount", 0));
        self.doing = Doing::Running;
        self.shown = Shown::Running { since };
        self.ready = status["ready"] == json!(true);
        true
    }

    /// Whether it has to be started now.
    pub fn is_due(&self, now: Timestamp) -> bool {
        match self.doing {
            Doing::Idle => true,
            Doing::Resting { until } => until <= now,
            Doing::Starting | Doing::Running | Doing::Done => false,
        }
    }

    /// The runtime was asked to start it.
    pub fn begin(&mut self) {
        self.doing = Doing::Starting;
    }

    /// When something is to be done or shown without anything happening first.
    pub fn wake_at(&self) -> Option<Timestamp> {
        match (&self.doing, &self.shown) {
            (Doing::Resting { until }, Shown::Waiting { reason: "ErrImagePull", .. }) => {
                let flip = *until - self.pull_backoff.unwrap_or_default() + PULL_ERROR_SHOWN;
                Some(flip.min(*until))
            }
            (Doing::Resting { until }, _) => Some(*until),
            _ => None,
        }
    }

    /// Lets the passing of time show.
    pub fn tick(&mut self, now: Timestamp) {
        let pull_failed = matches!(self.shown, Shown::Waiting { reason: "ErrImagePull", .. });
        if pull_failed
            && matches!(self.doing, Doing::Resting { .. })
            && self.wake_at().is_some_and(|at| at <= now)
        {
            let message = format!("Back-off pulling image \"{}\"", self.image);
            self.shown = Shown::Waiting { reason: "ImagePullBackOff", message };
        }
    }

    /// Takes in what the runtime says about the current run.
    pub fn happened(&mut self, happening: &Happening, now: Timestamp, pod: &PodIdentity) {
        match happening {
            Happening::Running => {
                if let Shown::Terminated(termination) = &self.shown {
                    self.last = Some(termination.clone());
                }
                self.doing = Doing::Running;
                self.shown = Shown::Running { since: now };
                self.restarts = self.attempt;
                self.pull_backoff = None;
            }
            Happening::Ready => self.ready = self.doing == Doing::Running,
            Happening::NotReady => self.ready = false,
            Happening::PullFailed { message } => self.pull_failed(message, now),
            Happening::Exited(exit) => self.exited(*exit, now, pod),
        }
    }

    fn pull_failed(&mut self, message: &str, now: Timestamp) {
        let wait = next_backoff(self.pull_backoff);
        self.pull_backoff = Some(wait);
        self.doing = Doing::Resting { until: now + wait };
        self.shown = Shown::Waiting { reason: "ErrImagePull", message: message.to_owned() };
    }

    fn exited(&mut self, exit: Exit, now: Timestamp, pod: &PodIdentity) {
        let started = match self.shown {
            Shown::Running { since } => since,
            _ => now,
        };
        let termination = Termination { exit, started, finished: now, container_id: self.container_id(pod) };
        self.ready = false;
        self.shown = Shown::Terminated(termination.clone());
        if !self.policy.restarts_after(exit) {
            self.doing = Doing::Done;
            return;
        }
        let ran = Duration::try_from(now.duration_since(started)).unwrap_or_default();
        if ran >= BACKOFF_FORGIVEN_AFTER {
            self.crash_backoff = None;
        }
        let wait = self.crash_backoff.unwrap_or_default();
        self.crash_backoff = Some(next_backoff(self.crash_backoff));
        self.doing = Doing::Resting { until: now + wait };
        self.attempt += 1;
        if !wait.is_zero() {
            self.last = Some(termination);
            let PodIdentity { uid, namespace, name } = pod;
            let (wait, container) = (go_seconds(wait), &self.name);
            let message = format!(
                "back-off {wait} restarting failed container={container} pod={name}_{namespace}({uid})"
            );
            self.shown = Shown::Waiting { reason: "CrashLoopBackOff", message };
        }
    }

    /// Gives up on starting it (again), because its pod goes away or has nothing left to do.
    pub fn retire(&mut self) -> Retired {
        let first_time = !self.retired;
        self.retired = true;
        self.policy = RestartPolicy::Never;
        match self.doing {
            Doing::Idle | Doing::Resting { .. } => self.doing = Doing::Done,
            Doing::Starting | Doing::Running if first_time => return Retired::StopIt,
            Doing::Starting | Doing::Running | Doing::Done => {}
        }
        Retired::Quietly
    }

    /// Whether its process runs.
    pub fn is_running(&self) -> bool {
        self.doing == Doing::Running
    }

    /// Whether it ended for good.
    pub fn is_done(&self) -> bool {
        self.doing == Doing::Done
    }

    /// Whether it ended for good with exit code 0.
    pub fn succeeded(&self) -> bool {
        let exited_well =
            matches!(&self.shown, Shown::Terminated(end) if end.exit.reason == ExitReason::Completed);
        self.is_done() && exited_well
    }

    /// Whether it has ever run.
    pub fn has_run(&self) -> bool {
        self.last.is_some() || !matches!(self.shown, Shown::Waiting { .. })
    }

    /// Whether its readiness probe passes.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// The same for the same run, also for a kubelet that starts afresh.
    fn container_id(&self, pod: &PodIdentity) -> String {
        let attempt = self.attempt.to_be_bytes();
        let run = [pod.namespace.as_bytes(), b"/", pod.name.as_bytes(), b"/", self.name.as_bytes(), &attempt];
        let hash = trimtab_kube::rng::stable_hash(&run);
        format!("model://{hash:016x}")
    }

    /// Its entry in `containerStatuses`.
    pub fn status(&self, pod: &PodIdentity) -> Value {
        let mut status = json!({
            "name": self.name, "image": self.image, "imageID": "", "ready": self.ready,
            "restartCount": self.restarts, "started": self.is_running(), "state": {}, "lastState": {},
        });
        if self.has_run() {
            status["imageID"] = json!(format!("model://{}", self.image));
        }
        match &self.shown {
            Shown::Waiting { reason, message } => {
                status["state"]["waiting"] = json!({"reason": reason});
                if !message.is_empty() {
                    status["state"]["waiting"]["message"] = json!(message);
                }
            }
            Shown::Running { since } => {
                status["state"]["running"] = json!({"startedAt": stamp(*since)});
                status["containerID"] = json!(self.container_id(pod));
            }
            Shown::Terminated(termination) => {
                status["state"]["terminated"] = termination.body();
                status["containerID"] = json!(termination.container_id);
            }
        }
        if let Some(last) = &self.last {
            status["lastState"]["terminated"] = last.body();
        }
        if let Some(resources) = self.spec.get("resources").filter(|_| self.is_running()) {
            status["resources"] = resources.clone();
            status["allocatedResources"] = resources.get("requests").cloned().unwrap_or_else(|| json!({}));
        }
        status
    }

    /// Takes over a spec whose resources were changed in place.
    pub fn respecify(&mut self, spec: &Value) {
        if *self.spec != *spec {
            self.image = object::text(spec, "/image").into();
            self.spec = Arc::new(spec.clone());
        }
    }
}

fn next_backoff(last: Option<Duration>) -> Duration {
    last.map_or(BACKOFF_FIRST, |last| (last * 2).min(BACKOFF_LONGEST))
}

/// Whole seconds as Go prints them: `10s`, `1m20s`, `5m0s`.
fn go_seconds(duration: Duration) -> String {
    match (duration.as_secs() / 60, duration.as_secs() % 60) {
        (0, seconds) => format!("{seconds}s"),
        (minutes, seconds) => format!("{minutes}m{seconds}s"),
    }
}
