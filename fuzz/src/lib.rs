//! Every parser of outside input, under bytes that nobody meant.
//!
//! A target is a function of bytes that holds its own oracle: it panics when a parser panics, when what is printed does not
//! read back, or when an answer breaks what the parser promises. `tests/bounded.rs` runs them all for a while;
//! `fuzz_targets/` are the same functions as libFuzzer programs.
#![forbid(unsafe_code)]

mod duration;
mod kinds;
mod lint;
mod message;
mod prometheus;
mod promql;
mod quantity;
mod refusal;
mod server;
mod watch;
mod workloads;

pub use duration::duration;
pub use kinds::kinds;
pub use lint::lint;
pub use message::message;
pub use prometheus::prometheus;
pub use promql::promql;
pub use quantity::quantity;
pub use refusal::refusal;
pub use watch::watch;
pub use workloads::workloads;

/// A parser with its oracle.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of the function, of its program and of the folder of its seeds.
    pub name: &'static str,
    /// The function; panics when the oracle fails.
    pub run: fn(&[u8]),
    /// How much one run costs.
    pub pace: Pace,
}

/// How much one run costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Microseconds.
    Quick,
    /// It starts a runtime, or evaluates.
    Slow,
}

/// All of them.
pub const TARGETS: [Target; 10] = [
    Target { name: "promql", run: promql, pace: Pace::Slow },
    Target { name: "quantity", run: quantity, pace: Pace::Quick },
    Target { name: "duration", run: duration, pace: Pace::Quick },
    Target { name: "prometheus", run: prometheus, pace: Pace::Slow },
    Target { name: "watch", run: watch, pace: Pace::Slow },
    Target { name: "workloads", run: workloads, pace: Pace::Quick },
    Target { name: "kinds", run: kinds, pace: Pace::Quick },
    Target { name: "refusal", run: refusal, pace: Pace::Slow },
    Target { name: "lint", run: lint, pace: Pace::Slow },
    Target { name: "message", run: message, pace: Pace::Quick },
];

/// Runs `future` in virtual time.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing of the machine");
    runtime.block_on(future)
}
