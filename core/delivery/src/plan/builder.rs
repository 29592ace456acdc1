//! A plan being written: the snapshot it is about, the writes so far, and the report beside them.

use std::time::Duration;

use jiff::Timestamp;
use trimtab_plan::{Object, Reason, Report, report::Step};
use trimtab_units::line::in_one_line;

use super::claim::Refusal;
use super::roster::Roster;
use super::status;
use crate::deadline::after;
use crate::decision::{Plan, Write};
use crate::names::release_word;
use crate::objects;
use crate::snapshot::{OutboxEntry, Release, ReleaseEvent, ReleasePhase, ReleaseStatus, Snapshot};
use crate::strategy::Wait;

/// Entries that an outbox keeps, those that are not over and the last of each kind apart.
const OUTBOX_MAX: usize = 32;
/// How often the same is told of one release within [`TOLD_AGAIN`].
const TOLD_AGAIN_MAX: usize = 3;
const TOLD_AGAIN: Duration = Duration::from_secs(3600);
/// By how much a predecessor's clock may have been ahead.
const CLOCK_AHEAD_MAX: Duration = Duration::from_secs(600);

/// A plan being written.
pub(super) struct PlanBuilder<'a> {
    pub(super) snapshot: &'a Snapshot<'a>,
    writes: Vec<Write>,
    steps: Vec<Step>,
    wake_at: Option<Timestamp>,
    roster: Roster,
    refusal: Option<Refusal>,
}

impl<'a> PlanBuilder<'a> {
    pub(super) fn new(snapshot: &'a Snapshot<'a>) -> Self {
        let roster = Roster::of(snapshot);
        Self { snapshot, writes: Vec::new(), steps: Vec::new(), wake_at: None, roster, refusal: None }
    }

    /// Adds a write.
    pub(super) fn write(&mut self, write: Write) {
        self.writes.push(write);
    }

    /// Where the release under way stands after the writes so far.
    pub(super) fn phase_in_flight(&self) -> Option<ReleasePhase> {
        self.roster.phase_in_flight()
    }

    /// Whether nothing but upkeep is due so far.
    pub(super) fn is_quiet(&self) -> bool {
        self.writes.iter().all(Write::is_upkeep)
    }

    /// The Deployment, as the subject of a step.
    pub(super) fn deployment(&self) -> Object {
        objects::deployment(self.snapshot.app, &self.snapshot.settings.target)
    }

    /// The record of release `number`, as the subject of a step.
    pub(super) fn record(&self, number: u64) -> Object {
        objects::record(self.snapshot.app, number)
    }

    /// Records what was seen and decided.
    pub(super) fn decided(
        &mut self,
        code: Reason,
        subject: Object,
        saw: impl Into<String>,
        decided: impl Into<String>,
    ) {
        self.steps.push(Step { code, subject, saw: saw.into(), decided: decided.into(), waits_for: None });
    }

    /// Records what is being waited for.
    pub(super) fn waits(
        &mut self,
        code: Reason,
        subject: Object,
        saw: impl Into<String>,
        decided: impl Into<String>,
        waits_for: impl Into<String>,
    ) {
        self.waits_as(
            subject,
            Wait { code, saw: saw.into(), decided: decided.into(), waits_for: waits_for.into() },
        );
    }

    /// Records what is being waited for, in the words of a strategy.
    pub(super) fn waits_as(&mut self, subject: Object, wait: Wait) {
        let Wait { code, saw, decided, waits_for } = wait;
        self.steps.push(Step { code, subject, saw, decided, waits_for: Some(waits_for) });
    }

    /// Asks for another look at `at`; the earliest wish wins.
    pub(super) fn wake_at(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// Replaces the status of `release` and counts it from here on as standing where the new status says.
    /// What others named and said is in its words, and every tool prints them.
    pub(super) fn release_status(&mut self, release: &Release, mut status: ReleaseStatus) {
        status.summary = in_one_line(status.summary);
        self.roster.moved(self.snapshot, release, &status);
        if status != release.status {
            self.writes.push(Write::ReleaseStatus { number: release.number, status: Box::new(status) });
        }
    }

    /// Records an Event, to come before the status write that makes it due no more.
    pub(super) fn event(&mut self, number: u64, event: ReleaseEvent, note: impl Into<String>) {
        self.writes.push(Write::Event { number, event, note: in_one_line(note.into()) });
    }

    /// A rejected template is held, and nothing tells what runs instead: the status says so until that is known.
    pub(super) fn held_unrecorded(&mut self) {
        self.roster.held_unrecorded = true;
    }

    /// The service is not looked after.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        let (saw, next) = (refusal.message.clone(), refusal.next.clone());
        self.waits(refusal.reason, self.deployment(), saw, "leaves the Deployment alone", next);
        self.refusal = Some(refusal);
    }

