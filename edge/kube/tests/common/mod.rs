//! A scripted API server: canned answers in order, and a trace of what was asked when.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part")]

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use kube::client::Body;
use tokio::time::Instant;
use trimtab_kube::Api;

/// A piece of an answer's body.
#[derive(Clone, Debug)]
pub enum Piece {
    Data(Vec<u8>),
    Wait(Duration),
    Reset,
}

pub fn data(text: &str) -> Piece {
    Piece::Data(text.as_bytes().to_vec())
}

pub fn line(text: &str) -> Piece {
    data(&format!("{text}\n"))
}

pub fn wait(seconds: u64) -> Piece {
    Piece::Wait(Duration::from_secs(seconds))
}

/// One answer of the script.
#[derive(Clone, Debug)]
pub struct Answer {
    pub code: u16,
    pub retry_after: Option<u64>,
    pub date: Option<&'static str>,
    pub pieces: Vec<Piece>,
}

pub fn ok(pieces: impl Into<Vec<Piece>>) -> Answer {
    Answer { code: 200, retry_after: None, date: None, pieces: pieces.into() }
}

pub fn refuse(code: u16, body: &str) -> Answer {
    Answer { code, retry_after: None, date: None, pieces: vec![data(body)] }
}

/// The connection breaks before any answer.
pub fn unreachable() -> Answer {
    Answer { code: 0, retry_after: None, date: None, pieces: Vec::new() }
}

/// Lines of what happened, each with its virtual millisecond.
#[derive(Clone)]
pub struct Trace {
    lines: Arc<Mutex<Vec<String>>>,
    origin: Instant,
}

impl Trace {
    pub fn new() -> Trace {
        Trace { lines: Arc::default(), origin: Instant::now() }
    }

    pub fn add(&self, text: &str) {
        let line = format!("{} {text}", self.origin.elapsed().as_millis());
        self.lines.lock().unwrap().push(line);
    }

    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

/// An API over `script`. Requests beyond it wait forever.
pub fn scripted(script: Vec<Answer>, trace: &Trace) -> Api {
    let script = Arc::new(Mutex::new(VecDeque::from(script)));
    let trace = trace.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let (script, trace) = (script.clone(), trace.clone());
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            trace
                .add(format!("{} {} {}", parts.method, parts.uri, String::from_utf8_lossy(&body)).trim_end());
            let answer = script.lock().unwrap().pop_front();
            match answer {
                None => std::future::pending().await,
                Some(Answer { code: 0, .. }) => Err("connection refused"),
                Some(answer) => Ok(respond(answer)),
            }
        }
    });
    Api::new(kube::Client::new(service, "default"), "tester")
}

fn respond(answer: Answer) -> Response<impl http_body_util::BodyExt<Data = Bytes, Error = std::io::Error>> {
    let frames = futures::stream::iter(answer.pieces).filter_map(|piece| async {
        match piece {
            Piece::Data(bytes) => Some(Ok(http_body_frame(bytes))),
            Piece::Wait(time) => {
                tokio::time::sleep(time).await;
                None
            }
            Piece::Reset => Some(Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset))),
        }
    });
    let mut response = Response::builder().status(answer.code);
    if let Some(seconds) = answer.retry_after {
        response = response.header("retry-after", seconds);
    }
    if let Some(date) = answer.date {
        response = response.header("date", date);
    }
    response.body(StreamBody::new(frames)).unwrap()
}

fn http_body_frame(bytes: Vec<u8>) -> http_body::Frame<Bytes> {
    http_body::Frame::data(Bytes::from(bytes))
}

/// An API over a function from (method, path and query, body) to (status code, body), answered after `latency`.
pub fn served<F>(latency: Duration, serve: F) -> Api
where
    F: Fn(&str, &str, serde_json::Value) -> (u16, serde_json::Value) + Send + Sync + 'static,
{
    let serve = Arc::new(serve);
    let service = tower::service_fn(move |request: Request<Body>| {
        let serve = serve.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            tokio::time::sleep(latency).await;
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let (code, body) = serve(parts.method.as_str(), &parts.uri.to_string(), body);
            let body = Body::from(body.to_string().into_bytes());
            Ok::<_, Infallible>(Response::builder().status(code).body(body).unwrap())
        }
    });
    Api::new(kube::Client::new(service, "default"), "tester")
}
