//! Expressions over small series, with the values that Prometheus' documented rules give, worked out by hand.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use trimtab_promql::{Labels, METRIC_NAME, STALE_MARKER_BITS, Sample, parse, selectors};
use trimtab_promql_eval::{EvalOptions, EvalValue, MemorySource, RangeWindows, evaluate};

#[path = "../../../core/promql/tests/common/mod.rs"]
mod common;

/// Each line is a series: a selector, then `seconds:value` pairs.
const SERIES: &str = r#"
requests_total{pod="a"} 0:0 15:10 30:20 45:30 60:40
born_total{pod="b"} 240:1 255:1 270:4 285:6 300:6
reset_total 0:10 60:20 120:5 180:8
g{a="1"} 0:1 60:5 120:3
g{a="2"} 0:2 60:2 120:8
h{a="1",b="x"} 120:10
h{a="1",b="y"} 120:20
h{a="2",b="x"} 120:30
one{a="1"} 120:100
one{a="2"} 120:200
single 120:4
negative 120:-2.5
odd{a="1"} 120:NaN
odd{a="2"} 120:1
stale 0:1 60:stale
old 0:7
line 0:0 60:60
flat 0:3 60:3
latency_bucket{le="0.1"} 120:10
latency_bucket{le="0.5"} 120:30
latency_bucket{le="1"} 120:40
latency_bucket{le="+Inf"} 120:40
broken_bucket{le="1"} 120:5
shrunk_bucket{le="1"} 120:10
shrunk_bucket{le="2"} 120:8
shrunk_bucket{le="+Inf"} 120:20
errors{method="get",code="500"} 120:24
errors{method="get",code="404"} 120:30
errors{method="put",code="501"} 120:3
errors{method="post",code="500"} 120:6
errors{method="post",code="404"} 120:21
calls{method="get"} 120:600
calls{method="del"} 120:34
calls{method="post"} 120:120
service_a{app="shop",src="svc-7"} 120:1
"#;

fn source() -> MemorySource {
    let mut source = MemorySource::new();
    for line in SERIES.lines().filter(|line| !line.is_empty()) {
        let (text, samples) =
            line.split_at(line.find("} ").map_or_else(|| line.find(' ').expect("a space"), |end| end + 1));
        let selector = selectors(&parse(text).expect("a selector")).remove(0);
        let labels: Labels =
            selector.all_matchers().iter().map(|matcher| (matcher.name(), matcher.value())).collect();
        for sample in samples.split_whitespace() {
            let (seconds, value) = sample.split_once(':').expect("seconds:value");
            let value = if value == "stale" {
                f64::from_bits(STALE_MARKER_BITS)
            } else {
                value.parse().expect("a number")
            };
            source.push(&labels, Sample { at_ms: seconds.parse::<i64>().expect("seconds") * 1000, value });
        }
    }
    source
}

fn show(value: &EvalValue) -> String {
    let join = |parts: Vec<String>| parts.join("; ");
    match value {
        EvalValue::Scalar(scalar) => scalar.value.to_string(),
        EvalValue::String(text) => text.text.clone(),
        EvalValue::Vector(items) => {
            join(items.iter().map(|item| format!("{} {}", item.labels, item.sample.value)).collect())
        }
        EvalValue::Matrix(series) => join(
            series
                .iter()
                .map(|one| {
                    let samples: Vec<String> = one
                        .samples
                        .iter()
                        .map(|sample| format!("{}@{}", sample.value, sample.at_ms / 1000))
                        .collect();
                    format!("{} {}", one.labels, samples.join(" "))
                })
                .collect(),
        ),
    }
}

fn run(expression: &str, seconds: i64, range_windows: RangeWindows) -> String {
    let expr = parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let options = EvalOptions { range_windows, ..EvalOptions::default() };
    match evaluate(&expr, &source(), seconds * 1000, options) {
        Ok(value) => show(&value),
        Err(error) => format!("error: {error}"),
    }
}

fn check_at(seconds: i64, expression: &str, expected: &str) {
    assert_eq!(run(expression, seconds, RangeWindows::LeftOpen), expected, "{expression}");
}

fn check(expression: &str, expected: &str) {
    check_at(120, expression, expected);
}

fn check_windows(seconds: i64, expression: &str, left_open: &str, closed: &str) {
    assert_eq!(run(expression, seconds, RangeWindows::LeftOpen), left_open, "{expression}, left-open");
    assert_eq!(run(expression, seconds, RangeWindows::Closed), closed, "{expression}, closed");
}

