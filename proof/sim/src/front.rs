//! The HTTP/1.1 front: real clients such as `kubectl`, over plain HTTP on loopback.

use std::convert::Infallible;
use std::future::Future;
use std::io;

use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::actor::call_of;
use crate::body::SimBody;
use crate::failure::Failure;
use crate::server::REQUEST_BYTES_MAX;
use crate::sim::Sim;

/// Who a client is that says nothing about it.
const DEFAULT_USER: &str = "kubectl";

impl Sim {
    /// Answers HTTP/1.1 on `listener` until `stop` completes. The user is taken from `Impersonate-User`, else from
    /// `Authorization: Bearer <user>`, else it is `kubectl`. Not authenticated: bind to loopback only.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) -> io::Result<()> {
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                accepted = listener.accept() => accepted?,
            };
            let sim = self.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(sim.clone(), request));
                // An answer is dated by the simulation, never by the clock of the machine.
                let mut http = http1::Builder::new();
                let connection =
                    http.auto_date_header(false).serve_connection(TokioIo::new(accepted.0), service);
                // A client that goes away ends its own connection and nothing else.
                let _ = connection.await;
            });
        }
    }
}

async fn answer(sim: Sim, request: Request<Incoming>) -> Result<Response<SimBody>, Infallible> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, REQUEST_BYTES_MAX + 1).collect().await else {
        return Ok(SimBody::failure(&Failure::too_large(REQUEST_BYTES_MAX)));
    };
    let call = call_of(&parts, user_of(&parts.headers), body.to_bytes());
    let answer = sim.submit(call, None).await;
    Ok(answer.unwrap_or_else(|error| SimBody::failure(&Failure::internal(error.to_string()))))
}

fn user_of(headers: &HeaderMap) -> String {
    let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    value("impersonate-user")
        .or_else(|| value(header::AUTHORIZATION.as_str())?.strip_prefix("Bearer "))
        .map(str::trim)
        .filter(|user| !user.is_empty())
        .unwrap_or(DEFAULT_USER)
        .to_owned()
}
