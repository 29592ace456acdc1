//! Response bodies: whole documents, and watches.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::Stream;
use http::{Response, StatusCode, header};
use http_body::Frame;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::Value;

use crate::failure::Failure;
use crate::watch::WatchStream;

/// The body of an answer.
pub(crate) enum SimBody {
    Whole(Option<Bytes>),
    Watch(Box<WatchStream>),
}

impl SimBody {
    pub(crate) fn json(code: u16, body: Bytes) -> Response<SimBody> {
        respond(code, "application/json", SimBody::Whole(Some(body)))
    }

    pub(crate) fn value(code: u16, body: &Value) -> Response<SimBody> {
        SimBody::json(code, Bytes::from(body.to_string()))
    }

    pub(crate) fn text(code: u16, body: String) -> Response<SimBody> {
        respond(code, "text/plain; charset=utf-8", SimBody::Whole(Some(Bytes::from(body))))
    }

    pub(crate) fn media(code: u16, media: &'static str, body: Bytes) -> Response<SimBody> {
        respond(code, media, SimBody::Whole(Some(body)))
    }

    pub(crate) fn watch(stream: WatchStream) -> Response<SimBody> {
        respond(200, "application/json", SimBody::Watch(Box::new(stream)))
    }

    /// An answer with the time at which the server gives it.
    pub(crate) fn dated(mut response: Response<SimBody>, now: Timestamp) -> Response<SimBody> {
        let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).ok();
        if let Some(date) = date.and_then(|date| header::HeaderValue::from_str(&date).ok()) {
            response.headers_mut().insert(header::DATE, date);
        }
        response
    }

    pub(crate) fn failure(failure: &Failure) -> Response<SimBody> {
        if let Some(text) = &failure.plain {
            return SimBody::text(failure.code, text.clone());
        }
        let mut response = SimBody::value(failure.code, &failure.status());
        if let Some(seconds) = failure.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

fn respond(code: u16, media: &'static str, body: SimBody) -> Response<SimBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(media));
    response
}

impl http_body::Body for SimBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.get_mut() {
            SimBody::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            SimBody::Watch(stream) => Pin::new(stream.as_mut()).poll_next(context),
        }
    }
}
