//! A notification as a Slack message.
//!
//! The first line tells the outcome, the second how the service is now and why, then what the rules counted,
//! then the one command that tells more. Slack refuses a whole message for one text that is too long, so each
//! is cut to fit.

use serde_json::{Value, json};
use trimtab_units::line::one_line;

use crate::notification::{Finding, Notification};
use crate::words;

/// Longest text of a header block, in characters.
const HEADER_CHARACTERS: usize = 150;
/// Longest text of a section block, in characters.
const SECTION_CHARACTERS: usize = 3_000;
/// Longest text of one field of a section, in characters.
const FIELD_CHARACTERS: usize = 2_000;
/// Longest text of an element of a context block, in characters. Slack allows more; a footer should not be
/// longer.
const CONTEXT_CHARACTERS: usize = 500;
/// Longest fallback text, in characters.
const FALLBACK_CHARACTERS: usize = 4_000;
/// Longest reason that is shown in full, in characters. Leaves room for the state before it.
const REASON_CHARACTERS: usize = 1_500;
/// Findings shown; the deciding one comes first.
const FINDINGS_SHOWN: usize = 5;
/// Longest line of one finding, in characters: all of those shown fit one section.
const FINDING_CHARACTERS: usize = 500;

/// What Slack's documentation says that an incoming webhook answers.
const REFUSAL_WORDS: [&str; 15] = [
    "action_prohibited",
    "channel_is_archived",
    "channel_not_found",
    "invalid_payload",
    "invalid_token",
    "no_active_hooks",
    "no_service",
    "no_service_id",
    "no_team",
    "no_text",
    "posting_to_general_channel_denied",
    "rollup_error",
    "team_disabled",
    "too_many_attachments",
    "user_not_found",
];

/// The documented word that a refusal's body is, if it is one.
pub(crate) fn refusal_word(body: &[u8]) -> Option<&'static str> {
    REFUSAL_WORDS.into_iter().find(|word| word.as_bytes() == body.trim_ascii())
}

/// The JSON body of the message.
#[must_use]
pub fn payload(notification: &Notification) -> Value {
    let headline = format!("{} {}", words::glyph(notification), words::headline(notification));
    let headline = json!({"type": "plain_text", "text": fit(&headline, HEADER_CHARACTERS), "emoji": true});
    let mut blocks = vec![json!({"type": "header", "text": headline}), section(&opening(notification))];
    if !notification.findings.is_empty() {
        blocks.push(section(&findings(&notification.findings)));
    }
    let fields = fields(notification);
    if !fields.is_empty() {
        blocks.push(json!({"type": "section", "fields": fields}));
    }
    let command = fit(&notification.command.replace('`', "'"), FIELD_CHARACTERS);
    blocks.push(section(&format!("```{command}```")));
    let footer = json!({"type": "mrkdwn", "text": fit(&footer(notification), CONTEXT_CHARACTERS)});
    blocks.push(json!({"type": "context", "elements": [footer]}));
    json!({
        "text": fit(&words::summary(notification), FALLBACK_CHARACTERS),
        "blocks": blocks,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// The outcome in one line, as Slack reads it.
#[must_use]
pub fn headline(notification: &Notification) -> String {
    fit(&format!("{} {}", words::glyph(notification), words::headline(notification)), HEADER_CHARACTERS)
}

/// A section of text that is already escaped and short enough.
fn section(text: &str) -> Value {
    debug_assert!(
        text.chars().count() <= SECTION_CHARACTERS,
        "each part of a section has its own, smaller limit"
    );
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
}

fn opening(notification: &Notification) -> String {
    let reason = fit(&notification.reason, REASON_CHARACTERS);
    match words::state(notification) {
        Some(state) => format!("*{}* {reason}", fit(&state, FINDING_CHARACTERS)),
        None => reason,
    }
}

fn findings(all: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let rule = fit(&finding.rule, FINDING_CHARACTERS / 2);
        format!("*{rule}*: {}", fit(&words::finding(finding), FINDING_CHARACTERS / 2))
    };
    let mut lines: Vec<String> = all.iter().take(FINDINGS_SHOWN).map(line).collect();
    let hidden = all.len().saturating_sub(FINDINGS_SHOWN);
    if hidden > 0 {
        lines.push(format!("and {hidden} more"));
    }
    lines.join("\n")
}

fn fields(notification: &Notification) -> Vec<Value> {
    let field = |name: &str, value: &str| {
        let text = format!("*{name}*\n{}", fit(value, FIELD_CHARACTERS / 2));
        json!({"type": "mrkdwn", "text": text})
    };
    let harmed = notification.requests_harmed.map(|harmed| field("Requests harmed", &words::grouped(harmed)));
    let recovery =
        notification.recovery_seconds.map(|seconds| field("Recovered in", &words::lasting(seconds)));
    let actor = notification.actor.as_deref().map(|actor| field("Released by", actor));
    harmed.into_iter().chain(recovery).chain(actor).collect()
}

fn footer(notification: &Notification) -> String {
    let tier = notification.tier.map(|tier| format!("tier {tier}"));
    let place = format!("{}/{}", notification.namespace, notification.service);
    let at = notification.at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    let parts: Vec<String> = std::iter::once(place).chain(tier).chain(std::iter::once(at)).collect();
    parts.join(" · ")
}

/// `text` in one line, with Slack's three control characters escaped, at most `limit` characters long after that: an
/// escape is kept whole or not at all, and an ellipsis marks a cut.
fn fit(text: &str, limit: usize) -> String {
    let mut fitted = String::new();
    let mut length = 0;
    // Where to cut if the rest turns out not to fit: the last place that leaves room for the ellipsis.
    let mut cut_bytes = 0;
    for character in one_line(text).chars() {
        let single = character.to_string();
        let piece = match character {
            '&' => "&amp;",
            '<' => "&lt;",
            '>' => "&gt;",
            _ => &single,
        };
        length += piece.chars().count();
        if length > limit {
            fitted.truncate(cut_bytes);
            fitted.push('…');
            return fitted;
        }
        fitted.push_str(piece);
        if length < limit {
            cut_bytes = fitted.len();
        }
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped_and_cut() {
        let table = [
            ("plain", 10, "plain"),
            ("a<b>&c", 50, "a&lt;b&gt;&amp;c"),
            ("<!channel>", 50, "&lt;!channel&gt;"),
            ("ab\tc\nd\u{202e}e\u{1b}", 50, "ab c d\u{fffd}e\u{fffd}"),
            ("abcdef", 6, "abcdef"),
            ("abcdefg", 6, "abcde…"),
            ("abc&def", 6, "abc…"),
            ("ab&", 6, "ab…"),
            ("a&", 6, "a&amp;"),
            ("a&b", 6, "a…"),
            ("éèêëe", 4, "éèê…"),
        ];
        for (input, limit, expect) in table {
            assert_eq!(fit(input, limit), expect, "{input:?}");
            assert!(fit(input, limit).chars().count() <= limit);
        }
    }
}
