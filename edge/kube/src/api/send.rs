//! One request on the wire: limits, retries, fence, counting.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;
use kube::client::Body;

use super::fence::Permit;
use super::{Api, ApiError, Selector, Status, Target};
use crate::resource::push_escaped;

/// How long one attempt of a request may take, headers and body.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest answer kept in memory, in bytes. A page of 500 large custom resources stays well below.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Attempts per request, the first included.
const ATTEMPTS_MAX: u32 = 4;

/// Wait after the first failed attempt; doubles with each.
const RETRY_DELAY_MIN: Duration = Duration::from_millis(200);

/// Longest wait between attempts, even when the server asks for more: the caller's own backoff is the better place.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(5);

/// Reads the dates of HTTP, which are a part of those of mail.
const DATES: DateTimeParser = DateTimeParser::new();

/// When a failed attempt may be followed by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempts {
    /// Reads: after anything that may pass.
    Read,
    /// Writes: only when the server said that it did not do it (429, 503).
    Write,
    /// Never.
    Once,
}

impl Attempts {
    fn again_after(self, error: &ApiError) -> bool {
        match self {
            Attempts::Read => error.is_retryable(),
            Attempts::Write => error.is_retryable() && !error.outcome_unknown(),
            Attempts::Once => false,
        }
    }
}

/// Query parameters, escaped as they are added.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query {
    text: String,
}

impl Query {
    pub(crate) fn push(&mut self, name: &str, value: &str) {
        self.text.push(if self.text.is_empty() { '?' } else { '&' });
        self.text.push_str(name);
        self.text.push('=');
        push_escaped(&mut self.text, value);
    }

    pub(crate) fn select(&mut self, selector: &Selector) {
        for (name, value) in [("labelSelector", &selector.labels), ("fieldSelector", &selector.fields)] {
            if !value.is_empty() {
                self.push(name, value);
            }
        }
    }
}

/// Everything about one request.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) target: Arc<Target>,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: Query,
    pub(crate) content_type: Option<&'static str>,
    pub(crate) body: Bytes,
    pub(crate) attempts: Attempts,
}

/// The body of a streaming answer.
pub(crate) type Stream = Body;

impl Api {
    /// Sends `call`, again where that is safe, and returns the whole body of a successful answer.
    pub(crate) async fn bytes(&self, call: Call) -> Result<Bytes, ApiError> {
        // A path without the name of its object is that of every object of the kind.
        if call.path.split('/').skip(1).any(str::is_empty) {
            let message = "a name is empty".to_owned();
            return Err(ApiError::Invalid { target: call.target, code: 400, message, causes: Vec::new() });
        }
        let permit = if call.method == Method::GET { Permit::Always } else { self.fence.permit() };
        let mut delay = RETRY_DELAY_MIN;
        for _ in 1..ATTEMPTS_MAX {
            let error = match self.attempt(&call, permit).await {
                Err(error) if call.attempts.again_after(&error) => error,
                result => return result,
            };
            let wait = error.retry_after().unwrap_or(delay).clamp(delay, RETRY_DELAY_MAX);
            tracing::debug!(%error, ?wait, "request failed, trying again");
            // Where the lease ends meanwhile, the next attempt is refused at once.
            permit.cut(tokio::time::sleep(wait)).await;
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
        self.attempt(&call, permit).await
    }

    async fn attempt(&self, call: &Call, permit: Permit<'_>) -> Result<Bytes, ApiError> {
        let result = if permit.holds() {
            let exchange = tokio::time::timeout(REQUEST_TIMEOUT, self.exchange(call));
            match permit.cut(exchange).await {
                Some(Ok(result)) => result,
                Some(Err(_)) => {
                    Err(transport(&call.target, format!("nothing within {} s", REQUEST_TIMEOUT.as_secs())))
                }
                None => Err(transport(&call.target, "nothing before the lease ended".to_owned())),
            }
        } else {
            Err(ApiError::Fenced { target: call.target.clone() })
        };
        self.count(call, result.as_ref().err());
        result
    }

    async fn exchange(&self, call: &Call) -> Result<Bytes, ApiError> {
        let response = self.open(call).await?;
        collect(&call.target, response.into_body()).await
    }

    /// Sends `call` once and hands over the body of a successful answer as it arrives. The wait for the answer's
    /// headers is bounded, the body is not.
    pub(crate) async fn stream(&self, call: &Call) -> Result<Stream, ApiError> {
        let result = match tokio::time::timeout(REQUEST_TIMEOUT, self.open(call)).await {
            Ok(result) => result,
            Err(_) => Err(transport(&call.target, format!("nothing within {} s", REQUEST_TIMEOUT.as_secs()))),
        };
        self.count(call, result.as_ref().err());
        Ok(result?.into_body())
    }

    async fn open(&self, call: &Call) -> Result<Response<Body>, ApiError> {
        let request = request(call)?;
        let response =
            self.client.send(request).await.map_err(|error| transport(&call.target, chain(&error)))?;
        date(response.headers()).into_iter().for_each(|now| self.time.hear(now));
        if response.status().is_success() {
            return Ok(response);
        }
        let code = response.status().as_u16();
        let retry_after = retry_after(response.headers());
        let body = collect(&call.target, response.into_body()).await.unwrap_or_default();
        Err(Status::read(code, &body).into_error(call.target.clone(), retry_after))
    }

    fn count(&self, call: &Call, error: Option<&ApiError>) {
        self.counters.count(call.target.verb, &call.target.resource, error.map_or("ok", ApiError::word));
    }
}

fn request(call: &Call) -> Result<Request<Body>, ApiError> {
    let mut builder = Request::builder()
        .method(call.method.clone())
        .uri(format!("{}{}", call.path, call.query.text))
        .header(header::ACCEPT, "application/json")
        // Watch streams may be compressed member by member, which is not decoded line by line.
        .header(header::ACCEPT_ENCODING, "identity");
    if let Some(content_type) = call.content_type {
        builder = builder.header(header::CONTENT_TYPE, content_type);
    }
    builder.body(Body::from(call.body.clone())).map_err(|error| ApiError::Invalid {
        target: call.target.clone(),
        code: 400,
        message: format!("request cannot be built: {error}"),
        causes: Vec::new(),
    })
}

async fn collect(target: &Arc<Target>, body: Body) -> Result<Bytes, ApiError> {
    match Limited::new(body, ANSWER_BYTES_MAX).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(transport(target, chain(&*error))),
    }
}

/// When the server sent an answer, by its own clock. The header is cut to the second, of which the middle is nearest.
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let second = DATES.parse_timestamp(headers.get(header::DATE)?.as_bytes()).ok()?;
    second.checked_add(Duration::from_millis(500)).ok()
}

/// Only the seconds form: Kubernetes sends no dates here.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

pub(crate) fn transport(target: &Arc<Target>, message: String) -> ApiError {
    ApiError::Transport { target: target.clone(), message }
}

/// An error with everything behind it: the outermost words alone rarely say what broke.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = inner.source();
    }
    text
}
