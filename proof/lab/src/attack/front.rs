//! The Prometheus that the manager asks: the real one, but for questions about one namespace.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, Uri, header};
use bytes::Bytes;
use futures::stream;
use http_body_util::Full;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::web::{self, Connections, HttpClient};

/// Parts of an answer that does harm.
const PARTS: u32 = 50;
/// Bytes of each part.
const PART_BYTES: usize = 1024 * 1024;
/// Time before each part.
const PART_EVERY: Duration = Duration::from_millis(100);
/// Bytes of a label's value in it.
const LABEL_BYTES: usize = 10_000;
/// How an answer begins.
const HEAD: &str = r#"{"status":"success","data":{"resultType":"matrix","result":["#;

/// A server before the real one. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Front {
    url: String,
    harm: Arc<Harm>,
    serving: JoinHandle<()>,
}

/// What was done to the manager.
#[derive(Debug, Default)]
struct Harm {
    asked: AtomicU64,
    sent: AtomicU64,
}

#[derive(Clone)]
struct Served {
    behind: String,
    client: HttpClient,
    evil: String,
    part: Bytes,
    harm: Arc<Harm>,
}

impl Front {
    /// Starts to listen: questions that name the namespace `evil` get what they deserve, all others go to `behind`.
    pub(super) async fn start(behind: &str, evil: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on loopback")?;
        let url = format!("http://{}", listener.local_addr().context("a socket has no address")?);
        let harm: Arc<Harm> = Arc::default();
        let served = Served {
            behind: behind.to_owned(),
            client: web::client(Connections::Pooled),
            // As it stands in a form: `namespace="evil"`.
            evil: format!("namespace%3D%22{evil}%22"),
            part: part(),
            harm: Arc::clone(&harm),
        };
        let router = Router::new().fallback(answer).with_state(served);
        let serving = tokio::spawn(async move {
            // It ends with its task only.
            let _ended = axum::serve(listener, router).await;
        });
        Ok(Self { url, harm, serving })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Questions about the namespace so far, and the parts of answers that were taken.
    pub(super) fn harm(&self) -> [u64; 2] {
        [&self.harm.asked, &self.harm.sent].map(|count| count.load(Ordering::Relaxed))
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// Series with long labels, as many as fit.
fn part() -> Bytes {
    let series =
        format!(r#"{{"metric":{{"pod":"a","path":"{}"}},"values":[[1,"1"]]}},"#, "x".repeat(LABEL_BYTES));
    Bytes::from(series.repeat(PART_BYTES / series.len()))
}

async fn answer(State(served): State<Served>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let form = String::from_utf8_lossy(&body);
    if form.contains(&served.evil) {
        served.harm.asked.fetch_add(1, Ordering::Relaxed);
        return Response::new(Body::from_stream(flood(served)));
    }
    served.pass_on(&uri, &headers, body.clone()).await.unwrap_or_else(|error| {
        let mut failed = Response::new(Body::from(format!("{error:#}")));
        *failed.status_mut() = StatusCode::BAD_GATEWAY;
        failed
    })
}

/// The parts, as slow as they are.
fn flood(served: Served) -> impl futures::Stream<Item = Result<Bytes, Infallible>> + Send {
    stream::unfold((0, served), |(number, served)| async move {
        if number > PARTS {
            return None;
        }
        let bytes = if number == 0 { Bytes::from_static(HEAD.as_bytes()) } else { served.part.clone() };
        if number > 0 {
            sleep(PART_EVERY).await;
            served.harm.sent.fetch_add(1, Ordering::Relaxed);
        }
        Some((Ok(bytes), (number + 1, served)))
    })
}

impl Served {
    async fn pass_on(&self, uri: &Uri, headers: &HeaderMap, body: Bytes) -> Result<Response<Body>> {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut request = http::Request::post(format!("{}{path}", self.behind));
        if let Some(kind) = headers.get(header::CONTENT_TYPE) {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        let request = request.body(Full::from(body)).context("a question is no request")?;
        let answer = self.client.request(request).await.context("Prometheus does not answer")?;
        Ok(answer.map(Body::new))
    }
}
