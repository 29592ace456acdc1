//! Alert expressions, as owners write them.

use trimtab_promql::{
    Expr, Labels, METRIC_NAME, MatchOp, Matcher, Sample, Selector, inject, parse, parse_counter_selector,
    selectors,
};
use trimtab_promql_eval::{EvalOptions, MemorySource, evaluate};

/// The pods of the arm that is judged, and one beside it.
const OURS: [&str; 2] = ["pay-abc-x1", "pay-abc-y2"];
const OTHER: &str = "pay-def-z3";
const NOW_MS: i64 = 1_767_225_600_000;
/// Series are made for so many selectors of an expression.
const SELECTORS_MAX: usize = 8;

/// What parses prints as text that parses to the same; what can be split by arm gives for one arm among others what the
/// expression gives where there is no other. Faults point into the text.
pub fn promql(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(selector) = parse_counter_selector(&text) {
        let printed = selector.to_string();
        assert_eq!(parse_counter_selector(&printed).map(|again| again.to_string()).as_ref(), Ok(&printed));
    }
    let expr = match parse(&text) {
        Ok(expr) => expr,
        Err(error) => {
            assert!(error.position() <= text.len(), "{text:?}: {error}");
            assert!(!error.message().contains(char::is_control) && error.message().len() < 2_048, "{error}");
            return;
        }
    };
    reads_back(&expr, &text);
    let all = source(&expr, &[OURS[0], OTHER, OURS[1]]);
    // Whatever comes of it, it comes within the limits.
    let _ = evaluate(&expr, &all, NOW_MS, EvalOptions::default());
    let arm = [
        Matcher::equal("namespace", "shop"),
        Matcher::regex("pod", "pay-abc-[a-z0-9]+").expect("a constant pattern is valid"),
    ];
    let Ok(judged) = inject(&expr, &arm) else { return };
    let among_others = evaluate(&judged, &all, NOW_MS, EvalOptions::default());
    let alone = evaluate(&expr, &source(&expr, &OURS), NOW_MS, EvalOptions::default());
    assert_eq!(format!("{among_others:?}"), format!("{alone:?}"), "{expr} judged as {judged}");
    let twice = inject(&judged, &arm).expect("what was split can be split the same way");
    assert_eq!(twice.to_string(), judged.to_string(), "{expr}");
}

fn reads_back(expr: &Expr, text: &str) {
    let printed = expr.to_string();
    match parse(&printed) {
        Ok(again) => assert_eq!(again.to_string(), printed, "{text:?}"),
        // What is printed may be longer than what people may write.
        Err(error) => assert!(
            ["longer than", "deeper than", "parts"].iter().any(|limit| error.message().contains(limit)),
            "{text:?} prints {printed:?}: {error}"
        ),
    }
}

/// Series that the selectors of `expr` find, one for each of `pods`.
fn source(expr: &Expr, pods: &[&str]) -> MemorySource {
    let mut source = MemorySource::new();
    for (index, selector) in selectors(expr).iter().take(SELECTORS_MAX).enumerate() {
        for pod in pods {
            let labels = labels(selector, pod);
            // The same for a pod whoever is beside it.
            let own = pod.bytes().map(f64::from).sum::<f64>();
            for minute in 0..12 {
                let at_ms = NOW_MS - minute * 60_000;
                let value = (12 - minute) as f64 * (index + 1) as f64 + own;
                source.push(&labels, Sample { at_ms, value });
            }
        }
    }
    source
}

fn labels(selector: &Selector, pod: &str) -> Labels {
    let mut labels = Labels::new();
    for matcher in selector.matchers.iter().filter(|matcher| matcher.op() == MatchOp::Equal) {
        labels.set(matcher.name(), matcher.value());
    }
    labels.set(METRIC_NAME, selector.metric.as_deref().unwrap_or("up"));
    labels.set("namespace", "shop");
    labels.set("pod", pod);
    labels.set("le", if pod.ends_with('1') { "+Inf" } else { "0.5" });
    labels
}
