//! `trimtab explain`: why, for a release and for a service, inaction included.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde_json::json;
use trimtab_api::{AppRelease, ManagedApp};
use trimtab_control::{Measured, NOTHING_MEASURED, convert, observe};
use trimtab_delivery::Report;
use trimtab_delivery::acting::acting;
use trimtab_delivery::command;
use trimtab_delivery::names::{CLAIM_ANNOTATION, release_word};
use trimtab_delivery::plan::{AppPhase, Plan};
use trimtab_delivery::snapshot::ReleasePhase;
use trimtab_judge::rule::Rule;
use trimtab_kube::kinds::MANAGED_APPS;
use trimtab_plan::report::Wording;
use trimtab_plan::{Condition, Reason};
use trimtab_units::duration_words;
use trimtab_workload::{Actor, Claim};

use super::args::ExplainArgs;
use super::attended::{self, Attended};
use super::evidence::evidence;
use super::exit::{Exit, Failure};
use super::history::{harmed, outcome};
use super::output::{Form, Mood, Paint, age, objects, printable};
use super::records::{Records, records};
use super::service::uncounted;
use super::session::Session;
use super::whereabouts;

/// Explains a release, or what a service does and waits for.
///
/// # Errors
/// When the service is not claimed, or has no such release.
pub async fn explain(session: &mut Session<'_>, args: &ExplainArgs) -> Result<Exit, Failure> {
    let name = &args.service;
    let Some(observed) = observe(&session.api, &session.namespace, name).await? else {
        return Err(whereabouts::unclaimed(&session.api, &session.namespace, name, "explain").await);
    };
    let told = observed.app.status.last_release.unwrap_or_default();
    let Records { counted: releases, refused, .. } =
        records(&session.api, &session.namespace, name, told).await?;
    if let Some(number) = args.release {
        if let Some(refused) = refused.iter().find(|refused| refused.number == number) {
            let message = format!("not counted, and never brought back: {}", refused.why);
            return Err(Failure::error(message).hint("delete it if nobody needs it"));
        }
        let Some(release) = releases.iter().find(|release| release.spec.number == number) else {
            let message = format!("{name} has no release {}", release_word(number));
            let history = command::trimtab(&format!("history {name}"), &session.namespace);
            return Err(Failure::error(message).hint(format!("`{history}`")));
        };
        if matches!(session.form, Form::Json | Form::Yaml) {
            let value = serde_json::to_value(release).map_err(|error| Failure::error(error.to_string()))?;
            objects(session.out, session.form, &value)?;
        } else {
            let text = release_text(release, &observed.settings.rules, session.paint);
            session.out.write_all(text.as_bytes())?;
        }
        return Ok(Exit::Done);
    }
    let now = session.clock.now();
    let judged = observed.snapshot(now, &NOTHING_MEASURED).history().in_flight();
    let findings = judged.map(|release| release.status.findings.clone()).unwrap_or_default();
    let measured = Measured { findings, ..NOTHING_MEASURED.clone() };
    let snapshot = observed.snapshot(now, &measured);
    let (plan, report) = trimtab_delivery::plan(&snapshot);
    let instance = attended::instance(&observed.wire);
    let attended = attended::attended(&session.api, instance, now).await;
    let last = releases.iter().rev().find(|release| !release.status.rules.is_empty());
    let decided = decided(&releases, &plan, last);
    if matches!(session.form, Form::Json | Form::Yaml) {
        let mut value = report_value(&plan, &report);
        value["acting"] = claim_value(acting(&snapshot));
        value["decisions"] = decided.iter().map(|release| decision_value(release)).collect();
        let is_known = !matches!(attended, Attended::Unknown(_));
        value["attended"] = json!(is_known.then(|| !attended.by_nobody()));
        objects(session.out, session.form, &value)?;
        return Ok(Exit::Done);
    }
    let unattended = unattended(session, &observed.wire, &attended, now).await?;
    let text = service_text(
        &Explained {
            name,
            plan: &plan,
            report: &report,
            last,
            decided: &decided,
            held: releases.iter().rev().find(|of| of.status.held == Some(true)).map(number_of),
            target: &observed.settings.target,
            now,
            unattended: unattended.as_ref(),
        },
        session.paint,
    );
    session.out.write_all(text.as_bytes())?;
    session.named_command = true;
    if matches!(attended, Attended::Unknown(_)) {
        attended.words(instance, now).iter().for_each(|words| session.tell(words));
    }
    // A command cannot check a seal. What it sees by itself is among the steps.
    let is_seen = plan.status.conditions.iter().any(|condition| condition.kind == "RecordsCounted");
    if let Some(told) = uncounted(&observed.wire).filter(|_| !is_seen) {
        writeln!(session.out, "note: {}", told.message)?;
        let summary = &observed.wire.status.summary;
        writeln!(session.out, "note: the manager, which alone can check them, says: {summary}")?;
    }
    Ok(Exit::Done)
}

