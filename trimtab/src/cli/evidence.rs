//! What one rule found about a release, in words.

use std::fmt::Write as _;

use trimtab_api::app_release::RuleEvidence;
use trimtab_judge::rule::{Rule, RuleKind};

use super::output::{Mood, Paint};
use super::rules::what;

/// Largest needed odds that are told in full, as a power of ten.
const ODDS_IN_FULL_MAX: f64 = 12.0;
/// Largest odds that are told where less is needed, as a power of ten.
const ODDS_TOLD_MAX: f64 = 9.0;

/// Adds what a rule found; `known` is the rule, where it is still in force.
pub(super) fn evidence(text: &mut String, rule: &RuleEvidence, known: Option<&Rule>, paint: Paint) {
    let (mood, word) = match (rule.verdict.as_str(), rule.reason.as_deref()) {
        ("Fail", _) => (Mood::Bad, "FAIL"),
        ("Pass", _) => (Mood::Good, "PASS"),
        (_, Some(reason)) => (Mood::Waiting, reason),
        _ => (Mood::Still, "undecided"),
    };
    let origin = known.map(|known| format!(" (from {})", known.origin)).unwrap_or_default();
    let _ =
        writeln!(text, "  {}{origin}", paint.say(mood, &format!("{} {word}: {}", rule.name, rule.summary)));
    if let Some(known) = known {
        let _ = writeln!(text, "      rule      {}", what(known));
    }
    if rule.canary_total > 0.0 || rule.stable_total > 0.0 {
        let _ = writeln!(
            text,
            "      counted   new pods {:.0} of {:.0}, old pods {:.0} of {:.0}",
            rule.canary_bad, rule.canary_total, rule.stable_bad, rule.stable_total
        );
    }
    if let Some(bad) = known.and_then(|known| tolerated(rule, known)) {
        let _ = writeln!(text, "      tolerated {bad:.1} of the new pods' {:.0}", rule.canary_total);
    }
    if let Some([estimate, low, high]) = rule.ratio {
        let _ = if high < trimtab_delivery::lower::RATIO_MAX {
            writeln!(text, "      ratio     {estimate:.2} ({low:.2} to {high:.2})")
        } else {
            writeln!(text, "      ratio     at least {low:.2}")
        };
    }
    if let Some([log10, threshold]) = rule.evidence {
        let (found, needed) = odds(log10, threshold);
        let _ = writeln!(text, "      evidence  {found} of the {needed} that decide");
    }
}

/// How many bad events the new pods might have had at the tolerated multiple of the old pods' rate.
fn tolerated(rule: &RuleEvidence, known: &Rule) -> Option<f64> {
    let times = match &known.kind {
        RuleKind::Ratio(ratio) => ratio.tolerate,
        RuleKind::Events(_) | RuleKind::Crashes(_) | RuleKind::Alert(_) => return None,
    };
    (rule.stable_total > 0.0).then(|| rule.stable_bad / rule.stable_total * times * rule.canary_total)
}

/// The evidence that was found and that is needed, given as powers of ten, as people read odds: both in full. Evidence has no
/// upper bound, so beyond a billion, or what is needed where that is more, it is told as more than that. Where even what is
/// needed has too many digits to read, both are powers of ten.
fn odds(found: f64, needed: f64) -> (String, String) {
    if needed > ODDS_IN_FULL_MAX {
        return (format!("10^{:.1} to 1", found.max(0.0)), format!("10^{needed:.1} to 1"));
    }
    let full = |log10: f64| format!("{} to 1", thousands(10_f64.powf(log10.max(0.0))));
    let most = needed.ceil().max(ODDS_TOLD_MAX);
    let found = if found > most { format!("more than {}", full(most)) } else { full(found) };
    (found, full(needed))
}

/// A whole number with a comma at every thousand.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odds_are_told_in_one_notation() {
        let check = |found: f64, needed: f64, expect: [&str; 2]| {
            let (found_words, needed_words) = odds(found, needed);
            assert_eq!([found_words, needed_words], expect, "{found} {needed}");
        };
        check(-3.0, 2.6, ["1 to 1", "398 to 1"]);
        check(2.9, 2.6, ["794 to 1", "398 to 1"]);
        check(4.1, 3.505, ["12,589 to 1", "3,199 to 1"]);
        check(7.0, 3.505, ["10,000,000 to 1", "3,199 to 1"]);
        check(280.0, 3.505, ["more than 1,000,000,000 to 1", "3,199 to 1"]);
        check(280.0, 10.3, ["more than 100,000,000,000 to 1", "19,952,623,150 to 1"]);
        check(4.0, 60.3, ["10^4.0 to 1", "10^60.3 to 1"]);
    }
}
