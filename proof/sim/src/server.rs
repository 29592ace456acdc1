//! One request from start to end: routing, limits, permission, verb.

use std::sync::Arc;

use http::{Method, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::body::SimBody;
use crate::config::{Clock, Rbac, SimConfig};
use crate::failure::Failure;
use crate::faults::Faults;
use crate::kinds::Kind;
use crate::ledger::LedgerEntry;
use crate::present::{Presenter, negotiate};
use crate::route::{self, Call, Route};
use crate::sim::State;
use crate::store::Stored;
use crate::table::Include;
use crate::{discovery, ids, rbac};

/// Bodies beyond this are refused with 413, as etcd's limit makes the real server do.
pub(crate) const REQUEST_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Stored objects beyond this are refused, as etcd's request limit of 1.5 MiB makes the real server do.
pub(crate) const OBJECT_BYTES_MAX: usize = 1_572_864;

/// The state of the server and the circumstances of one request.
pub(crate) struct Server<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) config: &'a SimConfig,
    pub(crate) clock: &'a Clock,
    pub(crate) faults: &'a Arc<Faults>,
    pub(crate) now: Timestamp,
    /// The actor on whose connection the request came; 0 for none.
    pub(crate) actor: u64,
    /// When the request left its sender; none for what nobody asked for.
    pub(crate) sent: Option<Instant>,
}

/// What a verb answers with.
pub(crate) enum Answer {
    /// An object that is in the store.
    Stored(u16, Arc<Stored>),
    /// An object that is not, or no longer: a dry run, a `Status`, a `Scale`.
    Value(u16, Value),
    /// An object in stored form that needs converting: a dry run or the last state of a deleted object.
    Unstored(u16, Value),
    /// Anything already rendered.
    Rendered(Response<SimBody>),
}

/// A resource request: where it goes and which kind that is.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) route: Route,
    pub(crate) kind: Arc<Kind>,
}

impl Target {
    pub(crate) fn key(&self) -> String {
        self.kind.key(&self.route.namespace, &self.route.name)
    }
}

/// The verb of a request, as the ledger and the faults name it.
pub(crate) fn verb_of(call: &Call) -> &'static str {
    let named = route::parse(&call.path).is_some_and(|route| !route.name.is_empty());
    match call.method {
        Method::GET if call.flag("watch") => "watch",
        Method::GET | Method::HEAD if named || route::parse(&call.path).is_none() => "get",
        Method::GET | Method::HEAD => "list",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH if call.content_type.starts_with("application/apply-patch") => "apply",
        Method::PATCH => "patch",
        Method::DELETE if named => "delete",
        _ => "deletecollection",
    }
}

