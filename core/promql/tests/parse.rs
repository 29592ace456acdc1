//! Faults and where they are; limits; no text panics.

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use trimtab_promql::{MAX_NESTING, MAX_SOURCE_BYTES, MAX_TOKENS, parse};

mod common;

fn check(source: &str, position: usize, part: &str) {
    let error = parse(source).expect_err(source);
    assert!(error.message().contains(part), "{source}: {error}");
    assert_eq!(error.position(), position, "{source}: {error}");
    assert!(!error.to_string().contains('\n'), "{error}");
}

#[test]
fn faults_are_located() {
    check("", 0, "empty");
    check("  # only a comment", 0, "empty");
    check("sum(rate(x[5m])", 3, "'(' is never closed");
    check("sum(x}", 5, "'}' closes a '('");
    check("x)", 1, "')' closes nothing");
    check("x{a=\"b}", 4, "never ends");
    check("x > $y", 4, "unexpected character '$'");
    check("foo bar", 4, "an operator or a comma is missing before bar");
    check("sum(x) 5", 7, "an operator or a comma is missing before 5");
    check("x \"a\n\u{7}b\"", 2, "is missing before \"a b\"");
    check(&format!("x \"{}\"", "a".repeat(4_000)), 2, "aaa...");
    check("x > ", 4, "the expression ends where > needs a value");
    check("x > * 3", 4, "a value is missing before *");
    check("sum(x, )", 0, "trailing commas");
    check("nosuch(x)", 0, "unknown function with name 'nosuch'");
    check("1 + nosuch(x)", 4, "unknown function with name 'nosuch'");
    check("rate(x)", 0, "expected type matrix in call to function 'rate'");
    check("1 + rate(x)", 4, "expected type matrix in call to function 'rate'");
    check("x[5q]", 2, "a duration such as 5m");
    check("x[5m1h]", 2, "large to small");
    check("x[99999999999s]", 2, "longer than 292 years");
    check("x[9999999999ms]", 2, "too long");
    check("1 > 2", 0, "BOOL");
    check("{}", 0, "at least one non-empty matcher");
    check("x{a=\"1\" or b=\"2\"}", 0, "'or' inside braces");
    check("x{a=~\"a)|(?:b\"}", 0, "not a regular expression");
    check("x @ -5", 0, "before 1970");
}

#[test]
fn numbers_that_would_break_the_grammar_are_refused() {
    for source in [
        "x[1e300]",
        "x[0]",
        "x[0x10]",
        "x offset 1e30",
        "x offset NaN",
        "x offset -Inf",
        "x[5m:1e300]",
        "x offset 0",
        "x[00005]",
    ] {
        assert!(parse(source).expect_err(source).message().contains("a duration such as 5m"), "{source}");
    }
    for source in ["x[300]", "x offset 1.5", "x[5m:30]", "x[0.5]", "0x1F", "1e300 * x", "inf + x", "-NaN * x"]
    {
        parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    }
}

#[test]
fn limits_hold() {
    let deep = |depth: usize| format!("{}x{}", "(".repeat(depth), ")".repeat(depth));
    assert!(parse(&deep(MAX_NESTING)).is_ok());
    assert!(parse(&deep(MAX_NESTING + 1)).expect_err("too deep").message().contains("nest deeper"));
    let chain = |length: usize| vec!["x"; length].join("+");
    assert!(parse(&chain(100)).is_ok());
    assert!(parse(&chain(200)).expect_err("too deep").message().contains("nests deeper"));
    assert!(parse(&chain(MAX_TOKENS)).expect_err("too many parts").message().contains("parts"));
    assert!(parse(&"-".repeat(MAX_TOKENS)).is_err());
    assert!(parse(&"x".repeat(MAX_SOURCE_BYTES)).is_ok());
    assert!(parse(&"x".repeat(MAX_SOURCE_BYTES + 1)).expect_err("too long").message().contains("longer"));
}

#[test]
fn patterns_that_explode_are_refused_before_they_are_compiled() {
    let with = |pattern: &str| parse(&format!("x{{a=~\"{}\"}} > 1", pattern.replace('\\', "\\\\")));
    for fits in ["5..", "/api/v[0-9]+/.*", r"pay-\w{1,32}", "(foo|bar){3}", "a{b}", "[^/]{1,63}", r"\p{L}+"] {
        assert!(with(fits).is_ok(), "{fits}: {:?}", with(fits).err());
    }
    for explodes in
        [r"\pL{300}", r"(\w{30}){30}", "((x{100}){100}){100}", "(?i)[a-zß]{99}{99}{9}", "(.{900}){900}"]
    {
        let error = with(explodes).expect_err(explodes);
        assert!(error.message().contains("too large"), "{explodes}: {error}");
    }
    // Each fits, and all of them together do not.
    let many: Vec<String> = (0..55).map(|n| format!("x{{a=~\"\\\\pL{{{}}}\"}}", 20 + n)).collect();
    let error = parse(&many.join("+")).expect_err("too many");
    assert!(error.message().contains("too large"), "{error}");
    // Written with escapes it is the same pattern.
    let error = parse(r#"x{a=~"\x5cpL\x7b300\x7d"}"#).expect_err("escaped");
    assert!(error.message().contains("too large"), "{error}");
}

/// Text made of the pieces of the language, in any order: it reaches deeper than arbitrary characters.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "x",
        "sum",
        "by",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "5m",
        "1h30m",
        "0",
        "1e3",
        "0x1f",
        "\"a\"",
        "'b",
        "`c`",
        "=",
        "=~",
        "!=",
        "==",
        ">",
        "+",
        "-",
        "^",
        "*",
        ",",
        ":",
        " ",
        "\n",
        "#",
        "@",
        "offset",
        "and",
        "or",
        "bool",
        "on",
        "ignoring",
        "group_left",
        "rate",
        "topk",
        "end",
        "start",
        "NaN",
        "Inf",
        "1.5",
        ".",
        "\\",
        "\u{e4}",
        "fill",
        "fill_left",
        "histogram_quantile",
        "a:b",
        "__name__",
        "\"\\xff\"",
        "\"\\u12\u{e9}\"",
        "count_values",
        "absent",
        "exp",
        "1y",
        "99999999999s",
        "smoothed",
        "le",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, rng_seed: RngSeed::Fixed(20_261_121), ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_handled(source in "\\PC{0,60}") {
        let _ = parse(&source);
    }

    #[test]
    fn any_pieces_are_handled_and_print_what_they_mean(source in pieces()) {
        if let Ok(expr) = parse(&source) {
            let printed = expr.to_string();
            let again = parse(&printed).map_err(|error| TestCaseError::fail(format!("{source} prints {printed}: {error}")))?;
            prop_assert_eq!(again.to_string(), printed);
        }
    }

    #[test]
    fn damaged_expressions_are_handled(source in common::vector_expression(), cut in 0..200_usize, insert in "\\PC") {
        let place = source.char_indices().map(|(place, _)| place).nth(cut % source.chars().count()).unwrap_or(0);
        let _ = parse(&source[..place]);
        let _ = parse(&format!("{}{insert}{}", &source[..place], &source[place..]));
    }
}
