//! The door through which providers reach this Prometheus: no network, whatever the URL.

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use trimtab_providers::http::{BodyStream, HttpTransport, TransportError, body_of};

use super::Prometheus;

/// A transport on which every request goes to one modelled Prometheus.
#[derive(Clone)]
pub struct InProcess(
    /// Who answers.
    pub Prometheus,
);

impl HttpTransport for InProcess {
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<BodyStream>, TransportError>> {
        async move {
            let host = request.uri().host().unwrap_or_default().to_owned();
            match self.0.handle(request).await {
                Ok(response) => Ok(response.map(|body| body_of([body]))),
                Err(super::Refused) => {
                    Err(TransportError::Connect { host, cause: "connection refused".to_owned() })
                }
            }
        }
        .boxed()
    }
}
