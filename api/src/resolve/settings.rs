//! What the policies and a service's own spec come to, field by field, most specific first.

use std::time::Duration;

use trimtab_delivery::snapshot::{Notify, Settings};
use trimtab_delivery::strategy::{self, Guarded, Strategy};
use trimtab_judge::rule::Origin;
use trimtab_units::GoDuration;

use super::rules::{duration, merge_rules};
use super::scaling;
use crate::fleet_policy::{FleetPolicy, MatchSpec};
use crate::managed_app::{ManagedApp, ManagedAppSpec, NotifySpec, SecretKey, WebhookSpec};
use crate::problem::Problem;

/// How long a release is judged where nobody says otherwise.
const WATCH_DEFAULT: Duration = Duration::from_secs(300);
/// Longest judgement.
const WATCH_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
/// Chance that a good release is rolled back, where no policy says otherwise.
const ALPHA_DEFAULT: f64 = 0.005;
/// Finished releases remembered where nobody says otherwise.
const HISTORY_DEFAULT: u32 = 10;
/// How many may be asked for: the current one, and one to go back to, at least.
const HISTORY_RANGE: std::ops::RangeInclusive<u32> = 2..=100;
/// How releases are shipped where nobody says otherwise.
const GUARDED: &dyn Strategy = &Guarded;
/// Words that a manifest may say, and that this version ships as Guarded.
const SHIPPED_AS_GUARDED: [&str; 2] = ["Progressive", "BlueGreen"];

/// The policies of a cluster, from general to specific as far as one service is concerned.
pub struct Policies<'a>(Vec<&'a FleetPolicy>);

impl<'a> Policies<'a> {
    /// The policies that match `app`. The more fields a match names the more specific it is; among equals the name decides.
    #[must_use]
    pub fn matching(all: impl IntoIterator<Item = &'a FleetPolicy>, app: &ManagedApp) -> Self {
        let mut matching: Vec<&FleetPolicy> = all.into_iter().filter(|policy| matches(policy, app)).collect();
        matching.sort_by(|a, b| {
            let key = |policy: &FleetPolicy| policy.spec.matches.as_ref().map_or(0, specificity);
            (key(a), &a.metadata.name).cmp(&(key(b), &b.metadata.name))
        });
        Self(matching)
    }

    /// The most specific value of a field, the service's own first, and where it came from.
    pub fn pick<T>(
        &self,
        own: &ManagedAppSpec,
        field: impl Fn(&ManagedAppSpec) -> Option<T>,
    ) -> Option<(T, Origin)> {
        field(own).map(|value| (value, Origin::Service)).or_else(|| {
            self.0.iter().rev().find_map(|policy| {
                let value = policy.spec.defaults.as_ref().and_then(&field)?;
                Some((value, Origin::Policy(policy.metadata.name.clone())))
            })
        })
    }

    /// The policies, from general to specific.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &'a FleetPolicy> {
        self.0.iter().copied()
    }
}

fn specificity(matches: &MatchSpec) -> usize {
    usize::from(!matches.namespaces.is_empty())
        + matches.labels.len()
        + usize::from(!matches.tiers.is_empty())
}

fn matches(policy: &FleetPolicy, app: &ManagedApp) -> bool {
    let Some(wanted) = &policy.spec.matches else { return true };
    let namespace = wanted.namespaces.is_empty() || wanted.namespaces.contains(&app.metadata.namespace);
    let labels = wanted.labels.iter().all(|(name, value)| app.metadata.labels.get(name) == Some(value));
    let tier = wanted.tiers.is_empty() || app.spec.tier.is_some_and(|tier| wanted.tiers.contains(&tier));
    namespace && labels && tier
}

