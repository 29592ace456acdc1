//! Aggregations, operators, and which series of two sides belong together.

use trimtab_promql_eval::RangeWindows;

use crate::series::{check, run};

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
