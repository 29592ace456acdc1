//! Kubelets: pods in the API become running containers, and what happens to those becomes pod status.
//!
//! ```text
//! watch ──▶ agent ──▶ pod (pure) ──▶ effects ──▶ runtime (modelled, or real processes)
//!             ▲  └──▶ status patches, removals      │
//!             └───────────── happenings ────────────┘
//! ```

mod agent;
pub mod container;
mod modelled;
pub mod pod;
pub mod runtime;
mod script;
#[cfg(test)]
mod tests;
mod tracked;
mod wire;

pub(crate) use self::agent::host_address;
pub use self::agent::{Binding, Kubelet, KubeletConfig};
pub use self::modelled::Modelled;
pub(crate) use self::modelled::address;
