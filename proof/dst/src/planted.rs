//! Bugs that are planted on purpose, from the outside, to see that the oracles find them: a manager whose client or whose
//! messages do what a wrong manager would do.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use http::{Method, Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use tower::Service;
use trimtab_providers::http::{BodyStream as AnswerStream, HttpTransport, TransportError};
use trimtab_sim::Actor;

use crate::messages::Messages;

/// What is wrong with a manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Planted {
    /// Writes of a Deployment carry no precondition.
    NoPreconditions,
    /// The lease is granted to whoever asks: two managers lead.
    EverybodyLeads,
    /// A write may be sent up to twenty seconds after it was decided, whoever leads by then.
    WritesOutliveTheLease,
    /// A message is sent again although the first one arrived.
    TellsTwice,
    /// A status that was written is written once more, two minutes later.
    OldStatusAgain,
    /// An event that carries a person's decision is swallowed.
    DeafToDecisions,
    /// A template that comes back after its rejection is not held.
    NeverHolds,
    /// The status of a service is written again and again though nothing changed.
    Restless,
}

impl Planted {
    /// Every planted bug.
    pub const ALL: [Self; 8] = [
        Self::NoPreconditions,
        Self::EverybodyLeads,
        Self::WritesOutliveTheLease,
        Self::TellsTwice,
        Self::OldStatusAgain,
        Self::DeafToDecisions,
        Self::NeverHolds,
        Self::Restless,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::NoPreconditions => "no-preconditions",
            Self::EverybodyLeads => "everybody-leads",
            Self::WritesOutliveTheLease => "writes-outlive-the-lease",
            Self::TellsTwice => "tells-twice",
            Self::OldStatusAgain => "old-status-again",
            Self::DeafToDecisions => "deaf-to-decisions",
            Self::NeverHolds => "never-holds",
            Self::Restless => "restless",
        }
    }
}

/// How long a write lies around before it is sent: longer than the lease's margin.
const LYING_AROUND: Duration = Duration::from_secs(20);
/// After how long an old status is written again.
const AGAIN_AFTER: Duration = Duration::from_secs(120);

/// The client of a manager.
pub(crate) fn client(planted: Option<Planted>, actor: &Actor) -> Client {
    match planted {
        None | Some(Planted::TellsTwice) => actor.client.clone(),
        Some(bug) => {
            let lease = Arc::default();
            Client::new(Bugged { inner: actor.client.clone(), bug, lease, sent: Arc::default() }, "default")
        }
    }
}

/// What takes a manager's messages to people.
pub(crate) fn transport(planted: Option<Planted>, messages: &Messages) -> Arc<dyn HttpTransport> {
    match planted {
        Some(Planted::TellsTwice) => Arc::new(Twice(messages.clone())),
        _ => Arc::new(messages.clone()),
    }
}

struct Twice(Messages);

impl HttpTransport for Twice {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<AnswerStream>, TransportError>> {
        async move {
            let (parts, body) = request.into_parts();
            let again = Request::from_parts(parts.clone(), body.clone());
            self.0.send(Request::from_parts(parts, body)).await?;
            self.0.send(again).await
        }
        .boxed()
    }
}

#[derive(Clone)]
struct Bugged {
    inner: Client,
    bug: Planted,
    /// The lease as this manager likes to see it.
    lease: Arc<Mutex<Option<Value>>>,
    /// How many requests were sent.
    sent: Arc<Mutex<u64>>,
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

type Answered = Response<UnsyncBoxBody<Bytes, kube::Error>>;
type Answer = BoxFuture<'static, Result<Answered, kube::Error>>;

impl Service<Request<Body>> for Bugged {
    type Response = Answered;
    type Error = kube::Error;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), kube::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let this = self.clone();
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await?.to_bytes();
            this.act(parts, bytes).await
        }
        .boxed()
    }
}

