//! Holds a plan against who may write what, before anything is sent.

use std::fmt;

use serde_json::Value;

use crate::concern::{CONDITIONS, Concern, Right};
use crate::event::Event;
use crate::object::{Kind, Object, Part};
use crate::touched::touched;
use crate::write::{Patch, Precondition, Write};
use crate::{Plan, WRITES_MAX};

/// Who owns which fields of an object.
const MANAGED_FIELDS: &str = "/metadata/managedFields";

/// What is wrong with a plan. It is not carried out: it would have written what its concern must not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// Place of the write in the plan.
    pub write: usize,
    /// What it would have done, naming the object.
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {}: {}", self.write, self.what)
    }
}

impl std::error::Error for Breach {}

/// A plan that its concern may carry out. Only [`check()`] makes one, so nothing is carried out that it did not see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Permitted<'a> {
    plan: &'a Plan,
    concern: &'static Concern,
}

impl<'a> Permitted<'a> {
    /// The writes, in order.
    #[must_use]
    pub fn writes(self) -> &'a [Write] {
        &self.plan.writes
    }

    /// Who carries it out, and owns the fields that it writes.
    #[must_use]
    pub fn concern(self) -> &'static Concern {
        self.concern
    }
}

/// Whether `concern` may carry out `plan`.
///
/// # Errors
/// The first write that it may not make.
pub fn check<'a>(plan: &'a Plan, concern: &'static Concern) -> Result<Permitted<'a>, Breach> {
    if plan.writes.len() > WRITES_MAX {
        return Err(Breach { write: WRITES_MAX, what: format!("{} writes in one plan", plan.writes.len()) });
    }
    for (write, due) in plan.writes.iter().enumerate() {
        permitted(due, concern).map_err(|what| Breach { write, what })?;
    }
    Ok(Permitted { plan, concern })
}

fn permitted(write: &Write, concern: &Concern) -> Result<(), String> {
    let may = |right: &Right| {
        let named = || write.object().map_or_else(|| "a message".to_owned(), ToString::to_string);
        let refused = || format!("{} may not {} {}", concern.name, write.verb(), named());
        if concern.rights.contains(right) { Ok(()) } else { Err(refused()) }
    };
    let subresource = |right: &Right, when: &Precondition| {
        may(right)?;
        guarded(write, when)
    };
    match write {
        Write::Create { object, body, .. } => {
            may(&Right::Create(object.kind))?;
            describes(body, object)
        }
        Write::Delete { object, when } => subresource(&Right::Delete(object.kind), when),
        Write::Evict { when, .. } => subresource(&Right::Evict, when),
        Write::Resize { when, .. } => subresource(&Right::Resize, when),
        Write::Scale { object, when, .. } => subresource(&Right::Scale(object.kind), when),
        Write::Event { event, by } => {
            may(&Right::Create(Kind::EVENT))?;
            if *by != concern {
                return Err(format!("{} may not report {} as {}", concern.name, event.object, by.name));
            }
            if event.object.kind != Kind::EVENT {
                return Err(format!("{} may not report as a {}", concern.name, event.object.kind.word));
            }
            named(event)
        }
        Write::Notify { .. } => may(&Right::Notify),
        Write::ReturnFields { object, manager, when } => {
            if *manager != concern.manager {
                return Err(format!("{} may not return fields of {manager} in {object}", concern.name));
            }
            may(&Right::Field(object.kind, Part::Main, MANAGED_FIELDS))?;
            guarded(write, when)
        }
        Write::Patch { object, part, patch, when, .. } => {
            for pointer in touched(write) {
                let may = match patch {
                    Patch::Apply(_) if *part == Part::Status && pointer == CONDITIONS => {
                        conditions(patch, concern, object.kind)?;
                        true
                    }
                    _ => owned(concern, object.kind, *part, &pointer),
                };
                may.then_some(())
                    .ok_or_else(|| format!("{} may not write {pointer} of {object}", concern.name))?;
            }
            if needs_guard(object.kind, *part) { guarded(write, when) } else { comparable(write, when) }
        }
    }
}

/// What is created is what the right was asked for.
fn describes(body: &Value, object: &Object) -> Result<(), String> {
    let says = |pointer: &str, expect: Option<&str>| body.pointer(pointer).and_then(Value::as_str) == expect;
    let is_it = says("/apiVersion", Some(&object.kind.api_version()))
        && says("/kind", Some(object.kind.word))
        && says("/metadata/name", Some(&object.name))
        && says("/metadata/namespace", object.namespace.as_deref());
    if is_it { Ok(()) } else { Err(format!("a create of {object} with the body of another object")) }
}

/// An Event speaks of one object: a name may come back as another one.
fn named(event: &Event) -> Result<(), String> {
    if event.uid.is_empty() {
        Err(format!("{} without the uid of what it regards", event.object))
    } else {
        Ok(())
    }
}

fn owned(concern: &Concern, kind: Kind, part: Part, pointer: &str) -> bool {
    // Replicas belong to autoscalers and people; only a write that says so scales.
    if pointer == "/spec/replicas" || pointer.is_empty() {
        return false;
    }
    let below = |field: &str| {
        pointer == field || pointer.strip_prefix(field).is_some_and(|rest| rest.starts_with('/'))
    };
    let covers = |right: &Right| matches!(right, Right::Field(of, at, field) if *of == kind && *at == part && below(field));
    concern.rights.iter().any(covers)
}

/// Objects of others change under our eyes, and a status is a decision: neither is written on a stale read.
fn needs_guard(kind: Kind, part: Part) -> bool {
    !kind.is_ours() || part == Part::Status
}

fn guarded(write: &Write, when: &Precondition) -> Result<(), String> {
    if when.is_none() {
        return Err(format!("a {} of {} without a precondition", write.verb(), place(write)));
    }
    comparable(write, when)
}

/// A generation that nobody compares guards nothing: only a JSON patch can test it.
fn comparable(write: &Write, when: &Precondition) -> Result<(), String> {
    let tests = matches!(write, Write::ReturnFields { .. } | Write::Patch { patch: Patch::Json(_), .. });
    if when.generation.is_none() || tests {
        return Ok(());
    }
    Err(format!("a {} of {} on a generation, which it cannot compare", write.verb(), place(write)))
}

fn place(write: &Write) -> String {
    write.object().map(ToString::to_string).unwrap_or_default()
}

/// A condition type has one owner.
fn conditions(patch: &Patch, concern: &Concern, kind: Kind) -> Result<(), String> {
    let Patch::Apply(value) = patch else { return Ok(()) };
    let listed = value.pointer("/status/conditions").and_then(Value::as_array);
    for condition in listed.into_iter().flatten() {
        let name = condition.get("type").and_then(Value::as_str).unwrap_or_default();
        if !concern.conditions.iter().any(|(of, owned)| *of == kind && *owned == name) {
            return Err(format!("{} may not set the condition {name:?} of a {}", concern.name, kind.word));
        }
    }
    Ok(())
}
