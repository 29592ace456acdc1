//! The sentences of a notification. Every channel says the same thing in the same words; a glyph never stands
//! alone.

use crate::notification::{BaselineSource, Counts, Event, Evidence, Finding, Notification, Ratio};

/// Separates groups of thousands: a narrow space that does not break lines.
const THOUSANDS: char = '\u{202f}';

/// The glyph that starts a headline.
pub(crate) fn glyph(notification: &Notification) -> &'static str {
    match (notification.event, notification.evidence) {
        (Event::Started, _) => "▶️",
        (Event::Kept, Evidence::Sufficient) => "✅",
        (Event::Kept, Evidence::Low) => "⚠️",
        (Event::RolledBack, _) if is_back(notification) => "⏪",
        (Event::RolledBack, _) => "❌",
        (Event::Held, _) => "⏸️",
        (Event::NeedsHuman, _) => "🚨",
    }
}

/// What happened, in one line.
pub(crate) fn headline(notification: &Notification) -> String {
    let name = format!("{} {}", notification.service, notification.release);
    match (notification.event, &notification.previous) {
        (Event::Started, Some(previous)) => format!("{name} started, after {previous}"),
        (Event::Started, None) => format!("{name} started"),
        (Event::Kept, _) => match notification.evidence {
            Evidence::Sufficient => format!("{name} kept"),
            Evidence::Low => format!("{name} kept on little evidence"),
        },
        (Event::RolledBack, Some(previous)) => format!("{name} rolled back to {previous}"),
        (Event::RolledBack, None) => format!("{name} rejected"),
        (Event::Held, _) => format!("{name} held"),
        (Event::NeedsHuman, _) => format!("{name} needs a human"),
    }
}

/// How the service is now, where the evidence settles that.
pub(crate) fn state(notification: &Notification) -> Option<String> {
    match (notification.event, &notification.previous) {
        (Event::Kept, _) if notification.evidence == Evidence::Sufficient => {
            Some(format!("Healthy on {}.", notification.release))
        }
        (Event::RolledBack, Some(previous)) => {
            Some(format!("Healthy on {previous} ({} rejected).", notification.release))
        }
        _ => None,
    }
}

/// Whether something came back where a release was rejected. Otherwise its pods may run on, or another release replaced them.
fn is_back(notification: &Notification) -> bool {
    notification.previous.is_some()
}

/// One line for a lock screen: headline, first finding, harm.
pub(crate) fn summary(notification: &Notification) -> String {
    let mut line = format!("{} {}", glyph(notification), headline(notification));
    // A question is told, and not only what led to it; and so is what became of a release that was not followed to its end.
    let is_told_by_rules = match notification.event {
        Event::NeedsHuman => false,
        Event::RolledBack => is_back(notification),
        Event::Started | Event::Kept | Event::Held => true,
    };
    match notification.findings.first().filter(|_| is_told_by_rules) {
        Some(first) => line.push_str(&format!(": {}: {}", first.rule, finding(first))),
        None => line.push_str(&format!(": {}", notification.reason)),
    }
    if let Some(harmed) = notification.requests_harmed.filter(|harmed| *harmed > 0) {
        line.push_str(&format!(". {} requests harmed", grouped(harmed)));
    }
    line
}

/// What a rule saw, without its name: counts of both sides, then their ratio.
pub(crate) fn finding(finding: &Finding) -> String {
    let mut parts = vec![format!("canary {}", counts(finding.canary))];
    if let Some(baseline) = finding.baseline {
        let source = match baseline.source {
            BaselineSource::Stable => "stable",
            BaselineSource::History => "history",
        };
        parts.push(format!("{source} {}", counts(baseline.counts)));
    }
    parts.extend(finding.ratio.map(ratio));
    parts.join(", ")
}

fn counts(counts: Counts) -> String {
    let bad = grouped(counts.bad);
    match counts.total {
        None => bad,
        Some(0) => format!("{bad} of 0"),
        Some(total) => format!("{bad} of {} ({})", grouped(total), percent(counts.bad, total)),
    }
}

fn ratio(ratio: Ratio) -> String {
    match (ratio.estimate, ratio.high) {
        (Some(estimate), Some(high)) => {
            format!("×{} ({} to {})", factor(estimate), factor(ratio.low), factor(high))
        }
        (Some(estimate), None) => format!("×{} (at least {})", factor(estimate), factor(ratio.low)),
        (None, _) => format!("at least ×{}", factor(ratio.low)),
    }
}

/// Two significant digits below ten, whole numbers from there on.
fn factor(value: f64) -> String {
    if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") }
}

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn percent(bad: u64, total: u64) -> String {
    let percent = bad as f64 / total as f64 * 100.0;
    match percent {
        0.0 => "0 %".to_owned(),
        ..0.01 => "< 0.01 %".to_owned(),
        ..0.995 => format!("{percent:.2} %"),
        ..9.95 => format!("{percent:.1} %"),
        _ => format!("{percent:.0} %"),
    }
}

/// A number with its thousands apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(THOUSANDS);
        }
        grouped.push(digit);
    }
    grouped
}

/// A duration in its two largest units.
pub(crate) fn lasting(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes, rest) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let table = [(0, "0"), (999, "999"), (1_180, "1 180"), (1_234_567, "1 234 567")];
        for (number, expect) in table {
            assert_eq!(grouped(number).replace(THOUSANDS, " "), expect);
        }
        assert_eq!(grouped(u64::MAX).chars().filter(|character| *character == THOUSANDS).count(), 6);
    }

    #[test]
    fn shares() {
        let table = [
            (0, 10, "0 %"),
            (1, 100_000_000, "< 0.01 %"),
            (9, 2_391, "0.38 %"),
            (43, 1_180, "3.6 %"),
            (996, 10_000, "10 %"),
            (1, 1, "100 %"),
            (3, 1, "300 %"),
        ];
        for (bad, total, expect) in table {
            assert_eq!(percent(bad, total), expect, "{bad} of {total}");
        }
        assert_eq!(counts(Counts { bad: 0, total: Some(0) }), "0 of 0");
        assert_eq!(counts(Counts { bad: 3, total: None }), "3");
    }

    #[test]
    fn ratios() {
        let table = [
            ((4.6, 9.7, 20.2), "×9.7 (4.6 to 20)"),
            ((3.0, f64::INFINITY, f64::INFINITY), "at least ×3.0"),
            ((1.2, 4.0, f64::INFINITY), "×4.0 (at least 1.2)"),
            ((f64::NAN, f64::NAN, f64::NAN), "at least ×0.0"),
        ];
        for ((low, estimate, high), expect) in table {
            assert_eq!(ratio(Ratio::new(low, estimate, high)), expect);
        }
    }

    #[test]
    fn durations() {
        let table = [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (130, "2 min 10 s"),
            (3_600, "1 h"),
            (3_661, "1 h 1 min"),
        ];
        for (seconds, expect) in table {
            assert_eq!(lasting(seconds), expect);
        }
    }
}
