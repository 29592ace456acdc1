//! Resolve, check every address, connect to a checked address. Nothing resolves a second time, so a name that
//! changes its mind between check and use gains nothing.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use http::Uri;
use hyper_rustls::HttpsConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower::Service;

use super::{EgressPolicy, TransportError};

/// Addresses of one name that are tried before giving up.
const ADDRESSES_TRIED: usize = 4;

/// Turns a host into addresses.
pub trait Resolve: Send + Sync {
    /// All addresses of `host`, in the order in which to try them.
    ///
    /// # Errors
    /// Why the name does not resolve, as shown to an operator.
    fn resolve(&self, host: String) -> BoxFuture<'_, Result<Vec<IpAddr>, String>>;
}

/// The machine's resolver.
#[derive(Debug, Clone, Copy)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: String) -> BoxFuture<'_, Result<Vec<IpAddr>, String>> {
        async move {
            let addresses = tokio::net::lookup_host((host, 0)).await.map_err(|error| error.to_string())?;
            Ok(addresses.map(|address| address.ip()).collect())
        }
        .boxed()
    }
}

/// Opens TCP connections to checked addresses.
#[derive(Clone)]
pub(super) struct Dialer {
    pub(super) policy: Arc<EgressPolicy>,
    pub(super) resolver: Arc<dyn Resolve>,
}

impl Dialer {
    async fn dial(&self, uri: &Uri) -> Result<TcpStream, TransportError> {
        let (host, port) = self.policy.check_uri(uri)?;
        let failed = |cause: String| TransportError::Connect { host: host.clone(), cause };
        let resolved = self.resolver.resolve(self.policy.name_to_resolve(&host)).await;
        let unresolved = |cause| self.policy.unresolved(&host, cause);
        let addresses = resolved.map_err(unresolved)?;
        if addresses.is_empty() {
            return Err(unresolved("the name has no address".to_owned()));
        }
        self.policy.check_addresses(&host, &addresses)?;
        let mut cause = String::new();
        for &address in addresses.iter().take(ADDRESSES_TRIED) {
            match TcpStream::connect(SocketAddr::new(address, port)).await {
                Ok(stream) => {
                    // Requests are one small write each; a failure here only costs latency.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => cause = error.to_string(),
            }
        }
        Err(failed(cause))
    }
}

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = TransportError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.clone();
        async move { dialer.dial(&uri).await.map(TokioIo::new) }.boxed()
    }
}

/// Bounds resolution, TCP and the TLS handshake together.
#[derive(Clone)]
pub(super) struct Patient {
    pub(super) inner: HttpsConnector<Dialer>,
    pub(super) timeout: Duration,
}

impl Service<Uri> for Patient {
    type Response = <HttpsConnector<Dialer> as Service<Uri>>::Response;
    type Error = Box<dyn Error + Send + Sync>;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let timeout = self.timeout;
        let connecting = self.inner.call(uri);
        async move {
            tokio::time::timeout(timeout, connecting)
                .await
                .unwrap_or_else(|_| Err(format!("no connection within {timeout:?}").into()))
        }
        .boxed()
    }
}
