//! Selectors, and functions of what happened over a time.

use crate::series::{check, check_at, check_windows};

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