/// The releases that a service is about now and that a person decided, ascending: what runs, what is under way, what came
/// last, and what the evidence shown is about.
fn decided<'a>(releases: &'a [AppRelease], plan: &Plan, evident: Option<&AppRelease>) -> Vec<&'a AppRelease> {
    let shown =
        [plan.status.current, plan.status.in_flight, evident.map(number_of), releases.last().map(number_of)];
    let is_shown = |release: &&AppRelease| shown.contains(&Some(number_of(release)));
    releases.iter().filter(|release| release.spec.decision.is_some()).filter(is_shown).collect()
}

fn number_of(release: &AppRelease) -> u64 {
    release.spec.number
}

fn decision_value(release: &AppRelease) -> serde_json::Value {
    json!({"release": release_word(release.spec.number), "decision": release.spec.decision})
}

/// What is told of a service that no manager looks after.
async fn unattended(
    session: &Session<'_>,
    app: &ManagedApp,
    attended: &Attended,
    now: Timestamp,
) -> Result<Option<Unattended>, Failure> {
    let instance = attended::instance(app);
    let Some(words) = attended.words(instance, now).filter(|_| attended.by_nobody()) else { return Ok(None) };
    let (namespace, name) = (app.metadata.namespace.as_str(), app.metadata.name.as_str());
    let raw = session.api.get(MANAGED_APPS, Some(namespace), name).await?.unwrap_or_default();
    let written = match attended::observed_at(&raw) {
        Some(at) => format!("{}, {} ago", app.status.summary, age(now, Some(at))),
        None if app.status.summary.is_empty() => "nothing: no manager has seen it".to_owned(),
        None => app.status.summary.clone(),
    };
    let next = attended.next(instance, namespace, name).unwrap_or_default();
    Ok(Some(Unattended { words, written, next }))
}

/// Who acts on the workload now: what another writer of it asks before it touches the pods.
fn claim_value(claim: Claim) -> serde_json::Value {
    let by = match claim.by {
        Actor::Release(number) => release_word(number),
        Actor::Resize => "resize".to_owned(),
        Actor::Migration => "migration".to_owned(),
        Actor::Person => "person".to_owned(),
        Actor::Nobody => "nobody".to_owned(),
    };
    json!({"by": by, "since": claim.since, "until": claim.until})
}

fn report_value(plan: &Plan, report: &Report) -> serde_json::Value {
    let steps: Vec<_> = report
        .steps
        .iter()
        .map(|step| {
            json!({
                "code": step.code.code(),
                "subject": step.subject.to_string(),
                "saw": step.saw,
                "decided": step.decided,
                "waitsFor": step.waits_for,
            })
        })
        .collect();
    json!({"service": report.about.place(), "summary": report.summary, "steps": steps, "writesDue": plan.writes.len(), "wakeAt": plan.wake_at})
}

/// What is told of a service that no manager looks after.
pub struct Unattended {
    /// Since when.
    pub words: String,
    /// What a manager wrote last.
    pub written: String,
    /// What to do about it.
    pub next: String,
}

