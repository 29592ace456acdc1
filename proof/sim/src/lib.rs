//! A simulated Kubernetes API server.
//!
//! One process, one tower service, no threads and no wall clock: time is tokio's, so that under a paused clock thirty virtual days
//! pass in seconds and equal seeds give equal traces. [`Sim`] is the server, [`Actor`] a client of it with an identity,
//! [`Sim::serve`] puts it on a socket for real `kubectl`.
//!
//! ```
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
//! # runtime.block_on(async {
//! let sim = trimtab_sim::Sim::new(trimtab_sim::SimConfig::seeded(7));
//! let kubectl = sim.client("kubectl");
//! let version = kubectl.client.apiserver_version().await.unwrap();
//! assert_eq!(version.git_version, "v1.36.1");
//! # });
//! ```
//!
//! Invariants: every request of one virtual instant runs in an order that does not depend on the executor; nothing iterates over an
//! unordered map; no lock is held across an await.

mod actor;
mod admission;
mod background;
mod body;
mod bootstrap;
mod config;
pub mod conformance;
mod crd;
mod decode;
mod defaults;
mod delete;
mod discovery;
mod failure;
mod faults;
mod fields;
mod front;
mod ids;
mod json;
mod kept;
mod kinds;
mod ledger;
mod masking;
mod names;
mod openapi;
mod patch;
mod present;
mod protobuf;
mod rbac;
mod read;
mod route;
mod selector;
mod server;
mod sim;
mod store;
mod strategic;
mod subresource;
mod table;
mod typed;
mod validate;
mod watch;
mod write;

pub use actor::Actor;
pub use config::{Rbac, RequestOrder, SimConfig};
pub use faults::{Effect, Fault, Faults};
pub use ledger::{LedgerEntry, RequestCounts};
pub use sim::Sim;
