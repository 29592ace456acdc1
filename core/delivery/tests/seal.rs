//! A seal vouches for one record and no other.

use proptest::prelude::*;
use serde_json::{Value, json};
use trimtab_delivery::seal::{Author, Seal, SealKey, Sealed, Trust, Written};
use trimtab_units::template_digest;

const RECORD: Sealed<'_> = Sealed {
    namespace: "shop",
    service: "pay",
    number: 7,
    target_uid: "5c7b52b4-3a55-4b5f-8c1a-111111111111",
    template_hash: "bcdfg24567",
};

fn template() -> Value {
    json!({"metadata": {"labels": {"app": "pay"}}, "spec": {"containers": [{"name": "service", "image": "pay:v7"}]}})
}

fn key() -> SealKey {
    SealKey::new([7; 32])
}

#[test]
fn a_seal_is_hmac_sha256_over_counted_parts() {
    let text = r#"{"namespace":"shop","number":7,"service":"pay","targetUid":"5c7b52b4-3a55-4b5f-8c1a-111111111111","templateHash":"bcdfg24567"}"#;
    assert_eq!(RECORD.text(), text);
    let digest = template_digest(&template());
    assert_eq!(format!("{digest:?}"), "c6e0a7d8d5bbb1b9b5ffc0297097e10084b7b6554154d07909f6808634d36763");
    // Made with another implementation, Python's: hmac.new(bytes([7]) * 32, parts, "sha256"), where parts are the form, this
    // text and the digest, each after its length in 8 bytes.
    let seal = key().seal(&RECORD.text(), &digest);
    assert_eq!(seal.to_string(), "528d783c717fd4525ba322f60618084e7d640c84871785bedfcad93585a70ad8");
}

#[test]
fn nothing_of_a_sealed_record_can_be_another() {
    let digest = template_digest(&template());
    let seal = key().seal(&RECORD.text(), &digest);
    assert!(key().verifies(&RECORD.text(), &digest, &seal));
    let others = [
        Sealed { namespace: "shopp", service: "ay", ..RECORD },
        Sealed { namespace: "shop\",\"number\":7,\"service\":\"pay", ..RECORD },
        Sealed { service: "refunds", ..RECORD },
        Sealed { number: 8, ..RECORD },
        Sealed { target_uid: "", ..RECORD },
        Sealed { template_hash: "bcdfg24568", ..RECORD },
    ];
    for other in others {
        assert!(!key().verifies(&other.text(), &digest, &seal), "{other:?}");
    }
    let mut privileged = template();
    privileged["spec"]["containers"][0]["securityContext"] = json!({"privileged": true});
    assert!(!key().verifies(&RECORD.text(), &template_digest(&privileged), &seal), "another template");
    assert!(!SealKey::new([8; 32]).verifies(&RECORD.text(), &digest, &seal), "another key");
    assert_eq!(format!("{:?}", key()), "SealKey", "a key is not printed");
}

#[test]
fn what_a_round_trip_changes_keeps_the_seal() {
    let mut stored = template();
    stored["metadata"]["creationTimestamp"] = Value::Null;
    stored["metadata"]["labels"]["pod-template-hash"] = json!("5d4f");
    stored["spec"]["securityContext"] = json!({});
    assert_eq!(template_digest(&stored), template_digest(&template()));
}

/// A record as the manager writes it, with its seal.
fn written<'a>(template: &'a Value, seal: &'a str) -> Written<'a> {
    Written {
        namespace: RECORD.namespace,
        service: RECORD.service,
        number: RECORD.number,
        target_uid: Some(RECORD.target_uid),
        template_hash: Some(RECORD.template_hash),
        template: Some(template),
        seal: Some(seal),
        has_status: true,
    }
}