#[test]
fn selectors_offsets_and_staleness() {
    check("g", "g{a=\"1\"} 3; g{a=\"2\"} 8");
    check("g{a!=\"1\"}", "g{a=\"2\"} 8");
    check("g offset 1m", "g{a=\"1\"} 5; g{a=\"2\"} 2");
    check("g @ 60", "g{a=\"1\"} 5; g{a=\"2\"} 2");
    check("g{a=\"1\"} @ 60 offset 1m", "g{a=\"1\"} 1");
    check("absentmetric", "");
    check_at(59, "stale", "stale 1");
    check_at(61, "stale", "");
    check_at(61, "count_over_time(stale[2m])", "{} 1");
    check_windows(300, "old", "", "old 7");
    check_at(299, "old", "old 7");
    check("g{a=\"1\"}[2m]", "g{a=\"1\"} 5@60 3@120");
    check("\"text\"", "text");
}

#[test]
fn counters_extrapolate_to_the_window() {
    // (0, 60]: grew by 30 in 45 s; 15 s to the start are within 1.1 intervals and reach exactly zero.
    check_windows(60, "increase(requests_total[1m])", "{pod=\"a\"} 40", "{pod=\"a\"} 40");
    check_windows(
        60,
        "rate(requests_total[1m])",
        "{pod=\"a\"} 0.6666666666666666",
        "{pod=\"a\"} 0.6666666666666666",
    );
    // Grew by 5 in 60 s, 240 s after the start. 3: half an interval, 7.5 s. 2: zero lies 12 s back, within 16.5 s.
    check_windows(300, "increase(born_total[5m])", "{pod=\"b\"} 5.625", "{pod=\"b\"} 6");
    // 20 5 8: 8 - 20 + 20 = 8 in 120 s, stretched by 60 s on both sides. With the sample at 0: 18 in 180 s, and 60 s.
    check_windows(240, "increase(reset_total[4m])", "{} 16", "{} 24");
    check_at(240, "delta(reset_total[4m])", "{} -24");
    check_at(240, "irate(reset_total[4m])", "{} 0.05");
    check_at(180, "irate(reset_total[2m])", "{} 0.05");
    check_at(120, "irate(reset_total[90s])", "{} 0.08333333333333333");
    check_at(240, "idelta(reset_total[4m])", "{} 3");
    check_at(240, "resets(reset_total[4m])", "{} 1");
    check_at(240, "changes(reset_total[4m])", "{} 2");
    check("rate(single[5m])", "");
    check_windows(120, "sum_over_time(g{a=\"1\"}[2m])", "{a=\"1\"} 8", "{a=\"1\"} 9");
    // (-15, 45]: the counter was zero at its first sample, so nothing is added before it.
    check_at(60, "increase(requests_total[1m] offset 15s)", "{pod=\"a\"} 30");
}

#[test]
fn functions_over_time() {
    check("avg_over_time(g[3m])", "{a=\"1\"} 3; {a=\"2\"} 4");
    check("min_over_time(g[3m])", "{a=\"1\"} 1; {a=\"2\"} 2");
    check("max_over_time(g[3m])", "{a=\"1\"} 5; {a=\"2\"} 8");
    check("count_over_time(g[3m])", "{a=\"1\"} 3; {a=\"2\"} 3");
    check("last_over_time(g[3m])", "g{a=\"1\"} 3; g{a=\"2\"} 8");
    check("present_over_time(g{a=\"1\"}[3m])", "{a=\"1\"} 1");
    check("quantile_over_time(0.5, g[3m])", "{a=\"1\"} 3; {a=\"2\"} 2");
    check("quantile_over_time(0.75, g{a=\"1\"}[3m])", "{a=\"1\"} 4");
    check("quantile_over_time(2, g{a=\"1\"}[3m])", "{a=\"1\"} inf");
    check("stdvar_over_time(g{a=\"2\"}[3m])", "{a=\"2\"} 8");
    check_at(60, "deriv(line[5m])", "{} 1");
    check_at(60, "predict_linear(line[5m], 60)", "{} 120");
    check_at(60, "deriv(flat[5m])", "{} 0");
    check_windows(120, "sum_over_time(g{a=\"1\"}[2m:1m])", "{a=\"1\"} 8", "{a=\"1\"} 9");
    check("max_over_time(sum(g)[3m:1m])", "{} 11");
    check("sum_over_time(vector(1)[10m:])", "{} 10");
}

