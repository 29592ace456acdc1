//! Scale, eviction, binding and resize.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};

use crate::config::wire_time;
use crate::decode;
use crate::failure::Failure;
use crate::fields::managers::Operation;
use crate::json::{at, integer, list, object_mut, text};
use crate::patch::apply_patch;
use crate::route::{Call, Route};
use crate::selector::{label_selector_matches, label_selector_text};
use crate::server::{Answer, Server, Target};
use crate::store::Stored;
use crate::write::Tracking;

const BUDGETS: &str = "poddisruptionbudgets.policy";

/// Pods that may be evicted through one budget before its controller has caught up.
const DISRUPTED_PODS_MAX: usize = 2_000;

/// What an eviction that met a stale budget is told to wait, in seconds.
const STALE_BUDGET_RETRY_SECONDS: u32 = 10;

impl Server<'_> {
    pub(crate) fn subresource(&mut self, call: &Call, target: &Target) -> Result<Answer, Failure> {
        let kind = &target.kind;
        match target.route.subresource.as_str() {
            "scale" if kind.features.scale => self.scale(call, target),
            "eviction" if kind.is("", "pods") && call.method == Method::POST => self.evict(call, target),
            "binding" if kind.is("", "pods") && call.method == Method::POST => self.bind(call, target),
            "token" if kind.is("", "serviceaccounts") && call.method == Method::POST => {
                self.token(call, target)
            }
            "log" | "exec" | "attach" | "portforward" if kind.is("", "pods") => {
                self.existing(target)?;
                Err(Failure::bad_request(format!(
                    "pod {} runs nowhere: this server has no kubelets to ask for {}",
                    target.route.name, target.route.subresource
                )))
            }
            _ => Err(Failure::no_such_path()),
        }
    }

    fn token(&mut self, call: &Call, target: &Target) -> Result<Answer, Failure> {
        self.existing(target)?;
        let mut request = decode::body(call)?;
        let user = format!("system:serviceaccount:{}:{}", target.route.namespace, target.route.name);
        let expires = self.now.saturating_add(jiff::SignedDuration::from_hours(1)).unwrap_or(self.now);
        request["status"] = json!({"token": user, "expirationTimestamp": wire_time(expires)});
        Ok(Answer::Value(201, request))
    }

    fn scale(&mut self, call: &Call, target: &Target) -> Result<Answer, Failure> {
        let stored = self.existing(target)?;
        let current = scale_of(target, &stored);
        let wanted = match call.method {
            Method::GET => return Ok(Answer::Value(200, current)),
            Method::PUT => decode::body(call)?,
            Method::PATCH => {
                let media = call.content_type.split(';').next().unwrap_or_default().trim();
                if media == "application/apply-patch+yaml" {
                    decode::yaml(&call.body)?
                } else {
                    apply_patch(media, &call.body, &current, &target.kind)?
                }
            }
            _ => return Err(Failure::method_not_allowed()),
        };
        let replicas = integer(&wanted, "spec.replicas").unwrap_or(0);
        let mut object = stored.value.clone();
        for precondition in ["resourceVersion", "uid"] {
            if let Some(value) =
                wanted["metadata"].get(precondition).filter(|value| value.as_str() != Some(""))
            {
                object["metadata"][precondition] = value.clone();
            }
        }
        let path = match target.kind.custom.as_ref().and_then(|custom| custom.scale.as_ref()) {
            Some(paths) => paths.replicas.clone(),
            None => ".spec.replicas".to_owned(),
        };
        set_path(&mut object, &path, replicas.into());
        let tracking = Tracking::Record(self.writer(call, target, Operation::Update));
        match self.update_object(call, target, &stored, object, &tracking)? {
            Answer::Stored(code, stored) => Ok(Answer::Value(code, scale_of(target, &stored))),
            Answer::Unstored(code, value) => {
                let mut scale = current;
                scale["spec"]["replicas"] = at(&value, "spec.replicas").clone();
                Ok(Answer::Value(code, scale))
            }
            other => Ok(other),
        }
    }

    fn evict(&mut self, call: &Call, target: &Target) -> Result<Answer, Failure> {
        let eviction = decode::body(call)?;
        let named = text(&eviction, "metadata.name");
        if !named.is_empty() && named != target.route.name {
            return Err(Failure::bad_request("name in URL does not match name in Eviction object"));
        }
        let pod = self.existing(target)?;
        let route = Route { subresource: String::new(), ..target.route.clone() };
        let target = Target { route, kind: target.kind.clone() };
        if needs_budget(&pod.value) {
            self.spend_budget(call, &target, &pod)?;
        }
        self.delete_evicted(call, &target, &pod, at(&eviction, "deleteOptions"))?;
        Ok(Answer::Value(
            201,
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
        ))
    }

    /// Takes one disruption from the pod's budget, or refuses with 429.
    fn spend_budget(&mut self, call: &Call, target: &Target, pod: &Stored) -> Result<(), Failure> {
        let labels = at(&pod.value, "metadata.labels");
        let budgets: Vec<(String, Arc<Stored>)> = self
            .state
            .store
            .in_namespace(BUDGETS, &target.route.namespace)
            .filter(|(_, budget)| budget_selects(&budget.value, labels))
            .map(|(key, budget)| (key.clone(), budget.clone()))
            .collect();
        let (key, budget) = match budgets.as_slice() {
            [] => return Ok(()),
            [one] => one,
            _ => {
                return Err(Failure::internal(
                    "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
                ));
            }
        };
        if !is_ready(&pod.value) && unhealthy_may_go(&budget.value) {
            return Ok(());
        }
        check_budget(&budget.value)?;
        if call.is_dry_run() {
            return Ok(());
        }
        let mut value = budget.value.clone();
        let allowed = integer(&value, "status.disruptionsAllowed").unwrap_or(0);
        let now = wire_time(self.now);
        let status = object_mut(&mut value, "status");
        status.insert("disruptionsAllowed".to_owned(), (allowed - 1).into());
        let disrupted = crate::json::as_object_mut(status.entry("disruptedPods").or_insert(Value::Null));
        disrupted.insert(target.route.name.clone(), now.into());
        self.state.store.put(&BUDGETS.into(), key, value);
        Ok(())
    }

    fn bind(&mut self, call: &Call, target: &Target) -> Result<Answer, Failure> {
        let binding = decode::body(call)?;
        let node = text(&binding, "target.name").to_owned();
        if node.is_empty() {
            return Err(Failure::bad_request("target.name: Required value"));
        }
        let pod = self.existing(target)?;
        let subject = target.kind.subject();
        let bound = text(&pod.value, "spec.nodeName");
        if !bound.is_empty() {
            let why = format!("pod {} is already assigned to node \"{bound}\"", target.route.name);
            return Err(Failure::conflict(&subject, &target.route.name, &why));
        }
        if !at(&pod.value, "metadata.deletionTimestamp").is_null() {
            let why = format!("pod {} is being deleted, cannot be assigned to a host", target.route.name);
            return Err(Failure::conflict(&subject, &target.route.name, &why));
        }
        let mut value = pod.value.clone();
        value["spec"]["nodeName"] = node.into();
        let scheduled = json!({
            "type": "PodScheduled", "status": "True", "lastProbeTime": null,
            "lastTransitionTime": wire_time(self.now),
        });
        let conditions = object_mut(&mut value, "status").entry("conditions").or_insert_with(|| json!([]));
        if let Some(conditions) = conditions.as_array_mut() {
            conditions.retain(|condition| text(condition, "type") != "PodScheduled");
            conditions.push(scheduled);
        }
        self.state.store.put(&target.kind.storage, &target.key(), value);
        Ok(Answer::Value(
            201,
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}),
        ))
    }
}