    pub(super) fn finish(mut self) -> (Plan, Report) {
        if let Some(at) = self.snapshot.history().forgets_at() {
            self.wake_at(at);
        }
        let mut status = status::render(self.snapshot, &self.roster, self.refusal.as_ref());
        status.summary = in_one_line(status.summary);
        for condition in &mut status.conditions {
            condition.message = in_one_line(std::mem::take(&mut condition.message));
        }
        let about = objects::service(self.snapshot.app);
        let report = Report { about, summary: status.summary.clone(), steps: self.steps };
        (Plan { writes: self.writes, status, wake_at: self.wake_at }, report)
    }
}

/// Adds the messages owed for `event`, one per destination: it has just come to pass. Where it comes to pass again and again,
/// people are told a few times an hour; a question with another cause is another one.
pub(super) fn owe(status: &mut ReleaseStatus, snapshot: &Snapshot<'_>, event: ReleaseEvent) {
    let notify = &snapshot.settings.notify;
    if !notify.on.is_empty() && !notify.on.iter().any(|word| word == event.word()) {
        return;
    }
    let reason = status.needs_human.filter(|_| event == ReleaseEvent::NeedsHuman);
    let is_recent = |told: &OutboxEntry| told.at.is_some_and(|at| after(at, TOLD_AGAIN) > snapshot.now);
    let at = owed_at(status, snapshot);
    for destination in &notify.destinations {
        let such =
            || status.outbox.iter().filter(|told| told.event == event && told.destination == *destination);
        let same = || such().filter(|told| told.reason == reason);
        // One that is still on its way tells it.
        let is_told =
            same().next_back().is_some_and(|told| event == ReleaseEvent::Started || !told.is_over());
        if is_told || same().filter(|told| is_recent(told)).count() >= TOLD_AGAIN_MAX {
            continue;
        }
        let again = such().next_back().map_or(0, |told| told.again.saturating_add(1));
        status.outbox.push(OutboxEntry {
            event,
            reason,
            destination: destination.clone(),
            again,
            state: String::new(),
            at: Some(at),
            card: None,
        });
    }
    while status.outbox.len() > OUTBOX_MAX {
        let Some(surplus) = surplus(&status.outbox) else { break };
        status.outbox.remove(surplus);
    }
}

/// When an event is owed that comes to pass now: later than all before it of this service, so that a receiver can put them in
/// order, also where two come in one second or a predecessor's clock was ahead. Anybody may write a time into a status, so one
/// that no clock is ahead by puts nothing off.
fn owed_at(status: &ReleaseStatus, snapshot: &Snapshot<'_>) -> Timestamp {
    let recorded = snapshot.releases.iter().flat_map(|release| &release.status.outbox);
    let forgotten = snapshot.releases.iter().filter_map(|release| release.told_at);
    let ahead_max = after(snapshot.now, CLOCK_AHEAD_MAX);
    let told = recorded.chain(&status.outbox).filter_map(|told| told.at).chain(forgotten);
    let last = told.filter(|at| *at <= ahead_max).max();
    let next = last.map(|last| after(last, Duration::from_secs(1)));
    next.unwrap_or(Timestamp::MIN).max(snapshot.recorded_at())
}

/// The oldest entry that is over and that a later one of its kind is left of: that one counts on.
fn surplus(outbox: &[OutboxEntry]) -> Option<usize> {
    (0..outbox.len()).find(|place| {
        let entry = &outbox[*place];
        let same = |later: &OutboxEntry| later.event == entry.event && later.destination == entry.destination;
        entry.is_over() && outbox[place + 1..].iter().any(same)
    })
}

/// The status of `release` moved to `phase`. Nobody is asked any more about a release that is over.
pub(super) fn moved_to(release: &Release, phase: ReleasePhase, summary: impl Into<String>) -> ReleaseStatus {
    let needs_human = release.status.needs_human.filter(|_| phase.in_flight());
    ReleaseStatus { phase, summary: summary.into(), needs_human, ..release.status.clone() }
}

/// The release that `release` is judged against, and goes back to.
pub(super) fn back(snapshot: &Snapshot<'_>, release: &Release) -> String {
    snapshot.history().before(release).map(|before| release_word(before.number)).unwrap_or_default()
}

/// The status of a release once a person's pause with another template is over, whatever the Deployment holds now. What was
/// kept before has as long to come back as it had without the pause.
pub(super) fn no_longer_paused(snapshot: &Snapshot<'_>, release: &Release) -> ReleaseStatus {
    let mut status = release.status.clone();
    if status.needs_human == Some(Reason::PausedByOther) {
        (status.needs_human, status.decided_at) = (None, Some(snapshot.recorded_at()));
    }
    status
}