/// What is told of a service.
pub struct Explained<'a> {
    /// Name of the service.
    pub name: &'a str,
    /// What is due.
    pub plan: &'a Plan,
    /// And why.
    pub report: &'a Report,
    /// The latest release with evidence.
    pub last: Option<&'a AppRelease>,
    /// Releases that a person decided.
    pub decided: &'a [&'a AppRelease],
    /// The rejected release whose template is held.
    pub held: Option<u64>,
    /// Name of the Deployment.
    pub target: &'a str,
    /// The instant.
    pub now: Timestamp,
    /// Set where no manager looks after it.
    pub unattended: Option<&'a Unattended>,
}

/// A service in words: what was seen, what was decided, and what it waits for.
#[must_use]
pub fn service_text(explained: &Explained<'_>, paint: Paint) -> String {
    let Explained { name, plan, report, last, target, .. } = explained;
    let phase = plan.status.phase;
    let mut text = head(explained, paint);
    text.push_str(&report.steps_text(Wording::Sentences));
    explained.decided.iter().for_each(|release| text.push_str(&decision(release, explained.now)));
    text.push_str(&due(explained));
    if let Some(release) = last {
        // Beside a FAIL, what runs would contradict it.
        let overruled = match &release.spec.decision {
            Some(decision) => format!("; the decision of {} counts", printable(&decision.actor)),
            None => String::new(),
        };
        let word = release_word(release.spec.number);
        let _ = writeln!(text, "\nevidence on {word}, as last written{overruled}");
        release.status.rules.iter().for_each(|rule| evidence(&mut text, rule, None, paint));
    }
    // What the first lines say already is no note.
    let is_said =
        |condition: &Condition| condition.kind == "Claimed" || condition.reason == Reason::NeedsHuman.code();
    let conditions = plan.status.conditions.iter();
    for condition in conditions.filter(|condition| !condition.holds && !is_said(condition)) {
        let _ = writeln!(text, "note: {}", condition.message);
    }
    if phase == AppPhase::Held {
        let namespace = report.about.namespace.as_deref().unwrap_or_default();
        let word = explained.held.map(|held| format!(" {}", release_word(held))).unwrap_or_default();
        let promote = command::trimtab(&format!("promote {name}{word}"), namespace);
        let _ = writeln!(text, "\nkeep it:      {promote} --because ...");
        if explained.unattended.is_some() {
            let annotate = command::kubectl(&format!("annotate deployment {target}"), namespace);
            let _ = writeln!(text, "free by hand: {annotate} {CLAIM_ANNOTATION}-");
            let _ = writeln!(text, "              {}", command::resume(target, namespace));
        } else {
            // A manager that acts would claim the Deployment again.
            let release = command::trimtab(&format!("release {name} --force"), namespace);
            let _ = writeln!(text, "let go of it: {release}");
        }
    }
    text
}

/// Who decided about a release, what, when and why.
fn decision(release: &AppRelease, now: Timestamp) -> String {
    let Some(decision) = &release.spec.decision else { return String::new() };
    let verb = if decision.verdict == "Keep" { "keep" } else { "roll back" };
    let when = decision.at.map(|at| format!(" {} ago", age(now, Some(at)))).unwrap_or_default();
    let (who, word, why) = (&decision.actor, release_word(release.spec.number), &decision.because);
    format!("  {}\n", printable(&format!("{who} decided{when} to {verb} {word}: {why}")))
}

/// How the service is; where nobody looks after it, how it was, and since when.
fn head(explained: &Explained<'_>, paint: Paint) -> String {
    let Explained { plan, report, unattended, .. } = explained;
    let place = report.about.place();
    let Some(Unattended { words, written, next }) = unattended else {
        let mood = Mood::of_app(plan.status.phase.word());
        return format!("{place}  {}\n", paint.say(mood, &report.summary));
    };
    let unknown = paint.say(Mood::Unknown, &format!("unknown: {words}"));
    format!(
        "{place}  {unknown}\n  last written  {}\n  next          {}\n\nwhat a manager would do now\n",
        printable(written),
        printable(next)
    )
}

