//! Containers in virtual time: their image tag says how they behave, and nothing really runs.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use trimtab_kube::rng::Rng;

use super::runtime::{ContainerRun, ContainerStart, Exit, Happening, PodIdentity, PodRuntime, RuntimeEvent};
use super::script;
use crate::behaviour::{Behaviour, LONGEST_DELAY_SECONDS};
use crate::object::count;

/// From the start of a container to its process, in milliseconds: pulled image, sandbox there.
const START_MILLISECONDS: std::ops::Range<u64> = 500..2_500;
/// How long a registry takes to say no.
const PULL_REFUSED_AFTER: Duration = Duration::from_secs(1);
/// How long a process takes to end after it was asked to.
const SHUTDOWN: Duration = Duration::from_millis(200);
/// How long a readiness probe takes to answer.
const PROBE_ANSWER: Duration = Duration::from_millis(10);
/// Addresses this runtime can give out: 10.128.0.0/9 without its first one.
const ADDRESSES: u32 = (1 << 23) - 1;
/// Where they begin, within 10.0.0.0/8.
const FIRST_ADDRESS: u32 = 128 << 16;

/// A pod runtime in virtual time. The same seed and the same calls give the same events at the same instants.
#[derive(Debug)]
pub struct Modelled {
    seed: u64,
    /// What will happen, in order of time and then of asking.
    agenda: BTreeMap<(Instant, u64), RuntimeEvent>,
    asked: u64,
    /// Runs that have not ended, with what they do before they stop.
    live: BTreeMap<ContainerRun, Duration>,
    addresses: BTreeMap<Arc<str>, u32>,
    next_address: u32,
    freed: Vec<u32>,
}

impl Modelled {
    /// A runtime whose small differences between pods follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Modelled {
            seed,
            agenda: BTreeMap::new(),
            asked: 0,
            live: BTreeMap::new(),
            addresses: BTreeMap::new(),
            next_address: 1,
            freed: Vec::new(),
        }
    }

    fn plan(&mut self, at: Instant, run: &ContainerRun, happening: Happening) {
        self.asked += 1;
        self.agenda.insert((at, self.asked), RuntimeEvent { run: run.clone(), happening });
    }

    fn plan_life(&mut self, start: &ContainerStart, behaviour: &Behaviour, running: Instant) {
        let run = &start.run;
        self.plan(running, run, Happening::Running);
        let end = self.end(start, behaviour);
        if let Some((after, exit)) = end {
            self.plan(running + after, run, Happening::Exited(exit));
        }
        let ready_after = self.ready_after(start, behaviour);
        if !behaviour.never_ready && end.is_none_or(|(after, _)| ready_after < after) {
            self.plan(running + ready_after, run, Happening::Ready);
        }
    }

    /// How long a run lasts, and how it ends; `None` if it goes on for ever.
    fn end(&self, start: &ContainerStart, behaviour: &Behaviour) -> Option<(Duration, Exit)> {
        let script = script::duration_and_exit(&start.spec);
        let ends = [
            script.map(|(after, code)| (after, Exit::with_code(code))),
            behaviour.panic_after.map(|after| (after, Exit::with_code(101))),
            behaviour.out_of_memory_after.map(|after| (after, Exit::out_of_memory())),
        ];
        ends.into_iter().flatten().min_by_key(|(after, _)| *after)
    }

    /// The first probe that passes: probes go out every period, after the initial delay.
    fn ready_after(&self, start: &ContainerStart, behaviour: &Behaviour) -> Duration {
        let Some(probe) = start.spec.get("readinessProbe").filter(|probe| probe.is_object()) else {
            return behaviour.slow_start;
        };
        let seconds = |field: &str, default| u64::from(count(probe, field, default));
        let first = seconds("/initialDelaySeconds", 0);
        let period = seconds("/periodSeconds", 10).max(1);
        let late = behaviour.slow_start.as_secs().saturating_sub(first).div_ceil(period);
        let more = seconds("/successThreshold", 1).max(1) - 1;
        let passed = first + (late + more).saturating_mul(period);
        Duration::from_secs(passed.min(LONGEST_DELAY_SECONDS)) + PROBE_ANSWER
    }
}

