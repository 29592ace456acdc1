//! Everything Trimtab says to Kubernetes, and everything it hears from it.
//!
//! ```text
//! watch ──events──▶ store ──keys──▶ queue ──▶ reconcile (control/) ──▶ api (fenced by a lease)
//!   ▲ project: bytes → lean row                          │
//!   └────────────── API server ◀───────────── writes ────┘
//! ```
//!
//! **Invariants.** No other crate knows the client library. No full foreign object is kept in memory. Nothing here reads
//! a wall clock except [`clock`], draws chance except [`rng`], or iterates in an order that differs between runs: under
//! tokio's paused clock, the same inputs give the same requests at the same virtual instants.
#![forbid(unsafe_code)]

pub mod api;
pub mod clock;
pub mod entropy;
pub mod expectations;
pub mod host;
pub mod intern;
pub mod kinds;
pub mod lease;
mod metadata;
pub mod queue;
pub mod resource;
pub mod rng;
pub mod store;
mod sync;
pub mod uid;
pub mod watch;

pub use api::{Api, ApiError};
pub use clock::Clock;
pub use resource::{Key, Resource};
pub use store::Store;
pub use tokio_util::sync::CancellationToken;
pub use uid::{Moment, Uid};
