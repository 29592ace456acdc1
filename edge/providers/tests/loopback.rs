//! The real transport against a real server on loopback: credentials, certificates, egress, time.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use trimtab_providers::http::{
    ClientIdentity, Collected, Credentials, EgressPolicy, HttpTransport, HyperTransport, Resolve, Roots,
    SystemResolver, TransportConfig, TransportError, collect,
};

/// Longest body that a test reads, in bytes.
const BODY_BYTES: usize = 1024;

/// A directory of this test's own, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("trimtab-loopback-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Answers with the request's `Authorization`; redirects `/moved` to itself. Counts accepted connections.
struct Server {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    async fn start(tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counter.fetch_add(1, Ordering::Relaxed);
                let tls = tls.clone();
                tokio::spawn(async move {
                    let connection = hyper::server::conn::http1::Builder::new();
                    match tls {
                        None => {
                            drop(connection.serve_connection(TokioIo::new(stream), service_fn(reply)).await);
                        }
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                drop(
                                    connection
                                        .serve_connection(TokioIo::new(stream), service_fn(reply))
                                        .await,
                                );
                            }
                        }
                    }
                });
            }
        });
        Self { address, accepted, task }
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

async fn reply(request: Request<hyper::body::Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let authorization = request.headers().get("authorization").cloned();
    let body = Bytes::from(authorization.map_or_else(Vec::new, |value| value.as_bytes().to_vec()));
    let mut response = Response::new(Full::new(body));
    if request.uri().path() == "/moved" {
        *response.status_mut() = http::StatusCode::FOUND;
        response.headers_mut().insert("location", http::HeaderValue::from_static("/"));
    }
    Ok(response)
}

/// Answers from a table; a host with several rows of addresses gets the next row at each question.
struct Table(Mutex<BTreeMap<String, Vec<Vec<IpAddr>>>>);

impl Table {
    fn new(rows: &[(&str, &[&[&str]])]) -> Arc<Self> {
        let parse = |addresses: &&[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect();
        let rows = rows.iter().map(|(host, turns)| ((*host).to_owned(), turns.iter().map(parse).collect()));
        Arc::new(Self(Mutex::new(rows.collect())))
    }
}

impl Resolve for Table {
    fn resolve(&self, host: String) -> BoxFuture<'_, Result<Vec<IpAddr>, String>> {
        let mut rows = self.0.lock().unwrap();
        let answer = match rows.get_mut(host.trim_end_matches('.')) {
            None => Err("no such host".to_owned()),
            Some(turns) if turns.len() > 1 => Ok(turns.remove(0)),
            Some(turns) => Ok(turns[0].clone()),
        };
        std::future::ready(answer).boxed()
    }
}

async fn get(transport: &HyperTransport, url: &str) -> Result<(u16, String), TransportError> {
    let request = Request::get(url).body(Bytes::new()).unwrap();
    let response = transport.send(request).await?;
    let status = response.status().as_u16();
    match collect(response.into_body(), BODY_BYTES).await? {
        Collected::Whole(body) => Ok((status, String::from_utf8(body).unwrap())),
        Collected::CutOff(_) => panic!("the body is too long"),
    }
}

fn with_credentials(credentials: Credentials) -> HyperTransport {
    let config = TransportConfig { credentials, ..TransportConfig::new(EgressPolicy::Unrestricted) };
    HyperTransport::new(config, Arc::new(SystemResolver)).unwrap()
}

#[tokio::test]
async fn a_bearer_token_is_sent_and_read_again_when_it_rotates() {
    let scratch = Scratch::new("bearer");
    let server = Server::start(None).await;
    let url = format!("http://{}/", server.address);
    let file = scratch.write("token", "first-token\n");
    let transport = with_credentials(Credentials::BearerFile(file.clone()));
    assert_eq!(get(&transport, &url).await.unwrap(), (200, "Bearer first-token".to_owned()));
    assert_eq!(transport.redact("rejected first-token!"), "rejected [redacted]!");
    scratch.write("token", "second-token\n");
    assert_eq!(get(&transport, &url).await.unwrap().1, "Bearer second-token");
    assert_eq!(server.accepted(), 1, "the connection is kept");
    std::fs::remove_file(&file).unwrap();
    let error = get(&transport, &url).await.unwrap_err().to_string();
    assert!(error.contains("token") && error.contains("cannot use"), "{error}");
}

