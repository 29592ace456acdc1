//! Work has a bound, memory is given back, and nothing that parses is unexpected.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use trimtab_promql::{Labels, METRIC_NAME, STALE_MARKER_BITS, Sample, parse};
use trimtab_promql_eval::{EvalOptions, EvalValue, MemorySource, RangeWindows, evaluate};

use crate::series::{run, show};

#[test]
fn work_is_bounded() {
    let too_much = "error: the expression reads too much";
    assert!(run("sum_over_time(g[1y:1s])", 120, RangeWindows::LeftOpen).starts_with(too_much));
    let nested = "sum_over_time(sum_over_time(sum_over_time(g[2h:1s])[2h:1s])[2h:1s])";
    assert!(run(nested, 120, RangeWindows::LeftOpen).starts_with(too_much));
}

#[test]
fn memory_source_keeps_time_order_and_forgets() {
    let labels: Labels = [(METRIC_NAME, "m")].into_iter().collect();
    let mut source = MemorySource::new();
    for (at_ms, value) in [(20, 2.0), (10, 1.0), (20, 3.0), (30, 4.0)] {
        source.push(&labels, Sample { at_ms, value });
    }
    let read = |source: &MemorySource| {
        let expr = parse("m[1h]").expect("valid");
        show(&evaluate(&expr, source, 30, EvalOptions::default()).expect("a matrix"))
    };
    assert_eq!(read(&source), "m 1@0 3@0 4@0");
    source.drop_before(25);
    assert_eq!(read(&source), "m 4@0");
    source.drop_before(31);
    assert_eq!(read(&source), "");
}

fn any_source() -> impl Strategy<Value = MemorySource> {
    let value = prop_oneof![
        8 => -100.0..100.0_f64,
        1 => any::<f64>(),
        1 => Just(f64::from_bits(STALE_MARKER_BITS)),
    ];
    let name = prop::sample::select(vec!["m", "requests_total", "sum", "latency_bucket"]);
    let labels = (
        name,
        prop::sample::select(vec!["1", "2", ""]),
        prop::sample::select(vec!["x", "y", "5", "+Inf", ""]),
    );
    prop::collection::vec((labels, 0..600_000_i64, value), 0..60).prop_map(|samples| {
        let mut source = MemorySource::new();
        for ((name, a, le), at_ms, value) in samples {
            let labels: Labels = [(METRIC_NAME, name), ("a", a), ("b", le), ("le", le)].into_iter().collect();
            source.push(&labels, Sample { at_ms, value });
        }
        source
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, rng_seed: RngSeed::Fixed(20_261_121), ..ProptestConfig::default() })]

    #[test]
    fn any_expression_over_any_series_is_handled(
        expression in crate::common::vector_expression(),
        source in any_source(),
        at_ms in prop_oneof![8 => 0..700_000_i64, 1 => any::<i64>()],
        closed: bool,
    ) {
        let expr = parse(&expression).map_err(|error| TestCaseError::fail(format!("{expression}: {error}")))?;
        let range_windows = if closed { RangeWindows::Closed } else { RangeWindows::LeftOpen };
        let result = evaluate(&expr, &source, at_ms, EvalOptions { range_windows, ..EvalOptions::default() });
        if let Ok(value) = result {
            prop_assert!(matches!(value, EvalValue::Vector(_)), "{} is not a vector", expression);
        }
    }
}
