//! The one binary: manager and command line. It parses flags, wires and prints; what it decides is decided in
//! `trimtab_delivery`, and what it writes is as little as a person could write by hand.

pub mod cli;
#[cfg(feature = "demo")]
pub mod demo;
