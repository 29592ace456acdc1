//! A manager's client that does what a wrong manager would do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use http::request::Parts;
use http::{Method, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::Value;
use tokio::time::Instant;
use tower::Service;

use super::{Planted, locked};

/// How long a write is waited for, and how long until it is tried again.
const TRIED_AGAIN_AFTER: Duration = Duration::from_secs(1);
/// How long it is tried: longer than the lease lasts.
const TRIED_FOR: Duration = Duration::from_secs(120);
/// After how long an old status is written again.
const AGAIN_AFTER: Duration = Duration::from_secs(120);
/// From this age on, a list that was kept is "long ago".
const LONG_AGO: Duration = Duration::from_secs(60);
/// How long a leader that read an old list hears nothing newer.
const HEARS_NOTHING: Duration = Duration::from_secs(90);
/// How long a decision waits for what comes after it.
const LOOKS_ROUND: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Bugged {
    inner: Client,
    bug: Planted,
    /// The lease as this manager likes to see it.
    lease: Arc<Mutex<Option<Value>>>,
    /// How many requests were sent.
    sent: Arc<Mutex<u64>>,
    /// What was listed first, by path and query, and when.
    lists: Arc<Mutex<BTreeMap<String, (Instant, Bytes)>>>,
    /// Until when a watch brings nothing, by path.
    silent: Arc<Mutex<BTreeMap<String, Instant>>>,
    /// How many events of Deployments came.
    deployments_seen: Arc<Mutex<u64>>,
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
    pub(super) fn new(inner: Client, bug: Planted) -> Self {
        let (lease, sent, lists) = Default::default();
        let (silent, deployments_seen) = Default::default();
        Self { inner, bug, lease, sent, lists, silent, deployments_seen }
    }

    async fn act(&self, parts: Parts, body: Bytes) -> Result<Answered, kube::Error> {
        let path = parts.uri.path().to_owned();
        let writes = parts.method != Method::GET;
        let is_lease = path.contains("/leases");
        match self.bug {
            Planted::NoPreconditions if writes && !is_lease => {
                self.send(parts, without_preconditions(&body)).await
            }
            Planted::DecidesOnOldLists if writes && path.ends_with("/status") => {
                self.send(parts, without_preconditions(&body)).await
            }
            Planted::DecidesOnOldLists if !writes && !is_lease => self.read_once(parts).await,
            Planted::LosesEarlyDecisions if !writes && path.ends_with("/deployments") => {
                let seen = self.deployments_seen.clone();
                Ok(with_frames(self.send(parts, body).await?, move |_| {
                    *locked(&seen) += 1;
                    futures::future::ready(true)
                }))
            }
            Planted::LosesEarlyDecisions if !writes && path.contains("/appreleases") => {
                let seen = self.deployments_seen.clone();
                Ok(with_frames(self.send(parts, body).await?, move |frame| {
                    let (decides, seen) = (carries_a_decision(frame), seen.clone());
                    async move {
                        let before = *locked(&seen);
                        if decides {
                            tokio::time::sleep(LOOKS_ROUND).await;
                        }
                        !decides || *locked(&seen) == before
                    }
                }))
            }
            Planted::NeverHolds if writes && path.contains("/deployments/") => {
                self.send(parts, nothing_held(&body)).await
            }
            Planted::EverybodyLeads if is_lease => Ok(self.own_lease(&parts.method, &body)),
            Planted::WritesOutliveTheLease if writes && !is_lease => {
                // A task of its own: whoever stops waiting for it does not stop it.
                let sent = tokio::spawn(self.clone().send_until_answered(parts, body));
                sent.await.expect("nothing ends it but the end of the run")
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
                let deaf = |frame: &Frame<Bytes>| futures::future::ready(!carries_a_decision(frame));
                Ok(with_frames(self.send(parts, body).await?, deaf))
            }
            _ => self.send(parts, body).await,
        }
    }

    fn every(&self, count: u64) -> bool {
        let mut sent = locked(&self.sent);
        *sent += 1;
        sent.is_multiple_of(count)
    }

    async fn send(&self, mut parts: Parts, body: Bytes) -> Result<Answered, kube::Error> {
        parts.headers.remove(http::header::CONTENT_LENGTH);
        let request = Request::from_parts(parts, Body::from(body));
        Ok(self.inner.send(request).await?.map(BodyExt::boxed_unsync))
    }

    /// Tries again for as long as nobody answers.
    async fn send_until_answered(self, parts: Parts, body: Bytes) -> Result<Answered, kube::Error> {
        let start = Instant::now();
        loop {
            let tried = tokio::time::timeout(TRIED_AGAIN_AFTER, self.send(parts.clone(), body.clone())).await;
            match tried {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) if start.elapsed() > TRIED_FOR => return Err(error),
                Ok(Err(_)) | Err(_) => tokio::time::sleep(TRIED_AGAIN_AFTER).await,
            }
        }
    }

    /// Answers a list as it was answered the first time, once that is long ago; what happened since is heard late.
    async fn read_once(&self, parts: Parts) -> Result<Answered, kube::Error> {
        let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
        if query.contains("watch=true") {
            let silent = locked(&self.silent).remove(&path);
            let answer = self.send(parts, Bytes::new()).await?;
            let Some(until) = silent else { return Ok(answer) };
            return Ok(with_frames(answer, move |_| tokio::time::sleep_until(until).map(|()| true)));
        }
        if !query.contains("limit=") {
            return self.send(parts, Bytes::new()).await;
        }
        let list = format!("{path}?{query}");
        let kept = locked(&self.lists).get(&list).cloned();
        if let Some((_, body)) = kept.filter(|(at, _)| at.elapsed() >= LONG_AGO) {
            locked(&self.silent).insert(path, Instant::now() + HEARS_NOTHING);
            return Ok(Response::new(Full::new(body).map_err(|never| match never {}).boxed_unsync()));
        }
        let (head, body) = self.send(parts, Bytes::new()).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        if head.status.is_success() {
            locked(&self.lists).entry(list).or_insert_with(|| (Instant::now(), body.clone()));
        }
        Ok(Response::from_parts(head, Full::new(body).map_err(|never| match never {}).boxed_unsync()))
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

/// A patch without what must still be true for it.
fn without_preconditions(body: &Bytes) -> Bytes {
    rewritten(body, |patch| match patch {
        Value::Array(operations) => operations.retain(|operation| operation["op"] != "test"),
        patch => {
            if let Some(metadata) = patch.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("resourceVersion");
            }
        }
    })
}

/// A JSON patch that never asks the admission policy for anything.
fn nothing_held(body: &Bytes) -> Bytes {
    rewritten(body, |patch| {
        for operation in patch.as_array_mut().into_iter().flatten() {
            let claim = operation["value"].as_str().unwrap_or_default();
            if claim.starts_with("held") || claim.starts_with("hold-changes") {
                operation["value"] = "open".into();
            }
        }
    })
}

fn rewritten(body: &Bytes, edit: impl FnOnce(&mut Value)) -> Bytes {
    let Ok(mut patch) = serde_json::from_slice(body) else { return body.clone() };
    edit(&mut patch);
    Bytes::from(patch.to_string())
}

/// An event with a decision that says nothing else: the simulated server sends one a frame.
fn carries_a_decision(frame: &Frame<Bytes>) -> bool {
    frame.data_ref().is_some_and(|data| {
        data.starts_with(br#"{"type""#) && data.windows(10).any(|window| window == br#""decision""#)
    })
}

/// The answer with the frames that `passes` lets through, each once it has made up its mind.
fn with_frames<F>(response: Answered, mut passes: impl FnMut(&Frame<Bytes>) -> F + Send + 'static) -> Answered
where
    F: Future<Output = bool> + Send + 'static,
{
    response.map(|body| {
        let frames = BodyStream::new(body).filter_map(move |frame| {
            let passes = frame.as_ref().ok().map(&mut passes);
            async move {
                match passes {
                    Some(passes) => passes.await.then_some(frame),
                    None => Some(frame),
                }
            }
        });
        StreamBody::new(frames).boxed_unsync()
    })
}
