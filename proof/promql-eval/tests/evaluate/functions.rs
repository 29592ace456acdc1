//! Functions of vectors, dates and histograms.

use crate::series::check;

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
