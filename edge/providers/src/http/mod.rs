//! HTTP as a value: one request in, one response with a streamed body out.
//!
//! [`HttpTransport`] is the only door from a provider or a notification sender to a network.
//! [`HyperTransport`] is the real one; a simulated cluster implements the trait in process, which is why
//! nothing here names a socket.

mod client;
mod credentials;
mod dial;
mod egress;
mod tls;

pub use client::{HyperTransport, TransportConfig};
pub use credentials::Credentials;
pub use dial::{Resolve, SystemResolver};
pub use egress::EgressPolicy;
pub use ipnet::IpNet;
pub use tls::{ClientIdentity, Roots, TlsFiles, TlsFloor};

use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt as _};

/// A response body, chunk by chunk, as the peer sends it. Dropping it closes the connection.
pub type BodyStream = BoxStream<'static, Result<Bytes, TransportError>>;

/// Sends requests. Implementations follow no redirects, decode no compression and keep no cookies.
pub trait HttpTransport: Send + Sync {
    /// Sends `request` (absolute URI) and resolves once the response head has arrived; the body follows as a
    /// stream.
    ///
    /// Any status is `Ok`. Only the time to connect is bounded here: callers bound the whole exchange.
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<BodyStream>, TransportError>>;

    /// Masks every credential that this transport adds to requests, so that a peer's echo of one can be
    /// shown.
    fn redact(&self, text: &str) -> String {
        text.to_owned()
    }
}

/// Why no response came. Texts name hosts and files, never paths or queries of a URL: those can be secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The egress policy or the URL rules forbid the request. Sending it again cannot help.
    #[error("{host} is refused: {why}")]
    Refused {
        /// Host as written in the URL.
        host: String,
        /// The rule that forbids it, and how to allow it.
        why: String,
    },
    /// Name resolution, TCP or TLS failed before anything was sent.
    #[error("cannot connect to {host}: {cause}")]
    Connect {
        /// Host as written in the URL.
        host: String,
        /// The lowest error of the chain.
        cause: String,
    },
    /// A credential or certificate file cannot be used.
    #[error("cannot use {path}: {cause}")]
    File {
        /// Path of the file.
        path: String,
        /// What is wrong with it; never its content.
        cause: String,
    },
    /// The connection broke after the request was, at least in part, sent.
    #[error("connection to {host} broke: {cause}")]
    Broken {
        /// Host as written in the URL.
        host: String,
        /// The lowest error of the chain.
        cause: String,
    },
}

/// A body that was read up to a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collected {
    /// The whole body, no longer than the limit.
    Whole(Vec<u8>),
    /// The body goes on beyond the limit. Holds the first `limit` bytes; the rest was never read.
    CutOff(Vec<u8>),
}

/// Reads `body` to its end or to `limit_bytes`, whichever comes first, and then hangs up.
///
/// # Errors
/// Those of the stream, unchanged.
pub async fn collect(mut body: BodyStream, limit_bytes: usize) -> Result<Collected, TransportError> {
    let mut whole = Vec::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk?;
        let room = limit_bytes - whole.len();
        if chunk.len() > room {
            whole.extend_from_slice(&chunk[..room]);
            return Ok(Collected::CutOff(whole));
        }
        whole.extend_from_slice(&chunk);
    }
    Ok(Collected::Whole(whole))
}

/// How long the peer asks to be left alone. Only the form in seconds is read: the form with a date needs a
/// clock. Not bounded; bound it.
#[must_use]
pub fn retry_after(headers: &http::HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A body made of chunks that are already there, for transports that live in process.
pub fn body_of(chunks: impl IntoIterator<Item = Bytes, IntoIter: Send + 'static>) -> BodyStream {
    futures::stream::iter(chunks.into_iter().map(Ok)).boxed()
}
