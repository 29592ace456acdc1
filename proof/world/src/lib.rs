//! Kubelets, built-in controllers, traffic and metrics: models that run against the simulated API server and, the kubelet,
//! against a real one. Everything runs on tokio's (paused) clock and repeats exactly for a seed.

pub mod behaviour;
pub mod controllers;
pub mod kubelet;
pub mod object;
pub mod prometheus;
mod row;
pub mod traffic;
