//! The calibration table: its rows, their reference figures and what each must hold.

use super::cells::{ALPHA, Cell, Judge, Traffic, simulate};
use std::fmt::Write;

/// Standard errors of the simulation granted before a cell is off.
const ERRORS_GRANTED: f64 = 3.0;
/// Runs behind each reference figure.
const REFERENCE_RUNS: f64 = 2000.0;
/// A median may be this many times the reference.
const SLOWER_GRANTED: f64 = 1.3;

/// What a row must hold. Percentages are of releases that FAIL.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Requirement {
    /// The release is good: FAILs within alpha.
    Good { reference: Option<f64> },
    /// The release is harmful: found as often as the reference, the median at most 1.3 times as late.
    Harmful { reference: f64, median: Option<f64> },
    /// Shown to compare with; must hold nothing.
    Contrast { reference: Option<f64> },
}

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) release: String,
    pub(crate) judge: &'static str,
    pub(crate) cell: Cell,
    pub(crate) requirement: Requirement,
}

pub(crate) struct Outcome {
    found: f64,
    error: f64,
    median: f64,
    runs: f64,
}

impl Outcome {
    pub(crate) fn of(cell: &Cell, runs: u32) -> Self {
        let mut seconds = simulate(cell, runs);
        seconds.sort_by(f64::total_cmp);
        let found = seconds.iter().filter(|seconds| seconds.is_finite()).count() as f64 / f64::from(runs);
        let error = (found * (1.0 - found) / f64::from(runs)).sqrt();
        Self { found, error, median: seconds[seconds.len() / 2], runs: f64::from(runs) }
    }

    pub(crate) fn holds(&self, requirement: &Requirement) -> bool {
        match *requirement {
            Requirement::Good { .. } => {
                self.found <= ALPHA + ERRORS_GRANTED * (ALPHA * (1.0 - ALPHA) / self.runs).sqrt()
            }
            Requirement::Harmful { reference, median } => {
                let reference = reference / 100.0;
                // Both figures are simulated; a reference of 100 % is read as "at most one miss was possible".
                let spread = (reference * (1.0 - reference)).max(0.001);
                let error = (spread / self.runs + spread / REFERENCE_RUNS).sqrt();
                self.found >= reference - ERRORS_GRANTED * error
                    && median.is_none_or(|median| self.median <= SLOWER_GRANTED * median)
            }
            Requirement::Contrast { .. } => true,
        }
    }
}

/// One line of the table, in Markdown.
pub(crate) fn line(row: &Row, outcome: &Outcome) -> String {
    let timed = |text: &mut String, median: f64| {
        if median.is_finite() {
            write!(text, " / {median:.0} s").expect("writing to a string cannot fail");
        }
    };
    let mut measured = format!("{:.2} %", outcome.found * 100.0);
    let mut reference = String::from("–");
    let verdict = match (row.requirement, outcome.holds(&row.requirement)) {
        (Requirement::Contrast { .. }, _) => "",
        (_, true) => "OK",
        (_, false) => "OFF",
    };
    match row.requirement {
        Requirement::Good { reference: figure } | Requirement::Contrast { reference: figure } => {
            if let Some(figure) = figure {
                reference = format!("{figure} %");
            }
        }
        Requirement::Harmful { reference: figure, median } => {
            timed(&mut measured, outcome.median);
            reference = format!("{figure} %");
            timed(&mut reference, median.unwrap_or(f64::INFINITY));
        }
    }
    let error = outcome.error * 100.0;
    format!("| {} | {} | {measured} | ±{error:.2} | {reference} | {verdict} |", row.release, row.judge)
}

fn row(release: &str, judge: &'static str, traffic: Traffic, by: Judge, requirement: Requirement) -> Row {
    Row { release: release.to_owned(), judge, cell: Cell { traffic, judge: by, seed: 0 }, requirement }
}

fn traffic(rate: f64, canary_share: f64, harm: f64) -> Traffic {
    Traffic { rate, bad_share: 0.005, burst: 20.0, harm, pods: (1, 2), canary_share, sigma: 0.0 }
}

fn good(reference: f64) -> Requirement {
    Requirement::Good { reference: Some(reference) }
}

fn harmful(reference: f64, median: f64) -> Requirement {
    Requirement::Harmful { reference, median: Some(median) }
}

fn contrast(reference: f64) -> Requirement {
    Requirement::Contrast { reference: Some(reference) }
}

const THIRD: f64 = 1.0 / 3.0;

/// Every row, each with a seed of its own.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = comparison_rows();
    rows.extend(margin_rows());
    rows.extend(absolute_rows());
    [0.2, 0.4, 0.7].into_iter().for_each(|sigma| rows.extend(pod_noise_rows(sigma)));
    rows.extend(more_pods_rows());
    for (seed, row) in (20_260_823_u64..).zip(&mut rows) {
        row.cell.seed = seed.wrapping_mul(0xd134_2543_de82_ef95);
    }
    rows
}

fn comparison_rows() -> Vec<Row> {
    let judge = Judge::Ratio { margin: 1.5, phi: 1.0 };
    let cells = [
        ("A/A, 0.5 req/s, 1/3", 0.5, THIRD, 1.0, good(0.0)),
        ("A/A, 5 req/s, 1/3", 5.0, THIRD, 1.0, good(0.0)),
        ("A/A, 5 req/s, 5 %", 5.0, 0.05, 1.0, good(0.1)),
        ("A/A, 50 req/s, 5 %", 50.0, 0.05, 1.0, good(0.0)),
        ("×3, 5 req/s, 1/3", 5.0, THIRD, 3.0, harmful(54.0, 1665.0)),
        ("×3, 50 req/s, 1/3", 50.0, THIRD, 3.0, harmful(100.0, 255.0)),
        ("×10, 0.5 req/s, 1/3", 0.5, THIRD, 10.0, harmful(73.0, 1245.0)),
        ("×10, 5 req/s, 1/3", 5.0, THIRD, 10.0, harmful(100.0, 165.0)),
        ("×10, 5 req/s, 5 %", 5.0, 0.05, 10.0, harmful(99.5, 465.0)),
        ("×40, 5 req/s, 1/3", 5.0, THIRD, 40.0, harmful(100.0, 30.0)),
    ];
    cells
        .map(|(name, rate, share, harm, must)| row(name, "r0 1.5", traffic(rate, share, harm), judge, must))
        .into()
}