/// What the policies and the service's own spec come to. Problems of the service's own spec are returned; those of a
/// policy stand on the policy, and its wrong fields count as not written.
#[must_use]
pub fn settings(app: &ManagedApp, policies: &Policies<'_>) -> (Settings, Vec<Problem>) {
    let mut problems = check_app(app);
    let own = &app.spec;
    let strategy_word = policies
        .pick(own, |spec| strategy_word(spec.delivery.as_ref()?.strategy.as_deref()?))
        .map_or(GUARDED.word(), |(word, _)| word);
    let watch = policies
        .pick(own, |spec| sane_watch(spec.delivery.as_ref()?.watch.as_deref()?))
        .map_or(WATCH_DEFAULT, |(value, _)| value);
    let history = policies
        .pick(own, |spec| spec.delivery.as_ref()?.history.filter(|history| HISTORY_RANGE.contains(history)))
        .map_or(HISTORY_DEFAULT, |(value, _)| value);
    let mut layers: Vec<(Origin, &[crate::rule::RuleSpec], &str)> = Vec::new();
    for policy in policies.iter() {
        let origin = || Origin::Policy(policy.metadata.name.clone());
        layers.push((origin(), &policy.spec.rules, "spec.rules"));
        if let Some(delivery) = policy.spec.defaults.as_ref().and_then(|defaults| defaults.delivery.as_ref())
        {
            layers.push((origin(), &delivery.rules, "spec.defaults.delivery.rules"));
        }
    }
    let own_rules = own.delivery.as_ref().map_or(&[][..], |delivery| &delivery.rules);
    layers.push((Origin::Service, own_rules, "spec.delivery.rules"));
    let rules = merge_rules(&layers, &mut Vec::new());
    let alpha = policies.iter().filter_map(|policy| policy.spec.alpha).rfind(|alpha| sane_alpha(*alpha));
    let settings = Settings {
        target: own
            .target
            .as_ref()
            .map(|target| target.name.clone())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| app.metadata.name.clone()),
        strategy: strategy::named(strategy_word).unwrap_or(GUARDED),
        watch,
        rules,
        alpha: alpha.unwrap_or(ALPHA_DEFAULT),
        history: history as usize,
        not_acted_on: not_acted_on(own, strategy_word, policies),
        notify: notify(own, policies),
    };
    problems.sort_by(|a, b| a.path.cmp(&b.path));
    (settings, problems)
}

/// A watch that is within its limits; what is wrong with another one is told by the check of the object that holds it.
fn sane_watch(text: &str) -> Option<Duration> {
    let mut problems = Vec::new();
    let watch = duration(text, "", WATCH_MAX, &mut problems);
    problems.is_empty().then_some(watch)
}

fn sane_alpha(alpha: f64) -> bool {
    alpha > 0.0 && alpha <= 0.2
}

/// The words that manifests may say.
fn strategy_words() -> impl Iterator<Item = &'static str> {
    strategy::ALL.into_iter().map(Strategy::word).chain(SHIPPED_AS_GUARDED)
}

fn strategy_word(word: &str) -> Option<&'static str> {
    strategy_words().find(|known| *known == word)
}

fn not_acted_on(own: &ManagedAppSpec, strategy: &str, policies: &Policies<'_>) -> Vec<String> {
    let mut fields = Vec::new();
    if SHIPPED_AS_GUARDED.contains(&strategy) {
        fields.push(format!("delivery.strategy {strategy} (shipped as Guarded)"));
    }
    let mut note = |present: bool, field: &str| {
        if present {
            fields.push(field.to_owned());
        }
    };
    note(own.delivery.as_ref().is_some_and(|delivery| !delivery.steps.is_empty()), "delivery.steps");
    note(own.scaling.is_some(), "scaling");
    let latency = |rules: &[crate::rule::RuleSpec]| rules.iter().any(|rule| rule.latency.is_some());
    note(
        own.delivery.as_ref().is_some_and(|delivery| latency(&delivery.rules)),
        "delivery.rules with latency",
    );
    for policy in policies.iter() {
        let spec = &policy.spec;
        note(latency(&spec.rules), &format!("rules with latency of FleetPolicy {}", policy.metadata.name));
        note(!spec.freeze.is_empty(), &format!("freeze of FleetPolicy {}", policy.metadata.name));
    }
    fields
}

