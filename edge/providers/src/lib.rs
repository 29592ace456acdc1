//! Measurement sources: an HTTP door that a simulation can replace, and providers that speak through it.
//!
//! Nothing here decides. A provider asks, bounds what comes back (bytes, time, series, concurrency), and
//! returns values with their true timestamps; what they mean is judged elsewhere.

mod error;
pub mod http;
pub mod prometheus;
pub mod secret;

pub use error::{Asked, ProviderError};
