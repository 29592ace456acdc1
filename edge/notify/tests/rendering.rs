//! What a reader and a program get to see.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::Value;
use sha2::Sha256;
use support::{
    SIGNING_KEY, TOKEN, held, kept, kept_on_little_evidence, needs_human, rolled_back, slack, started,
    webhook,
};
use trimtab_notify::{Finding, Notification, NotifyError, SecretText};

/// The message as Slack shows it, roughly: one line per text, blocks apart.
fn as_read(payload: &Value) -> String {
    let text = |value: &Value| {
        let text = value["text"].as_str().unwrap();
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").replace('\u{202f}', " ")
    };
    let block = |block: &Value| match block["type"].as_str().unwrap() {
        "header" => format!("# {}", text(&block["text"])),
        "context" => block["elements"].as_array().unwrap().iter().map(text).collect::<Vec<_>>().join(" "),
        _ => match block["fields"].as_array() {
            Some(fields) => {
                fields.iter().map(|field| text(field).replace('\n', " ")).collect::<Vec<_>>().join(" | ")
            }
            None => text(&block["text"]),
        },
    };
    let blocks: Vec<String> = payload["blocks"].as_array().unwrap().iter().map(block).collect();
    format!("lock screen: {}\n\n{}\n", text(payload), blocks.join("\n\n"))
}

#[test]
fn slack_messages() {
    let notifications = [
        ("started", started()),
        ("kept", kept()),
        ("kept_on_little_evidence", kept_on_little_evidence()),
        ("rolled_back", rolled_back()),
        ("held", held()),
        ("needs_human", needs_human()),
    ];
    for (name, notification) in notifications {
        insta::assert_snapshot!(
            format!("slack_{name}"),
            as_read(&trimtab_notify::slack::payload(&notification))
        );
    }
}

#[test]
fn slack_payload() {
    let payload = trimtab_notify::slack::payload(&needs_human());
    insta::assert_snapshot!(serde_json::to_string_pretty(&payload).unwrap());
}

#[test]
fn webhook_payload() {
    let payload = trimtab_notify::webhook::payload(&rolled_back());
    insta::assert_snapshot!(serde_json::to_string_pretty(&payload).unwrap());
    let read: Notification = serde_json::from_value(payload).unwrap();
    assert_eq!(read, rolled_back());
}

#[test]
fn a_receiver_can_verify_a_webhook() {
    let now = Timestamp::from_second(1_763_694_470).unwrap();
    let request = webhook().request(&rolled_back(), now).unwrap();
    assert_eq!(request.uri().to_string(), format!("https://log.example/in?token={TOKEN}"));
    assert_eq!(request.headers()["idempotency-key"], "2f1c/128/rolled-back");
    let signature = request.headers()["x-trimtab-signature"].to_str().unwrap();
    let (time, hex) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    assert_eq!(time, "1763694470");
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let mut mac = Hmac::<Sha256>::new_from_slice(SIGNING_KEY.as_bytes()).unwrap();
    mac.update(&[time.as_bytes(), b".", request.body()].concat());
    mac.verify_slice(&bytes).unwrap();
}

#[test]
fn slack_gets_no_headers_meant_for_programs() {
    let request = slack().request(&rolled_back(), Timestamp::UNIX_EPOCH).unwrap();
    let names: Vec<&str> = request.headers().keys().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["content-type"]);
}

#[test]
fn what_cannot_be_sent_is_said_without_the_url() {
    for url in [
        "",
        "hooks.example/canaryToken",
        "ftp://hooks.example/canaryToken",
        "https:///canaryToken",
        "canary\u{7}",
    ] {
        let destination = trimtab_notify::Destination { url: SecretText::new(url.to_owned()), ..slack() };
        let error = destination.request(&rolled_back(), Timestamp::UNIX_EPOCH).unwrap_err();
        assert!(matches!(error, NotifyError::Url { .. }));
        assert!(
            error.to_string().contains("slack #payments") && !error.to_string().contains("canary"),
            "{error}"
        );
    }
    let notification = Notification { key: "a\nb".to_owned(), ..rolled_back() };
    let error = webhook().request(&notification, Timestamp::UNIX_EPOCH).unwrap_err();
    assert!(matches!(error, NotifyError::Key { .. }), "{error}");
}

#[test]
fn a_destination_prints_no_secret() {
    let shown = format!("{:?} {:?}", slack(), webhook());
    assert!(!shown.contains("canary") && shown.contains("[redacted]"), "{shown}");
}

/// Every text of a payload, with the limit of Slack for the place it stands in.
fn texts(payload: &Value) -> Vec<(String, usize)> {
    let text = |value: &Value, limit| (value["text"].as_str().unwrap().to_owned(), limit);
    let mut texts = vec![text(payload, 40_000)];
    let blocks = payload["blocks"].as_array().unwrap();
    assert!(blocks.len() <= 50);
    for block in blocks {
        match block["type"].as_str().unwrap() {
            "header" => texts.push(text(&block["text"], 150)),
            "context" => {
                let elements = block["elements"].as_array().unwrap();
                assert!(!elements.is_empty() && elements.len() <= 10);
                texts.extend(elements.iter().map(|element| text(element, 3_000)));
            }
            _ => match block["fields"].as_array() {
                Some(fields) => {
                    assert!(!fields.is_empty() && fields.len() <= 10);
                    texts.extend(fields.iter().map(|field| text(field, 2_000)));
                }
                None => texts.push(text(&block["text"], 3_000)),
            },
        }
    }
    texts
}

fn without_escapes(text: &str) -> String {
    text.replace("&lt;", "").replace("&gt;", "").replace("&amp;", "")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn no_text_makes_slack_refuse_or_obey(
        words in proptest::collection::vec("[<>&a-z\u{e9}`\n\u{1f600}]{0,20}", 6),
        repeat in 1_usize..400,
        findings in 0_usize..12,
    ) {
        let long = |index: usize| words[index].repeat(repeat);
        let finding = Finding { rule: long(5), ..rolled_back().findings.remove(0) };
        let notification = Notification {
            service: long(0),
            release: long(1),
            reason: long(2),
            command: long(3),
            actor: Some(long(4)),
            findings: vec![finding; findings],
            ..rolled_back()
        };
        for (text, limit) in texts(&trimtab_notify::slack::payload(&notification)) {
            prop_assert!(text.chars().count() <= limit, "{} of {limit}", text.chars().count());
            prop_assert!(!without_escapes(&text).contains(['<', '>', '&']), "{text}");
        }
    }
}