impl Server<'_> {
    /// Counts a request that is not going to be executed.
    pub(crate) fn count(&mut self, call: &Call) {
        self.state.ledger.count(&call.user, verb_of(call));
    }

    /// Executes a request.
    pub(crate) fn answer(&mut self, call: &Call) -> Response<SimBody> {
        self.count(call);
        self.state.store.changes_are_by(&call.user, self.actor, self.sent);
        let before = self.state.store.revision;
        let verb = verb_of(call);
        let (response, name) = match self.dispatch(call) {
            Ok((target, answer)) => self.render(call, target, answer),
            Err(failure) => (SimBody::failure(&failure), String::new()),
        };
        if !matches!(verb, "get" | "list" | "watch") {
            self.enter(call, verb, &name, response.status().as_u16(), before);
        }
        response
    }

    fn enter(&mut self, call: &Call, verb: &str, generated: &str, code: u16, before: u64) {
        let route = route::parse(&call.path).unwrap_or_default();
        let name = if route.name.is_empty() { generated.to_owned() } else { route.name };
        let entry = LedgerEntry {
            at: self.now,
            user: call.user.clone(),
            verb: verb.to_owned(),
            resource: crate::failure::qualified(&route.plural, &route.group),
            subresource: route.subresource,
            namespace: route.namespace,
            name,
            path: call.uri(),
            code,
            revision: self.state.store.revision,
            field_manager: call.field_manager(),
            changed: self.state.store.revision != before,
            digest: ids::digest(&call.body),
        };
        self.state.ledger.entries.push(entry);
    }

    fn dispatch(&mut self, call: &Call) -> Result<(Option<Target>, Answer), Failure> {
        let Some(route) = route::parse(&call.path) else {
            return discovery::answer(self, call).map(|response| (None, Answer::Rendered(response)));
        };
        if call.body.len() > REQUEST_BYTES_MAX {
            return Err(Failure::too_large(REQUEST_BYTES_MAX));
        }
        if let Some(answer) = self.virtual_resource(call, &route)? {
            return Ok((None, answer));
        }
        let kind = self
            .state
            .registry
            .find(&route.group, &route.version, &route.plural)
            .cloned()
            .ok_or_else(Failure::no_such_path)?;
        if !kind.namespaced && !route.namespace.is_empty() {
            return Err(Failure::no_such_resource());
        }
        let target = Target { route, kind };
        if self.config.rbac == Rbac::Enforced {
            rbac::authorize(self, call, &target.route, verb_of(call))?;
        }
        let answer = self.verb(call, &target)?;
        Ok((Some(target), answer))
    }

    fn verb(&mut self, call: &Call, target: &Target) -> Result<Answer, Failure> {
        if target.route.subresource == "status" && !target.kind.features.status {
            return Err(Failure::no_such_path());
        }
        if !matches!(target.route.subresource.as_str(), "" | "status" | "finalize" | "resize") {
            return self.subresource(call, target);
        }
        if target.route.name.is_empty() {
            match call.method {
                Method::GET | Method::HEAD if call.flag("watch") => self.watch(call, target),
                Method::GET | Method::HEAD => self.list(call, target),
                Method::POST => self.create(call, target),
                Method::DELETE => self.delete_collection(call, target),
                _ => Err(Failure::method_not_allowed()),
            }
        } else {
            match call.method {
                Method::GET if call.flag("watch") => self.watch(call, target),
                Method::GET | Method::HEAD => self.read(call, target),
                Method::PUT => self.update(call, target),
                Method::PATCH => self.patch(call, target),
                Method::DELETE if target.route.subresource.is_empty() => self.delete(call, target),
                _ => Err(Failure::method_not_allowed()),
            }
        }
    }

    /// Renders an answer and tells the name of the object in it.
    fn render(&self, call: &Call, target: Option<Target>, answer: Answer) -> (Response<SimBody>, String) {
        let (code, value) = match answer {
            Answer::Rendered(response) => return (response, String::new()),
            Answer::Value(code, value) => return (SimBody::value(code, &value), String::new()),
            Answer::Stored(code, stored) => (code, Ok(stored)),
            Answer::Unstored(code, value) => (code, Err(value)),
        };
        let Some(target) = target else { return (SimBody::text(500, String::new()), String::new()) };
        let presenter = match self.presenter(call) {
            Ok(presenter) => presenter,
            Err(failure) => return (SimBody::failure(&failure), String::new()),
        };
        let (name, body) = match &value {
            Ok(stored) => (
                crate::json::text(&stored.value, "metadata.name").to_owned(),
                presenter.object(&target.kind, stored),
            ),
            Err(value) => (
                crate::json::text(value, "metadata.name").to_owned(),
                presenter.value(&target.kind, value).to_string().into(),
            ),
        };
        (SimBody::json(code, body), name)
    }

    pub(crate) fn presenter(&self, call: &Call) -> Result<Presenter, Failure> {
        let form = negotiate(&call.accept)?;
        let include = match call.parameter("includeObject") {
            "Object" => Include::Object,
            "None" => Include::None,
            _ => Include::Metadata,
        };
        Ok(Presenter::new(form, include, self.clock.clone()))
    }

    /// Reviews that are answered without being stored.
    fn virtual_resource(&self, call: &Call, route: &Route) -> Result<Option<Answer>, Failure> {
        if route.group != "authorization.k8s.io" && route.group != "authentication.k8s.io" {
            return Ok(None);
        }
        if call.method != Method::POST {
            return Err(Failure::method_not_allowed());
        }
        let mut review = crate::decode::body(call)?;
        match route.plural.as_str() {
            "selfsubjectaccessreviews" | "subjectaccessreviews" | "localsubjectaccessreviews" => {
                let user = match crate::json::text(&review, "spec.user") {
                    "" => call.user.clone(),
                    named => named.to_owned(),
                };
                let allowed = rbac::review(self, &user, &review);
                review["status"] = json!({"allowed": allowed});
            }
            "selfsubjectreviews" => {
                review["status"] =
                    json!({"userInfo": {"username": call.user, "groups": rbac::groups(&call.user)}});
            }
            "tokenreviews" => {
                let token = crate::json::text(&review, "spec.token").to_owned();
                review["status"] = if token.is_empty() {
                    json!({"user": {}, "error": "[invalid bearer token]"})
                } else {
                    json!({"authenticated": true, "user": {"username": token, "groups": rbac::groups(&token)}})
                };
            }
            _ => return Err(Failure::no_such_path()),
        }
        crate::json::object_mut(&mut review, "metadata");
        Ok(Some(Answer::Value(201, review)))
    }
}