#[tokio::test]
async fn basic_credentials_are_encoded_and_every_form_is_masked() {
    let scratch = Scratch::new("basic");
    let server = Server::start(None).await;
    let file = scratch.write("basic", "ann:hunter2\n");
    let transport = with_credentials(Credentials::BasicFile(file));
    let (_, body) = get(&transport, &format!("http://{}/", server.address)).await.unwrap();
    assert_eq!(body, "Basic YW5uOmh1bnRlcjI=");
    for echo in ["ann:hunter2", "password hunter2", "YW5uOmh1bnRlcjI="] {
        let shown = transport.redact(echo);
        assert!(shown.contains("[redacted]") && !shown.contains("hunter2"), "{shown}");
    }
}

#[tokio::test]
async fn credential_files_that_cannot_work_are_named_without_their_content() {
    let scratch = Scratch::new("bad-credentials");
    let long = "x".repeat(70_000);
    type Kind = fn(PathBuf) -> Credentials;
    let table: [(&str, &str, Kind, &str); 4] = [
        ("empty", " \n", Credentials::BearerFile, "it is empty"),
        ("long", &long, Credentials::BearerFile, "too long"),
        ("broken", "canary\nline", Credentials::BearerFile, "cannot be sent in a header"),
        ("no-colon", "canary", Credentials::BasicFile, "user:password"),
    ];
    for (name, content, kind, expect) in table {
        let transport = with_credentials(kind(scratch.write(name, content)));
        let error = get(&transport, "http://127.0.0.1:9/").await.unwrap_err().to_string();
        assert!(error.contains(expect) && error.contains(name) && !error.contains("canary"), "{error}");
        assert_eq!(transport.redact("canary"), "[redacted]");
    }
}

#[tokio::test]
async fn redirects_are_handed_over_and_not_followed() {
    let server = Server::start(None).await;
    let transport = with_credentials(Credentials::None);
    assert_eq!(get(&transport, &format!("http://{}/moved", server.address)).await.unwrap().0, 302);
}

struct Pki {
    ca_pem: String,
    acceptor: TlsAcceptor,
    client_certificate_pem: String,
    client_key_pem: String,
}

/// A new authority with a server certificate for `server.test` and a client certificate, which the server
/// demands.
fn pki() -> Pki {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca_params = CertificateParams::new(Vec::new()).unwrap();
    ca_params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = ca_params.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca_params, ca_key);
    let leaf = |name: &str, usage| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        (params.signed_by(&key, &issuer).unwrap(), key)
    };
    let (server, server_key) = leaf("server.test", ExtendedKeyUsagePurpose::ServerAuth);
    let (client, client_key) = leaf("client.test", ExtendedKeyUsagePurpose::ClientAuth);

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    roots.add(ca.der().clone()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![server.der().clone()],
            PrivateKeyDer::try_from(server_key.serialize_der()).unwrap(),
        )
        .unwrap();
    Pki {
        ca_pem: ca.pem(),
        acceptor: TlsAcceptor::from(Arc::new(config)),
        client_certificate_pem: client.pem(),
        client_key_pem: client_key.serialize_pem(),
    }
}

fn tls_transport(ca_file: &Path, identity: Option<ClientIdentity>) -> Result<HyperTransport, TransportError> {
    let mut config = TransportConfig::new(EgressPolicy::Unrestricted);
    config.tls.roots = Roots::File(ca_file.to_owned());
    config.tls.identity = identity;
    HyperTransport::new(config, Table::new(&[("server.test", &[&["127.0.0.1"]])]))
}

#[tokio::test]
async fn mutual_tls_needs_the_authority_and_the_client_certificate() {
    let scratch = Scratch::new("mtls");
    let (pki, stranger) = (pki(), pki());
    let server = Server::start(Some(pki.acceptor)).await;
    let url = format!("https://server.test:{}/", server.address.port());
    let ca_file = scratch.write("ca.pem", &stranger.ca_pem);
    let certificate_file = scratch.write("client.pem", &pki.client_certificate_pem);
    let key_file = scratch.write("client.key", &pki.client_key_pem);
    let identity = ClientIdentity { certificate_file, key_file };
    let transport = tls_transport(&ca_file, Some(identity)).unwrap();

    let error = get(&transport, &url).await.unwrap_err();
    assert!(matches!(error, TransportError::Connect { .. }), "an unknown authority is not trusted: {error}");
    // A rotated authority is picked up by the same transport, and a broken one half way is not.
    scratch.write("ca.pem", &format!("{}\n", pki.ca_pem));
    assert_eq!(get(&transport, &url).await.unwrap().0, 200);
    scratch.write("ca.pem", "half");
    assert_eq!(get(&transport, &url).await.unwrap().0, 200);

    scratch.write("ca.pem", &pki.ca_pem);
    let anonymous = tls_transport(&ca_file, None).unwrap();
    assert!(get(&anonymous, &url).await.is_err(), "without a client certificate the server hangs up");
}

