//! Kubelets: pods in the API become running containers, and what happens to those becomes pod status.

pub mod runtime;
