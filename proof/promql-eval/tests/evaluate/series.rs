//! The series that expressions are evaluated over, and what came out, in words.

use trimtab_promql::{Labels, STALE_MARKER_BITS, Sample, parse, selectors};
use trimtab_promql_eval::{EvalOptions, EvalValue, MemorySource, RangeWindows, evaluate};

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

pub(crate) fn show(value: &EvalValue) -> String {
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

pub(crate) fn run(expression: &str, seconds: i64, range_windows: RangeWindows) -> String {
    let expr = parse(expression).unwrap_or_else(|error| panic!("{expression}: {error}"));
    let options = EvalOptions { range_windows, ..EvalOptions::default() };
    match evaluate(&expr, &source(), seconds * 1000, options) {
        Ok(value) => show(&value),
        Err(error) => format!("error: {error}"),
    }
}

pub(crate) fn check_at(seconds: i64, expression: &str, expected: &str) {
    assert_eq!(run(expression, seconds, RangeWindows::LeftOpen), expected, "{expression}");
}

pub(crate) fn check(expression: &str, expected: &str) {
    check_at(120, expression, expected);
}

pub(crate) fn check_windows(seconds: i64, expression: &str, left_open: &str, closed: &str) {
    assert_eq!(run(expression, seconds, RangeWindows::LeftOpen), left_open, "{expression}, left-open");
    assert_eq!(run(expression, seconds, RangeWindows::Closed), closed, "{expression}, closed");
}
