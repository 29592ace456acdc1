//! Plain HTTP requests inside the namespace.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;

/// A client that keeps connections between requests.
pub(crate) type HttpClient = Client<HttpConnector, Full<Bytes>>;

/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// The longest answer that is read, in bytes: a range of every sample of a lab run is a few MB.
const LONGEST_ANSWER_BYTES: usize = 256 << 20;
/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Whether a client keeps a connection for the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Connections {
    /// Kept and used again, as most clients do; a pod keeps its share of traffic for as long as it answers.
    #[default]
    Pooled,
    /// A new one for each request.
    Fresh,
}

pub(crate) fn client(connections: Connections) -> HttpClient {
    let mut builder = Client::builder(TokioExecutor::new());
    match connections {
        Connections::Pooled => builder.build_http(),
        Connections::Fresh => builder.pool_max_idle_per_host(0).build_http(),
    }
}

/// Sends a form, or nothing, and reads the whole answer.
pub(crate) async fn fetch(
    client: &HttpClient,
    method: Method,
    url: &str,
    form: &[(&str, &str)],
) -> Result<(StatusCode, Bytes)> {
    let body: Vec<String> =
        form.iter().map(|(key, value)| format!("{key}={}", utf8_percent_encode(value, RESERVED))).collect();
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::from(body.join("&")))
        .with_context(|| format!("{url} is not a URL"))?;
    let exchange = async {
        let response = client.request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LONGEST_ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        anyhow::Ok((status, body))
    };
    let answer = timeout(ANSWER_LIMIT, exchange).await.with_context(|| format!("{url} did not answer"))?;
    answer.with_context(|| format!("cannot fetch {url}"))
}

/// Sends a form and reads JSON.
pub(crate) async fn fetch_json(client: &HttpClient, url: &str, form: &[(&str, &str)]) -> Result<Value> {
    let (status, body) = fetch(client, Method::POST, url, form).await?;
    let said = || String::from_utf8_lossy(&body).into_owned();
    ensure!(status.is_success(), "{url} answered {status}: {}", said());
    serde_json::from_slice(&body).with_context(|| format!("{url} did not answer with JSON: {}", said()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_unreserved_characters_is_encoded() {
        for (text, expect) in
            [("", ""), ("aZ09-._~", "aZ09-._~"), ("a{b=\"c d\"}+é", "a%7Bb%3D%22c%20d%22%7D%2B%C3%A9")]
        {
            assert_eq!(utf8_percent_encode(text, RESERVED).to_string(), expect);
        }
    }
}
