//! Random expressions that parse.

use proptest::prelude::*;

/// An instant selector over the few series that the tests know.
fn selector() -> impl Strategy<Value = String> {
    (
        prop::sample::select(vec!["m", "requests_total", "sum", "latency_bucket"]),
        prop::sample::select(vec!["", "{a=\"1\"}", "{a=~\"1|2\",b!=\"x\"}", "{le!~\"5.*\"}"]),
    )
        .prop_map(|(name, matchers)| format!("{name}{matchers}"))
}

fn range() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["[1m]", "[5m]", "[90s]", "[5m] offset 1m"]).prop_map(str::to_owned)
}

/// An expression whose type is an instant vector.
pub(crate) fn vector_expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        4 => selector(),
        2 => (prop::sample::select(vec!["rate", "increase", "delta", "irate", "changes", "deriv", "max_over_time"]), selector(), range())
            .prop_map(|(function, selector, range)| format!("{function}({selector}{range})")),
        1 => (-9..9_i32).prop_map(|number| format!("vector({number})")),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operators = vec![
            "+",
            "-",
            "*",
            "/",
            "%",
            "^",
            "atan2",
            ">",
            "<=",
            "== bool",
            "and",
            "or",
            "unless",
            "* ignoring (a)",
            "- on (b)",
            "/ on (a) group_left ()",
        ];
        let wrappers = vec![
            "abs",
            "ceil",
            "sqrt",
            "ln",
            "-",
            "sum",
            "avg by (a) ",
            "max without (b) ",
            "count",
            "stddev",
            "sort_desc",
            "absent",
            "",
            "round",
            "timestamp",
        ];
        prop_oneof![
            (inner.clone(), prop::sample::select(operators), inner.clone())
                .prop_map(|(left, operator, right)| format!("({left} {operator} {right})")),
            (inner.clone(), prop::sample::select(operators_with_number()))
                .prop_map(|(left, operator)| format!("{left} {operator}"))
                .prop_map(|text| format!("({text})")),
            (prop::sample::select(wrappers), inner.clone())
                .prop_map(|(wrapper, inner)| format!("{wrapper}({inner})")),
            (
                prop::sample::select(vec!["topk", "bottomk", "quantile", "histogram_quantile"]),
                0..4_u32,
                inner.clone()
            )
                .prop_map(|(wrapper, number, inner)| format!("{wrapper}({number}, {inner})")),
            (
                prop::sample::select(vec![
                    "avg_over_time",
                    "rate",
                    "quantile_over_time(0.5, ",
                    "last_over_time"
                ]),
                inner
            )
                .prop_map(|(function, inner)| match function.strip_suffix(", ") {
                    Some(_) => format!("{function}({inner})[4m:30s])"),
                    None => format!("{function}(({inner})[4m:30s])"),
                }),
        ]
    })
}

fn operators_with_number() -> Vec<&'static str> {
    vec!["> 1", "^ 2", "* -1", "== 0", "- 0.5", "% 3", "> bool 2"]
}
