//! Expressions that nobody thought of.

use trimtab_kube::rng::Rng;

/// How deep expressions are nested.
const DEEPEST: u32 = 3;

const SELECTORS: [&str; 6] = [
    "requests_total",
    "requests_total{code=\"500\"}",
    "requests_total{pod=~\"pay-[bc]\"}",
    "memory_bytes",
    "version_info",
    "request_seconds_count",
];
const RANGES: [&str; 7] = ["15s", "30s", "44s", "1m", "2m30s", "6m", "20m"];
const MODIFIERS: [&str; 5] = ["", "", "", " offset 3m", " offset 45s"];
const RANGE_FUNCTIONS: [&str; 17] = [
    "rate",
    "increase",
    "delta",
    "irate",
    "idelta",
    "deriv",
    "changes",
    "resets",
    "avg_over_time",
    "sum_over_time",
    "min_over_time",
    "max_over_time",
    "count_over_time",
    "last_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "present_over_time",
];
const FUNCTIONS: [&str; 8] = ["abs", "ceil", "floor", "round", "sqrt", "sgn", "timestamp", "log2"];
const AGGREGATIONS: [&str; 8] = ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];
const GROUPINGS: [&str; 5] = ["", " by (pod)", " by (code, job)", " without (pod)", " by (absent)"];
const OPERATORS: [&str; 13] =
    ["+", "-", "*", "/", ">", "<=", "!=", "> bool", "== bool", "and", "or", "unless", "%"];
const MATCHINGS: [&str; 6] =
    ["", " on (pod)", " on (pod, code)", " ignoring (code)", " on (pod) group_left", " on (pod) group_right"];

/// A vector expression.
pub(crate) fn vector(luck: &mut Rng) -> String {
    nested(luck, DEEPEST)
}

fn nested(luck: &mut Rng, depth: u32) -> String {
    if depth == 0 {
        return format!("{}{}", pick(luck, &SELECTORS), pick(luck, &MODIFIERS));
    }
    match luck.below(8) {
        0 => nested(luck, 0),
        1 | 2 => over_range(luck),
        3 => format!("{}({})", pick(luck, &FUNCTIONS), nested(luck, depth - 1)),
        4 => {
            let (function, range) = (pick(luck, &RANGE_FUNCTIONS), pick(luck, &RANGES));
            format!("{function}(({})[{range}:20s])", nested(luck, depth - 1))
        }
        5 | 6 => {
            let (aggregation, grouping) = (pick(luck, &AGGREGATIONS), pick(luck, &GROUPINGS));
            format!("{aggregation}{grouping} ({})", nested(luck, depth - 1))
        }
        _ => binary(luck, depth),
    }
}

fn over_range(luck: &mut Rng) -> String {
    let (function, selector) = (pick(luck, &RANGE_FUNCTIONS), pick(luck, &SELECTORS));
    format!("{function}({selector}[{}]{})", pick(luck, &RANGES), pick(luck, &MODIFIERS))
}

fn binary(luck: &mut Rng, depth: u32) -> String {
    let (left, operator) = (nested(luck, depth - 1), pick(luck, &OPERATORS));
    let is_set_operator = matches!(operator, "and" | "or" | "unless");
    if !is_set_operator && luck.below(2) == 0 {
        return format!("({left}) {operator} {}", luck.below(1200));
    }
    let matching = match pick(luck, &MATCHINGS) {
        grouped if is_set_operator && grouped.contains("group_") => "",
        matching => matching,
    };
    format!("({left}) {operator}{matching} ({})", nested(luck, depth - 1))
}

fn pick<'a>(luck: &mut Rng, choices: &[&'a str]) -> &'a str {
    choices[luck.below(choices.len() as u64) as usize]
}