impl Bugged {
    async fn act(&self, parts: http::request::Parts, body: Bytes) -> Result<Answered, kube::Error> {
        let path = parts.uri.path().to_owned();
        let writes = parts.method != Method::GET;
        let is_lease = path.contains("/leases");
        match self.bug {
            Planted::NoPreconditions if writes && path.contains("/deployments/") => {
                self.send(parts, without_tests(&body)).await
            }
            Planted::NeverHolds if writes && path.contains("/deployments/") => {
                self.send(parts, nothing_held(&body)).await
            }
            Planted::EverybodyLeads if is_lease => Ok(self.own_lease(&parts.method, &body)),
            Planted::WritesOutliveTheLease if writes && !is_lease && self.every(5) => {
                tokio::time::sleep(LYING_AROUND).await;
                self.send(parts, body).await
            }
            Planted::OldStatusAgain
                if writes && path.contains("/appreleases/") && path.ends_with("/status") =>
            {
                let (this, old) = (self.clone(), (parts.clone(), body.clone()));
                tokio::spawn(async move {
                    tokio::time::sleep(AGAIN_AFTER).await;
                    this.send(old.0, old.1).await
                });
                self.send(parts, body).await
            }
            Planted::Restless if is_lease && writes && self.every(20) => {
                self.touch().await;
                self.send(parts, body).await
            }
            Planted::DeafToDecisions if !writes && path.contains("/appreleases") => {
                Ok(without_decisions(self.send(parts, body).await?))
            }
            _ => self.send(parts, body).await,
        }
    }

    fn every(&self, count: u64) -> bool {
        let mut sent = locked(&self.sent);
        *sent += 1;
        sent.is_multiple_of(count)
    }

    async fn send(&self, mut parts: http::request::Parts, body: Bytes) -> Result<Answered, kube::Error> {
        parts.headers.remove(http::header::CONTENT_LENGTH);
        let request = Request::from_parts(parts, Body::from(body));
        Ok(self.inner.send(request).await?.map(BodyExt::boxed_unsync))
    }

    /// Marks every service.
    async fn touch(&self) {
        let all = Request::get("/apis/trimtab.dev/v1alpha1/managedapps").body(Vec::new());
        let Ok(list) = self.inner.request::<Value>(all.expect("a constant path is valid")).await else {
            return;
        };
        for app in list["items"].as_array().into_iter().flatten() {
            let (namespace, name) = (&app["metadata"]["namespace"], &app["metadata"]["name"]);
            let (namespace, name) = (namespace.as_str().unwrap_or(""), name.as_str().unwrap_or(""));
            let path = format!("/apis/trimtab.dev/v1alpha1/namespaces/{namespace}/managedapps/{name}/status");
            let patch = br#"{"status":{"observedGeneration":1}}"#.to_vec();
            let request = Request::patch(path).header("content-type", "application/merge-patch+json");
            if let Ok(request) = request.body(patch) {
                // Refused or not, it was asked for.
                let _ = self.inner.request_text(request).await;
            }
        }
    }

    /// Answers a request for the lease from this manager's own head.
    fn own_lease(&self, method: &Method, body: &Bytes) -> Answered {
        let mut lease = locked(&self.lease);
        if *method != Method::GET {
            let mut written: Value = serde_json::from_slice(body).unwrap_or_default();
            written["metadata"]["resourceVersion"] = "1".into();
            *lease = Some(written);
        }
        let (code, body) = match &*lease {
            Some(lease) => (200, lease.clone()),
            None => (
                404,
                serde_json::json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}),
            ),
        };
        let response = Response::builder().status(code).header("content-type", "application/json");
        let body = Body::from(body.to_string().into_bytes()).boxed_unsync();
        response.body(body).expect("constant headers are valid")
    }
}

/// A JSON patch without its tests.
fn without_tests(body: &Bytes) -> Bytes {
    rewritten(body, |operations| operations.retain(|operation| operation["op"] != "test"))
}

/// A JSON patch that never asks the admission policy for anything.
fn nothing_held(body: &Bytes) -> Bytes {
    rewritten(body, |operations| {
        for operation in operations {
            if matches!(operation["value"].as_str(), Some("held" | "hold-changes")) {
                operation["value"] = "open".into();
            }
        }
    })
}

fn rewritten(body: &Bytes, edit: impl FnOnce(&mut Vec<Value>)) -> Bytes {
    match serde_json::from_slice(body) {
        Ok(Value::Array(mut operations)) => {
            edit(&mut operations);
            Bytes::from(Value::Array(operations).to_string())
        }
        _ => body.clone(),
    }
}

/// The answer without the events that carry a decision and say nothing else: the simulated server sends one a frame.
fn without_decisions(response: Answered) -> Answered {
    response.map(|body| {
        let frames = BodyStream::new(body).filter(|frame| {
            let data = frame.as_ref().ok().and_then(http_body::Frame::data_ref);
            let decides = data.is_some_and(|data| {
                data.starts_with(br#"{"type""#) && data.windows(10).any(|window| window == br#""decision""#)
            });
            futures::future::ready(!decides)
        });
        StreamBody::new(frames).boxed_unsync()
    })
}
