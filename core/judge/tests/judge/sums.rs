//! Services with more series than are read: the server sums them up by pod.

use trimtab_judge::finding::{Counts, Finding, FindingState, finding_line};
use trimtab_judge::rule::{CrashesRule, EventsRule, RuleKind, built_in};
use trimtab_judge::{Answer, Query};
use trimtab_stats::Verdict;

use crate::lab::{Lab, instant, lab};
use crate::{check, every_second};

fn requests() -> Lab {
    lab(built_in().swap_remove(0).kind)
}

/// The same, where the server gives two series at most, and any number of sums.
fn narrow(lab: Lab) -> Lab {
    lab.with(|lab| lab.series_max = (2, usize::MAX))
}

#[test]
fn sums_find_what_series_find() {
    for (name, stable, canary) in
        [("a good release", 0.02, 0.02), ("a bad one", 0.02, 0.4), ("the old pods are worse", 0.3, 0.01)]
    {
        let lab = requests().traffic(400.0, (9.0, stable), (9.0, canary));
        let series = lab.findings(&every_second(1, 300)).remove(0);
        let sums = narrow(lab).findings(&every_second(1, 310)).remove(0);
        assert_eq!(
            sums.verdict,
            series.verdict,
            "{name}: {} and {}",
            finding_line(&sums),
            finding_line(&series)
        );
        let near = |one: f64, other: f64| (one - other).abs() <= other * 0.1 + 50.0;
        let (sums, series) = (sums.counts, series.counts);
        assert!(near(sums.canary_total, series.canary_total), "{name}: {sums:?} and {series:?}");
        assert!(near(sums.stable_total, series.stable_total), "{name}: {sums:?} and {series:?}");
    }
    let errors = RuleKind::Events(EventsRule { counters: vec!["db_errors_total".into()], tolerate: 2.0 });
    let pods = ["a", "b", "c"].into_iter();
    let spike = pods.fold(lab(errors), |lab, pod| lab.grows("db_errors_total", pod, -600.0..100.0, 0.01));
    let spike = spike.grows("db_errors_total", "x", 2.0..100.0, 1.0);
    assert_eq!(narrow(spike).findings(&every_second(1, 60))[0].verdict, Verdict::Fail, "events");
    let panics = CrashesRule { ignore_containers: Vec::new(), counters: vec!["panics_total".into()] };
    let pods = ["a", "b", "c"].into_iter();
    let panics = pods
        .fold(lab(RuleKind::Crashes(panics)), |lab, pod| lab.grows("panics_total", pod, -600.0..100.0, 0.0));
    let panics = panics.grows("panics_total", "x", 2.0..100.0, 0.5);
    assert_eq!(narrow(panics).findings(&every_second(1, 60))[0].verdict, Verdict::Fail, "panics");
}

#[test]
fn a_series_that_ends_is_no_restart() {
    // One path of each old pod and of the new one is forgotten after a minute: the sum falls.
    let mut lab = requests().traffic(300.0, (9.0, 0.01), (9.0, 0.01));
    for pod in ["a", "b", "c", "x"] {
        let from = if pod == "x" { 2 } else { -598 };
        let ended: Vec<(f64, f64)> = (from..60).step_by(15).map(|at| (f64::from(at), 900.0)).collect();
        lab = lab.samples("http_requests_total{code=200,path=old}", pod, &ended);
    }
    let found = narrow(lab).findings(&every_second(1, 290)).remove(0);
    assert_ne!(found.verdict, Verdict::Fail, "{}", finding_line(&found));
    let counted = f64::from(290 * 9);
    assert!(found.counts.canary_total < counted + 1_000.0, "{}", finding_line(&found));
    assert!(found.counts.stable_total < 3.0 * counted + 300.0, "{}", finding_line(&found));
}

