//! The queues of a sender: who waits, who may still come in, and who has to make room. Pure.

use std::collections::{BTreeMap, VecDeque};

use tokio::time::Instant;

use crate::message::{Message, SenderPolicy};

/// A message and when it was taken.
pub(crate) type Waiting = (Message, Instant);

/// One queue per destination name. The first message of a queue is on its way. A queue exists while it has
/// messages.
#[derive(Debug, Default)]
pub(crate) struct Lanes(BTreeMap<String, VecDeque<Waiting>>);

/// What became of a message that wants in.
#[derive(Debug, PartialEq)]
pub(crate) enum Admission {
    /// Waits in a queue that existed.
    Joined,
    /// Waits in a queue that is new and has nobody to serve it.
    OpenedLane,
    /// Waits in place of another one.
    Displaced(Box<Message>),
    /// A message with the same key waits already.
    Known,
    /// No room: this many wait.
    Full(usize),
}

impl Lanes {
    pub(crate) fn admit(&mut self, message: Message, now: Instant, policy: &SenderPolicy) -> Admission {
        let in_all = self.0.values().map(VecDeque::len).sum::<usize>();
        let Some(lane) = self.0.get_mut(&message.destination.name) else {
            if in_all >= policy.waiting_in_all {
                return Admission::Full(in_all);
            }
            self.0.insert(message.destination.name.clone(), VecDeque::from([(message, now)]));
            return Admission::OpenedLane;
        };
        if lane.iter().any(|(known, _)| known.notification.key == message.notification.key) {
            return Admission::Known;
        }
        if lane.len() < policy.waiting_per_destination && in_all < policy.waiting_in_all {
            lane.push_back((message, now));
            return Admission::Joined;
        }
        let displaced = match displaceable(lane, &message) {
            Some(place) => lane.remove(place),
            None => return Admission::Full(lane.len()),
        };
        lane.push_back((message, now));
        displaced.map_or(Admission::Joined, |(displaced, _)| Admission::Displaced(Box::new(displaced)))
    }

    /// The message to send next to `destination`. `None` once nobody waits; then the lane is gone.
    pub(crate) fn first(&mut self, destination: &str) -> Option<Waiting> {
        let first = self.0.get(destination)?.front().cloned();
        if first.is_none() {
            self.0.remove(destination);
        }
        first
    }

    /// Takes the first message of `destination` out.
    pub(crate) fn finish_first(&mut self, destination: &str) {
        if let Some(lane) = self.0.get_mut(destination) {
            lane.pop_front();
        }
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        self.0.iter().map(|(name, lane)| (name.clone(), lane.len())).collect()
    }
}

/// The oldest message that may go for `newcomer`: never the one on its way, never the last word on a release.
fn displaceable(lane: &VecDeque<Waiting>, newcomer: &Message) -> Option<usize> {
    if !newcomer.notification.event.is_terminal() {
        return None;
    }
    let place = lane.iter().skip(1).position(|(waiting, _)| !waiting.notification.event.is_terminal())?;
    Some(place + 1)
}
