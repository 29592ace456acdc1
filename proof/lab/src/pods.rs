//! Containers as local processes: the lab's [`PodRuntime`].
//!
//! A container without a `command` is the demo service ([`crate::service`]) on the pod's own address; one with a
//! `command` is that command, so a Job may `sleep 2 && exit 3`. Probes are asked over the pod's real address.

mod command;
mod probe;
mod run;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use trimtab_world::kubelet::runtime::{ContainerRun, ContainerStart, PodIdentity, PodRuntime, RuntimeEvent};

use run::Supervisor;

/// Events waiting for the kubelet. A container has a handful in its life; one that finds the queue full waits.
const MOST_EVENTS_WAITING: usize = 1_024;
/// The first pod address: `10.64.0.x` is for everything else in the lab.
const FIRST_ADDRESS: u32 = u32::from_be_bytes([10, 64, 1, 1]);
/// One past the last pod address.
const END_OF_ADDRESSES: u32 = u32::from_be_bytes([10, 64, 255, 255]);

/// Starts and stops containers as processes of this machine. Dropping it kills them all.
#[derive(Debug)]
pub struct ProcessRuntime {
    launcher: command::Launcher,
    addresses: Addresses,
    runs: BTreeMap<ContainerRun, oneshot::Sender<Duration>>,
    tell: mpsc::Sender<RuntimeEvent>,
    events: mpsc::Receiver<RuntimeEvent>,
}

impl ProcessRuntime {
    /// `program` is run for containers without a command, with [`crate::service::SUBCOMMAND`] as its first argument; any
    /// program that calls [`crate::service::run_if_asked`] will do. Output goes to `<logs>/<pod>_<container>.log`.
    pub fn new(program: PathBuf, logs: PathBuf) -> Self {
        let (tell, events) = mpsc::channel(MOST_EVENTS_WAITING);
        let launcher = command::Launcher { program, logs };
        Self { launcher, addresses: Addresses::default(), runs: BTreeMap::new(), tell, events }
    }
}

impl PodRuntime for ProcessRuntime {
    fn address(&mut self, pod: &PodIdentity) -> Arc<str> {
        self.addresses.give(pod).to_string().into()
    }

    fn start(&mut self, start: ContainerStart) {
        let (stop, stopped) = oneshot::channel();
        self.runs.insert(start.run.clone(), stop);
        let supervisor =
            Supervisor { start, launcher: self.launcher.clone(), tell: self.tell.clone(), stopped };
        tokio::spawn(supervisor.supervise());
    }

    fn stop(&mut self, run: &ContainerRun, grace: Duration) {
        if let Some(stop) = self.runs.remove(run) {
            // A run that nobody listens for is over, and its last event is on its way.
            let _over = stop.send(grace);
        }
    }

    fn forget(&mut self, pod: &PodIdentity) {
        self.runs.retain(|run, _| run.pod != *pod);
        self.addresses.take_back(pod);
    }

    async fn next_event(&mut self) -> RuntimeEvent {
        // The runtime holds a sender itself, so the channel is never closed while somebody waits here.
        self.events.recv().await.expect("the runtime keeps one sender for as long as it lives")
    }
}

/// Who has which address. Addresses go round: one that was given back is the last to be given again, so that a client
/// that still remembers a pod does not find another one in its place.
#[derive(Debug, Default)]
struct Addresses {
    given: BTreeMap<PodIdentity, Ipv4Addr>,
    in_use: BTreeSet<Ipv4Addr>,
    turn: u32,
}

impl Addresses {
    fn give(&mut self, pod: &PodIdentity) -> Ipv4Addr {
        if let Some(address) = self.given.get(pod) {
            return *address;
        }
        // Ends: there are 65,000 addresses, and far fewer processes on one machine.
        let address = loop {
            let candidate = Ipv4Addr::from(FIRST_ADDRESS + self.turn);
            self.turn = (self.turn + 1) % (END_OF_ADDRESSES - FIRST_ADDRESS);
            if self.in_use.insert(candidate) {
                break candidate;
            }
        };
        self.given.insert(pod.clone(), address);
        address
    }

    fn take_back(&mut self, pod: &PodIdentity) {
        if let Some(address) = self.given.remove(pod) {
            self.in_use.remove(&address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_round() {
        let pod = |uid: &str| PodIdentity { uid: uid.into(), namespace: "shop".into(), name: uid.into() };
        let mut addresses = Addresses::default();
        let first = addresses.give(&pod("a"));
        assert_eq!(first.to_string(), "10.64.1.1");
        assert_eq!(addresses.give(&pod("a")), first, "a pod keeps its address");
        addresses.take_back(&pod("a"));
        let second = addresses.give(&pod("b"));
        assert_eq!(second.to_string(), "10.64.1.2", "an address that was given back has to wait");
        addresses.turn = END_OF_ADDRESSES - FIRST_ADDRESS - 1;
        assert_eq!(addresses.give(&pod("c")).to_string(), "10.64.255.254");
        assert_eq!(addresses.give(&pod("d")), first, "after the last comes the first");
        assert_eq!(addresses.give(&pod("e")).to_string(), "10.64.1.3", "one that is in use is passed over");
    }
}
