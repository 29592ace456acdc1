//! Objects of Kubernetes' own kinds.

use serde_json::{Value, json};
use trimtab_kube::intern::{Interner, Template};
use trimtab_kube::kinds::pod::Pods;
use trimtab_kube::kinds::{Autoscalers, Deployments, ReplicaSets};
use trimtab_kube::watch::{Project, Row};
use trimtab_units::{canonical, template_hash};

/// Every object becomes a row or a short complaint, the same one each time; a template is kept as it was, and has one name
/// however it is written down.
pub fn workloads(data: &[u8]) {
    let interner = Interner::new();
    project(&Pods::new(interner.clone()), data);
    project(&Autoscalers::new(interner.clone()), data);
    project(&ReplicaSets::new(interner.clone()), data);
    let row = project(&Deployments::new(interner), data);
    // A row is also read from objects whose unread parts are no UTF-8.
    let object = serde_json::from_slice::<Value>(data);
    if let (Some(row), Ok(object)) = (row, object) {
        let template = object.pointer("/spec/template").cloned().unwrap_or_default();
        if template.pointer("/metadata/labels/pod-template-hash").is_none() {
            assert_eq!(row.template.value(), template, "a template is kept whole");
        }
    }
    if let Ok(value) = serde_json::from_slice::<Value>(data) {
        check_template(value);
    }
}

fn project<P: Project<Row: PartialEq + std::fmt::Debug>>(projection: &P, data: &[u8]) -> Option<P::Row> {
    let first = projection.project(data);
    assert_eq!(projection.project(data), first, "the same bytes give the same row");
    match first {
        Ok(row) => {
            assert!(!row.differs_from(&row));
            Some(row)
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            None
        }
    }
}

fn check_template(mut value: Value) {
    let printed = canonical::to_string(&value);
    assert_eq!(
        serde_json::from_str::<Value>(&printed).ok().as_ref(),
        Some(&value),
        "canonical JSON keeps all"
    );
    let hash = template_hash(&value);
    assert_eq!(Template::new(value.clone()).hash, hash);
    // As the ReplicaSet controller writes it down.
    if let Some(labels) = value.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.insert("pod-template-hash".to_owned(), json!("5d4f"));
        assert_eq!(template_hash(&value), hash, "the label of a ReplicaSet is no part of the name");
    }
}