fn notify(own: &ManagedAppSpec, policies: &Policies<'_>) -> Notify {
    let reaches = reaches(own, policies);
    let known = |word: &&String| trimtab_delivery::snapshot::ReleaseEvent::parse(word).is_some();
    let events = notify_specs(own, policies)
        .into_iter()
        .map(|(spec, _)| spec.events.iter().filter(known).cloned().collect::<Vec<_>>())
        .find(|events| !events.is_empty());
    Notify {
        destinations: reaches.iter().map(|reach| reach.name().to_owned()).collect(),
        on: events.unwrap_or_default(),
    }
}

/// A place where people are told, and where its secrets are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A Slack incoming webhook.
    Slack {
        /// Where its URL is kept.
        url_from: SecretKey,
        /// The channel to post in, if anybody named one.
        channel: Option<String>,
        /// Whether a policy names it: the Secret is then in Trimtab's own namespace.
        of_policy: bool,
    },
    /// A Slack app, which edits its messages.
    SlackApp {
        /// Where its token is kept.
        token_from: SecretKey,
        /// The channel to post in, if anybody named one.
        channel: Option<String>,
        /// Whether a policy names it: the Secret is then in Trimtab's own namespace.
        of_policy: bool,
    },
    /// A generic webhook.
    Webhook {
        /// Where to POST, and where the signing key is kept.
        spec: WebhookSpec,
        /// Whether a policy names it: the Secret is then in Trimtab's own namespace.
        of_policy: bool,
    },
}

impl Reach {
    /// The word that a release's outbox knows it by.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Slack { .. } | Self::SlackApp { .. } => "slack",
            Self::Webhook { .. } => "webhook",
        }
    }

    /// Whether a policy names it.
    #[must_use]
    pub fn of_policy(&self) -> bool {
        let (Self::Slack { of_policy, .. }
        | Self::SlackApp { of_policy, .. }
        | Self::Webhook { of_policy, .. }) = self;
        *of_policy
    }
}

/// Where a service's events are told: Slack and a webhook, each from the most specific place that names it. Of a token and an
/// incoming webhook in one place the token counts.
#[must_use]
pub fn reaches(own: &ManagedAppSpec, policies: &Policies<'_>) -> Vec<Reach> {
    let specs = notify_specs(own, policies);
    let channel = || specs.iter().find_map(|(spec, _)| spec.slack.clone());
    let slack = specs.iter().find_map(|(spec, of_policy)| {
        if let Some(token_from) = spec.slack_token_from.clone() {
            return Some(Reach::SlackApp { token_from, channel: channel(), of_policy: *of_policy });
        }
        let url_from = spec.slack_url_from.clone()?;
        Some(Reach::Slack { url_from, channel: channel(), of_policy: *of_policy })
    });
    let webhook = specs.iter().find_map(|(spec, of_policy)| {
        spec.webhook.clone().map(|spec| Reach::Webhook { spec, of_policy: *of_policy })
    });
    slack.into_iter().chain(webhook).collect()
}

/// Notification settings that concern a service, most specific first, and whether a policy holds them.
fn notify_specs<'a>(own: &'a ManagedAppSpec, policies: &Policies<'a>) -> Vec<(&'a NotifySpec, bool)> {
    let mut specs: Vec<(&NotifySpec, bool)> = own.notify.iter().map(|spec| (spec, false)).collect();
    for policy in policies.iter().rev() {
        let defaults = policy.spec.defaults.as_ref().and_then(|defaults| defaults.notify.as_ref());
        specs.extend(defaults.into_iter().chain(policy.spec.notify.as_ref()).map(|spec| (spec, true)));
    }
    specs
}

/// What is wrong with a `ManagedApp`, field by field.
#[must_use]
pub fn check_app(app: &ManagedApp) -> Vec<Problem> {
    let mut problems = Vec::new();
    check_app_spec(&app.spec, Origin::Service, "spec", &mut problems);
    problems
}