#[test]
fn aggregations() {
    check("sum(h)", "{} 60");
    check("sum by (a) (h)", "{a=\"1\"} 30; {a=\"2\"} 30");
    check("sum without (b) (h)", "{a=\"1\"} 30; {a=\"2\"} 30");
    check("avg by (b) (h)", "{b=\"x\"} 20; {b=\"y\"} 20");
    check("min(h)", "{} 10");
    check("max by (__name__) (h)", "h 30");
    check("count(h)", "{} 3");
    check("group(h)", "{} 1");
    check("stddev(one)", "{} 50");
    check("stdvar(one)", "{} 2500");
    check("quantile(0.5, h)", "{} 20");
    check("topk(1, h)", "h{a=\"2\", b=\"x\"} 30");
    check("topk by (a) (1, h)", "h{a=\"1\", b=\"y\"} 20; h{a=\"2\", b=\"x\"} 30");
    check("bottomk(2, h)", "h{a=\"1\", b=\"x\"} 10; h{a=\"1\", b=\"y\"} 20");
    check("topk(0, h)", "");
    check("topk(1, odd)", "odd{a=\"2\"} 1");
    check("max(odd)", "{} 1");
    check("sum(odd)", "{} NaN");
    check("count_values(\"v\", h)", "{v=\"10\"} 1; {v=\"20\"} 1; {v=\"30\"} 1");
    check("sum(absentmetric)", "");
    check("limitk(1, h)", "error: the aggregation limitk is not supported here; ask a Prometheus server");
}

#[test]
fn arithmetic_and_comparison() {
    check("-single ^ 2", "{} -16");
    check("(-single) ^ 2", "{} 16");
    check("2 ^ 3 ^ 2", "512");
    check("-2 ^ 2", "-4");
    check("7 % -3", "1");
    check("-7 % 3", "-1");
    check("1 / 0", "inf");
    check("0 / 0", "NaN");
    check("1 > bool 2", "0");
    check("single * 2", "{} 8");
    check("g > 5", "g{a=\"2\"} 8");
    check("5 < g", "g{a=\"2\"} 8");
    check("g > bool 5", "{a=\"1\"} 0; {a=\"2\"} 1");
    check("g == NaN", "");
    check("g + one", "{a=\"1\"} 103; {a=\"2\"} 208");
    check("g < one", "g{a=\"1\"} 3; g{a=\"2\"} 8");
    check("-g", "{a=\"1\"} -3; {a=\"2\"} -8");
    check("1 - single", "{} -3");
}

#[test]
fn vectors_match_by_labels() {
    check("errors{code=\"500\"} / ignoring (code) calls", "{method=\"get\"} 0.04; {method=\"post\"} 0.05");
    check(
        "errors / ignoring (code) group_left calls",
        "{code=\"404\", method=\"get\"} 0.05; {code=\"404\", method=\"post\"} 0.175; {code=\"500\", method=\"get\"} 0.04; {code=\"500\", method=\"post\"} 0.05",
    );
    check("calls * on (method) group_right errors{code=\"501\"}", "");
    check(
        "one - on (a) group_right h",
        "{a=\"1\", b=\"x\"} 90; {a=\"1\", b=\"y\"} 80; {a=\"2\", b=\"x\"} 170",
    );
    check(
        "h * on () group_left (app) service_a",
        "{a=\"1\", app=\"shop\", b=\"x\"} 10; {a=\"1\", app=\"shop\", b=\"y\"} 20; {a=\"2\", app=\"shop\", b=\"x\"} 30",
    );
    check("g{a=\"1\"} > on (a) one", "");
    check("one > on (a) g", "{a=\"1\"} 100; {a=\"2\"} 200");
    check("g and one{a=\"1\"}", "g{a=\"1\"} 3");
    check("g unless one{a=\"1\"}", "g{a=\"2\"} 8");
    check("g{a=\"1\"} or one", "g{a=\"1\"} 3; one{a=\"2\"} 200");
    check("g and on () vector(1)", "g{a=\"1\"} 3; g{a=\"2\"} 8");
    check("absentmetric or vector(0)", "{} 0");
    check(
        "h + on (a) one",
        "error: cannot evaluate: several series match one{a=\"1\"}; say group_left or group_right, or aggregate first",
    );
    check(
        "one + on (a) h",
        "error: cannot evaluate: {a=\"1\"} has several partners on the other side, one of them h{a=\"1\", b=\"x\"}; match on more labels or aggregate first",
    );
    check("absentmetric + on (a) h", "");
    check("h + on (a) absentmetric", "");
    check("one + fill (0) g", "error: fill is not supported here; ask a Prometheus server");
}

