//! A server under test.

use std::collections::BTreeMap;
use std::fmt;

use futures::future::BoxFuture;
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;

use super::parse::substitute_text;

/// A request of a case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpRequest {
    /// HTTP method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// Content type of the body; empty without one.
    pub content_type: String,
    /// `Accept`; empty for none.
    pub accept: String,
    /// The body, if any.
    pub body: Option<String>,
}

impl HttpRequest {
    pub(crate) fn of(method: &str, path: &str) -> Self {
        HttpRequest { method: method.to_owned(), path: path.to_owned(), ..HttpRequest::default() }
    }

    pub(crate) fn with(&self, variables: &BTreeMap<String, String>) -> Self {
        HttpRequest {
            path: substitute_text(&self.path, variables),
            body: self.body.as_ref().map(|body| substitute_text(body, variables)),
            ..self.clone()
        }
    }

    fn to_http(&self) -> Result<http::Request<Body>, String> {
        let mut builder = http::Request::builder().method(self.method.as_str()).uri(&self.path);
        if !self.content_type.is_empty() {
            builder = builder.header(http::header::CONTENT_TYPE, &self.content_type);
        }
        if !self.accept.is_empty() {
            builder = builder.header(http::header::ACCEPT, &self.accept);
        }
        builder = builder.header(http::header::USER_AGENT, "conformance");
        let body = self.body.clone().map_or_else(Body::empty, |body| Body::from(body.into_bytes()));
        builder.body(body).map_err(|error| error.to_string())
    }
}

impl fmt::Display for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    /// HTTP status.
    pub code: u16,
    /// The body as JSON; a JSON string when it is none.
    pub body: Value,
}

/// A server that cases can be run against. Implemented by every Kubernetes client, in process or not.
pub trait Target: Send + Sync {
    /// Sends a request and returns the answer, whatever its status.
    ///
    /// # Errors
    /// Only when there was no answer.
    fn send<'a>(&'a self, request: &'a HttpRequest) -> BoxFuture<'a, Result<Reply, String>>;

    /// Watches until the server ends the watch; the path carries `timeoutSeconds`.
    ///
    /// # Errors
    /// When there was no answer or a line is not JSON.
    fn watch<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Vec<Value>, String>>;
}

impl Target for kube::Client {
    fn send<'a>(&'a self, request: &'a HttpRequest) -> BoxFuture<'a, Result<Reply, String>> {
        Box::pin(async move {
            let response =
                kube::Client::send(self, request.to_http()?).await.map_err(|error| error.to_string())?;
            let code = response.status().as_u16();
            let bytes = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
            let body = serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes).into_owned()));
            Ok(Reply { code, body })
        })
    }

    fn watch<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<Vec<Value>, String>> {
        Box::pin(async move {
            let request = HttpRequest::of("GET", path).to_http()?;
            let response = kube::Client::send(self, request).await.map_err(|error| error.to_string())?;
            let bytes = response.into_body().collect().await.map_err(|error| error.to_string())?.to_bytes();
            String::from_utf8_lossy(&bytes)
                .lines()
                .filter(|line| !line.trim().is_empty())
                .map(|line| serde_json::from_str(line).map_err(|error| format!("{error} in {line}")))
                .collect()
        })
    }
}
