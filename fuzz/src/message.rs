//! Foreign words on their way to people: names, reasons and rules that anybody may have chosen.

use jiff::Timestamp;
use serde_json::Value;
use trimtab_notify::{
    Counts, Destination, DestinationKind, Event, Evidence, Finding, Notification, Ratio, SecretText,
};

/// Slack's limits, in characters.
const TEXT_MAX: usize = 4_000;
const BLOCK_TEXT_MAX: usize = 3_000;

/// Whatever a word holds, a message stays within Slack's limits and calls nobody: only our own markup is markup. The pieces
/// between zero bytes are the words.
pub fn message(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut words = text.split('\0');
    let mut word = || words.next().unwrap_or_default().to_owned();
    let notification = notification(&mut word, data.len() as u64);
    let address = word();
    for kind in [DestinationKind::Slack, DestinationKind::Webhook] {
        for url in [address.as_str(), "https://hooks.example/services/secret"] {
            let url = SecretText::new(url.to_owned());
            let destination = Destination {
                name: "all".to_owned(),
                kind,
                url,
                token: None,
                signing_key: None,
                channel: None,
            };
            if let Ok(request) = destination.request(&notification, Timestamp::UNIX_EPOCH) {
                let body: Value = serde_json::from_slice(request.body()).expect("a message is JSON");
                if kind == DestinationKind::Slack {
                    check_slack(&body);
                }
            }
        }
    }
}

fn notification(word: &mut impl FnMut() -> String, number: u64) -> Notification {
    let finding = |rule: String| Finding {
        rule,
        canary: Counts { bad: number, total: Some(u64::MAX - number) },
        baseline: None,
        ratio: Some(Ratio::new(f64::NAN, number as f64, f64::INFINITY)),
    };
    Notification {
        key: word(),
        sequence: number,
        at: Timestamp::UNIX_EPOCH,
        event: Event::RolledBack,
        namespace: word(),
        service: word(),
        release: word(),
        release_number: number,
        previous: Some(word()),
        tier: None,
        actor: Some(word()),
        reason: word(),
        findings: (0..6).map(|_| finding(word())).collect(),
        requests_harmed: Some(number),
        recovery_seconds: Some(number),
        evidence: Evidence::Sufficient,
        command: word(),
    }
}

/// Every text is short enough, and `<` and `>`, by which Slack links and calls, are escaped.
fn check_slack(body: &Value) {
    let mut texts = Vec::new();
    collect(body, &mut texts);
    for text in texts {
        assert!(text.chars().count() <= TEXT_MAX, "{text}");
        assert!(!text.contains(['<', '>']), "{text}");
    }
    for block in body["blocks"].as_array().into_iter().flatten() {
        let text = block["text"]["text"].as_str().unwrap_or_default();
        assert!(text.chars().count() <= BLOCK_TEXT_MAX, "{text}");
    }
}

fn collect<'a>(value: &'a Value, texts: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, texts)),
        Value::Object(fields) => fields.values().for_each(|field| collect(field, texts)),
        _ => {}
    }
}