#[test]
fn functions_of_vectors() {
    check("abs(negative)", "{} 2.5");
    check("ceil(negative)", "{} -2");
    check("floor(negative)", "{} -3");
    check("round(negative)", "{} -2");
    check("round(vector(7.3), 5)", "{} 5");
    check("sgn(negative)", "{} -1");
    check("sqrt(single)", "{} 2");
    check("log2(single)", "{} 2");
    check("ln(negative)", "{} NaN");
    check("exp(vector(0))", "{} 1");
    check("clamp(h, 15, 25)", "{a=\"1\", b=\"x\"} 15; {a=\"1\", b=\"y\"} 20; {a=\"2\", b=\"x\"} 25");
    check("clamp_min(g, 5)", "{a=\"1\"} 5; {a=\"2\"} 8");
    check("clamp_max(g, 5)", "{a=\"1\"} 3; {a=\"2\"} 5");
    check("clamp(g, 5, 1)", "");
    check("clamp(single, NaN, 5)", "{} NaN");
    check("scalar(single) + 1", "5");
    check("scalar(g)", "NaN");
    check("vector(scalar(single))", "{} 4");
    check("time()", "120");
    check("timestamp(old)", "{} 0");
    check("sort(h)", "h{a=\"1\", b=\"x\"} 10; h{a=\"1\", b=\"y\"} 20; h{a=\"2\", b=\"x\"} 30");
    check("sort_desc(g)", "g{a=\"2\"} 8; g{a=\"1\"} 3");
    check("absent(absentmetric{a=\"1\",b=~\"x\",c=\"2\",c=\"3\"})", "{a=\"1\"} 1");
    check("absent(g)", "");
    check("absent_over_time(absentmetric{a=\"1\"}[5m])", "{a=\"1\"} 1");
    check(
        "label_replace(service_a, \"svc\", \"$1/$2\", \"src\", \"(.*)-(.*)\")",
        "service_a{app=\"shop\", src=\"svc-7\", svc=\"svc/7\"} 1",
    );
    check("label_replace(service_a, \"src\", \"\", \"app\", \"shop\")", "service_a{app=\"shop\"} 1");
    check(
        "label_replace(service_a, \"x\", \"y\", \"app\", \"sho\")",
        "service_a{app=\"shop\", src=\"svc-7\"} 1",
    );
    check(
        "label_join(service_a, \"j\", \"-\", \"app\", \"src\")",
        "service_a{app=\"shop\", j=\"shop-svc-7\", src=\"svc-7\"} 1",
    );
    check(
        "days_in_month()",
        "error: the function days_in_month() is not supported here; ask a Prometheus server",
    );
    check("exp(NaN)", "error: cannot evaluate: exp needs an instant vector");
}

#[test]
fn dates_have_fields() {
    // 2024-02-29 13:45:59, a Thursday; 1969-12-31 23:59:59, a Wednesday; 2000-03-01 00:00:00, a Wednesday.
    for (seconds, fields) in [
        ("1709214359", [45, 13, 4, 29, 2, 2024]),
        ("-1", [59, 23, 3, 31, 12, 1969]),
        ("951868800", [0, 0, 3, 1, 3, 2000]),
    ] {
        for (function, field) in
            ["minute", "hour", "day_of_week", "day_of_month", "month", "year"].iter().zip(fields)
        {
            check(&format!("{function}(vector({seconds}))"), &format!("{{}} {field}"));
        }
    }
    check("minute()", "{} 2");
    check("g and on () hour() < 9", "g{a=\"1\"} 3; g{a=\"2\"} 8");
    check("year(vector(NaN)) + hour(vector(Inf)) * 0", "{} 1970");
}

#[test]
fn names_that_collide_are_an_error() {
    check(
        "abs({__name__=~\"single|negative\"})",
        "error: cannot evaluate: the result has {} twice: without __name__ these series are the same",
    );
    check("{__name__=~\"single|negative\"} > 0", "single 4");
    assert!(
        run("rate({__name__=~\"reset_total|line\"}[5m])", 60, RangeWindows::Closed).starts_with("error:")
    );
}

#[test]
fn histogram_quantiles_interpolate() {
    check("histogram_quantile(0.5, latency_bucket)", "{} 0.30000000000000004");
    check("histogram_quantile(0.99, latency_bucket)", "{} 0.9800000000000001");
    check("histogram_quantile(0.1, latency_bucket)", "{} 0.04000000000000001");
    check("histogram_quantile(1, latency_bucket)", "{} 1");
    check("histogram_quantile(-1, latency_bucket)", "{} -inf");
    check("histogram_quantile(2, latency_bucket)", "{} inf");
    check("histogram_quantile(0.5, broken_bucket)", "{} NaN");
    check("histogram_quantile(0.5, shrunk_bucket)", "{} 1");
    check("histogram_quantile(0.9, shrunk_bucket)", "{} 2");
    check("histogram_quantile(0.5, latency_bucket * 0)", "{} NaN");
}

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
        expression in common::vector_expression(),
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
