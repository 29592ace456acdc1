//! Admission policies in CEL: mutating and validating ones, evaluated for real.

mod cel;
mod matching;

use std::sync::Arc;

use serde_json::{Value, json};

use crate::failure::Failure;
use crate::fields::{merge::merge, schema};
use crate::json::{at, list, text};
use crate::rbac;
use crate::route::Call;
use crate::server::{Server, Target};
use crate::store::Stored;
use cel::Scope;

const MUTATING: &str = "mutatingadmissionpolicies.admissionregistration.k8s.io";
const MUTATING_BINDINGS: &str = "mutatingadmissionpolicybindings.admissionregistration.k8s.io";
const VALIDATING: &str = "validatingadmissionpolicies.admissionregistration.k8s.io";
const VALIDATING_BINDINGS: &str = "validatingadmissionpolicybindings.admissionregistration.k8s.io";

/// What is being admitted.
pub(crate) struct Admission<'a> {
    target: &'a Target,
    operation: &'static str,
    old: Option<&'a Value>,
    user: String,
    dry_run: bool,
}

impl<'a> Admission<'a> {
    pub(crate) fn new(
        call: &Call,
        target: &'a Target,
        operation: &'static str,
        old: Option<&'a Value>,
    ) -> Self {
        Admission { target, operation, old, user: call.user.clone(), dry_run: call.is_dry_run() }
    }

    /// The `request` variable.
    fn request(&self) -> Value {
        let kind = &self.target.kind;
        let route = &self.target.route;
        let type_of = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
        let resource = json!({"group": kind.group, "version": kind.version, "resource": kind.plural});
        json!({
            "kind": type_of, "requestKind": type_of, "resource": resource, "requestResource": resource,
            "subResource": route.subresource, "requestSubResource": route.subresource,
            "name": route.name, "namespace": route.namespace, "operation": self.operation,
            "userInfo": {"username": self.user, "groups": rbac::groups(&self.user), "uid": "", "extra": {}},
            "dryRun": self.dry_run, "options": {},
        })
    }
}

/// A policy with one of its bindings.
struct Bound {
    policy: Arc<Stored>,
    binding: Arc<Stored>,
}

impl Bound {
    fn name(&self) -> &str {
        text(&self.policy.value, "metadata.name")
    }

    fn fails_closed(&self) -> bool {
        text(&self.policy.value, "spec.failurePolicy") != "Ignore"
    }
}

/// Why a policy could not be evaluated.
struct Broken(String);

/// Lets every bound mutating policy change the object; tells whether any did.
pub(crate) fn mutate(
    server: &Server<'_>,
    admission: &Admission<'_>,
    object: &mut Value,
) -> Result<bool, Failure> {
    let mut changed = false;
    for bound in bound_policies(server, MUTATING, MUTATING_BINDINGS) {
        match mutate_by(server, admission, &bound, object) {
            Ok(mutated) => {
                changed |= mutated.as_ref().is_some_and(|mutated| mutated != object);
                if let Some(mutated) = mutated {
                    *object = mutated;
                }
            }
            Err(Broken(why)) if bound.fails_closed() => return Err(denied(admission, &bound, &why)),
            Err(Broken(_)) => {}
        }
    }
    Ok(changed)
}

fn mutate_by(
    server: &Server<'_>,
    admission: &Admission<'_>,
    bound: &Bound,
    object: &Value,
) -> Result<Option<Value>, Broken> {
    let Some(mut scope) = matching_scope(server, admission, bound, object)? else { return Ok(None) };
    let mut mutated = object.clone();
    for mutation in list(&bound.policy.value, "spec.mutations") {
        scope.bind("object", &mutated);
        bind_variables(&mut scope, &bound.policy.value);
        mutated = match text(mutation, "patchType") {
            "ApplyConfiguration" => {
                let expression = text(mutation, "applyConfiguration.expression");
                let configuration = scope.evaluate(expression).map_err(Broken)?;
                if !configuration.is_object() {
                    return Err(Broken("applyConfiguration must evaluate to an Object".to_owned()));
                }
                merge(&mutated, &configuration, schema::root(&admission.target.kind), 0)
            }
            "JSONPatch" => {
                let operations = scope.evaluate(text(mutation, "jsonPatch.expression")).map_err(Broken)?;
                json_patched(&mutated, operations)?
            }
            other => return Err(Broken(format!("unsupported patchType {other:?}"))),
        };
    }
    Ok(Some(mutated))
}

fn json_patched(object: &Value, operations: Value) -> Result<Value, Broken> {
    let patch: json_patch::Patch =
        serde_json::from_value(operations).map_err(|error| Broken(format!("invalid JSON patch: {error}")))?;
    let mut patched = object.clone();
    json_patch::patch(&mut patched, &patch.0).map_err(|error| Broken(format!("JSON patch: {error}")))?;
    Ok(patched)
}

