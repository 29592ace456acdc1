//! PromQL without a server: parse an alert expression, narrow it to one arm of a release, evaluate it over any source.
//!
//! Owners already describe trouble as alerts. [`parse`] reads such an expression within fixed limits, [`inject`] adds
//! the matchers of one arm (the new pods, or the old ones) to every selector, so that the expression used for paging
//! judges that arm alone, and [`evaluate`] computes it as Prometheus does, for a simulated cluster or a replay.
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
//! let mut source = MemorySource::new();
//! for (pod, errors_per_second) in [("pay-abc-x1", 2.0), ("pay-def-y2", 50.0)] {
//!     let labels = [("__name__", "errors_total"), ("job", "pay"), ("pod", pod)].into_iter().collect();
//!     for second in (0..=60).step_by(15) {
//!         source.push(&labels, Sample { at_ms: second * 1000, value: 100.0 + second as f64 * errors_per_second });
//!     }
//! }
//! let EvalValue::Vector(firing) = evaluate(&judged, &source, 60_000, EvalOptions::default()).unwrap() else { panic!() };
//! assert!((firing[0].sample.value - 2.0).abs() < 1e-9);
//!
//! let refused = inject(&parse("absent(errors_total)").unwrap(), &arm).unwrap_err();
//! assert!(refused.reason.starts_with("absent() holds for every arm"));
//! ```
//!
//! # Supported by the evaluation
//!
//! Every operator except `fill`; `sum avg min max count group stddev stdvar topk bottomk quantile count_values`;
//! `rate increase delta irate idelta deriv predict_linear changes resets` and the `..._over_time` family;
//! `histogram_quantile` over classic buckets; `abs ceil floor round sqrt exp ln log2 log10 sgn clamp clamp_min
//! clamp_max scalar vector time timestamp
//! minute hour day_of_week day_of_month month year sort sort_desc absent label_replace label_join`; subqueries, `offset`, `@`.
//! Anything else is an [`EvalError::Unsupported`] that names it. Native histograms are not read.
//!
//! # Invariants
//!
//! Pure: no clock, no I/O, no threads, no ambient state. No text and no series make it panic. All work has a named
//! limit. The grammar comes from `promql-parser`, whose types never leave this crate.

mod eval;
mod expr;
mod inject;
pub mod json;
mod labels;
mod matcher;
mod scan;
mod selectors;
mod series;

pub use eval::{
    DEFAULT_LOOKBACK_MS, DEFAULT_SUBQUERY_STEP_MS, EvalError, EvalOptions, EvalValue, InstantSample,
    MAX_SUBQUERY_STEPS, MAX_WORK, RangeWindows, ScalarValue, TextValue, evaluate,
};
pub use expr::{Expr, MAX_DEPTH, ParseError, parse};
pub use inject::{CannotSplit, MAX_ARM_OFFSET, inject, restrict};
pub use labels::{Labels, METRIC_NAME};
pub use matcher::{MatchOp, Matcher, PatternError, matches};
pub use scan::{MAX_NESTING, MAX_SOURCE_BYTES, MAX_TOKENS};
pub use selectors::{CounterError, Selector, parse_counter_selector, selectors};
pub use series::{MemorySource, STALE_MARKER_BITS, Sample, Series, SeriesSource, is_stale_marker};
