//! Scenario scripts, crash points and oracles over the simulated cluster.
//!
//! A scenario is a text file of commands; its transcript is checked in beside it. The same scenario is run again with the
//! manager dying after every one of its writes and a second one taking over, and must come to the same end.

pub mod campaign;
pub mod crash;
mod fault;
pub mod messages;
pub mod planted;
pub mod script;
mod shipping;
pub mod show;
pub mod stage;
pub mod story;
mod words;

pub use stage::{Stage, StageOptions};
