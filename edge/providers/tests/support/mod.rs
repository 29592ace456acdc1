//! A transport that answers from a closure, and reading of the forms that were sent.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use http::{Request, Response};
use trimtab_providers::http::{BodyStream, HttpTransport, TransportError, body_of};
use trimtab_providers::prometheus::{Prometheus, PrometheusConfig};

type Reaction =
    dyn Fn(Request<Bytes>) -> BoxFuture<'static, Result<Response<BodyStream>, TransportError>> + Send + Sync;

pub struct Scripted(Box<Reaction>);

impl HttpTransport for Scripted {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<BodyStream>, TransportError>> {
        (self.0)(request)
    }
}

/// A transport whose every answer is computed by `react`.
pub fn scripted<F, R>(react: F) -> Arc<dyn HttpTransport>
where
    F: Fn(Request<Bytes>) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Response<BodyStream>, TransportError>> + Send + 'static,
{
    Arc::new(Scripted(Box::new(move |request| react(request).boxed())))
}

/// A transport that always gives this answer, its body cut into chunks of seven bytes.
pub fn always(status: u16, headers: &[(&'static str, &str)], body: &str) -> Arc<dyn HttpTransport> {
    let headers: Vec<(&'static str, String)> =
        headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let body = body.as_bytes().to_vec();
    scripted(move |_| {
        let mut builder = Response::builder().status(status);
        for (name, value) in &headers {
            builder = builder.header(*name, value);
        }
        let chunks: Vec<Bytes> = body.chunks(7).map(Bytes::copy_from_slice).collect();
        std::future::ready(Ok(builder.body(body_of(chunks)).unwrap()))
    })
}

pub fn json(body: String) -> Result<Response<BodyStream>, TransportError> {
    Ok(Response::new(body_of([Bytes::from(body)])))
}

pub fn config() -> PrometheusConfig {
    let mut config = PrometheusConfig::new("main", "http://prometheus.example:9090/base/");
    config.limits.timeout = Duration::from_secs(10);
    config
}

pub fn client(transport: Arc<dyn HttpTransport>) -> Prometheus {
    Prometheus::new(transport, config()).unwrap()
}

/// The fields of a form-encoded body.
pub fn form(body: &[u8]) -> BTreeMap<String, String> {
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'%' => {
                    let hex = [rest.next().unwrap(), rest.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
                }
                b'+' => b' ',
                other => other,
            });
        }
        String::from_utf8(bytes).unwrap()
    };
    let text = std::str::from_utf8(body).unwrap();
    text.split('&').map(|field| field.split_once('=').unwrap()).map(|(k, v)| (decode(k), decode(v))).collect()
}
