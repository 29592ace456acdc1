//! One run of one container, from pull to exit.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Child;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use trimtab_world::behaviour::Behaviour;
use trimtab_world::kubelet::runtime::{ContainerStart, Exit, Happening, RuntimeEvent};

use super::command::Launcher;
use super::probe::{Probe, Turn};
use crate::process::terminate;

/// How long a pull takes that fails; the image "is" on the machine otherwise.
const FAILING_PULL: Duration = Duration::from_millis(500);
/// Exit code of a container that cannot be started, as container runtimes have it.
const CANNOT_START: i32 = 128;
/// What is added to the number of the signal that ended a process, to make an exit code.
const SIGNAL_BASE: i32 = 128;
/// Exit code of a run that was stopped before it began: as if SIGKILL had ended it.
const NEVER_BEGAN: i32 = SIGNAL_BASE + 9;

/// Watches over one run. Tells [`Happening::PullFailed`] or [`Happening::Exited`] exactly once, and nothing after it.
#[derive(Debug)]
pub(super) struct Supervisor {
    pub(super) start: ContainerStart,
    pub(super) launcher: Launcher,
    pub(super) tell: mpsc::Sender<RuntimeEvent>,
    pub(super) stopped: oneshot::Receiver<Duration>,
}

impl Supervisor {
    pub(super) async fn supervise(mut self) {
        let behaviour = Behaviour::from_image(&self.start.image);
        if behaviour.cannot_pull {
            return self.fail_to_pull().await;
        }
        let child = self.launcher.command(&self.start).and_then(|mut command| command.spawn());
        let exit = match child {
            Ok(child) => self.watch(child, &behaviour).await,
            Err(error) => {
                eprintln!("cannot start container {}: {error}", self.start.run.container);
                Exit::with_code(CANNOT_START)
            }
        };
        self.tell(Happening::Exited(exit)).await;
    }

    async fn fail_to_pull(mut self) {
        let message = format!("failed to pull image \"{}\": not found", self.start.image);
        let happening = tokio::select! {
            () = sleep(FAILING_PULL) => Happening::PullFailed { message },
            _ = &mut self.stopped => Happening::Exited(Exit::with_code(NEVER_BEGAN)),
        };
        self.tell(happening).await;
    }

    /// From the process's first moment to its last.
    async fn watch(&mut self, mut child: Child, behaviour: &Behaviour) -> Exit {
        let now = Instant::now();
        let mut readiness = self.probe("readinessProbe", now);
        let mut liveness = self.probe("livenessProbe", now);
        let out_of_memory = behaviour.out_of_memory_after.map(|after| now + after);
        self.tell(Happening::Running).await;
        loop {
            tokio::select! {
                // Once the receiver has given an answer, this function returns: it is never polled again.
                grace = &mut self.stopped => {
                    // An error means that the runtime was dropped, and nobody is there to be waited for.
                    return end(child, &self.start.spec, grace.unwrap_or(Duration::ZERO)).await;
                }
                status = child.wait() => return exit(status),
                turn = turn_of(&mut readiness) => match turn {
                    Turn::Passes => self.tell(Happening::Ready).await,
                    Turn::Fails => self.tell(Happening::NotReady).await,
                },
                turn = turn_of(&mut liveness) => if turn == Turn::Fails {
                    return end(child, &self.start.spec, grace_of(&self.start.spec)).await;
                },
                () = at(out_of_memory) => {
                    // A process that has ended meanwhile is waited for all the same.
                    let _ended = child.kill().await;
                    return Exit::out_of_memory();
                }
            }
        }
    }

    fn probe(&self, field: &str, now: Instant) -> Option<Probe> {
        Probe::from_spec(&self.start.spec, field, &self.start.pod_ip, now)
    }

    async fn tell(&self, happening: Happening) {
        // An error means that the runtime was dropped, and nobody wants to know.
        let _unheard = self.tell.send(RuntimeEvent { run: self.start.run.clone(), happening }).await;
    }
}

async fn turn_of(probe: &mut Option<Probe>) -> Turn {
    match probe {
        Some(probe) => probe.turn().await,
        None => std::future::pending().await,
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

/// preStop's sleep, SIGTERM, and SIGKILL when `grace` has passed, all within it.
async fn end(mut child: Child, container: &Value, grace: Duration) -> Exit {
    let deadline = Instant::now() + grace;
    let hook = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64().unwrap_or(0);
    if let Ok(status) = timeout(grace.min(Duration::from_secs(hook)), child.wait()).await {
        return exit(status);
    }
    terminate(&child);
    let left = deadline.saturating_duration_since(Instant::now());
    match timeout(left, child.wait()).await {
        Ok(status) => exit(status),
        Err(_) => {
            let _ended = child.kill().await;
            exit(child.wait().await)
        }
    }
}

/// How long a container that failed its liveness probe has to end; the probe's own word is all that a runtime knows.
fn grace_of(container: &Value) -> Duration {
    const USUAL_SECONDS: u64 = 30;
    let own = &container["livenessProbe"]["terminationGracePeriodSeconds"];
    Duration::from_secs(own.as_u64().unwrap_or(USUAL_SECONDS))
}

fn exit(status: std::io::Result<ExitStatus>) -> Exit {
    let by_signal = |status: &ExitStatus| status.signal().map(|signal| SIGNAL_BASE + signal);
    let code = status.ok().and_then(|status| status.code().or_else(|| by_signal(&status)));
    Exit::with_code(code.unwrap_or(NEVER_BEGAN))
}
