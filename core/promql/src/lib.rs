//! PromQL without a server: parse an alert expression, narrow it to one arm of a release, evaluate it over any source.
//!
//! Pure: no clock, no I/O, no threads. The grammar comes from `promql-parser`, which stays behind this crate's types.

mod expr;
mod inject;
mod labels;
mod matcher;
mod scan;
mod selectors;
mod series;

pub use expr::{Expr, MAX_DEPTH, ParseError, parse};
pub use inject::{CannotSplit, MAX_ARM_OFFSET, inject};
pub use labels::{Labels, METRIC_NAME};
pub use matcher::{MatchOp, Matcher, PatternError, matches};
pub use scan::{MAX_NESTING, MAX_SOURCE_BYTES, MAX_TOKENS};
pub use selectors::{CounterError, Selector, parse_counter_selector, selectors};
pub use series::{MemorySource, STALE_MARKER_BITS, Sample, Series, SeriesSource, is_stale_marker};
