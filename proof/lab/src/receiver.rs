//! A web server that writes down what it is sent: what Slack, and other people's programs, would have got.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use bytes::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// An address that is neither a pod's nor loopback: Trimtab tells nobody on loopback.
const ADDRESS: &str = "10.64.0.2:0";
/// Requests that are kept; those after them are refused.
const MOST_REQUESTS: usize = 10_000;

/// One request.
#[derive(Debug, Clone)]
pub struct Received {
    /// Path of the URL.
    pub path: String,
    /// Headers.
    pub headers: HeaderMap,
    /// When it came.
    pub at: Instant,
    /// The bytes of the body as they came.
    pub body: Bytes,
}

impl Received {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header's value; empty when there is none.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A server that says 200 to everything. Dropping it ends it.
#[derive(Debug)]
pub struct Receiver {
    address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    holds: watch::Sender<bool>,
    serving: JoinHandle<()>,
}

#[derive(Clone)]
struct Served {
    received: Arc<Mutex<Vec<Received>>>,
    holds: watch::Receiver<bool>,
}

impl Receiver {
    /// Starts to listen.
    ///
    /// # Errors
    /// When there is no port.
    pub async fn start() -> Result<Self> {
        let listener =
            TcpListener::bind(ADDRESS).await.with_context(|| format!("cannot listen on {ADDRESS}"))?;
        let address = listener.local_addr().context("a socket has no address")?;
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let (holds, held) = watch::channel(false);
        let served = Served { received: Arc::clone(&received), holds: held };
        let router = Router::new().fallback(receive).with_state(served);
        let serving = tokio::spawn(async move {
            // It ends with its task only.
            let _ended = axum::serve(listener, router).await;
        });
        Ok(Self { address, received, holds, serving })
    }

    /// The URL of a path, which begins with `/`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What was sent so far to paths that begin with `prefix`, in the order in which it came.
    #[must_use]
    pub fn received(&self, prefix: &str) -> Vec<Received> {
        let all = self.received.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().filter(|one| one.path.starts_with(prefix)).cloned().collect()
    }

    /// From now on requests are written down and not answered.
    pub fn hold_answers(&self) {
        self.holds.send_replace(true);
    }

    /// Answers what waits, and what comes.
    pub fn answer_again(&self) {
        self.holds.send_replace(false);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn receive(State(served): State<Served>, uri: Uri, headers: HeaderMap, body: Bytes) -> StatusCode {
    let Served { received, mut holds } = served;
    {
        let mut all = received.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST_REQUESTS {
            return StatusCode::INSUFFICIENT_STORAGE;
        }
        all.push(Received { path: uri.path().to_owned(), headers, at: Instant::now(), body });
    }
    // An error means that the receiver was dropped, and nobody wants to know.
    let _dropped = holds.wait_for(|held| !held).await;
    StatusCode::OK
}