#[test]
fn who_wrote_a_record() {
    let (template, trust) = (template(), Trust::Key(key()));
    let seal = key().seal(&RECORD.text(), &template_digest(&template)).to_string();
    let own = written(&template, &seal);
    let check = |case: &str, record: Written<'_>, author: Author| {
        assert_eq!(Author::of(&record, &trust), author, "{case}");
    };
    check("the manager", own, Author::Manager);
    check("it wrote no status yet", Written { has_status: false, ..own }, Author::Manager);
    let person = Written {
        target_uid: None,
        template_hash: None,
        template: None,
        seal: None,
        has_status: false,
        ..own
    };
    check("a number that a person took", person, Author::Person);
    check("everything but a seal", Written { seal: None, ..own }, Author::Unsealed);
    check("a template alone", Written { template: Some(&template), ..person }, Author::Unsealed);
    check("a hash alone", Written { template_hash: Some("bcdfg24567"), ..person }, Author::Unsealed);
    check("a Deployment alone", Written { target_uid: Some("uid"), ..person }, Author::Unsealed);
    check("a seal alone", Written { seal: Some(&seal), ..person }, Author::Incomplete);
    check("no template", Written { template: None, ..own }, Author::Incomplete);
    check("no hash", Written { template_hash: None, ..own }, Author::Incomplete);
    check("no Deployment", Written { target_uid: None, ..own }, Author::Incomplete);
    check("no seal at all", Written { seal: Some("sealed"), ..own }, Author::Foreign);
    check("another namespace", Written { namespace: "web", ..own }, Author::Foreign);
    check("another service", Written { service: "refunds", ..own }, Author::Foreign);
    check("another number", Written { number: 8, ..own }, Author::Foreign);
    check("another hash", Written { template_hash: Some("bcdfg24568"), ..own }, Author::Foreign);
    check("another Deployment", Written { target_uid: Some("uid"), ..own }, Author::Foreign);
    let privileged = json!({"spec": {"containers": [{"securityContext": {"privileged": true}}]}});
    check("another template", Written { template: Some(&privileged), ..own }, Author::Foreign);
}

#[test]
fn who_wrote_a_record_as_others_see_it() {
    let template = template();
    let seal = key().seal(&RECORD.text(), &template_digest(&template)).to_string();
    let own = written(&template, &seal);
    assert_eq!(Author::of(&own, &Trust::Key(SealKey::new([8; 32]))), Author::Foreign, "another key");
    assert_eq!(Author::of(&own, &Trust::Nothing), Author::Foreign, "no key yet");
    assert_eq!(Author::of(&own, &Trust::Form), Author::Manager, "a command believes the status");
    assert_eq!(Author::of(&Written { has_status: false, ..own }, &Trust::Form), Author::Unseen);
    assert_eq!(Author::of(&Written { seal: None, ..own }, &Trust::Form), Author::Unsealed);
}

proptest! {
    #[test]
    fn a_seal_reads_as_it_was_written_and_nothing_else_does(text in "[0-9a-fA-F]{62,66}|.{0,80}") {
        match text.parse::<Seal>() {
            Ok(seal) => prop_assert_eq!(seal.to_string(), text.to_ascii_lowercase()),
            Err(_) => prop_assert!(text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit())),
        }
    }

    #[test]
    fn no_two_records_have_one_text(
        a in (".{0,6}", ".{0,6}", any::<u64>(), ".{0,6}", ".{0,6}"),
        b in (".{0,6}", ".{0,6}", any::<u64>(), ".{0,6}", ".{0,6}"),
        moved in 0_usize..5,
    ) {
        // Most pairs differ in one field alone.
        let mut other = a.clone();
        match moved {
            0 => other.0 = b.0,
            1 => other.1 = b.1,
            2 => other.2 = b.2,
            3 => other.3 = b.3,
            _ => other.4 = b.4,
        }
        prop_assert_eq!(a == other, text(&a) == text(&other));
        // A byte that moves from one field into the next is seen.
        let joined = (format!("{}{}", a.0, a.1), String::new(), a.2, a.3.clone(), a.4.clone());
        prop_assert_eq!(a == joined, text(&a) == text(&joined));
    }
}

fn text(record: &(String, String, u64, String, String)) -> String {
    let (namespace, service, number, target_uid, template_hash) = record;
    Sealed { namespace, service, number: *number, target_uid, template_hash }.text()
}
