//! How releases are shipped: one file a strategy, and the list of them.

mod contract;
mod evidence;
mod guarded;
mod rolling;
mod rollout;
mod stage;

pub use contract::{Next, Strategy, Wait};
pub use guarded::Guarded;
pub use rolling::Rolling;
pub use rollout::NO_PROGRESS_MAX;
pub use stage::Stage;

/// Every strategy. A new one is a file beside these and a line here.
pub const ALL: [&dyn Strategy; 2] = [&Rolling, &Guarded];

/// The strategy that manifests call `word`.
#[must_use]
pub fn named(word: &str) -> Option<&'static dyn Strategy> {
    ALL.into_iter().find(|strategy| strategy.word() == word)
}