fn check_app_spec(spec: &ManagedAppSpec, origin: Origin, path: &str, problems: &mut Vec<Problem>) {
    if spec.tier.is_some_and(|tier| tier > 4) {
        problems.push(Problem::new(format!("{path}.tier"), "must be from 0 (most critical) to 4"));
    }
    if let Some(target) = &spec.target {
        if target.kind != "Deployment" && !target.kind.is_empty() {
            let cause = format!("`{}` cannot be claimed; only `Deployment` can", target.kind);
            problems.push(Problem::new(format!("{path}.target.kind"), cause));
        }
        if let Err(error) = trimtab_units::names::check_dns_subdomain(&target.name) {
            problems.push(Problem::new(format!("{path}.target.name"), error.to_string()));
        }
    }
    if let Some(delivery) = &spec.delivery {
        let path = format!("{path}.delivery");
        if let Some(word) = delivery.strategy.as_deref().filter(|word| strategy_word(word).is_none()) {
            let known: Vec<String> = strategy_words().map(|known| format!("`{known}`")).collect();
            let cause = format!("`{word}` is none of {}", known.join(", "));
            problems.push(Problem::new(format!("{path}.strategy"), cause));
        }
        if let Some(watch) = &delivery.watch {
            duration(watch, &format!("{path}.watch"), WATCH_MAX, problems);
        }
        if delivery.history.is_some_and(|history| !HISTORY_RANGE.contains(&history)) {
            problems.push(Problem::new(format!("{path}.history"), "must be from 2 to 100"));
        }
        let _ = merge_rules(&[(origin, &delivery.rules, &format!("{path}.rules"))], problems);
    }
    if let Some(scaling) = &spec.scaling {
        scaling::check(scaling, &format!("{path}.scaling"), problems);
    }
    if let Some(notify) = &spec.notify {
        check_notify(notify, &format!("{path}.notify"), problems);
    }
}

fn check_notify(notify: &NotifySpec, path: &str, problems: &mut Vec<Problem>) {
    for (index, word) in notify.events.iter().enumerate() {
        if trimtab_delivery::snapshot::ReleaseEvent::parse(word).is_none() {
            let cause = format!("`{word}` is none of `Started`, `Kept`, `RolledBack`, `Held`, `NeedsHuman`");
            problems.push(Problem::new(format!("{path}.events[{index}]"), cause));
        }
    }
    if let Some(WebhookSpec { url, .. }) = &notify.webhook
        && !url.starts_with("https://")
        && !url.starts_with("http://")
    {
        problems.push(Problem::new(format!("{path}.webhook.url"), "must start with https:// or http://"));
    }
}

/// What is wrong with a `FleetPolicy`, field by field.
#[must_use]
pub fn check_policy(policy: &FleetPolicy) -> Vec<Problem> {
    let mut problems = Vec::new();
    let spec = &policy.spec;
    let origin = || Origin::Policy(policy.metadata.name.clone());
    let _ = merge_rules(&[(origin(), &spec.rules, "spec.rules")], &mut problems);
    if let Some(defaults) = &spec.defaults {
        check_app_spec(defaults, origin(), "spec.defaults", &mut problems);
    }
    if let Some(notify) = &spec.notify {
        check_notify(notify, "spec.notify", &mut problems);
    }
    if spec.alpha.is_some_and(|alpha| !sane_alpha(alpha)) {
        problems.push(Problem::new("spec.alpha", "must be more than 0 and at most 0.2"));
    }
    if let Some(tiers) = spec.matches.as_ref().map(|matches| &matches.tiers)
        && tiers.iter().any(|tier| *tier > 4)
    {
        problems.push(Problem::new("spec.match.tiers", "tiers go from 0 (most critical) to 4"));
    }
    for (index, freeze) in spec.freeze.iter().enumerate() {
        if freeze.cron.split_whitespace().count() != 5 {
            problems.push(Problem::new(
                format!("spec.freeze[{index}].cron"),
                "needs five fields: minute hour day month weekday",
            ));
        }
        if let Err(error) = freeze.duration.parse::<GoDuration>() {
            problems.push(Problem::new(format!("spec.freeze[{index}].duration"), error.to_string()));
        }
    }
    problems
}