/// Asks every bound validating policy.
pub(crate) fn validate(
    server: &Server<'_>,
    admission: &Admission<'_>,
    object: &Value,
) -> Result<(), Failure> {
    for bound in bound_policies(server, VALIDATING, VALIDATING_BINDINGS) {
        match objection(server, admission, &bound, object) {
            Ok(None) => {}
            Ok(Some(why)) => return Err(denied(admission, &bound, &why)),
            Err(Broken(why)) if bound.fails_closed() => return Err(denied(admission, &bound, &why)),
            Err(Broken(_)) => {}
        }
    }
    Ok(())
}

fn objection(
    server: &Server<'_>,
    admission: &Admission<'_>,
    bound: &Bound,
    object: &Value,
) -> Result<Option<String>, Broken> {
    let Some(mut scope) = matching_scope(server, admission, bound, object)? else { return Ok(None) };
    let denies = list(&bound.binding.value, "spec.validationActions").iter().any(|action| action == "Deny");
    bind_variables(&mut scope, &bound.policy.value);
    for validation in list(&bound.policy.value, "spec.validations") {
        let expression = text(validation, "expression");
        let holds = scope.evaluate(expression).map_err(Broken)?;
        if holds == Value::Bool(true) || !denies {
            continue;
        }
        let computed = match text(validation, "messageExpression") {
            "" => None,
            source => scope.evaluate(source).ok().and_then(|value| value.as_str().map(str::to_owned)),
        };
        let fixed = text(validation, "message").to_owned();
        let message = computed.filter(|text| !text.is_empty()).unwrap_or(fixed);
        let message = if message.is_empty() { format!("failed expression: {expression}") } else { message };
        return Ok(Some(message));
    }
    Ok(None)
}

/// The variables for this request, if the policy is for it at all.
fn matching_scope(
    server: &Server<'_>,
    admission: &Admission<'_>,
    bound: &Bound,
    object: &Value,
) -> Result<Option<Scope>, Broken> {
    let constraints = at(&bound.policy.value, "spec.matchConstraints");
    let narrowed = at(&bound.binding.value, "spec.matchResources");
    if !matching::matches(server, admission, constraints, object)
        || (!narrowed.is_null() && !matching::matches_narrowed(server, admission, narrowed, object))
    {
        return Ok(None);
    }
    let mut scope = Scope::new();
    scope.bind("object", object);
    scope.bind("oldObject", admission.old.unwrap_or(&Value::Null));
    scope.bind("request", &admission.request());
    let namespace = &admission.target.route.namespace;
    if let Some(stored) = server.state.store.get("namespaces", namespace) {
        scope.bind("namespaceObject", &stored.value);
    }
    scope.bind("params", &parameters(server, bound));
    for condition in list(&bound.policy.value, "spec.matchConditions") {
        let holds = scope.evaluate(text(condition, "expression")).map_err(Broken)?;
        if holds != Value::Bool(true) {
            return Ok(None);
        }
    }
    Ok(Some(scope))
}

/// Variables may use those before them, all under `variables`.
fn bind_variables(scope: &mut Scope, policy: &Value) {
    let mut variables = json!({});
    scope.bind("variables", &variables);
    for variable in list(policy, "spec.variables") {
        // A variable that cannot be evaluated fails where it is used, not where it is defined.
        if let Ok(value) = scope.evaluate(text(variable, "expression")) {
            variables[text(variable, "name")] = value;
            scope.bind("variables", &variables);
        }
    }
}

fn parameters(server: &Server<'_>, bound: &Bound) -> Value {
    let kind = at(&bound.policy.value, "spec.paramKind");
    let reference = at(&bound.binding.value, "spec.paramRef");
    server
        .state
        .registry
        .by_kind(text(kind, "apiVersion"), text(kind, "kind"))
        .and_then(|kind| {
            let key = kind.key(text(reference, "namespace"), text(reference, "name"));
            server.state.store.get(&kind.storage, &key)
        })
        .map_or(Value::Null, |stored| stored.value.clone())
}

/// Policies with their bindings, by name of the policy and then of the binding.
fn bound_policies(server: &Server<'_>, policies: &str, bindings: &str) -> Vec<Bound> {
    let mut bound: Vec<Bound> = server
        .state
        .store
        .in_collection(bindings)
        .filter_map(|(_, binding)| {
            let policy = server.state.store.get(policies, text(&binding.value, "spec.policyName"))?;
            Some(Bound { policy: policy.clone(), binding: binding.clone() })
        })
        .collect();
    bound.sort_by(|a, b| a.name().cmp(b.name()));
    bound
}

fn denied(admission: &Admission<'_>, bound: &Bound, why: &str) -> Failure {
    let kind = if at(&bound.policy.value, "spec.mutations").is_null() {
        "ValidatingAdmissionPolicy"
    } else {
        "MutatingAdmissionPolicy"
    };
    let message = format!(
        "{kind} '{}' with binding '{}' denied request: {why}",
        bound.name(),
        text(&bound.binding.value, "metadata.name")
    );
    let subject = admission.target.kind.subject();
    let mut failure = Failure::forbidden(&subject, &admission.target.route.name, &message);
    failure.code = 422;
    failure.reason = "Invalid";
    if let Some(details) = &mut failure.details {
        details["causes"] = json!([{"message": message}]);
    }
    failure
}
