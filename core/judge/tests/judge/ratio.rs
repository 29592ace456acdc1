//! Bad requests over all requests: what counts, against what, and when nothing can be said.

use trimtab_judge::rule::{RatioRule, RatioSource, RuleKind};
use trimtab_workload::Arm;

use crate::lab::{Lab, lab};
use crate::{check, every_second};

fn source(bad: &str, total: &str) -> RatioSource {
    RatioSource { bad: bad.into(), total: total.into() }
}

fn requests() -> Lab {
    rule(vec![source(r#"http_requests_total{code=~"5.."}"#, "http_requests_total")])
}

fn rule(sources: Vec<RatioSource>) -> Lab {
    lab(RuleKind::Ratio(RatioRule { sources, limit: Some(0.2), tolerate: 1.2 }))
}

/// 12 requests a second on every pod, none of them bad on the old ones.
fn old_pods(seconds: f64) -> Lab {
    let lab = requests();
    ["a", "b", "c"]
        .into_iter()
        .fold(lab, |lab, pod| lab.grows("http_requests_total{code=200}", pod, -600.0..seconds, 12.0))
}

#[test]
fn verdicts() {
    let bad = requests().traffic(300.0, (12.0, 0.0), (12.0, 0.3));
    check(
        "30 % errors, before the first scrape",
        &bad,
        &every_second(1, 2),
        "rule undecided: canary 0/0 vs stable 0/0; too little traffic to tell",
    );
    check(
        "30 % errors, after the second",
        &bad,
        &every_second(1, 18),
        "rule FAIL: canary 61/203 (30.0 %) vs stable 0/720 (0 %), at least x32",
    );
    let good = requests().traffic(300.0, (12.0, 0.01), (12.0, 0.01));
    check(
        "as many errors as before",
        &good,
        &every_second(1, 300),
        "rule PASS: canary 34/3443 (0.99 %) vs stable 104/10440 (1.00 %), x1.0 [x0.5, x1.9]; no worse than tolerated",
    );
    let clean = requests().traffic(300.0, (12.0, 0.0), (12.0, 0.0));
    check(
        "no errors at all",
        &clean,
        &every_second(1, 300),
        "rule PASS: canary 0/3444 (0 %) vs stable 0/10440 (0 %); no worse than tolerated",
    );
    let both = requests().traffic(300.0, (12.0, 0.5), (12.0, 0.5));
    check(
        "both arms are above the limit",
        &both,
        &every_second(1, 60),
        "rule FAIL: canary 282/564 (50.0 %) vs stable 900/1800 (50.0 %), x1.0 [x0.8, x1.3]",
    );
    let quiet = requests().traffic(300.0, (0.02, 0.0), (0.02, 0.0));
    check(
        "six requests in five minutes",
        &quiet,
        &every_second(1, 300),
        "rule undecided: canary 0/5 (0 %) vs stable 0/16 (0 %); too little traffic to tell",
    );
    let silent = requests().traffic(300.0, (0.0, 0.0), (0.0, 0.0));
    check(
        "no requests at all",
        &silent,
        &every_second(1, 120),
        "rule undecided: canary 0/0 vs stable 0/0; too little traffic to tell",
    );
}

#[test]
fn increments() {
    let ok = "http_requests_total{code=200}";
    let bad = "http_requests_total{code=500}";
    let reset = old_pods(60.0).samples(ok, "x", &[(2.0, 20.0), (17.0, 100.0), (32.0, 5.0), (47.0, 30.0)]);
    check(
        "a counter that was reset counts from zero: 100 and 30",
        &reset,
        &[60.0],
        "rule undecided: canary 0/130 (0 %) vs stable 0/2160 (0 %); too little traffic to tell",
    );
    let born =
        old_pods(60.0).samples(ok, "x", &[(2.0, 20.0), (17.0, 100.0)]).samples(bad, "x", &[(2.0, 1.0)]);
    check(
        "a series born at 1 on a new pod counts",
        &born,
        &[60.0],
        "rule undecided: canary 1/101 (0.99 %) vs stable 0/1080 (0 %); too little traffic to tell",
    );
    let later =
        old_pods(60.0).samples(bad, "a", &[(30.0, 4.0)]).samples(ok, "x", &[(2.0, 20.0), (32.0, 50.0)]);
    check(
        "an old pod was scraped without the series: its first value counts",
        &later,
        &[60.0],
        "rule undecided: canary 0/50 (0 %) vs stable 4/1624 (0.25 %), x0.0 [x0.0, x51]; too little traffic to tell",
    );
    let old_x = requests().new_pod("x", -7200.0);
    let unknown = old_x.samples(ok, "x", &[(2.0, 5000.0), (17.0, 5060.0)]).samples(
        bad,
        "x",
        &[(2.0, 70.0), (17.0, 72.0)],
    );
    let unknown = unknown.grows(ok, "a", -600.0..60.0, 12.0);
    check(
        "a pod first seen long after its start: only what it gained since",
        &unknown,
        &[60.0],
        "rule undecided: canary 2/62 (3.2 %) vs stable 0/360 (0 %); too little traffic to tell",
    );
    let wild = [(2.0, 20.0), (17.0, f64::NAN), (32.0, f64::INFINITY), (40.0, -3.0), (47.0, 80.0)];
    check(
        "what is no count is skipped",
        &old_pods(60.0).samples(ok, "x", &wild),
        &[60.0],
        "rule undecided: canary 0/80 (0 %) vs stable 0/2160 (0 %); too little traffic to tell",
    );
    let split = ["GET", "PUT"].into_iter().fold(old_pods(60.0), |lab, method| {
        let series = |code| format!("http_requests_total{{code={code},method={method}}}");
        lab.samples(&series(200), "x", &[(2.0, 10.0)]).samples(&series(503), "x", &[(2.0, 2.0)])
    });
    check(
        "several label sets are summed",
        &split,
        &[60.0],
        "rule FAIL: canary 4/24 (16.7 %) vs stable 0/540 (0 %), at least x8.1",
    );
    let twice = old_pods(60.0).samples(ok, "x", &[(2.0, 20.0), (17.0, 100.0)]);
    check(
        "overlapping windows count once",
        &twice,
        &[20.0, 20.0, 21.0, 40.0, 41.0, 60.0],
        "rule undecided: canary 0/100 (0 %) vs stable 0/1080 (0 %); too little traffic to tell",
    );
}

#[test]
fn the_other_arm() {
    let ok = "http_requests_total{code=200}";
    let bad = "http_requests_total{code=500}";
    let alone = requests().grows(ok, "x", 2.0..120.0, 12.0).grows(bad, "x", 2.0..120.0, 0.6);
    check(
        "no old pod was ever scraped: the absolute limit alone",
        &alone,
        &every_second(1, 120),
        "rule undecided: canary 64/1348 (4.7 %) vs stable 0/0; too little traffic to tell",
    );
    let gone = requests().grows(ok, "a", -600.0..0.0, 12.0).grows(bad, "a", -600.0..0.0, 0.1);
    let gone = gone.grows(ok, "x", 2.0..300.0, 12.0).grows(bad, "x", 2.0..300.0, 6.0);
    check(
        "all old pods are gone: compared with their past",
        &gone,
        &every_second(1, 300),
        "rule FAIL: canary 1722/5166 (33.3 %) vs stable 28/3448 (0.81 %), x41 [x22, x87]",
    );
    let apart = [("a", 0.01), ("b", 0.08), ("c", 0.6)].into_iter().fold(requests(), |lab, (pod, rate)| {
        lab.grows(ok, pod, -3600.0..300.0, 12.0).grows(bad, pod, -3600.0..300.0, rate)
    });
    let apart = apart.grows(ok, "x", 2.0..300.0, 12.0).grows(bad, "x", 2.0..300.0, 0.7);
    check(
        "old pods far apart: three times their mean proves nothing",
        &apart,
        &every_second(1, 300),
        "rule undecided: canary 200/3644 (5.5 %) vs stable 207/11007 (1.9 %); too little traffic to tell",
    );
    let alike = ["a", "b", "c"].into_iter().fold(requests(), |lab, pod| {
        lab.grows(ok, pod, -3600.0..300.0, 12.0).grows(bad, pod, -3600.0..300.0, 0.23)
    });
    let alike = alike.grows(ok, "x", 2.0..300.0, 12.0).grows(bad, "x", 2.0..300.0, 0.7);
    check(
        "old pods alike: three times their mean is a regression",
        &alike,
        &every_second(1, 300),
        "rule FAIL: canary 200/3644 (5.5 %) vs stable 207/11007 (1.9 %), x2.9 [x2.0, x4.3]",
    );
}

#[test]
fn bindings() {
    let ok = "http_requests_total{code=200}";
    check(
        "no such metric",
        &requests(),
        &every_second(1, 60),
        "rule RuleUnbound: no series of this service for http_requests_total",
    );
    let two =
        || rule(vec![source("absent_errors", "absent_total"), source("errors_total", "requests_total")]);
    let second =
        two().grows("requests_total", "a", -600.0..60.0, 12.0).grows("requests_total", "x", 2.0..60.0, 12.0);
    check(
        "the family of bad requests was never seen",
        &second,
        &[60.0],
        "rule RuleUnbound: no series of this service for errors_total",
    );
    let known = second.clone().samples("errors_total", "a", &[(-300.0, 1.0)]);
    check(
        "seen on another pod: none here means zero",
        &known,
        &[60.0],
        "rule PASS: canary 0/564 (0 %) vs stable 0/720 (0 %); no worse than tolerated",
    );
    let late = known.grows("absent_total", "x", 10.0..60.0, 12.0);
    check(
        "a source that appears later changes nothing",
        &late,
        &[60.0],
        "rule PASS: canary 0/564 (0 %) vs stable 0/720 (0 %); no worse than tolerated",
    );
    // Pods repeat no more than 58 bytes of a longer ReplicaSet name: not enough to tell these two apart by.
    let set = |hash: &str| format!("{}-{hash}", "p".repeat(57));
    let pod = |suffix: &str| format!("{}-{suffix}", "p".repeat(57));
    let (old, new) = (pod("abcde"), pod("vwxyz"));
    let long = requests().with(|lab| {
        lab.arms.pods.clear();
        (lab.arms.stable_sets, lab.arms.canary_sets) = (vec![set("5f5f")], vec![set("7c7c")]);
    });
    let long = long.pod(&old, Arm::Stable, -7200.0).pod(&new, Arm::Canary, 0.0);
    let long = long.samples(ok, &old, &[(-15.0, 50.0), (15.0, 90.0)]).samples(ok, &new, &[(17.0, 30.0)]);
    check(
        "long names: pods are told apart one by one",
        &long,
        &[60.0],
        "rule undecided: canary 0/30 (0 %) vs stable 0/40 (0 %); too little traffic to tell",
    );
    let foreign = old_pods(60.0).samples(ok, "x", &[(2.0, 20.0), (32.0, 50.0)]);
    let foreign = foreign.with(|lab| {
        let labels = [
            ("__name__", "http_requests_total"),
            ("namespace", "other"),
            ("pod", "pay-t2-x"),
            ("code", "500"),
        ];
        let sample = trimtab_promql::Sample { at_ms: crate::lab::at_ms(2.0), value: 99.0 };
        lab.source.push(&labels.into_iter().collect(), sample);
    });
    check(
        "a pod of the same name elsewhere",
        &foreign,
        &[60.0],
        "rule undecided: canary 0/50 (0 %) vs stable 0/1620 (0 %); too little traffic to tell",
    );
}

#[test]
fn telemetry() {
    let unscraped = old_pods(300.0);
    check(
        "ready and not scraped yet",
        &unscraped,
        &every_second(1, 44),
        "rule undecided: canary 0/0 vs stable 0/0; too little traffic to tell",
    );
    check(
        "ready and not scraped",
        &unscraped,
        &every_second(1, 60),
        "rule TelemetryLost: the new pods are ready and were not scraped for 60 s",
    );
    let stopped = requests().traffic(120.0, (12.0, 0.0), (12.0, 0.0));
    check(
        "scraped, passed, and lost",
        &stopped,
        &every_second(1, 200),
        "rule TelemetryLost: the new pods are ready and were not scraped for 93 s",
    );
    let unready = unscraped.with(|lab| lab.arms.pods.values_mut().for_each(|pod| pod.ready = false));
    check(
        "not ready: nothing is missing",
        &unready,
        &every_second(1, 60),
        "rule undecided: canary 0/0 vs stable 0/0; too little traffic to tell",
    );
    let nobody = requests().traffic(120.0, (12.0, 0.0), (12.0, 0.0)).refuses("no Prometheus is configured");
    check(
        "there is nobody to ask: said at once, and nothing is waited for",
        &nobody,
        &[1.0],
        "rule RuleUnbound: no Prometheus is configured",
    );
    let down = requests().traffic(300.0, (12.0, 0.0), (12.0, 0.0)).outage(100.0..400.0);
    check(
        "the server stops answering",
        &down,
        &every_second(1, 130),
        "rule PASS: canary 0/1104 (0 %) vs stable 0/3420 (0 %); no worse than tolerated",
    );
    check(
        "for too long",
        &down,
        &every_second(1, 150),
        "rule TelemetryLost: no answer for 50 s: connection refused",
    );
    check("it never answered", &down, &[300.0], "rule TelemetryLost: no answer for 0 s: connection refused");
    let back = requests().traffic(300.0, (12.0, 0.0), (12.0, 0.3)).outage(1.0..100.0);
    check(
        "it answers again, and nothing was lost",
        &back,
        &every_second(1, 101),
        "rule FAIL: canary 331/1103 (30.0 %) vs stable 0/3420 (0 %), at least x96",
    );
    let unserved = old_pods(300.0).grows("http_requests_total{code=200}", "x", 2.0..300.0, 0.0);
    check(
        "scraped and no requests arrive",
        &unserved,
        &every_second(1, 61),
        "rule NoTraffic: the new pods are scraped and get no requests",
    );
}
