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

/// Runs `future` to its end in virtual time, on this thread. There is no driver for I/O: nothing in such a world does any, and
/// with one every timer that is set costs a system call.
///
/// # Panics
/// When the system refuses a runtime.
pub fn in_virtual_time<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime of one thread needs nothing but memory").block_on(future)
}
