//! One call of Slack's Web API. It answers 200 to nearly everything, and says in the body what came of it.

use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request};
use serde_json::Value;
use trimtab_providers::http::{Collected, HttpTransport, TransportError, collect, retry_after};

use crate::answer::{self, AttemptEnd};
use crate::destination::Destination;

/// Where the API is.
pub const BASE: &str = "https://slack.com/api";
/// How much of an answer is read, in bytes: a page of messages with everything that is in them.
const ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// Words of the API that are understood, or that help a person. No other is repeated.
const WORDS: [&str; 27] = [
    "accesslimited",
    "account_inactive",
    "cant_update_message",
    "channel_not_found",
    "edit_window_closed",
    "fatal_error",
    "internal_error",
    "invalid_auth",
    "invalid_blocks",
    "is_archived",
    "message_not_found",
    "missing_scope",
    "msg_blocks_too_long",
    "msg_too_long",
    "no_permission",
    "no_text",
    "not_allowed_token_type",
    "not_authed",
    "not_in_channel",
    "ratelimited",
    "request_timeout",
    "restricted_action",
    "service_unavailable",
    "team_access_not_granted",
    "thread_not_found",
    "token_expired",
    "token_revoked",
];

/// Why a call came to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing was done.
    Before(AttemptEnd),
    /// It may have been done.
    Lost(String),
    /// Slack says why not, in a word of its documentation or an empty one.
    Word(&'static str, Option<Duration>),
}

/// The Web API on behalf of one destination.
pub(crate) struct Web<'a> {
    pub(crate) transport: &'a dyn HttpTransport,
    pub(crate) destination: &'a Destination,
    /// Whether anything may be sent now: several calls make one message, and a process may freeze between two of them.
    pub(crate) may_send: &'a (dyn Fn() -> bool + Sync),
    /// From connecting to the end of the answer.
    pub(crate) timeout: Duration,
}

impl Web<'_> {
    /// Calls a method that changes something.
    pub(crate) async fn write(&self, method: &str, body: &Value) -> Result<Value, Failure> {
        let mut request = self.request(Method::POST, method)?;
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        request.headers_mut().insert(CONTENT_TYPE, json);
        *request.body_mut() = Bytes::from(body.to_string());
        self.call(request).await
    }

    /// Calls a method that reads; `query` is made of what needs no escape in a URL.
    pub(crate) async fn read(&self, method: &str, query: &str) -> Result<Value, Failure> {
        let request = self.request(Method::GET, &format!("{method}?{query}"))?;
        self.call(request).await
    }

    fn request(&self, method: Method, rest: &str) -> Result<Request<Bytes>, Failure> {
        let never = |why: &str| {
            Failure::Before(AttemptEnd::Never { why: format!("{}: {why}", self.destination.name) })
        };
        let token = self.destination.token.as_ref().map_or("", |token| token.expose().trim());
        let bearer = HeaderValue::from_str(&format!("Bearer {token}"));
        let mut bearer =
            bearer.map_err(|_| never("its token is no printable ascii; check the secret that holds it"))?;
        bearer.set_sensitive(true);
        let url = format!("{}/{rest}", self.destination.url.expose());
        let uri = url.parse().map_err(|_| never("the channel or card is none of Slack's"))?;
        let mut request = Request::new(Bytes::new());
        (*request.method_mut(), *request.uri_mut()) = (method, uri);
        request.headers_mut().insert(AUTHORIZATION, bearer);
        Ok(request)
    }

    async fn call(&self, request: Request<Bytes>) -> Result<Value, Failure> {
        let name = &self.destination.name;
        if !(self.may_send)() {
            return Err(Failure::Before(AttemptEnd::Stopped));
        }
        let answer = async {
            let (head, body) = self.transport.send(request).await?.into_parts();
            let body = match collect(body, ANSWER_BYTES).await? {
                Collected::Whole(bytes) | Collected::CutOff(bytes) => bytes,
            };
            Ok((head, body))
        };
        let (head, body) = match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error @ TransportError::Broken { .. })) => {
                tracing::info!(destination = name, cause = ?self.destination.shown(&error.to_string()), "Slack's answer broke");
                return Err(Failure::Lost(format!("the connection to {name} broke")));
            }
            Ok(Err(error)) => return Err(Failure::Before(answer::of_failure(self.destination, &error))),
            Err(_) => return Err(Failure::Lost(format!("{name} gave no answer within {:?}", self.timeout))),
        };
        let asked = retry_after(&head.headers);
        match head.status.as_u16() {
            200..300 => {}
            500 | 502 | 504 => {
                return Err(Failure::Lost(format!("{name} answered status {}", head.status.as_u16())));
            }
            _ => return Err(Failure::Before(answer::of_refusal(self.destination, head.status, asked, &[]))),
        }
        let said: Value = serde_json::from_slice(&body)
            .map_err(|_| Failure::Lost(format!("{name} answered what is no answer of Slack's")))?;
        if said["ok"] == true {
            return Ok(said);
        }
        let word = said["error"].as_str().unwrap_or_default();
        let word = WORDS.into_iter().find(|known| *known == word).unwrap_or_default();
        tracing::info!(destination = name, word, "Slack refused a call");
        Err(Failure::Word(word, asked))
    }
}
