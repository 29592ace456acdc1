//! The corpus of expressions that are narrowed to an arm or refused, and properties of narrowing.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use trimtab_promql::{Matcher, inject, matches, parse, parse_counter_selector, selectors};
use trimtab_units::line::is_unsafe;

mod common;

fn arm() -> Vec<Matcher> {
    vec![
        Matcher::equal("namespace", "shop"),
        Matcher::regex("pod", "pay-abc-[a-z0-9]+").expect("a valid pattern"),
    ]
}

fn check(source: &str, expected: &str) {
    let expr = parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    match (inject(&expr, &arm()), expected.strip_prefix("=> "), expected.strip_prefix("refused: ")) {
        (Ok(narrowed), Some(printed), _) => assert_eq!(narrowed.to_string(), printed, "{source}"),
        (Err(refusal), _, Some(reason)) => {
            assert!(refusal.reason.contains(reason), "{source}: {refusal}");
            assert!(!refusal.to_string().contains('\n'), "{refusal}");
        }
        (outcome, _, _) => panic!("{source}: {outcome:?}, expected {expected}"),
    }
}

#[test]
fn corpus() {
    let lines = include_str!("corpus/inject.txt").lines().filter(|line| !line.starts_with('#'));
    let cases: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    assert!(cases.len() >= 80, "the corpus is cut short");
    for case in cases.chunks(2) {
        check(case[0], case[1]);
    }
}

#[test]
fn examples_in_refusals_work() {
    for source in [
        "vector(1)",
        "absent(up)",
        "job:x:rate > 1",
        "x offset 1w",
        "x @ 5",
        "up[5m]",
        "max_over_time(x[5m:] offset 1d)",
    ] {
        let refusal = inject(&parse(source).expect(source), &arm()).expect_err(source);
        let example = parse(&refusal.example).unwrap_or_else(|error| panic!("{source}: {error}"));
        inject(&example, &arm()).unwrap_or_else(|error| panic!("{source}: {error}"));
    }
}

#[test]
fn metrics_of_objects_can_be_narrowed_to_a_namespace() {
    let expr = parse("kube_deployment_status_replicas > 0").expect("valid");
    let narrowed = inject(&expr, &[Matcher::equal("namespace", "shop")]).expect("carries a namespace");
    assert_eq!(narrowed.to_string(), "kube_deployment_status_replicas{namespace=\"shop\"} > 0");
}

