//! One HTTP query: sent, bounded, and its answer sorted into a result or an error.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri};
use tokio::sync::{Semaphore, SemaphorePermit};
use trimtab_promql::Matcher;

use super::config::{Limits, PrometheusConfig};
use super::decode::{self, Envelope, Found, Unreadable};
use crate::error::{Asked, ProviderError};
use crate::http::{BodyStream, Collected, HttpTransport, TransportError, collect, retry_after};
use crate::secret::{SecretText, printable};

/// How long a question waits for its turn while others are asked.
const TURN_WAIT: Duration = Duration::from_secs(30);
/// How much of an error's body is read, in bytes.
const ERROR_BODY_BYTES: usize = 64 * 1024;
/// Longest server message that is kept, in bytes.
const MESSAGE_BYTES: usize = 1024;
/// Longest wait that a server may ask for.
const RETRY_AFTER_AT_MOST: Duration = Duration::from_secs(600);

/// How much of an answer is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    pub(super) bytes: usize,
    pub(super) series: usize,
}

/// A decoded answer.
pub(super) struct Reply {
    pub(super) found: Found,
    pub(super) warnings: Vec<String>,
    pub(super) length_bytes: usize,
}

pub(super) struct Client {
    transport: Arc<dyn HttpTransport>,
    name: String,
    endpoint: Uri,
    headers: HeaderMap,
    secrets: Vec<SecretText>,
    limits: Limits,
    scope: Vec<Matcher>,
    turns: Semaphore,
}

/// What an address must read like.
const ADDRESS_FORM: &str = "its address must read http://host:port or https://host, without user or query";