#[test]
fn a_part_that_misses_a_scrape_and_comes_back_is_no_gain() {
    // One of two ports of each pod is not scraped for half a minute: its series end, and begin where they were.
    let mut lab = requests().traffic(300.0, (9.0, 0.01), (9.0, 0.01));
    for pod in ["a", "b", "c", "x"] {
        let from = if pod == "x" { 2 } else { -598 };
        let count = |at: i32| if (60..100).contains(&at) { f64::NAN } else { 900.0 };
        let other: Vec<(f64, f64)> = (from..280).step_by(15).map(|at| (f64::from(at), count(at))).collect();
        lab = lab.samples("http_requests_total{code=500,port=admin}", pod, &other);
    }
    let found = narrow(lab).findings(&every_second(1, 290)).remove(0);
    let Counts { canary_total, stable_total, stable_bad, .. } = found.counts;
    assert!(canary_total < 3_900.0 && stable_total < 9_000.0, "{}", finding_line(&found));
    assert!(stable_bad < 200, "{}", finding_line(&found));
}

#[test]
fn five_thousand_pods_are_judged() {
    const OLD: usize = 4_900;
    const NEW: usize = 100;
    let mut service = requests().with(|lab| {
        lab.series_max = (2_000, 10_000);
        lab.arms.pods.clear();
    });
    let pods = (0..OLD).map(|n| (format!("pay-t1-{n}"), -300.0, trimtab_workload::Arm::Stable, 0.0));
    let new = (0..NEW).map(|n| (format!("pay-t2-{n}"), 2.0, trimtab_workload::Arm::Canary, 0.5));
    for (index, (pod, from, arm, bad)) in pods.chain(new).enumerate() {
        let from = from + (index % 15) as f64;
        service = service.pod(&pod, arm, if from < 0.0 { -90_000.0 } else { 0.0 });
        service = service.grows("http_requests_total{code=200}", &pod, from..70.0, 1.0 - bad);
        service = service.grows("http_requests_total{code=500}", &pod, from..70.0, bad.max(0.01));
    }
    let mut judge = service.judge();
    let mut most = 0;
    for look in 1..=12 {
        let at = f64::from(look) * 5.0;
        let (_, answers) = service.questions(&judge, at);
        for answer in &answers {
            if let Answer::Samples(series) = answer {
                most = most.max(series.iter().map(|series| series.samples.len()).sum());
            }
        }
        service.look(&mut judge, at);
    }
    let found = judge.findings(instant(60.0)).remove(0);
    assert_eq!(found.verdict, Verdict::Fail, "{}", finding_line(&found));
    // Sixteen MiB hold half a million samples, and their times are as many again.
    assert!((1..250_000).contains(&most), "{most} samples in one answer");
}

#[test]
fn what_is_not_read_yet_is_said() {
    let lab = narrow(requests().traffic(700.0, (9.0, 0.02), (9.0, 0.06)));
    let mut judge = lab.judge();
    let mut told: Vec<Finding> = Vec::new();
    for at in 600..620 {
        lab.look(&mut judge, f64::from(at));
        told.push(judge.findings(instant(f64::from(at))).remove(0));
    }
    let FindingState::TelemetryLost(why) = &told[1].state else { panic!("{}", finding_line(&told[1])) };
    assert_eq!(why, "its samples are read, and those of the last 541 s are not yet");
    assert_eq!(told.last().map(|finding| finding.verdict), Some(Verdict::Fail));
}

#[test]
fn more_than_is_read_even_of_sums() {
    let lab = requests().traffic(300.0, (9.0, 0.02), (9.0, 0.4)).with(|lab| lab.series_max = (2, 3));
    check("four pods", &lab, &every_second(1, 60), "rule RuleUnbound: more than 3 series match");
    let asked = lab.judge();
    let mut judge = asked.clone();
    lab.look(&mut judge, 1.0);
    let (needs, _) = lab.questions(&judge, 2.0);
    assert!(needs.iter().all(|need| matches!(need.query, Query::Sums { .. })), "{needs:?}");
}
