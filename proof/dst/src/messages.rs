//! Catches what is sent to people.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::time::Instant;
use trimtab_notify::SLACK_API;
use trimtab_providers::http::{BodyStream, HttpTransport, TransportError, body_of};

/// A receiver that remembers every message, and confirms it unless told otherwise.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    received: Arc<Mutex<Vec<Message>>>,
    answers: Arc<Mutex<Answers>>,
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Where it went.
    pub url: String,
    /// Its idempotency key; empty where it has none.
    pub key: String,
    /// Its body.
    pub body: Value,
    /// When it came.
    pub at: Instant,
    /// Whether the receiver took it, whatever its sender heard of that.
    pub taken: bool,
}

/// How a receiver answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answers {
    /// It takes a message, and says so at once.
    #[default]
    AtOnce,
    /// It takes a message, and says so later.
    After(Duration),
    /// It takes none: 503.
    Refusing,
}

impl Messages {
    /// Everything received so far, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Message> {
        locked(&self.received).clone()
    }

    /// How it answers from now on.
    pub fn answer(&self, answers: Answers) {
        *locked(&self.answers) = answers;
    }
}

impl Messages {
    /// What the last message is answered with: as Slack's Web API where it went there.
    fn said(&self) -> String {
        let received = locked(&self.received);
        let last = received.last().map(|last| last.url.as_str()).unwrap_or_default();
        if !last.starts_with(SLACK_API) {
            return "ok".to_owned();
        }
        let ts = |place: usize| format!("1763694462.{place:06}");
        let posts = received.iter().enumerate().filter(|(_, one)| one.url.ends_with("/chat.postMessage"));
        let posts: Vec<Value> =
            posts.map(|(place, one)| json!({"ts": ts(place), "metadata": one.body["metadata"]})).collect();
        json!({"ok": true, "channel": "C0123456789", "ts": ts(received.len() - 1), "messages": posts})
            .to_string()
    }
}

impl HttpTransport for Messages {
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<BodyStream>, TransportError>> {
        let answers = *locked(&self.answers);
        let key = request.headers().get("idempotency-key").and_then(|key| key.to_str().ok());
        locked(&self.received).push(Message {
            url: request.uri().to_string(),
            key: key.unwrap_or_default().to_owned(),
            body: serde_json::from_slice(request.body()).unwrap_or_default(),
            at: Instant::now(),
            taken: answers != Answers::Refusing,
        });
        let said = self.said();
        async move {
            let mut response = http::Response::new(body_of([Bytes::from(said)]));
            match answers {
                Answers::AtOnce => {}
                Answers::After(span) => tokio::time::sleep(span).await,
                Answers::Refusing => *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE,
            }
            Ok(response)
        }
        .boxed()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
