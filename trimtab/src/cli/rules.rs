//! `trimtab rules`: what judges a service, and who said so.

use serde_json::json;
use trimtab_api::resolve::{Policies, settings};
use trimtab_api::rule::RuleSpec;
use trimtab_api::{FleetPolicy, ManagedApp, ObjectMeta};
use trimtab_delivery::command;
use trimtab_delivery::snapshot::Settings;
use trimtab_judge::rule::{Origin, Rule, RuleKind};
use trimtab_kube::kinds::MANAGED_APPS;
use trimtab_kube::resource::DEPLOYMENTS;
use trimtab_units::duration_words;

use super::exit::{Exit, Failure};
use super::objects::typed;
use super::output::{Cell, Form, Paint, objects, table};
use super::service::policies;
use super::session::Session;
use super::whereabouts;

/// Shows the rules in force for a service.
///
/// # Errors
/// When the service or the policies cannot be read, or there is neither the service nor its Deployment.
pub async fn rules(session: &mut Session<'_>, name: &str) -> Result<Exit, Failure> {
    let found = session.api.get(MANAGED_APPS, Some(&session.namespace), name).await?;
    let is_claimed = found.is_some();
    let app: ManagedApp = match found {
        Some(found) => typed(found)?,
        None if session.api.get(DEPLOYMENTS, Some(&session.namespace), name).await?.is_none() => {
            return Err(whereabouts::missing(&session.api, &session.namespace, name, "rules").await);
        }
        None => imagined(&session.namespace, name),
    };
    let policies = policies(&session.api).await?;
    let policies = Policies::matching(&policies, &app);
    let (settings, problems) = settings(&app, &policies);
    let disabled = disabled(&app, &policies, &settings);
    if matches!(session.form, Form::Json | Form::Yaml) {
        objects(
            session.out,
            session.form,
            &json!({"rules": lines_as_json(&settings), "disabled": disabled}),
        )?;
    } else {
        let text = effective(&settings, &disabled, session.form, session.paint);
        session.out.write_all(text.as_bytes())?;
    }
    if !is_claimed {
        session.tell(&format!("{}/{name} is not claimed: this is what would judge it", session.namespace));
        let claim = command::trimtab(&format!("claim {name}"), &session.namespace);
        session.hint(&format!("`{claim}`"));
    }
    for problem in problems {
        let so = if is_claimed {
            "left out, and the rest is in force"
        } else {
            "a claim waits until it is mended"
        };
        session.tell(&format!("wrong: {problem}; {so}"));
    }
    Ok(Exit::Done)
}

fn imagined(namespace: &str, name: &str) -> ManagedApp {
    let metadata =
        ObjectMeta { namespace: namespace.to_owned(), name: name.to_owned(), ..ObjectMeta::default() };
    ManagedApp { metadata, ..ManagedApp::default() }
}

/// Rules that a layer turned off and none turned on again: name, and who did.
fn disabled(app: &ManagedApp, policies: &Policies<'_>, settings: &Settings) -> Vec<(String, String)> {
    fn of<'a>(specs: &'a [RuleSpec], origin: &Origin) -> Vec<(&'a str, String)> {
        specs
            .iter()
            .filter(|rule| rule.disabled == Some(true))
            .map(|rule| (rule.name.as_str(), origin.to_string()))
            .collect()
    }
    let mut found = Vec::new();
    for policy in policies.iter() {
        let origin = Origin::Policy(policy.metadata.name.clone());
        found.extend(of(&policy.spec.rules, &origin));
        found.extend(of(default_rules(policy), &origin));
    }
    let own = app.spec.delivery.as_ref().map_or(&[][..], |delivery| &delivery.rules);
    found.extend(of(own, &Origin::Service));
    found
        .into_iter()
        .filter(|(name, _)| !settings.rules.iter().any(|rule| rule.name == *name))
        .map(|(name, origin)| (name.to_owned(), origin))
        .collect()
}

fn default_rules(policy: &FleetPolicy) -> &[RuleSpec] {
    let delivery = policy.spec.defaults.as_ref().and_then(|defaults| defaults.delivery.as_ref());
    delivery.map_or(&[], |delivery| &delivery.rules)
}

/// The part of the error budget that a rule may spend.
#[must_use]
pub fn share(settings: &Settings, rule: &Rule) -> f64 {
    let total: f64 = settings.rules.iter().map(|rule| rule.weight).sum();
    settings.alpha * rule.weight / total
}

/// What a rule judges, in one line.
#[must_use]
pub fn what(rule: &Rule) -> String {
    let also = |alternatives: usize| match alternatives.saturating_sub(1) {
        0 => String::new(),
        1 => ", or 1 alternative".to_owned(),
        others => format!(", or {others} alternatives"),
    };
    match &rule.kind {
        RuleKind::Ratio(ratio) => {
            let source = ratio
                .sources
                .first()
                .map(|source| format!("{} / {}", source.bad, source.total))
                .unwrap_or_default();
            let limit = ratio
                .limit
                .map(|limit| format!(", never above {} %", (limit * 1e4).round() / 1e2))
                .unwrap_or_default();
            format!(
                "at most ×{} the old pods' rate{limit}: {source}{}",
                ratio.tolerate,
                also(ratio.sources.len())
            )
        }
        RuleKind::Events(events) => {
            let counter = events.counters.first().map_or("", String::as_str);
            format!("at most ×{} the usual rate: {counter}{}", events.tolerate, also(events.counters.len()))
        }
        RuleKind::Crashes(crashes) => {
            let ignored = match crashes.ignore_containers.as_slice() {
                [] => String::new(),
                names => format!(", except in {}", names.join(", ")),
            };
            format!("restarts, OOM kills and panics{ignored}")
        }
        RuleKind::Alert(alert) => format!("for {}: {}", duration_words(alert.hold), alert.expr),
    }
}

fn lines_as_json(settings: &Settings) -> Vec<serde_json::Value> {
    let line = |rule: &Rule| {
        json!({"name": rule.name, "kind": rule.kind.word(), "from": rule.origin.to_string(),
            "alpha": share(settings, rule), "what": what(rule)})
    };
    settings.rules.iter().map(line).collect()
}

/// The table of rules, the disabled ones last.
#[must_use]
pub fn effective(settings: &Settings, disabled: &[(String, String)], form: Form, paint: Paint) -> String {
    let mut rows: Vec<Vec<Cell>> = settings
        .rules
        .iter()
        .map(|rule| {
            let alpha = format!("{:.3} %", share(settings, rule) * 100.0);
            vec![
                Cell::text(&rule.name),
                Cell::text(rule.kind.word()),
                Cell::text(rule.origin.to_string()),
                Cell::text(alpha),
                Cell::text(what(rule)),
            ]
        })
        .collect();
    rows.extend(disabled.iter().map(|(name, origin)| {
        vec![Cell::text(name), Cell::text("-"), Cell::text(origin), Cell::text("-"), Cell::text("disabled")]
    }));
    table(&["RULE", "KIND", "FROM", "ALPHA", "WHAT"], &rows, form, paint)
}
