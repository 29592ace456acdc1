//! Reads and writes, as raw JSON: foreign objects are never squeezed through a type that might drop a field.
//!
//! `Api` is the only way out of the process towards Kubernetes. It counts every request, retries a bounded number of
//! times without chance, and, when [fenced](Api::fenced), neither sends a write nor waits for
//! its answer without a valid lease.

mod connect;
mod counters;
mod error;
mod fence;
mod patch;
mod send;

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

pub use self::connect::ConnectError;
pub use self::counters::{RequestCounters, RequestKind};
pub(crate) use self::error::Status;
pub use self::error::{ApiError, Cause, Target};
use self::fence::Fence;
pub(crate) use self::fence::{Holder, LeadershipGrant};
pub use self::fence::{Leadership, Term};
pub use self::patch::{Force, Patch, Preconditions, Propagation, Selector};
pub(crate) use self::send::{Attempts, Call, Query, Stream, chain};
use crate::clock::{Clock, Told};
use crate::resource::{PODS, Resource};

/// Objects per list page. A page of 500 pods is about 4 MB in flight.
pub const LIST_PAGE_ITEMS: usize = 500;

/// Pages one listing may have before it is given up: 10 million objects.
const LIST_PAGES_MAX: usize = 20_000;

/// A handle on the Kubernetes API, cheap to clone. Must be created inside a tokio runtime.
#[derive(Clone)]
pub struct Api {
    client: kube::Client,
    field_manager: &'static str,
    counters: RequestCounters,
    fence: Fence,
    time: Told,
}

impl Api {
    /// An API over any client, in particular one whose service is a simulated API server.
    /// `field_manager` owns the fields this handle writes; one per concern.
    pub fn new(client: kube::Client, field_manager: &'static str) -> Api {
        let (counters, time) = (RequestCounters::default(), Told::default());
        Api { client, field_manager, counters, fence: Fence::Open, time }
    }

    /// The same connection and counters, writing in another manager's name.
    pub fn with_field_manager(&self, field_manager: &'static str) -> Api {
        Api { field_manager, ..self.clone() }
    }

    /// The same connection, but a mutating call is sent only in the term that was current when it began, by this machine's
    /// monotonic clock. It fails with [`ApiError::Fenced`] when there is none, and no attempt of it outlives the term: one
    /// that is cut off for that has an [unknown outcome](ApiError::outcome_unknown).
    pub fn fenced(&self, leadership: Leadership) -> Api {
        Api { fence: Fence::AnyTerm(leadership), ..self.clone() }
    }

    /// The same [fenced](Api::fenced) API, but for one term alone: what was decided in a term is not written in another.
    pub fn in_term(&self, term: Term) -> Api {
        Api { fence: self.fence.in_term(term), ..self.clone() }
    }

    /// The namespace used when none is given: the context's, or `default`.
    pub fn default_namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// The clock of the API server, as its newest answer to this handle, or to one cloned from the same origin, told it to
    /// half a second. `own` until there was an answer, and where the server's answers tell no time.
    pub fn server_clock(&self, own: Clock) -> Clock {
        Clock::told(self.time.clone(), own)
    }

