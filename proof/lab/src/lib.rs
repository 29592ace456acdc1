//! A real Kubernetes control plane, a real Prometheus and pods as local processes, on one machine and alone in it.
//!
//! ```text
//! Tools::ensure          etcd, kube-apiserver, ... built from pinned Go modules; kubectl and helm from a pinned wheel
//! reexec_in_namespace    this process again, in network and process namespaces of its own
//! Lab::start             control plane ─▶ nodes and a kubelet ─▶ pods as processes on 10.64.x.y ◀─ Prometheus, Load
//! ```
//!
//! A test program has `harness = false` in Cargo.toml and this `main`:
//!
//! ```no_run
//! use trimtab_lab::{Case, LabOptions, harness};
//!
//! fn main() -> std::process::ExitCode {
//!     harness::run(
//!         LabOptions::new(),
//!         vec![Case::new("nodes_are_ready", |lab| {
//!             Box::pin(async move {
//!                 lab.kubectl(&["wait", "--for=condition=Ready", "node", "--all"]).await?;
//!                 Ok(())
//!             })
//!         })],
//!     )
//! }
//! ```
//!
//! Other programs call [`service::run_if_asked`], [`Tools::ensure`], [`reexec_in_namespace`] and [`Lab::start`], in that
//! order. `trimtab-lab run` starts a lab and a shell in it.
//!
//! What is real: every program named above, admission, scheduling, traffic, scraping. What is not: the kubelet
//! (`trimtab_world::kubelet`), containers (processes, without limits), and Service addresses ([`load`] reads
//! EndpointSlices instead).

pub mod access;
pub mod attack;
mod audit;
pub mod cluster;
pub mod cost;
pub mod harness;
pub mod judged;
mod lab;
pub mod load;
mod netns;
mod nodes;
pub mod pods;
mod process;
pub mod prometheus;
pub mod receiver;
pub mod service;
pub mod tools;
mod usage;
mod web;

pub use self::access::{Access, User};
pub use self::audit::AuditEvent;
pub use self::cluster::{Component, ControlPlaneOptions};
pub use self::harness::Case;
pub use self::lab::{Lab, LabOptions, Pods};
pub use self::load::{Load, LoadPlan, LoadReport};
pub use self::netns::{Namespace, reexec_in_namespace};
pub use self::prometheus::{Prometheus, PrometheusOptions};
pub use self::receiver::{Received, Receiver};
pub use self::tools::Tools;
pub use self::web::Connections;
