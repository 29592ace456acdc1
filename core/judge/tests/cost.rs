//! What a look of the judge costs, counted by the allocator, which does not wobble as time does. One test: others would allocate
//! beside it.

#[path = "judge/lab.rs"]
#[allow(dead_code, reason = "the judge's tests use more of it")]
mod lab;

use trimtab_cost::{check_allocations as check, check_kept_bytes};
use trimtab_judge::rule::built_in;
use trimtab_judge::{Answer, Need, Query};
use trimtab_promql::{Sample, Series};

#[test]
fn looks_allocate_little() {
    let lab = lab::lab(built_in().swap_remove(0).kind).with(|lab| lab.rules = built_in());
    let lab = lab.traffic(300.0, (12.0, 0.01), (12.0, 0.01));
    let mut judge = lab.judge();
    lab.look(&mut judge, 200.0);
    let (needs, answers) = lab.questions(&judge, 201.0);
    check("what a judge asks", 100, || drop(judge.needs(lab::instant(201.0))));
    let answers = needs.into_iter().zip(answers).collect();
    check("taking in the answers", 300, || judge.absorb(answers, lab::instant(201.0)));
    long_labels_are_not_kept(&lab);
}

/// Every look brings two thousand series that were not there before, with ten kilobytes of labels each.
fn long_labels_are_not_kept(lab: &lab::Lab) {
    let mut judge = lab.judge();
    lab.look(&mut judge, 1.0);
    check_kept_bytes("20,000 series with long labels", 4_000_000, || {
        for look in 2..12 {
            let at = f64::from(look);
            let new = |need: &Need| match &need.query {
                Query::Samples { selector, .. } if selector.starts_with("http_requests_total{") => {
                    Answer::Samples((0..2_000).map(|n| long(look, n)).collect())
                }
                _ => Answer::Samples(Vec::new()),
            };
            let answers =
                judge.needs(lab::instant(at)).into_iter().map(|need| (need.clone(), new(&need))).collect();
            judge.absorb(answers, lab::instant(at));
        }
    });
}

fn long(look: i32, number: i32) -> Series {
    let text = format!("{look}-{number}-{}", "x".repeat(10_000));
    let labels =
        [("__name__", "http_requests_total"), ("namespace", "shop"), ("pod", "pay-t2-x"), ("path", &text)];
    let samples = vec![Sample { at_ms: lab::at_ms(f64::from(look) - 1.0), value: 1.0 }];
    Series { labels: labels.into_iter().collect(), samples }
}
