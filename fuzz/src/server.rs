//! An API server whose every word is given.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use kube::client::Body;
use trimtab_kube::Api;

/// One answer.
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) retry_after: Option<Vec<u8>>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { code: 200, retry_after: None, body: body.into() }
    }
}

/// An API that gives `answers` in turn and then none any more.
pub(crate) fn api(answers: impl IntoIterator<Item = Answer>) -> Api {
    let answers = Arc::new(Mutex::new(answers.into_iter().collect::<VecDeque<Answer>>()));
    let service = tower::service_fn(move |_: Request<Body>| {
        let answer = answers.lock().ok().and_then(|mut answers| answers.pop_front());
        async move {
            match answer {
                Some(answer) => respond(answer),
                None => std::future::pending().await,
            }
        }
    });
    Api::new(kube::Client::new(service, "default"), "fuzz")
}

fn respond(answer: Answer) -> Result<Response<Body>, http::Error> {
    let mut response = Response::builder().status(answer.code);
    if let Some(words) = answer.retry_after.and_then(|words| http::HeaderValue::from_bytes(&words).ok()) {
        response = response.header(http::header::RETRY_AFTER, words);
    }
    response.body(Body::from(answer.body))
}
