//! Pods that fail while they warm up: left out where old pods were seen to do the same, and only there.

use trimtab_judge::rule::{RatioRule, RatioSource, RuleKind};
use trimtab_workload::Arm;

use crate::lab::{Lab, lab};
use crate::{check, every_second};

const OK: &str = "http_requests_total{code=200}";
const BAD: &str = "http_requests_total{code=500}";

fn requests() -> Lab {
    let source = RatioSource {
        bad: r#"http_requests_total{code=~"5.."}"#.into(),
        total: "http_requests_total".into(),
    };
    lab(RuleKind::Ratio(RatioRule { sources: vec![source], limit: Some(0.2), tolerate: 1.2 }))
}

/// A pod that starts at `started`, serves 12 requests a second, and fails half of those in its first 20 s.
fn cold(lab: Lab, pod: &str, started: f64) -> Lab {
    let scrapes = (1..).map(|n| f64::from(n) * 5.0).take_while(|age| started + age < 240.0);
    let counted = |share: fn(f64) -> f64| -> Vec<(f64, f64)> {
        scrapes.clone().map(|age| (started + age, share(age).round())).collect()
    };
    let failed = |age: f64| 6.0 * age.min(20.0);
    lab.samples(BAD, pod, &counted(failed)).samples(OK, pod, &counted(|age| 12.0 * age - 6.0 * age.min(20.0)))
}

fn steady(lab: Lab) -> Lab {
    ["a", "b"].into_iter().fold(lab, |lab, pod| lab.grows(OK, pod, -600.0..240.0, 12.0))
}

#[test]
fn beginnings() {
    let known = cold(steady(requests()).pod("c", Arm::Stable, -400.0), "c", -400.0);
    check(
        "old pods were seen to fail at their start",
        &cold(known.clone(), "x", 0.0),
        &every_second(1, 230),
        "rule PASS: canary 0/2460 (0 %) vs stable 0/8520 (0 %); no worse than tolerated; without the first 25 s of each pod, in which old pods fail too",
    );
    check(
        "nobody was seen to start",
        &cold(steady(requests()), "x", 0.0),
        &every_second(1, 230),
        "rule FAIL: canary 120/2700 (4.4 %) vs stable 0/10800 (0 %), at least x56",
    );
    let ill = (1..48).map(|n| (f64::from(n) * 5.0, f64::from(n) * 18.0)).collect::<Vec<_>>();
    let fine = (1..48).map(|n| (f64::from(n) * 5.0, f64::from(n) * 42.0)).collect::<Vec<_>>();
    let worse = known.samples(BAD, "x", &ill).samples(OK, "x", &fine);
    check(
        "and goes on failing when it is warm",
        &worse,
        &every_second(1, 60),
        "rule FAIL: canary 126/420 (30.0 %) vs stable 0/2160 (0 %), at least x69; without the first 25 s of each pod, in which old pods fail too",
    );
}