/// The `number`th address of a modelled pod, from 1.
pub(crate) fn address(number: u32) -> Arc<str> {
    let [_, high, middle, low] = (number | FIRST_ADDRESS).to_be_bytes();
    format!("10.{high}.{middle}.{low}").into()
}

/// The reverse of [`address`]; `None` for one that is not from here.
fn number_of(address: &str) -> Option<u32> {
    let address: Ipv4Addr = address.parse().ok()?;
    let number = u32::from(address).checked_sub(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + FIRST_ADDRESS)?;
    (1..=ADDRESSES).contains(&number).then_some(number)
}

impl PodRuntime for Modelled {
    fn address(&mut self, pod: &PodIdentity) -> Arc<str> {
        let number = self.freed.pop().unwrap_or_else(|| {
            let number = self.next_address;
            self.next_address = number % ADDRESSES + 1;
            number
        });
        self.addresses.insert(pod.uid.clone(), number);
        address(number)
    }

    fn recover(&mut self, start: &ContainerStart) -> bool {
        let Some(number) = number_of(&start.pod_ip) else { return false };
        self.addresses.insert(start.run.pod.uid.clone(), number);
        self.next_address = self.next_address.max(number % ADDRESSES + 1);
        self.live.insert(start.run.clone(), script::hook_duration(&start.spec, "/lifecycle/preStop"));
        let behaviour = Behaviour::from_image(&start.image);
        if let Some((after, exit)) = self.end(start, &behaviour) {
            self.plan(Instant::now() + after, &start.run, Happening::Exited(exit));
        }
        true
    }

    fn start(&mut self, start: ContainerStart) {
        let behaviour = Behaviour::from_image(&start.image);
        let now = Instant::now();
        if behaviour.cannot_pull {
            let message = format!("failed to pull image \"{}\": not found", start.image);
            self.plan(now + PULL_REFUSED_AFTER, &start.run, Happening::PullFailed { message });
            return;
        }
        let life = format!("{}/{}/{}", start.run.pod.uid, start.run.container, start.run.attempt);
        let spread = START_MILLISECONDS.end - START_MILLISECONDS.start;
        let milliseconds =
            START_MILLISECONDS.start + Rng::for_key(self.seed, "container-start", &life).below(spread);
        let hook = script::hook_duration(&start.spec, "/lifecycle/postStart");
        self.live.insert(start.run.clone(), script::hook_duration(&start.spec, "/lifecycle/preStop"));
        self.plan_life(&start, &behaviour, now + Duration::from_millis(milliseconds) + hook);
    }

    fn stop(&mut self, run: &ContainerRun, grace: Duration) {
        let pulling = self.agenda.values().any(|event| event.run == *run && !self.live.contains_key(run));
        let Some(hook) = self.live.remove(run).or(pulling.then_some(Duration::ZERO)) else { return };
        self.agenda.retain(|_, event| event.run != *run);
        let wanted = hook + SHUTDOWN;
        let exit = if wanted <= grace.max(SHUTDOWN) { Exit::with_code(0) } else { Exit::with_code(137) };
        self.plan(Instant::now() + wanted.min(grace.max(SHUTDOWN)), run, Happening::Exited(exit));
    }

    fn forget(&mut self, pod: &PodIdentity) {
        self.freed.extend(self.addresses.remove(&pod.uid));
    }

    async fn next_event(&mut self) -> RuntimeEvent {
        let Some((&(at, _), _)) = self.agenda.first_key_value() else { return std::future::pending().await };
        tokio::time::sleep_until(at).await;
        let (_, event) =
            self.agenda.pop_first().expect("nothing else takes from the agenda while this waits");
        if matches!(event.happening, Happening::Exited(_)) {
            self.live.remove(&event.run);
        }
        event
    }
}
