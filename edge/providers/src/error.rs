//! Why a measurement did not come.

use std::fmt;
use std::time::Duration;

use crate::http::TransportError;
use crate::secret::printable;

/// Longest query that is repeated in a message, in bytes.
const QUERY_SHOWN_BYTES: usize = 200;

/// Which question to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Name of the provider, as configured.
    pub provider: String,
    /// The query on one line, shortened.
    pub query: String,
}

impl Asked {
    pub(crate) fn new(provider: &str, query: &str) -> Self {
        Self { provider: provider.to_owned(), query: printable(query, QUERY_SHOWN_BYTES) }
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "prometheus {} on `{}`", self.provider, self.query)
    }
}

/// Why a measurement did not come. Every text names the provider, the query and what to do next; none holds a
/// secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The provider's settings cannot work.
    #[error("prometheus {provider}: {cause}")]
    Settings {
        /// Name of the provider.
        provider: String,
        /// What is wrong and how to write it.
        cause: String,
    },
    /// No complete answer in time.
    #[error("{asked}: no answer within {after:?}; narrow the query or raise the provider's timeout")]
    Timeout {
        /// The question.
        asked: Asked,
        /// The limit that passed.
        after: Duration,
    },
    /// The answer exceeds a limit of ours or of the server; what had arrived was discarded.
    #[error("{asked}: {what}; narrow the selector or shorten the window")]
    TooLarge {
        /// The question.
        asked: Asked,
        /// The limit that was exceeded, with its unit.
        what: String,
    },
    /// The server refused or failed.
    #[error("{asked}: status {code} {error_type}: {message}; {}", next_step(*.code))]
    Status {
        /// The question.
        asked: Asked,
        /// HTTP status.
        code: u16,
        /// Prometheus' `errorType`, or empty.
        error_type: String,
        /// The server's words, redacted, at most 1 KiB.
        message: String,
    },
    /// The answer is not what the API documents.
    #[error("{asked}: unreadable answer: {cause}; check that the address is that of a prometheus API")]
    Decode {
        /// The question.
        asked: Asked,
        /// What was expected and what came.
        cause: String,
    },
    /// No response came.
    #[error("{asked}: {cause}; check the provider's address and its network policy")]
    Transport {
        /// The question.
        asked: Asked,
        /// What failed.
        cause: TransportError,
    },
    /// The server wants other credentials.
    #[error(
        "{asked}: status {code}: the credentials were not accepted; check the provider's token or password file"
    )]
    Unauthorized {
        /// The question.
        asked: Asked,
        /// HTTP status: 401, 403 or 407.
        code: u16,
    },
    /// Too much at once, there or here. Ask again later.
    #[error("{asked}: {cause}; it is asked again later, lower the provider's concurrency if this stays")]
    Overloaded {
        /// The question.
        asked: Asked,
        /// Who is overloaded.
        cause: String,
        /// How long the server asked to be left alone.
        retry_after: Option<Duration>,
    },
}

impl ProviderError {
    /// Whether the same question may succeed later with nobody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Timeout { .. } | Self::Overloaded { .. } => true,
            Self::Status { code, .. } => *code >= 500,
            Self::Transport { cause, .. } => {
                matches!(cause, TransportError::Connect { .. } | TransportError::Broken { .. })
            }
            Self::Settings { .. }
            | Self::TooLarge { .. }
            | Self::Decode { .. }
            | Self::Unauthorized { .. } => false,
        }
    }
}

fn next_step(code: u16) -> &'static str {
    match code {
        300..400 => "redirects are not followed, set the address to the final one",
        404 | 405 => "check the address: it ends before /api/v1",
        400..500 => "check the query",
        _ => "it is asked again later, see the server's log if this stays",
    }
}
