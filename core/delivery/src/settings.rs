//! What policy and a service's own spec come to.

use std::time::Duration;

use trimtab_judge::rule::Rule;

use crate::strategy::Strategy;

/// What policy and the service's own spec come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Name of the Deployment.
    pub target: String,
    /// How releases are shipped.
    pub strategy: &'static dyn Strategy,
    /// How long a release is judged after its last pod is ready.
    pub watch: Duration,
    /// Rules in force.
    pub rules: Vec<Rule>,
    /// Chance that a good release is rolled back.
    pub alpha: f64,
    /// How many finished releases are remembered.
    pub history: usize,
    /// Fields that are valid and not acted on by this version.
    pub not_acted_on: Vec<String>,
    /// Who is told.
    pub notify: Notify,
}

/// Which events are told to which destinations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notify {
    /// Destinations by the name that the outbox knows them by: `slack`, `webhook`.
    pub destinations: Vec<String>,
    /// Events to tell; empty means all.
    pub on: Vec<String>,
}
