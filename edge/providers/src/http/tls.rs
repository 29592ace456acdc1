//! TLS from files: trust roots, a client certificate, the lowest version.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use hyper_rustls::ConfigBuilderExt as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::TransportError;
use super::credentials::file_error;

/// Which certificate authorities are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Roots {
    /// The machine's own bundle.
    System,
    /// Exactly those in this PEM file.
    File(PathBuf),
}

/// A client certificate for mutual TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientIdentity {
    /// PEM file with the certificate chain, leaf first.
    pub certificate_file: PathBuf,
    /// PEM file with the leaf's private key.
    pub key_file: PathBuf,
}

/// The lowest TLS version that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFloor {
    /// TLS 1.2, for servers that know nothing newer.
    V12,
    /// TLS 1.3.
    V13,
}

/// Everything TLS needs. Files are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Trusted authorities.
    pub roots: Roots,
    /// Client certificate, if the server asks for one.
    pub identity: Option<ClientIdentity>,
    /// Lowest version.
    pub floor: TlsFloor,
}

/// Modification time and length of each file: differs once a file was replaced.
pub(super) type Fingerprint = Vec<Option<(SystemTime, u64)>>;

impl TlsFiles {
    pub(super) fn fingerprint(&self) -> Fingerprint {
        let roots = match &self.roots {
            Roots::System => None,
            Roots::File(path) => Some(path),
        };
        let identity =
            self.identity.iter().flat_map(|identity| [&identity.certificate_file, &identity.key_file]);
        roots.into_iter().chain(identity).map(|path| stamp(path)).collect()
    }

    pub(super) fn load(&self) -> Result<ClientConfig, TransportError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.floor.versions())
            .expect("the ring provider has cipher suites for TLS 1.2 and 1.3");
        let builder = match &self.roots {
            Roots::File(path) => builder.with_root_certificates(roots_from(path)?),
            Roots::System => match builder.clone().with_native_roots() {
                Ok(builder) => builder,
                // A minimal image has no bundle. Plain HTTP must still work there, and every TLS server be
                // distrusted.
                Err(error) => {
                    tracing::warn!(%error, "no system certificates found; set a CA file to use https");
                    builder.with_root_certificates(RootCertStore::empty())
                }
            },
        };
        let Some(identity) = &self.identity else { return Ok(builder.with_no_client_auth()) };
        let chain = certificates(&identity.certificate_file)?;
        let key = PrivateKeyDer::from_pem_file(&identity.key_file)
            .map_err(|_| file_error(&identity.key_file, "it holds no PEM private key"))?;
        builder.with_client_auth_cert(chain, key).map_err(|error| {
            file_error(&identity.key_file, &format!("it does not fit the certificate: {error}"))
        })
    }
}

static ONLY_V13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

impl TlsFloor {
    fn versions(self) -> &'static [&'static SupportedProtocolVersion] {
        match self {
            Self::V12 => rustls::ALL_VERSIONS,
            Self::V13 => ONLY_V13,
        }
    }
}

fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let unreadable = |error: rustls::pki_types::pem::Error| file_error(path, &error.to_string());
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if chain.is_empty() { Err(file_error(path, "it holds no PEM certificate")) } else { Ok(chain) }
}

fn roots_from(path: &Path) -> Result<RootCertStore, TransportError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|error| file_error(path, &error.to_string()))?;
    }
    Ok(store)
}