/// When a manager does something again.
fn due(explained: &Explained<'_>) -> String {
    let Explained { plan, now, unattended, .. } = explained;
    let mut text = String::new();
    if let Some(wake_at) = plan.wake_at.filter(|_| unattended.is_none()) {
        let in_seconds = wake_at.duration_since(*now).as_secs().max(0).unsigned_abs();
        // A rejection is remembered for weeks: nobody counts them in seconds.
        let words = match in_seconds {
            0..172_800 => duration_words(std::time::Duration::from_secs(in_seconds)),
            _ => format!("{} days", in_seconds / 86_400),
        };
        let _ = writeln!(text, "  looks again in {words}, or earlier when something changes");
    }
    let when = match unattended {
        Some(_) => "no manager is there to make",
        None => "a running manager makes",
    };
    let _ = match (plan.writes.len(), unattended) {
        (0, _) => Ok(()),
        (1, None) => writeln!(text, "  1 write is due: {when} it within seconds"),
        (1, Some(_)) => writeln!(text, "  1 write is due: {when} it"),
        (many, None) => writeln!(text, "  {many} writes are due: {when} them within seconds"),
        (many, Some(_)) => writeln!(text, "  {many} writes are due: {when} them"),
    };
    text
}

/// A release in words, the reason first.
#[must_use]
pub fn release_text(release: &AppRelease, rules: &[Rule], paint: Paint) -> String {
    let (spec, status) = (&release.spec, &release.status);
    let (mood, words) = outcome(release);
    let word = release_word(spec.number);
    let mut text = format!("{} {word}  {}\n", spec.app, paint.say(mood, &words));
    let mut line = |label: &str, value: &str| {
        if !value.is_empty() {
            let _ = writeln!(text, "  {label:<11} {}", printable(value));
        }
    };
    line("why", &status.summary);
    line("image", spec.image.as_deref().unwrap_or_default());
    line("by", &spec.actor);
    line("reason", spec.reason.as_deref().unwrap_or_default());
    line("after", &spec.previous.map(release_word).unwrap_or_default());
    line("brings back", &spec.rollback_to.map(release_word).unwrap_or_default());
    if let Some(decision) = &spec.decision {
        line("decision", &format!("{} by {}: {}", decision.verdict, decision.actor, decision.because));
    }
    line(
        "harmed",
        &status.harmed.map(|requests| format!("requests: {}", harmed(Some(requests)))).unwrap_or_default(),
    );
    line("started", &status.started_at.map(|at| format!("{at:.0}")).unwrap_or_default());
    for (label, at) in
        [("ready", status.ready_at), ("decided", status.decided_at), ("recovered", status.recovered_at)]
    {
        line(label, &since(status.started_at, at));
    }
    if !status.rules.is_empty() {
        text.push_str("evidence\n");
        for rule in &status.rules {
            evidence(&mut text, rule, rules.iter().find(|known| known.name == rule.name), paint);
        }
    }
    text.push_str(&next(release, &word));
    text
}

fn since(start: Option<Timestamp>, at: Option<Timestamp>) -> String {
    let Some(at) = at else { return String::new() };
    let Some(start) = start else { return format!("{at:.0}") };
    let seconds = at.duration_since(start).as_secs().max(0).unsigned_abs();
    format!("{} later", duration_words(std::time::Duration::from_secs(seconds)))
}

/// What to do next.
fn next(release: &AppRelease, word: &str) -> String {
    let (app, namespace) = (&release.spec.app, release.metadata.namespace.as_str());
    let command = |verb: &str| command::trimtab(&format!("{verb} {app}"), namespace);
    let promote = command::trimtab(&format!("promote {app} {word}"), namespace);
    let status = convert::release(release).status;
    match status.phase {
        ReleasePhase::RolledBack => format!(
            "next\n  deploy a new build: {} --image ...\n  keep this one all the same: {promote} --because ...\n",
            command("deploy")
        ),
        ReleasePhase::Judging => format!(
            "next\n  roll back now: {} --because ...\n  keep now: {promote} --because ...\n",
            command("abort")
        ),
        ReleasePhase::Kept if status.needs_human.is_some() => format!(
            "next\n  go back: {} --because ...\n  leave it at that: {promote} --because ...\n",
            command("rollback")
        ),
        ReleasePhase::Kept => {
            format!("next\n  come back to it after another one: {} --to {word}\n", command("rollback"))
        }
        ReleasePhase::RollingBack | ReleasePhase::Pending | ReleasePhase::Superseded => String::new(),
    }
}
