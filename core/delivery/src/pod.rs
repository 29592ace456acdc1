//! What a kubelet reports of a pod's containers, and what of it counts: a crash is the release's doing, the end of a node
//! is not.

use jiff::Timestamp;

use crate::snapshot::Pod;

/// Reasons that a kubelet gives for containers which it finds gone after a reboot of its node.
const LOST_WITH_THE_NODE: [&str; 2] = ["Unknown", "ContainerStatusUnknown"];
/// Exit code that a container runtime gives to a process whose end it did not see.
const UNSEEN_EXIT_CODE: i32 = 255;
/// Reasons to wait that every pod has for a moment.
const STARTING: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// One container as a kubelet reports it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContainerReport<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it runs before the others and ends.
    pub is_init: bool,
    /// How often it was started again.
    pub restarts: u32,
    /// How it ended, if it does not run now.
    pub end: Option<End<'a>>,
    /// How it ended before the present start.
    pub last_end: Option<End<'a>>,
    /// Why it waits.
    pub waiting: Option<&'a str>,
}

/// One end of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End<'a> {
    /// `OOMKilled`, `Error`, `Completed`.
    pub reason: &'a str,
    /// Exit code of its process.
    pub exit_code: i32,
    /// When it ended.
    pub at: Option<Timestamp>,
}

impl End<'_> {
    fn words(&self) -> String {
        match self.reason {
            reason @ ("Error" | "Completed") => format!("{reason}, exit code {}", self.exit_code),
            reason => reason.to_owned(),
        }
    }
}

impl Pod {
    /// The pod with what its kubelet reports of its containers.
    #[must_use]
    pub fn reported(mut self, containers: &[ContainerReport<'_>]) -> Self {
        let lasting: Vec<&ContainerReport<'_>> =
            containers.iter().filter(|container| !container.is_init).collect();
        let unseen = |container: &&ContainerReport<'_>| {
            container.end.or(container.last_end).is_some_and(|end| end.exit_code == UNSEEN_EXIT_CODE)
        };
        // One process may exit with this code by itself; all of them at once do not.
        let all_unseen = lasting.len() > 1 && lasting.iter().all(unseen);
        let with_node = |end: &End<'_>| {
            LOST_WITH_THE_NODE.contains(&end.reason) || (all_unseen && end.exit_code == UNSEEN_EXIT_CODE)
        };
        for container in &lasting {
            let lost = u32::from(container.last_end.as_ref().is_some_and(with_node));
            let crashes = container.restarts.saturating_sub(lost);
            if crashes > 0 {
                self.restarts.insert(container.name.to_owned(), crashes);
            }
            // A pod that is being deleted ends its containers on purpose.
            if !self.deleting && container.end.is_some_and(|end| !with_node(&end)) {
                self.terminated.push(container.name.to_owned());
            }
        }
        let ends = lasting.iter().filter_map(|container| container.end.or(container.last_end));
        let last = ends.filter(|end| !with_node(end)).max_by_key(|end| end.at);
        self.last_crash = last.map(|end| end.words());
        let mut waiting: Vec<&str> = containers.iter().filter_map(|container| container.waiting).collect();
        waiting.retain(|why| !STARTING.contains(why));
        waiting.dedup();
        self.waiting = (!waiting.is_empty()).then(|| waiting.join(", "));
        self
    }
}