/// `autoscaling/v1` Scale of an object.
fn scale_of(target: &Target, stored: &Stored) -> Value {
    let value = &stored.value;
    let paths = target.kind.custom.as_ref().and_then(|custom| custom.scale.clone());
    let (replicas, observed, selector) = match &paths {
        Some(paths) => (
            path_of(value, &paths.replicas),
            path_of(value, &paths.status_replicas),
            paths.selector.as_ref().map(|path| path_of(value, path).as_str().unwrap_or_default().to_owned()),
        ),
        None => (
            at(value, "spec.replicas"),
            at(value, "status.replicas"),
            Some(label_selector_text(at(value, "spec.selector"))),
        ),
    };
    let mut scale = json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": text(value, "metadata.name"), "namespace": text(value, "metadata.namespace"),
            "uid": text(value, "metadata.uid"), "resourceVersion": stored.revision.to_string(),
            "creationTimestamp": text(value, "metadata.creationTimestamp"),
        },
        "spec": {}, "status": {"replicas": observed.as_i64().unwrap_or(0)},
    });
    if let Some(replicas) = replicas.as_i64().filter(|replicas| *replicas != 0) {
        scale["spec"]["replicas"] = replicas.into();
    }
    if let Some(selector) = selector.filter(|selector| !selector.is_empty()) {
        scale["status"]["selector"] = selector.into();
    }
    scale
}

