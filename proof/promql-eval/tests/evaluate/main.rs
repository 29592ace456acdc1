//! Expressions over small series, with the values that Prometheus' documented rules give, worked out by hand.

mod bounds;
#[path = "../../../../core/promql/tests/common/mod.rs"]
mod common;
mod functions;
mod ranges;
mod series;
mod vectors;
