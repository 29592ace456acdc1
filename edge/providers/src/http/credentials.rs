//! Credentials that live in files, so that they can rotate without a restart and are never in a manifest.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use http::HeaderValue;

use super::TransportError;
use crate::secret::SecretText;

/// Longest credential file, in bytes. A projected token is about 1 KiB.
const CREDENTIAL_FILE_BYTES: u64 = 64 * 1024;

/// What a transport adds as the `Authorization` header of every request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// No header.
    None,
    /// `Bearer` with the trimmed content of this file.
    BearerFile(PathBuf),
    /// `Basic` with the trimmed content of this file, which reads `user:password`.
    BasicFile(PathBuf),
}

/// One `Authorization` value and the secret inside it.
pub(super) struct Authorization {
    pub(super) header: HeaderValue,
    pub(super) secret: SecretText,
}

impl Credentials {
    /// Reads the file anew: kubelets swap projected tokens under a running process, and a tiny file in memory
    /// costs less than noticing the swap.
    pub(super) fn read(&self) -> Result<Option<Authorization>, TransportError> {
        let (path, is_bearer) = match self {
            Self::None => return Ok(None),
            Self::BearerFile(path) => (path, true),
            Self::BasicFile(path) => (path, false),
        };
        let secret = SecretText::new(read_small(path)?.trim().to_owned());
        let value = if is_bearer {
            format!("Bearer {}", secret.expose())
        } else {
            if !secret.expose().contains(':') {
                return Err(file_error(path, "its content must read user:password"));
            }
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(secret.expose()))
        };
        let mut header = HeaderValue::from_str(&value)
            .map_err(|_| file_error(path, "its content cannot be sent in a header"))?;
        header.set_sensitive(true);
        Ok(Some(Authorization { header, secret }))
    }
}

fn read_small(path: &Path) -> Result<String, TransportError> {
    let size_bytes = std::fs::metadata(path).map_err(|error| file_error(path, &error.to_string()))?.len();
    if size_bytes > CREDENTIAL_FILE_BYTES {
        return Err(file_error(path, "it is too long for a credential"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| file_error(path, &error.to_string()))?;
    if text.trim().is_empty() { Err(file_error(path, "it is empty")) } else { Ok(text) }
}

pub(super) fn file_error(path: &Path, cause: &str) -> TransportError {
    TransportError::File { path: path.display().to_string(), cause: cause.to_owned() }
}