fn path_of<'a>(value: &'a Value, path: &str) -> &'a Value {
    at(value, path.trim_start_matches('.'))
}

fn set_path(value: &mut Value, path: &str, to: Value) {
    let mut fields: Vec<&str> = path.trim_start_matches('.').split('.').collect();
    let Some(last) = fields.pop() else { return };
    let mut inner = value;
    for field in fields {
        object_mut(inner, field);
        inner = &mut inner[field];
    }
    crate::json::as_object_mut(inner).insert(last.to_owned(), to);
}

/// Pods that do not run yet or no longer may always be evicted.
fn needs_budget(pod: &Value) -> bool {
    let idle = matches!(text(pod, "status.phase"), "Succeeded" | "Failed" | "Pending");
    !idle && at(pod, "metadata.deletionTimestamp").is_null()
}

fn budget_selects(budget: &Value, labels: &Value) -> bool {
    let selector = at(budget, "spec.selector");
    // In policy/v1 an empty selector selects every pod and a missing one none.
    label_selector_matches(selector, labels)
}

fn is_ready(pod: &Value) -> bool {
    list(pod, "status.conditions")
        .iter()
        .any(|condition| text(condition, "type") == "Ready" && text(condition, "status") == "True")
}

fn unhealthy_may_go(budget: &Value) -> bool {
    if text(budget, "spec.unhealthyPodEvictionPolicy") == "AlwaysAllow" {
        return true;
    }
    let healthy = integer(budget, "status.currentHealthy").unwrap_or(0);
    let desired = integer(budget, "status.desiredHealthy").unwrap_or(0);
    desired > 0 && healthy >= desired
}

fn check_budget(budget: &Value) -> Result<(), Failure> {
    let name = text(budget, "metadata.name");
    let observed = integer(budget, "status.observedGeneration").unwrap_or(0);
    let generation = integer(budget, "metadata.generation").unwrap_or(0);
    if observed < generation {
        let why = format!("The disruption budget {name} is still being processed by the server.");
        return Err(Failure::eviction_blocked(Some(("DisruptionBudget", why)), STALE_BUDGET_RETRY_SECONDS));
    }
    let disrupted = at(budget, "status.disruptedPods").as_object().map_or(0, serde_json::Map::len);
    if disrupted > DISRUPTED_PODS_MAX {
        return Err(Failure::internal(format!(
            "{name}: too many evictions not confirmed by the budget's controller"
        )));
    }
    let allowed = integer(budget, "status.disruptionsAllowed").unwrap_or(0);
    if allowed <= 0 {
        let healthy = integer(budget, "status.currentHealthy").unwrap_or(0);
        let desired = integer(budget, "status.desiredHealthy").unwrap_or(0);
        let why =
            format!("The disruption budget {name} needs {desired} healthy pods and has {healthy} currently");
        return Err(Failure::eviction_blocked(Some(("DisruptionBudget", why)), 0));
    }
    Ok(())
}

/// The old pod with nothing changed but the resources of its containers.
pub(crate) fn restrict_to_resize(old: &Value, new: &mut Value) {
    let mut resized = old.clone();
    for part in ["containers", "initContainers"] {
        let wanted = at(new, &format!("spec.{part}")).clone();
        let Some(containers) = resized["spec"].get_mut(part).and_then(Value::as_array_mut) else { continue };
        for container in containers {
            let asked = wanted.as_array().into_iter().flatten().find(|one| one["name"] == container["name"]);
            for field in ["resources", "resizePolicy"] {
                if let Some(value) = asked.and_then(|asked| asked.get(field)) {
                    container[field] = value.clone();
                }
            }
        }
    }
    let managed = at(new, "metadata.managedFields").clone();
    if !managed.is_null() {
        resized["metadata"]["managedFields"] = managed;
    }
    *new = resized;
}
