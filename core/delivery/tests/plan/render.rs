//! A plan as text: one line a write, then what the service's status says, then why.

use std::fmt::Write as _;

use jiff::Timestamp;
use trimtab_delivery::names::claim_text;
use trimtab_delivery::plan::{AppStatus, Pause};
use trimtab_delivery::snapshot::ReleaseStatus;
use trimtab_delivery::{Plan, Report, Write};

use crate::service::START;

/// `+5m` after the start of the story.
fn at(instant: Timestamp) -> String {
    let seconds = instant.duration_since(START).as_secs();
    let sign = if seconds < 0 { '-' } else { '+' };
    let words = trimtab_units::duration_words(std::time::Duration::from_secs(seconds.unsigned_abs()));
    format!("{sign}{words}")
}

/// The plan and its reasons, one line each.
pub(crate) fn render(plan: &Plan, report: &Report) -> String {
    let mut text = writes(&plan.writes);
    text.push_str(&status(&plan.status));
    for step in &report.steps {
        assert!(goes_on_after_it(&step.decided), "people read `so it {}`", step.decided);
        let _ = write!(text, "why {} -> {}", step.saw, step.decided);
        if let Some(waits_for) = &step.waits_for {
            let _ = write!(text, "; waits for {waits_for}");
        }
        text.push('\n');
    }
    if let Some(wake_at) = plan.wake_at {
        let _ = writeln!(text, "wake {}", at(wake_at));
    }
    text
}

/// Whether a decision makes a sentence after "so it": it begins with a verb in the third person.
fn goes_on_after_it(decided: &str) -> bool {
    let verb = decided.split([' ', ':', ';']).next().unwrap_or_default();
    verb.ends_with('s') && verb.chars().all(|letter| letter.is_ascii_lowercase()) && verb != "is"
}

/// Writes, one line each.
pub(crate) fn writes(writes: &[Write]) -> String {
    writes.iter().fold(String::new(), |text, write| text + &line(write) + "\n")
}

fn line(write: &Write) -> String {
    let after = |previous: &Option<u64>| previous.map(|n| format!(" after v{n}")).unwrap_or_default();
    match write {
        Write::CreateRelease(new) => {
            let reason = new.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!(
                "create v{} {} by {}{}{reason}",
                new.number,
                new.template_hash,
                new.actor,
                after(&new.previous)
            )
        }
        Write::AdoptRelease { number, previous, template_hash } => {
            format!("adopt v{number} {template_hash}{}", after(previous))
        }
        Write::ReleaseStatus { number, status } => format!("v{number} {}", release(status)),
        Write::Hold { hold, images, pause } => {
            let unpause = if *pause == Pause::Clear { ", unpause" } else { "" };
            format!("claim {}{unpause}", claim_text(*hold, images))
        }
        Write::TakeOver => "take the claim over".to_owned(),
        Write::Restore { number, .. } => format!("restore v{number}"),
        Write::ReturnFields => "return fields".to_owned(),
        Write::LabelPod { pod, arm, .. } => format!("label {pod} {}", arm.as_str()),
        Write::DeleteRelease { number } => format!("delete v{number}"),
        Write::Event { number, event, note } => format!("event v{number} {}: {note}", event.word()),
    }
}

fn release(status: &ReleaseStatus) -> String {
    let mut facts = Vec::new();
    let instants = [
        ("started", status.started_at),
        ("ready", status.ready_at),
        ("decided", status.decided_at),
        ("recovered", status.recovered_at),
    ];
    facts.extend(status.verdict.map(|verdict| format!("{verdict:?}")));
    facts.extend(status.low_evidence.then(|| "low evidence".to_owned()));
    facts.extend(status.held.then(|| "held".to_owned()));
    facts.extend(
        instants.into_iter().filter_map(|(word, when)| when.map(|when| format!("{word} {}", at(when)))),
    );
    facts.extend((status.restores > 0).then(|| format!("restores {}", status.restores)));
    facts.extend(status.needs_human.map(|_| "needs a person".to_owned()));
    facts.extend(status.harmed.map(|harmed| format!("harmed {harmed}")));
    facts.extend(
        status.outbox.iter().map(|told| format!("owes {} to {}", told.event.word(), told.destination)),
    );
    format!("is {}: {} [{}]", status.phase.word(), status.summary, facts.join(", "))
}

fn status(status: &AppStatus) -> String {
    let mut text = format!("= {}: {}\n", status.phase.word(), status.summary);
    for condition in status.conditions.iter().filter(|condition| !condition.holds) {
        let _ = writeln!(text, "! {} {}: {}", condition.kind, condition.reason, condition.message);
    }
    text
}