impl Client {
    pub(super) fn new(
        transport: Arc<dyn HttpTransport>,
        config: PrometheusConfig,
    ) -> Result<Self, ProviderError> {
        let settings =
            |cause: &str| ProviderError::Settings { provider: config.name.clone(), cause: cause.to_owned() };
        let limits = config.limits.clone();
        if limits.timeout.is_zero()
            || limits.response_bytes == 0
            || limits.points_per_query == 0
            || limits.concurrent_queries == 0
            || limits.max_series == 0
            || limits.max_sums == 0
        {
            return Err(settings("a limit is zero, set each limit to at least one"));
        }
        let endpoint = endpoint(&config.base_url).ok_or_else(|| settings(ADDRESS_FORM))?;
        let scope = matchers(&config.scope).map_err(|cause| settings(&cause))?;
        let mut headers = HeaderMap::new();
        for (name, secret) in &config.headers {
            let mut value = HeaderValue::from_str(secret.expose())
                .map_err(|_| settings(&format!("the value of header {name} cannot be sent")))?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        let turns = Semaphore::new(limits.concurrent_queries.min(Semaphore::MAX_PERMITS));
        let secrets = config.headers.into_iter().map(|(_, secret)| secret).collect();
        Ok(Self { transport, name: config.name, endpoint, headers, secrets, limits, scope, turns })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// A turn to ask a whole question: what came for its first query is in memory until its last one is answered.
    pub(super) async fn turn(&self, question: &str) -> Result<SemaphorePermit<'_>, ProviderError> {
        let Ok(turn) = tokio::time::timeout(TURN_WAIT, self.turns.acquire()).await else {
            let asked = Asked::new(&self.name, &self.redact(question));
            let cause =
                format!("its {} query slots stayed taken for {TURN_WAIT:?}", self.limits.concurrent_queries);
            return Err(ProviderError::Overloaded { asked, cause, retry_after: None });
        };
        Ok(turn.expect("the semaphore is owned here and never closed"))
    }

    /// Evaluates `query` at `at_ms`, reading no more of the answer than `room` has place for.
    pub(super) async fn ask(&self, query: &str, at_ms: i64, room: Room) -> Result<Reply, ProviderError> {
        let query = &*self.scoped(query)?;
        let asked = || Asked::new(&self.name, &self.redact(query));
        let timeout = self.limits.timeout;
        tokio::time::timeout(timeout, self.exchange(query, at_ms, room))
            .await
            .unwrap_or_else(|_| Err(ProviderError::Timeout { asked: asked(), after: timeout }))
    }

    /// `query` about the scope alone.
    fn scoped<'q>(&self, query: &'q str) -> Result<Cow<'q, str>, ProviderError> {
        if self.scope.is_empty() {
            return Ok(Cow::Borrowed(query));
        }
        let unreadable = |error: trimtab_promql::ParseError| ProviderError::Settings {
            provider: self.name.clone(),
            cause: format!("{} cannot be narrowed to its scope: {error}", self.redact(query)),
        };
        let parsed = trimtab_promql::parse(query).map_err(unreadable)?;
        Ok(Cow::Owned(trimtab_promql::restrict(&parsed, &self.scope).to_string()))
    }

    /// The error for a well-formed answer of the wrong kind.
    pub(super) fn unexpected(&self, query: &str, cause: &str) -> ProviderError {
        let cause = self.shown(cause);
        ProviderError::Decode { asked: Asked::new(&self.name, &self.redact(query)), cause }
    }

    async fn exchange(&self, query: &str, at_ms: i64, room: Room) -> Result<Reply, ProviderError> {
        let Room { bytes: budget_bytes, series: series_at_most } = room;
        let asked = Asked::new(&self.name, &self.redact(query));
        let transport = |cause: TransportError| ProviderError::Transport { asked: asked.clone(), cause };
        let response =
            self.transport.send(self.request(query, at_ms, series_at_most)).await.map_err(transport)?;
        let (head, body) = response.into_parts();
        if head.status != StatusCode::OK {
            return Err(self.refusal(asked, head.status, &head.headers, body).await);
        }
        if let Some(cause) = unreadable_head(&head.headers) {
            return Err(ProviderError::Decode { asked, cause });
        }
        let too_long = |asked| ProviderError::TooLarge {
            asked,
            what: format!("the answer exceeds {budget_bytes} bytes"),
        };
        if announced_bytes(&head.headers).is_some_and(|length| length > budget_bytes) {
            return Err(too_long(asked));
        }
        let body = match collect(body, budget_bytes).await.map_err(transport)? {
            Collected::Whole(body) => body,
            Collected::CutOff(_) => return Err(too_long(asked)),
        };
        match decode::envelope(&body, series_at_most) {
            Ok(Envelope { is_success: true, found: Some(found), warnings, .. }) => {
                let warnings = warnings.iter().map(|warning| self.shown(warning)).collect();
                Ok(Reply { found, warnings, length_bytes: body.len() })
            }
            Ok(Envelope { is_success: true, .. }) => {
                Err(ProviderError::Decode { asked, cause: "it has no result".to_owned() })
            }
            Ok(envelope) => Err(self.status(asked, StatusCode::OK, &envelope)),
            Err(Unreadable::TooManySeries) => Err(ProviderError::TooLarge {
                asked,
                what: format!("more than {series_at_most} series match"),
            }),
            Err(Unreadable::Malformed(cause)) => {
                Err(ProviderError::Decode { asked, cause: self.shown(&cause) })
            }
        }
    }

    fn request(&self, query: &str, at_ms: i64, series_at_most: usize) -> Request<Bytes> {
        let mut form = String::new();
        push_field(&mut form, "query", query);
        push_field(&mut form, "time", &seconds(at_ms));
        push_field(&mut form, "timeout", &format!("{}ms", self.limits.timeout.as_millis().max(1)));
        // One more than is accepted: a server that cuts at the limit must not make a cut answer look whole.
        push_field(&mut form, "limit", &series_at_most.saturating_add(1).to_string());
        let mut request = Request::new(Bytes::from(form));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        *request.headers_mut() = self.headers.clone();
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form_type);
        request.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        request
    }

    async fn refusal(
        &self,
        asked: Asked,
        status: StatusCode,
        headers: &HeaderMap,
        body: BodyStream,
    ) -> ProviderError {
        match status.as_u16() {
            code @ (401 | 403 | 407) => return ProviderError::Unauthorized { asked, code },
            413 => {
                return ProviderError::TooLarge {
                    asked,
                    what: "the server finds the query too large".to_owned(),
                };
            }
            429 => {
                let cause = "the server answers too many requests".to_owned();
                return ProviderError::Overloaded { asked, cause, retry_after: asked_wait(headers) };
            }
            _ => {}
        }
        // Only Prometheus' own error object is repeated: a proxy's page says little and may echo anything.
        let envelope = match collect(body, ERROR_BODY_BYTES).await {
            Ok(Collected::Whole(body)) => decode::envelope(&body, self.limits.max_series).ok(),
            _ => None,
        };
        let envelope = envelope.unwrap_or_default();
        match (status, envelope.error_type.as_str()) {
            (StatusCode::SERVICE_UNAVAILABLE, "timeout") => {
                ProviderError::Timeout { asked, after: self.limits.timeout }
            }
            (StatusCode::SERVICE_UNAVAILABLE, _) => {
                let cause = "the server is unavailable".to_owned();
                ProviderError::Overloaded { asked, cause, retry_after: asked_wait(headers) }
            }
            (StatusCode::UNPROCESSABLE_ENTITY, _) if envelope.error.contains("too many samples") => {
                ProviderError::TooLarge { asked, what: "the server would load too many samples".to_owned() }
            }
            _ => self.status(asked, status, &envelope),
        }
    }

    fn status(&self, asked: Asked, status: StatusCode, envelope: &Envelope) -> ProviderError {
        let message = match envelope.error.as_str() {
            "" => "no prometheus error object came with it".to_owned(),
            error => self.shown(error),
        };
        let error_type = match envelope.error_type.as_str() {
            "" => status.canonical_reason().unwrap_or("unknown").to_lowercase(),
            error_type => self.shown(error_type),
        };
        ProviderError::Status { asked, code: status.as_u16(), error_type, message }
    }

    /// Foreign text, fit to show.
    fn shown(&self, text: &str) -> String {
        printable(&self.redact(text), MESSAGE_BYTES)
    }

    fn redact(&self, text: &str) -> String {
        self.secrets.iter().fold(self.transport.redact(text), |text, secret| secret.mask_in(&text))
    }
}