    /// In whose name this handle writes.
    pub fn field_manager(&self) -> &'static str {
        self.field_manager
    }

    /// Counters of all requests sent by this handle and everything cloned from the same origin.
    pub fn counters(&self) -> &RequestCounters {
        &self.counters
    }

    /// One object; `None` if it does not exist.
    pub async fn get(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>, ApiError> {
        let call = Call {
            target: Target::new("get", resource, namespace, Some(name), None),
            method: Method::GET,
            path: resource.path(namespace, Some(name), None),
            query: Query::default(),
            content_type: None,
            body: Bytes::new(),
            attempts: Attempts::Read,
        };
        match self.value(call).await {
            Ok(object) => Ok(Some(object)),
            Err(ApiError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every matching object, read in pages of [`LIST_PAGE_ITEMS`] at one resource version.
    /// Items carry no `kind` and `apiVersion` of their own, as the API server sends them.
    pub async fn list(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        selector: &Selector,
    ) -> Result<Vec<Value>, ApiError> {
        let mut items = Vec::new();
        let mut token = String::new();
        for _ in 0..LIST_PAGES_MAX {
            let call = list_call(resource, namespace, selector, LIST_PAGE_ITEMS, &token);
            let target = call.target.clone();
            let mut page = self.value(call).await?;
            match page.get_mut("items").map(Value::take) {
                Some(Value::Array(batch)) => items.extend(batch),
                Some(Value::Null) => {}
                _ => {
                    return Err(ApiError::Undecodable { target, message: "a list without items".to_owned() });
                }
            }
            token = page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default().to_owned();
            if token.is_empty() {
                return Ok(items);
            }
        }
        let target = Target::new("list", resource, namespace, None, None);
        Err(ApiError::Undecodable { target, message: format!("more than {LIST_PAGES_MAX} pages") })
    }

    /// Asks for one object of a listing, to learn whether it may be listed.
    pub(crate) async fn may_list(&self, resource: &Resource) -> Result<(), ApiError> {
        self.bytes(list_call(resource, None, &Selector::all(), 1, "")).await.map(drop)
    }

    /// Creates `object` as it is; its name comes from its own metadata. Returns what the server stored.
    pub async fn create(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        object: &Value,
    ) -> Result<Value, ApiError> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str);
        let target = Target::new("create", resource, namespace, name, None);
        let path = resource.path(namespace, None, None);
        self.value(self.write(target, Method::POST, path, "application/json", object)).await
    }

    /// Replaces the object of that name. Put its `resourceVersion` into `object` to make it conditional.
    pub async fn replace(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        object: &Value,
    ) -> Result<Value, ApiError> {
        let target = Target::new("replace", resource, namespace, Some(name), None);
        let path = resource.path(namespace, Some(name), None);
        self.value(self.write(target, Method::PUT, path, "application/json", object)).await
    }

    /// Patches one object and returns what the server stored.
    pub async fn patch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        patch: &Patch,
    ) -> Result<Value, ApiError> {
        self.send_patch(resource, namespace, name, None, patch).await
    }

    /// Patches a subresource of one object: `status`, `scale`, `resize`.
    pub async fn patch_subresource(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        subresource: &str,
        patch: &Patch,
    ) -> Result<Value, ApiError> {
        self.send_patch(resource, namespace, name, Some(subresource), patch).await
    }

    async fn send_patch(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        subresource: Option<&str>,
        patch: &Patch,
    ) -> Result<Value, ApiError> {
        let target = Target::new("patch", resource, namespace, Some(name), subresource);
        let path = resource.path(namespace, Some(name), subresource);
        let mut call = self.write(target, Method::PATCH, path, patch.content_type(), patch.body());
        if let Patch::Apply { force: Force::Yes, .. } = patch {
            call.query.push("force", "true");
        }
        self.value(call).await
    }

    /// Deletes one object. An object that does not exist is [`ApiError::NotFound`]; failed preconditions are
    /// [`ApiError::Conflict`].
    pub async fn delete(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        preconditions: &Preconditions,
        propagation: Propagation,
    ) -> Result<(), ApiError> {
        let options = json!({
            "apiVersion": "v1", "kind": "DeleteOptions",
            "preconditions": preconditions.body(), "propagationPolicy": propagation.word(),
        });
        let target = Target::new("delete", resource, namespace, Some(name), None);
        let path = resource.path(namespace, Some(name), None);
        let mut call = self.write(target, Method::DELETE, path, "application/json", &options);
        call.query = Query::default();
        self.bytes(call).await.map(drop)
    }

    /// Asks for the eviction of a pod. Held back by a disruption budget it is [`ApiError::TooManyRequests`], which is
    /// never retried here: the budget's owner decides when to ask again.
    pub async fn evict(
        &self,
        namespace: &str,
        name: &str,
        preconditions: &Preconditions,
    ) -> Result<(), ApiError> {
        let eviction = json!({
            "apiVersion": "policy/v1", "kind": "Eviction",
            "metadata": {"namespace": namespace, "name": name},
            "deleteOptions": {"preconditions": preconditions.body()},
        });
        let target = Target::new("evict", PODS, Some(namespace), Some(name), Some("eviction"));
        let path = PODS.path(Some(namespace), Some(name), Some("eviction"));
        let mut call = self.write(target, Method::POST, path, "application/json", &eviction);
        call.attempts = Attempts::Once;
        self.bytes(call).await.map(drop)
    }

    fn write(
        &self,
        target: Arc<Target>,
        method: Method,
        path: String,
        content_type: &'static str,
        body: &Value,
    ) -> Call {
        let mut query = Query::default();
        query.push("fieldManager", self.field_manager);
        let body = Bytes::from(body.to_string());
        Call {
            target,
            method,
            path,
            query,
            content_type: Some(content_type),
            body,
            attempts: Attempts::Write,
        }
    }

    async fn value(&self, call: Call) -> Result<Value, ApiError> {
        let target = call.target.clone();
        let body = self.bytes(call).await?;
        serde_json::from_slice(&body)
            .map_err(|error| ApiError::Undecodable { target, message: error.to_string() })
    }
}

/// The request for one page of a listing; an empty `token` asks for the first.
pub(crate) fn list_call(
    resource: &Resource,
    namespace: Option<&str>,
    selector: &Selector,
    limit: usize,
    token: &str,
) -> Call {
    let mut query = Query::default();
    query.push("limit", &limit.to_string());
    if !token.is_empty() {
        query.push("continue", token);
    }
    query.select(selector);
    Call {
        target: Target::new("list", resource, namespace, None, None),
        method: Method::GET,
        path: resource.path(namespace, None, None),
        query,
        content_type: None,
        body: Bytes::new(),
        attempts: Attempts::Read,
    }
}