fn margin_rows() -> Vec<Row> {
    [("r0 1.0", 1.0, 100.0, 330.0), ("r0 1.2", 1.2, 99.0, 555.0), ("r0 1.5", 1.5, 66.0, 1402.0)]
        .map(|(name, margin, found, median)| {
            let judge = Judge::Ratio { margin, phi: 1.0 };
            row("×2, 50 req/s, 1/3", name, traffic(50.0, THIRD, 2.0), judge, harmful(found, median))
        })
        .into()
}

/// Without shared bursts, except in the last two rows: an outage beyond the limit is no false alarm to an absolute rule.
fn absolute_rows() -> Vec<Row> {
    let bursting =
        |canary_rate: f64, bad_share: f64| Traffic { bad_share, ..traffic(canary_rate * 3.0, THIRD, 1.0) };
    let on = |canary_rate, bad_share| Traffic { burst: 1.0, ..bursting(canary_rate, bad_share) };
    let rule = |name, traffic, must| row(name, "absolute rule, 20 %", traffic, Judge::AbsoluteRule, must);
    let fixed =
        |name, traffic, must| row(name, "fixed > 20 % on 5 min", traffic, Judge::FixedThreshold, must);
    let (quiet, busier, outage) = (on(0.02, 0.005), on(0.17, 0.02), bursting(0.17, 0.02));
    let unpublished = Requirement::Contrast { reference: None };
    vec![
        rule("A/A, no bursts, 0.02 req/s on the canary", quiet, good(0.0)),
        fixed("A/A, no bursts, 0.02 req/s on the canary", quiet, contrast(8.7)),
        rule("A/A, no bursts, base 2 %, 0.17 req/s on the canary", busier, good(0.0)),
        fixed("A/A, no bursts, base 2 %, 0.17 req/s on the canary", busier, contrast(5.2)),
        rule("40 % bad, 0.17 req/s on the canary", on(0.17, 0.4), harmful(100.0, 135.0)),
        rule("25 % bad, 1.7 req/s on the canary", on(1.7, 0.25), harmful(100.0, 60.0)),
        rule("A/A, base 2 %, both arms 40 % bad for 2 min in half of the runs", outage, unpublished),
        fixed("A/A, base 2 %, both arms 40 % bad for 2 min in half of the runs", outage, unpublished),
    ]
}

fn pod_noise_rows(sigma: f64) -> Vec<Row> {
    let (bare, wide, diluted, calibrated, found, median) = match sigma {
        0.2 => (11.5, 0.35, 0.0, 0.10, 100.0, Some(30.0)),
        0.4 => (24.6, 7.0, 2.3, 0.15, 97.0, Some(60.0)),
        _ => (31.2, 16.7, 9.2, 0.50, 48.0, None),
    };
    let noisy = |harm| Traffic { sigma, ..traffic(50.0, THIRD, harm) };
    let name = format!("A/A, pods log-sd {sigma}, 1 v 2");
    let good_by = |judge, by, must| row(&name, judge, noisy(1.0), by, must);
    vec![
        good_by("r0 1", Judge::Ratio { margin: 1.0, phi: 1.0 }, contrast(bare)),
        good_by("r0 1.5", Judge::Ratio { margin: 1.5, phi: 1.0 }, contrast(wide)),
        good_by("r0 1.5, phi 5", Judge::Ratio { margin: 1.5, phi: 5.0 }, contrast(diluted)),
        good_by("auto margin", Judge::CalibratedMargin, good(calibrated)),
        good_by(
            "margin learnt from 8 windows of 20 pods",
            Judge::EstimatedMargin { pods: 20, windows: 8 },
            Requirement::Contrast { reference: None },
        ),
        good_by(
            "margin learnt from 4 windows of 3 pods",
            Judge::EstimatedMargin { pods: 3, windows: 4 },
            Requirement::Contrast { reference: None },
        ),
        row(
            &format!("×10, pods log-sd {sigma}, 1 v 2"),
            "auto margin",
            noisy(10.0),
            Judge::CalibratedMargin,
            Requirement::Harmful { reference: found, median },
        ),
    ]
}

fn more_pods_rows() -> Vec<Row> {
    let noisy = |pods: (u32, u32), harm| Traffic {
        sigma: 0.7,
        pods,
        ..traffic(50.0, f64::from(pods.0) / f64::from(pods.0 + pods.1), harm)
    };
    let found = |reference| Requirement::Harmful { reference, median: None };
    let unpublished = Requirement::Good { reference: None };
    let calibrated = |name, traffic, must| row(name, "auto margin", traffic, Judge::CalibratedMargin, must);
    vec![
        calibrated("A/A, pods log-sd 0.7, 2 v 4", noisy((2, 4), 1.0), unpublished),
        calibrated("×10, pods log-sd 0.7, 2 v 4", noisy((2, 4), 10.0), found(85.0)),
        calibrated("A/A, pods log-sd 0.7, 5 v 20", noisy((5, 20), 1.0), unpublished),
        calibrated("×10, pods log-sd 0.7, 5 v 20", noisy((5, 20), 10.0), found(99.9)),
    ]
}
