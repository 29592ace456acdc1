//! The real transport: hyper over checked connections, with rotating credentials and certificates.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{StreamExt as _, TryStreamExt as _};
use http::header::{AUTHORIZATION, HeaderValue, USER_AGENT};
use http_body_util::{BodyExt as _, Full};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::dial::{Dialer, Patient};
use super::tls::Fingerprint;
use super::{
    BodyStream, Credentials, EgressPolicy, HttpTransport, Resolve, Roots, TlsFiles, TlsFloor, TransportError,
};
use crate::secret::{MASK, SecretText};

/// Idle connections kept per host.
const IDLE_CONNECTIONS_PER_HOST: usize = 4;
/// How long an idle connection is kept. Below the minute after which common proxies drop one silently.
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Default bound on resolution, TCP and TLS handshake together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What we call ourselves.
const AGENT: HeaderValue = HeaderValue::from_static(concat!("trimtab/", env!("CARGO_PKG_VERSION")));

/// How a transport connects and who it says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportConfig {
    /// Trust roots, client certificate, lowest version.
    pub tls: TlsFiles,
    /// `Authorization` of every request.
    pub credentials: Credentials,
    /// Where requests may go.
    pub egress: EgressPolicy,
    /// Bound on resolution, TCP and TLS handshake together.
    pub connect_timeout: Duration,
}

impl TransportConfig {
    /// TLS 1.3 with the system's roots, no credentials, five seconds to connect.
    #[must_use]
    pub fn new(egress: EgressPolicy) -> Self {
        Self {
            tls: TlsFiles { roots: Roots::System, identity: None, floor: TlsFloor::V13 },
            credentials: Credentials::None,
            egress,
            connect_timeout: CONNECT_TIMEOUT,
        }
    }
}

type HyperClient = Client<Patient, Full<Bytes>>;

/// HTTP/1.1 over TCP or TLS. Reads no proxy settings from the environment.
pub struct HyperTransport {
    config: TransportConfig,
    dialer: Dialer,
    current: Mutex<(Fingerprint, HyperClient)>,
}

impl HyperTransport {
    /// A transport that resolves names with the machine's resolver or the one given.
    ///
    /// # Errors
    /// [`TransportError::File`] when a certificate file cannot be used. Credential files are only read on use.
    pub fn new(config: TransportConfig, resolver: Arc<dyn Resolve>) -> Result<Self, TransportError> {
        let dialer = Dialer { policy: Arc::new(config.egress.clone()), resolver };
        let fingerprint = config.tls.fingerprint();
        let client = connect_with(&config, &dialer)?;
        Ok(Self { config, dialer, current: Mutex::new((fingerprint, client)) })
    }

    /// The client for the certificate files as they are now. A rotation caught half way keeps the old client:
    /// its fingerprint stays old too, so the next request looks again.
    fn client(&self) -> HyperClient {
        let fingerprint = self.config.tls.fingerprint();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 != fingerprint {
            match connect_with(&self.config, &self.dialer) {
                Ok(client) => *current = (fingerprint, client),
                Err(error) => {
                    tracing::warn!(%error, "changed certificate files are not usable; keeping the old ones");
                }
            }
        }
        current.1.clone()
    }

    async fn exchange(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<BodyStream>, TransportError> {
        // Before the pool is asked: a pooled connection is dialled for no request, so nothing else would
        // check this URL.
        let (host, _) = self.config.egress.check_uri(request.uri())?;
        let mut request = request.map(Full::new);
        if let Some(authorization) = self.config.credentials.read()? {
            request.headers_mut().insert(AUTHORIZATION, authorization.header);
        }
        request.headers_mut().entry(USER_AGENT).or_insert(AGENT);
        let response = self.client().request(request).await.map_err(|error| classify(&host, &error))?;
        Ok(response.map(|body| {
            body.into_data_stream()
                .map_err(move |error| TransportError::Broken {
                    host: host.clone(),
                    cause: root_cause(&error),
                })
                .boxed()
        }))
    }
}

impl HttpTransport for HyperTransport {
    fn send(
        &self,
        request: http::Request<Bytes>,
    ) -> BoxFuture<'_, Result<http::Response<BodyStream>, TransportError>> {
        self.exchange(request).boxed()
    }

    fn redact(&self, text: &str) -> String {
        match self.config.credentials.read() {
            Ok(None) => text.to_owned(),
            Ok(Some(authorization)) => {
                let header = String::from_utf8_lossy(authorization.header.as_bytes()).into_owned();
                let encoded = header.split_once(' ').map_or("", |(_, encoded)| encoded).to_owned();
                let whole = authorization.secret;
                let password = whole.expose().split_once(':').map_or("", |(_, password)| password).to_owned();
                [whole, SecretText::new(encoded), SecretText::new(password)]
                    .iter()
                    .fold(text.to_owned(), |text, secret| secret.mask_in(&text))
            }
            // What cannot be recognised cannot be masked, so nothing is shown.
            Err(_) => MASK.to_owned(),
        }
    }
}

fn connect_with(config: &TransportConfig, dialer: &Dialer) -> Result<HyperClient, TransportError> {
    let https = HttpsConnectorBuilder::new()
        .with_tls_config(config.tls.load()?)
        .https_or_http()
        .enable_http1()
        .wrap_connector(dialer.clone());
    let connector = Patient { inner: https, timeout: config.connect_timeout };
    Ok(Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_PER_HOST)
        .build(connector))
}

/// Our own refusals come back from the dialer wrapped by hyper; they must keep their kind, which decides on
/// retries.
fn classify(host: &str, error: &ClientError) -> TransportError {
    if let Some(own) = chain(error).find_map(|cause| cause.downcast_ref::<TransportError>()) {
        return own.clone();
    }
    let cause = root_cause(error);
    if error.is_connect() {
        TransportError::Connect { host: host.to_owned(), cause }
    } else {
        TransportError::Broken { host: host.to_owned(), cause }
    }
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn root_cause(error: &(dyn Error + 'static)) -> String {
    chain(error).last().map_or_else(String::new, ToString::to_string)
}
