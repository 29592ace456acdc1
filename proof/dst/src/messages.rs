//! Catches what is sent to people.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;
use trimtab_providers::http::{BodyStream, HttpTransport, TransportError, body_of};

/// A receiver that confirms and remembers every message.
#[derive(Clone, Debug, Default)]
pub struct Messages {
    received: Arc<Mutex<Vec<Message>>>,
}

/// One message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Where it went.
    pub url: String,
    /// Its body.
    pub body: Value,
}

impl Messages {
    /// Everything received so far, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Message> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl HttpTransport for Messages {
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<BodyStream>, TransportError>> {
        let body = serde_json::from_slice(request.body()).unwrap_or_default();
        let message = Message { url: request.uri().to_string(), body };
        self.received.lock().unwrap_or_else(PoisonError::into_inner).push(message);
        async move { Ok(http::Response::new(body_of([Bytes::from_static(b"ok")]))) }.boxed()
    }
}