#[test]
fn certificate_files_that_cannot_work_are_named() {
    let scratch = Scratch::new("bad-tls");
    let (pki, stranger) = (pki(), pki());
    let ca_file = scratch.write("ca.pem", &pki.ca_pem);
    let certificate_file = scratch.write("client.pem", &pki.client_certificate_pem);
    let key_file = scratch.write("client.key", &stranger.client_key_pem);
    let missing = scratch.0.join("missing.pem");
    let empty = scratch.write("empty.pem", "");
    let identity = |key_file: &Path| ClientIdentity {
        certificate_file: certificate_file.clone(),
        key_file: key_file.into(),
    };
    let table = [
        (tls_transport(&missing, None), "missing.pem"),
        (tls_transport(&empty, None), "empty.pem: it holds no PEM certificate"),
        (tls_transport(&ca_file, Some(identity(&empty))), "empty.pem: it holds no PEM private key"),
        (tls_transport(&ca_file, Some(identity(&key_file))), "client.key: it does not fit the certificate"),
    ];
    for (got, expect) in table {
        let error = got.err().unwrap().to_string();
        assert!(error.contains(expect), "{error}");
    }
}

fn guarded(allowed: &[&str], resolver: Arc<dyn Resolve>) -> HyperTransport {
    let allowed = allowed.iter().map(|network| network.parse().unwrap()).collect();
    let egress = EgressPolicy::Guarded { allowed };
    HyperTransport::new(TransportConfig::new(egress), resolver).unwrap()
}

#[tokio::test]
async fn no_spelling_of_a_forbidden_address_is_dialled() {
    let server = Server::start(None).await;
    let port = server.address.port();
    let hosts = [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "0177.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0",
        "0.0.0.0",
        "[::]",
        "[::127.0.0.1]",
        "169.254.169.254",
        "[fe80::1]",
    ];
    let transport = guarded(&[], Arc::new(SystemResolver));
    for host in hosts {
        let error = get(&transport, &format!("http://{host}:{port}/")).await.unwrap_err();
        // A spelling that the resolver does not know is no way in either.
        let is_closed = matches!(error, TransportError::Refused { .. } | TransportError::Connect { .. });
        assert!(is_closed, "{host}: {error}");
    }
    assert_eq!(server.accepted(), 0);
    let allowed = guarded(&["127.0.0.0/8"], Arc::new(SystemResolver));
    assert_eq!(get(&allowed, &format!("http://127.0.0.1:{port}/")).await.unwrap().0, 200);
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn the_checked_address_is_the_one_that_is_dialled() {
    let server = Server::start(None).await;
    let port = server.address.port();
    let resolver = Table::new(&[
        // 127.7.0.1 is allowed below and nothing else is; asking twice would yield the forbidden one.
        ("rebinding.test", &[&["127.7.0.1"], &["127.0.0.1"]]),
        ("two-faced.test", &[&["127.7.0.1", "127.0.0.1"]]),
        ("nowhere.test", &[&[]]),
    ]);
    let transport = guarded(&["127.7.0.0/16"], resolver);
    // Nothing listens on 127.7.0.1, so an allowed dial is refused by the kernel and a rebound one would be
    // answered.
    let first = get(&transport, &format!("http://rebinding.test:{port}/")).await.unwrap_err();
    assert!(matches!(first, TransportError::Connect { .. }), "{first}");
    let second = get(&transport, &format!("http://rebinding.test:{port}/")).await.unwrap_err();
    assert!(matches!(second, TransportError::Refused { .. }), "{second}");
    let mixed = get(&transport, &format!("http://two-faced.test:{port}/")).await.unwrap_err();
    assert!(matches!(mixed, TransportError::Refused { .. }), "{mixed}");
    let none = get(&transport, &format!("http://nowhere.test:{port}/")).await.unwrap_err().to_string();
    assert!(none.contains("has no address"), "{none}");
    let unknown = get(&transport, &format!("http://unknown.test:{port}/")).await.unwrap_err().to_string();
    assert!(unknown.contains("no such host"), "{unknown}");
    assert_eq!(server.accepted(), 0);
}

/// Never answers.
struct Silent;

impl Resolve for Silent {
    fn resolve(&self, _host: String) -> BoxFuture<'_, Result<Vec<IpAddr>, String>> {
        std::future::pending().boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn connecting_is_bounded() {
    let start = tokio::time::Instant::now();
    let error = get(&guarded(&[], Arc::new(Silent)), "http://silent.test/").await.unwrap_err().to_string();
    assert!(error.contains("no connection within 5s"), "{error}");
    assert_eq!(start.elapsed(), Duration::from_secs(5));
}
