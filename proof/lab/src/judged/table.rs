//! What all rounds come to, against what is promised.

use std::fmt::Write as _;
use std::time::Duration;

use super::round::{Kind, RoundResult};

/// A promise and whether it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// The promise, with its bound.
    pub text: String,
    /// What was measured.
    pub measured: String,
    /// Whether it was kept.
    pub kept: bool,
}

/// Median exposure of a release with 30 % errors.
const EXPOSED_MAX: Duration = Duration::from_secs(15);
/// Median of requests failed by a release with 30 % errors.
const FAILED_MAX: u64 = 200;
/// From the first crash until no new pod is left.
const GONE_MAX: Duration = Duration::from_secs(10);

/// All rounds as a table, and the promises under it.
#[must_use]
pub fn table(results: &[RoundResult]) -> (String, Vec<Promise>) {
    let mut text = String::from("kind    verdict      exposed  failed  gone after crash  why\n");
    let seconds =
        |span: Option<Duration>| span.map_or("-".to_owned(), |span| format!("{:.1} s", span.as_secs_f64()));
    for result in results {
        let _ = writeln!(
            text,
            "{:<7} {:<12} {:>7}  {:>6}  {:>16}  {}",
            result.kind.word(),
            if result.right { result.phase.clone() } else { format!("{}!", result.phase) },
            seconds(result.exposed),
            result.failed,
            seconds(result.gone_after_crash),
            result.summary,
        );
    }
    (text, promises(results))
}

fn promises(results: &[RoundResult]) -> Vec<Promise> {
    let of = |kind: Kind| results.iter().filter(move |result| result.kind == kind);
    let mut promises = Vec::new();
    for kind in [Kind::Errors, Kind::Panics, Kind::Good, Kind::Quiet] {
        let (all, right) = (of(kind).count(), of(kind).filter(|result| result.right).count());
        if all > 0 {
            let text = format!("{}: every release ends {:?}", kind.word(), kind.expected());
            promises.push(Promise { text, measured: format!("{right} of {all}"), kept: right == all });
        }
    }
    if let Some(exposed) = median(of(Kind::Errors).filter_map(|result| result.exposed).collect()) {
        promises.push(Promise {
            text: format!("errors: median exposure <= {} s", EXPOSED_MAX.as_secs()),
            measured: format!("{:.1} s", exposed.as_secs_f64()),
            kept: exposed <= EXPOSED_MAX,
        });
    }
    if let Some(failed) = median(of(Kind::Errors).map(|result| result.failed).collect()) {
        promises.push(Promise {
            text: format!("errors: median of failed requests <= {FAILED_MAX}"),
            measured: failed.to_string(),
            kept: failed <= FAILED_MAX,
        });
    }
    if let Some(gone) = of(Kind::Panics).map(|result| result.gone_after_crash.unwrap_or(Duration::MAX)).max()
    {
        promises.push(Promise {
            text: format!("panics: gone <= {} s after the first crash, every time", GONE_MAX.as_secs()),
            measured: format!("{:.1} s at most", gone.as_secs_f64()),
            kept: gone <= GONE_MAX,
        });
    }
    promises
}

/// The upper median: of two middle values the worse one.
pub(crate) fn median<T: Ord + Copy>(mut values: Vec<T>) -> Option<T> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upper_median_is_the_worse_of_two() {
        assert_eq!(median(Vec::<u8>::new()), None);
        assert_eq!(median(vec![3, 1, 2]), Some(2));
        assert_eq!(median(vec![4, 1, 2, 3]), Some(3));
    }

    #[test]
    fn a_missed_promise_is_told() {
        let result = RoundResult {
            kind: Kind::Errors,
            right: true,
            phase: "RolledBack".to_owned(),
            summary: String::new(),
            exposed: Some(Duration::from_secs(20)),
            failed: 10,
            gone_after_crash: None,
            judged: None,
        };
        let (_, promises) = table(&[result]);
        let kept: Vec<bool> = promises.iter().map(|promise| promise.kept).collect();
        assert_eq!(kept, [true, false, true]);
    }
}
