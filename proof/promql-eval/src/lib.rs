//! Instant evaluation of PromQL, as Prometheus does it, over series held in memory: what a simulated Prometheus answers.
//!
//! Nothing that ships evaluates PromQL; a Prometheus server does. The same expressions over the same samples are asked
//! of a real one in `proof/lab/tests/prometheus_oracle.rs`.
//!
//! ```
//! use trimtab_promql::{Sample, parse};
//! use trimtab_promql_eval::{EvalOptions, EvalValue, MemorySource, evaluate};
//!
//! let mut source = MemorySource::new();
//! let labels = [("__name__", "errors_total"), ("pod", "pay-abc-x1")].into_iter().collect();
//! for second in (0..=60).step_by(15) {
//!     source.push(&labels, Sample { at_ms: second * 1000, value: 100.0 + second as f64 * 2.0 });
//! }
//! let alert = parse("sum(rate(errors_total[1m])) > 0.5").unwrap();
//! let EvalValue::Vector(firing) = evaluate(&alert, &source, 60_000, EvalOptions::default()).unwrap() else { panic!() };
//! assert!((firing[0].sample.value - 2.0).abs() < 1e-9);
//! ```
//!
//! # Supported
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
//! Pure: no clock, no I/O, no threads. No expression and no series make it panic. All work has a named limit.

mod aggregate;
mod binary;
mod calendar;
mod evaluate;
mod functions;
mod histogram;
mod range;
mod select;
mod source;
mod value;
mod wire;

pub use evaluate::evaluate;
pub use source::{MemorySource, SeriesSource};
pub use value::{
    DEFAULT_LOOKBACK_MS, DEFAULT_SUBQUERY_STEP_MS, EvalError, EvalOptions, EvalValue, InstantSample,
    MAX_SUBQUERY_STEPS, MAX_WORK, RangeWindows, ScalarValue, TextValue,
};