/// The matchers in `text`, which reads like the inside of a selector's braces.
fn matchers(text: &str) -> Result<Vec<Matcher>, String> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let wrong = || format!("its matchers must read like cluster=\"eu-1\",region=~\"eu-.*\", not {text}");
    let parsed =
        trimtab_promql::parse(&format!("{{{text}}}")).map_err(|error| format!("{}: {error}", wrong()))?;
    match trimtab_promql::selectors(&parsed).as_slice() {
        [only] if only.metric.is_none() => Ok(only.matchers.clone()),
        _ => Err(wrong()),
    }
}

/// Whether the address of a Prometheus is one.
///
/// # Errors
/// What it must read like.
pub fn check_address(base_url: &str) -> Result<(), String> {
    endpoint(base_url).map(|_| ()).ok_or_else(|| ADDRESS_FORM.to_owned())
}

/// Whether the matchers of [`PrometheusConfig::scope`] are ones.
///
/// # Errors
/// What they must read like.
pub fn check_scope(text: &str) -> Result<(), String> {
    matchers(text).map(|_| ())
}

fn endpoint(base_url: &str) -> Option<Uri> {
    let base: Uri = base_url.parse().ok()?;
    let is_web = matches!(base.scheme_str(), Some("http" | "https"));
    let has_user = base.authority()?.as_str().contains('@');
    if !is_web || has_user || base.query().is_some() {
        return None;
    }
    format!("{}/api/v1/query", base_url.trim_end_matches('/')).parse().ok()
}

/// Why a successful head cannot have a readable body, if so.
fn unreadable_head(headers: &HeaderMap) -> Option<String> {
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Some("it is compressed, which was not asked for".to_owned());
    }
    let content_type = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    content_type.starts_with("text/html").then(|| "a web page came instead of JSON".to_owned())
}

fn announced_bytes(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn asked_wait(headers: &HeaderMap) -> Option<Duration> {
    retry_after(headers).map(|wait| wait.min(RETRY_AFTER_AT_MOST))
}

/// Unix seconds with exactly three decimals: the server rounds to milliseconds, so this loses nothing.
fn seconds(at_ms: i64) -> String {
    let sign = if at_ms < 0 { "-" } else { "" };
    let magnitude_ms = at_ms.unsigned_abs();
    format!("{sign}{}.{:03}", magnitude_ms / 1000, magnitude_ms % 1000)
}

fn push_field(form: &mut String, name: &str, value: &str) {
    if !form.is_empty() {
        form.push('&');
    }
    form.push_str(name);
    form.push('=');
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                form.push(char::from(byte));
            }
            _ => write!(form, "%{byte:02X}").expect("writing to a String cannot fail"),
        }
    }
}
