//! PromQL without a server: parse an alert expression, narrow it to one arm of a release.
//!
//! Owners already describe trouble as alerts. [`parse`] reads such an expression within fixed limits, [`inject`] adds
//! the matchers of one arm (the new pods, or the old ones) to every selector, so that the expression used for paging
//! judges that arm alone. A Prometheus server evaluates it; `proof/promql-eval` does the same for a simulated cluster.
//! What cannot be judged by arm is refused with the reason and an example that works.
//!
//! ```
//! use trimtab_promql::*;
//!
//! let alert = parse(r#"sum(rate(errors_total{job="pay"}[1m])) > 0.5"#).unwrap();
//! let arm = [Matcher::regex("pod", "pay-abc-[a-z0-9]+").unwrap()];
//! let judged = inject(&alert, &arm).unwrap();
//! assert_eq!(judged.to_string(), r#"sum(rate(errors_total{job="pay",pod=~"pay-abc-[a-z0-9]+"}[1m])) > 0.5"#);
//!
//! let refused = inject(&parse("absent(errors_total)").unwrap(), &arm).unwrap_err();
//! assert!(refused.reason.starts_with("absent() holds for every arm"));
//! ```
//!
//! # Invariants
//!
//! Pure: no clock, no I/O, no threads, no ambient state. No text and no series make it panic. All work has a named
//! limit. The grammar comes from `promql-parser`, whose types leave this crate through [`Expr::syntax`] alone.

mod expr;
mod inject;
pub mod json;
mod labels;
mod matcher;
mod parse_error;
mod pattern;
mod printed;
mod scan;
mod selectors;
mod series;

pub use expr::{Expr, MAX_DEPTH, parse};
pub use inject::{CannotSplit, MAX_ARM_OFFSET, inject, restrict};
pub use labels::{Labels, METRIC_NAME};
pub use matcher::{MatchOp, Matcher, PatternError, matches};
pub use parse_error::ParseError;
pub use pattern::MAX_PATTERN_STATES;
pub use scan::{MAX_NESTING, MAX_SOURCE_BYTES, MAX_TOKENS, pattern_states};
pub use selectors::{CounterError, Selector, parse_counter_selector, selectors};
pub use series::{STALE_MARKER_BITS, Sample, Series, is_stale_marker};