fn check_counter(source: &str, expected: Result<&str, &str>) {
    match (parse_counter_selector(source), expected) {
        (Ok(selector), Ok(printed)) => assert_eq!(selector.to_string(), printed, "{source}"),
        (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{source}: {error}"),
        (outcome, _) => panic!("{source}: {outcome:?}"),
    }
}

#[test]
fn counters_are_plain_selectors() {
    check_counter("http_requests_total", Ok("http_requests_total"));
    check_counter(" http_requests_total { code =~ '5..' } ", Ok("http_requests_total{code=~\"5..\"}"));
    check_counter("{__name__=\"http_requests_total\",code=\"500\"}", Ok("http_requests_total{code=\"500\"}"));
    check_counter(
        "rate(x_total{a=\"b\"}[5m])",
        Err("without rate() or another function; write x_total{a=\"b\"}"),
    );
    // A name that would read as something else stays a text.
    for odd in ["a or b", "inf", "a{x=\\\"1\\\"}", "up ", "5xx_total"] {
        let source = format!("{{__name__=\"{odd}\",code=\"500\"}}");
        check_counter(&source, Ok(&source));
    }
    check_counter("{__name__=\"\",\"b c\"}", Ok("{__name__=\"b c\",__name__=\"\"}"));
    for twice in ["{__name__=\"a\",__name__=\"b\"}", "{__name__=\"a\",__name__=~\"b.*\"}"] {
        check_counter(twice, Ok(twice));
    }
    check_counter("sum(x_total)", Err("Trimtab sums the series of each arm itself; write x_total"));
    check_counter("x_total[5m]", Err("the window belongs to the rule; write x_total"));
    check_counter("a_total or b_total", Err("one selector; use a regular expression"));
    check_counter("x_total offset 5m", Err("without offset or @; write x_total"));
    check_counter("{job=\"a\"}", Err("needs a metric name; write http_requests_total"));
    check_counter("(x_total)", Err("without parentheses; write x_total"));
    check_counter("1", Err("one selector; write http_requests_total"));
    check_counter("x_total{", Err("invalid PromQL at byte 7: '{' is never closed"));
}

#[test]
fn selectors_say_what_is_read() {
    let expr = parse("sum(rate(a_total{x=\"1\"}[5m] offset 1m)) / {__name__=~\"b.*\"} > c offset -30s")
        .expect("valid");
    let found: Vec<(String, String, String)> = selectors(&expr)
        .iter()
        .map(|selector| {
            let range = selector.range.map_or_else(|| "-".to_owned(), |range| range.to_string());
            (selector.to_string(), range, selector.offset.to_string())
        })
        .collect();
    let expected =
        [("a_total{x=\"1\"}", "5m0s", "1m0s"), ("{__name__=~\"b.*\"}", "-", "0s"), ("c", "-", "-30s")];
    assert_eq!(
        found,
        expected.map(|(text, range, offset)| (text.to_owned(), range.to_owned(), offset.to_owned()))
    );
}

#[test]
fn matchers_are_anchored_and_absent_is_empty() {
    let labels = [("pod", "pay-abc-x1"), ("namespace", "shop")].into_iter().collect();
    assert!(matches(&arm(), &labels));
    let pod = |pattern: &str| [Matcher::regex("pod", pattern).expect("a valid pattern")];
    for (pattern, expected) in
        [("pay", false), (".*abc.*", true), ("pay-abc-x1|zzz", true), ("zzz|pay", false)]
    {
        assert_eq!(matches(&pod(pattern), &labels), expected, "{pattern}");
    }
    assert!(matches(&[Matcher::equal("absent", ""), Matcher::not_equal("absent", "x")], &labels));
    assert!(Matcher::regex("pod", "a)|(?:b").is_err() && Matcher::not_regex("pod", "(").is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(20_261_121), ..ProptestConfig::default() })]

    #[test]
    fn narrowing_reaches_every_selector_and_prints_what_it_means(source in common::vector_expression()) {
        let expr = parse(&source).map_err(|error| TestCaseError::fail(format!("{source}: {error}")))?;
        if let Ok(narrowed) = inject(&expr, &arm()) {
            let read_back = parse(&narrowed.to_string());
            let read_back = read_back.map_err(|error| TestCaseError::fail(format!("{narrowed}: {error}")))?;
            prop_assert_eq!(read_back.to_string(), narrowed.to_string());
            for selector in selectors(&read_back) {
                for wanted in arm() {
                    prop_assert!(selector.matchers.contains(&wanted), "{} in {}", selector, narrowed);
                }
            }
            prop_assert_eq!(selectors(&read_back).len(), selectors(&expr).len());
        } else {
            prop_assert!(selectors(&expr).is_empty() || source.contains("absent"), "{} is refused", source);
        }
    }
}

/// Somebody reads what a server was asked: its log, its page of queries.
#[test]
fn nothing_that_ends_or_steers_a_line_stands_raw_in_what_is_asked() {
    let steering = [
        '\n',
        '\r',
        '\t',
        '\0',
        '\u{1b}',
        '\u{7f}',
        '\u{85}',
        '\u{200b}',
        '\u{2028}',
        '\u{202e}',
        '\u{2066}',
        '\u{e0041}',
    ];
    for character in steering {
        let (value, code) = (format!("a{character}b"), u32::from(character));
        let pattern = Matcher::regex("pod", &format!("{value}|c")).expect("a valid pattern");
        let arm = [Matcher::equal("namespace", &value), pattern];
        for matcher in &arm {
            assert!(!matcher.to_string().contains(is_unsafe), "{matcher:?}");
        }
        let plain = inject(&parse("x").expect("valid"), &arm);
        assert!(plain.is_ok(), "{value:?} can be asked about");
        for source in [
            "x".to_owned(),
            format!("x{{a=`{value}`}}"),
            format!("x{{a=\"{value}\"}}"),
            format!("x{{a=~\"a\\U{code:08x}b\"}}"),
            format!("sum by (\"a\\U{code:08x}b\") (x)"),
        ] {
            // What is refused is not asked.
            let Ok(expr) = parse(&source) else { continue };
            let Ok(narrowed) = inject(&expr, &arm) else { continue };
            for printed in [expr.to_string(), selectors(&expr)[0].to_string(), narrowed.to_string()] {
                assert!(!printed.contains(is_unsafe), "{source:?}: {printed:?}");
            }
            let read_back = parse(&narrowed.to_string()).expect("what is printed can be read");
            assert_eq!(selectors(&read_back), selectors(&narrowed), "{source:?}");
        }
    }
}
