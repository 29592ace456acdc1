//! `trimtab history`: the releases of a service.

use jiff::Timestamp;
use serde_json::json;
use trimtab_api::AppRelease;
use trimtab_control::convert;
use trimtab_delivery::command;
use trimtab_delivery::names::{APP_LABEL, release_word};
use trimtab_delivery::snapshot::ReleasePhase;
use trimtab_kube::api::Selector;
use trimtab_kube::kinds::{APP_RELEASES, MANAGED_APPS};

use super::exit::{Exit, Failure};
use super::output::{Cell, Form, Mood, Paint, age, objects, table};
use super::records::{Records, records};
use super::session::Session;
use super::whereabouts;

/// Records that do not count, named one by one at most.
const REFUSED_SHOWN_MAX: usize = 10;

/// Lists the releases of a service, newest first.
///
/// # Errors
/// When they cannot be listed, or there is none.
pub async fn history(session: &mut Session<'_>, name: &str) -> Result<Exit, Failure> {
    if matches!(session.form, Form::Json | Form::Yaml) {
        let selector = Selector::all().labels(format!("{APP_LABEL}={name}"));
        let items = session.api.list(APP_RELEASES, Some(&session.namespace), &selector).await?;
        if items.is_empty() {
            let app = session.api.get(MANAGED_APPS, Some(&session.namespace), name).await?;
            return Err(nothing(session, name, app.is_some()).await);
        }
        let list = json!({"apiVersion": trimtab_api::API_VERSION, "kind": "AppReleaseList", "items": items});
        objects(session.out, session.form, &list)?;
        return Ok(Exit::Done);
    }
    let app = session.api.get(MANAGED_APPS, Some(&session.namespace), name).await?;
    let told = app.as_ref().and_then(|app| app["status"]["lastRelease"].as_u64()).unwrap_or_default();
    let Records { counted: found, refused, .. } =
        records(&session.api, &session.namespace, name, told).await?;
    if found.is_empty() && refused.is_empty() {
        return Err(nothing(session, name, app.is_some()).await);
    }
    let text = releases(&found, session.clock.now(), session.form, session.paint);
    session.out.write_all(text.as_bytes())?;
    for refused in refused.iter().take(REFUSED_SHOWN_MAX) {
        session.tell(&format!("not counted: {}", refused.why));
    }
    if refused.len() > REFUSED_SHOWN_MAX {
        session.tell(&format!("not counted: {} more", refused.len() - REFUSED_SHOWN_MAX));
    }
    Ok(Exit::Done)
}

async fn nothing(session: &Session<'_>, name: &str, is_claimed: bool) -> Failure {
    let namespace = session.namespace.as_str();
    if !is_claimed {
        return whereabouts::unclaimed(&session.api, namespace, name, "history").await;
    }
    Failure::error(format!("{namespace}/{name} has no recorded release yet"))
        .hint(format!("`{}`", command::trimtab(&format!("explain {name}"), namespace)))
}

/// What became of a release, in a few words.
#[must_use]
pub fn outcome(release: &AppRelease) -> (Mood, String) {
    let status = convert::release(release).status;
    let mut words = match status.phase {
        ReleasePhase::Kept if status.low_evidence => "Kept, low evidence".to_owned(),
        phase => phase.word().to_owned(),
    };
    if status.held {
        words.push_str(", held");
    }
    if status.needs_human.is_some() {
        words.push_str(", needs a person");
    }
    let mood = if status.held || status.needs_human.is_some() {
        Mood::Waiting
    } else {
        Mood::of_release(status.phase)
    };
    (mood, words)
}

/// The table of releases, newest first; `found` ascends.
#[must_use]
pub fn releases(found: &[AppRelease], now: Timestamp, form: Form, paint: Paint) -> String {
    let mut header = vec!["RELEASE", "OUTCOME", "IMAGE", "ACTOR", "AGE", "HARMED"];
    if form == Form::Wide {
        header.extend(["WHY", "REASON"]);
    }
    let rows: Vec<Vec<Cell>> = found
        .iter()
        .rev()
        .map(|release| {
            let (mood, words) = outcome(release);
            let (spec, status) = (&release.spec, &release.status);
            let since = status.started_at.or(release.metadata.creation_timestamp);
            let back = spec.rollback_to.map(|number| format!(" (back to {})", release_word(number)));
            let mut row = vec![
                Cell::text(release_word(spec.number) + &back.unwrap_or_default()),
                Cell::mood(mood, &words),
                Cell::text(spec.image.as_deref().unwrap_or("-")),
                Cell::text(if spec.actor.is_empty() { "-" } else { &spec.actor }),
                Cell::text(age(now, since)),
                Cell::text(harmed(status.harmed)),
            ];
            if form == Form::Wide {
                row.extend([Cell::text(&status.summary), Cell::text(spec.reason.as_deref().unwrap_or("-"))]);
            }
            row
        })
        .collect();
    table(&header, &rows, form, paint)
}

/// Requests that failed because of a release: whole ones, because nobody can fail by half.
#[must_use]
pub fn harmed(requests: Option<f64>) -> String {
    match requests {
        Some(requests) if requests >= 0.5 => format!("≈{requests:.0}"),
        Some(_) => "0".to_owned(),
        None => "-".to_owned(),
    }
}
