//! The sizing part of a service: checked now, acted on by a later version.

use std::str::FromStr;

use serde_json::Value;
use trimtab_units::Quantity;

use crate::managed_app::{Resources, ScalingSpec};
use crate::problem::Problem;

/// Tells what is wrong with a scaling spec.
pub(super) fn check(spec: &ScalingSpec, path: &str, problems: &mut Vec<Problem>) {
    match spec.mode.as_deref() {
        None | Some("Manual" | "Vertical" | "Horizontal") => {}
        Some(other) => {
            let cause = format!("`{other}` is none of `Manual`, `Vertical`, `Horizontal`");
            problems.push(Problem::new(format!("{path}.mode"), cause));
        }
    }
    if let Some(manual) = &spec.manual {
        replicas(manual.replicas, 0, &format!("{path}.manual.replicas"), problems);
        resources(&manual.requests, &format!("{path}.manual.requests"), problems);
    }
    if let Some(vertical) = &spec.vertical {
        replicas(vertical.replicas, 0, &format!("{path}.vertical.replicas"), problems);
        let min = resources(&vertical.min, &format!("{path}.vertical.min"), problems);
        let max = resources(&vertical.max, &format!("{path}.vertical.max"), problems);
        for (name, least) in &min {
            if max.iter().any(|(other, most)| other == name && most < least) {
                problems.push(Problem::new(format!("{path}.vertical.max.{name}"), "is less than min"));
            }
        }
    }
    if let Some(horizontal) = &spec.horizontal {
        replicas(horizontal.min, 1, &format!("{path}.horizontal.min"), problems);
        replicas(horizontal.max, 1, &format!("{path}.horizontal.max"), problems);
        if horizontal.min.zip(horizontal.max).is_some_and(|(min, max)| max < min) {
            problems.push(Problem::new(format!("{path}.horizontal.max"), "is less than min"));
        }
        if let Some(cpu) = &horizontal.cpu {
            quantity(cpu, &format!("{path}.horizontal.cpu"), problems);
        }
        if horizontal.target_utilization.is_some_and(|percent| !(1..=100).contains(&percent)) {
            problems
                .push(Problem::new(format!("{path}.horizontal.targetUtilization"), "must be from 1 to 100"));
        }
    }
}

fn replicas(given: Option<i32>, least: i32, path: &str, problems: &mut Vec<Problem>) {
    if given.is_some_and(|replicas| replicas < least) {
        problems.push(Problem::new(path, format!("must be at least {least}")));
    }
}

fn resources(given: &Resources, path: &str, problems: &mut Vec<Problem>) -> Vec<(String, Quantity)> {
    given
        .iter()
        .filter_map(|(name, value)| {
            quantity(value, &format!("{path}.{name}"), problems).map(|q| (name.clone(), q))
        })
        .collect()
}

fn quantity(value: &Value, path: &str, problems: &mut Vec<Problem>) -> Option<Quantity> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match Quantity::from_str(&text) {
        Ok(quantity) => Some(quantity),
        Err(error) => {
            problems.push(Problem::new(path, error.to_string()));
            None
        }
    }
}
