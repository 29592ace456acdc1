//! Messages that were handed over, and what stores show of their records.

use trimtab_delivery::snapshot::{ReleaseEvent, ReleaseStatus};
use trimtab_kube::api::Leadership;

use super::*;

const KEY: &str = "uid:v2:t2:Kept";

fn service() -> Key {
    Key::new("shop", "pay")
}

/// The key of the message of an entry of a record.
fn key_of(release: &Release, entry: &OutboxEntry) -> String {
    let template = release.template_hash.as_deref().unwrap_or("t2");
    format!("uid:v{}:{template}:{}", release.number, entry.event.word())
}

fn entry(destination: &str) -> Entry {
    Entry { service: service(), number: 2, key: KEY.to_owned(), destination: destination.to_owned() }
}

/// v2 as a store shows it at a version, with what its record says of the message.
fn shown(version: u64, state: Option<&str>) -> [Release; 1] {
    let told = |state: &str| OutboxEntry {
        event: ReleaseEvent::Kept,
        reason: None,
        destination: "hook".to_owned(),
        again: 0,
        state: state.to_owned(),
        at: None,
        card: None,
    };
    let status = ReleaseStatus { outbox: state.map(told).into_iter().collect(), ..ReleaseStatus::default() };
    [Release { number: 2, version, status, ..Release::default() }]
}

/// One message that was handed over on version 5 of its record, and has arrived.
fn arrived() -> (AllHanded, MessageId) {
    let handed = AllHanded::default();
    let id = (KEY.to_owned(), "lane".to_owned());
    let term = Leadership::always().term().expect("leads");
    let sending = Sending { decided_on: 5, state: "Sending".to_owned() };
    handed.begin(id.clone(), entry("hook"), sending, term);
    let sent = Became { progress: MessageState::Sent, state: "Sent".to_owned(), card: None };
    assert_eq!(handed.settle(&id, term, Some(sent)), Some(service()));
    (handed, id)
}

/// What the record is taken to say, where something is to be recorded.
fn taken_to_say(handed: &AllHanded, releases: &[Release]) -> Vec<String> {
    let due = handed.to_record(&service(), releases, key_of);
    due.into_iter().map(|due| due.before.state).collect()
}

#[tokio::test(start_paused = true)]
async fn a_store_that_lags_is_told_from_a_storage_that_went_back() {
    let (handed, _) = arrived();
    assert_eq!(taken_to_say(&handed, &shown(5, Some("Pending"))), ["Sending"], "it lags");
    assert_eq!(taken_to_say(&handed, &shown(6, Some("Sending"))), ["Sending"]);
    assert_eq!(taken_to_say(&handed, &shown(7, Some("Sent"))), [""; 0]);
    assert_eq!(taken_to_say(&handed, &shown(5, Some("Pending"))), ["Pending"], "it went back");
    let (handed, _) = arrived();
    tokio::time::advance(UNSEEN_TIMEOUT).await;
    assert_eq!(
        taken_to_say(&handed, &shown(5, Some("Pending"))),
        ["Pending"],
        "it was lost before it was seen"
    );
    let (handed, _) = arrived();
    handed.saw(&service(), &shown(6, Some("Sending")));
    assert_eq!(
        taken_to_say(&handed, &shown(5, Some("Pending"))),
        ["Pending"],
        "it was seen while it was sent"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_told_of_a_release_that_keeps_nothing_of_it_is_forgotten() {
    let (handed, id) = arrived();
    assert_eq!(taken_to_say(&handed, &shown(7, None)), [""; 0]);
    assert!(handed.unrecorded().is_empty());
    tokio::time::advance(REMEMBERED).await;
    let term = Leadership::always().term().expect("leads");
    let sending = Sending { decided_on: 9, state: "Sending".to_owned() };
    handed.begin((id.0, "another".to_owned()), entry("other"), sending, term);
    assert_eq!(handed.len(), 1, "the new one alone");
}

#[tokio::test(start_paused = true)]
async fn a_message_is_whoevers_it_was_when_it_was_handed_over() {
    let (handed, _) = arrived();
    assert_eq!(handed.whose(&entry("hook")), Whose::Ours, "whatever address it has by now");
    assert_eq!(handed.whose(&entry("other")), Whose::NotOurs);
    assert!(!handed.is_sending());
}

#[tokio::test(start_paused = true)]
async fn a_message_about_another_release_under_the_same_number_is_another_one() {
    let (handed, _) = arrived();
    let mut anew = shown(9, Some("Pending"));
    anew[0].template_hash = Some("t3".to_owned());
    assert_eq!(taken_to_say(&handed, &anew), [""; 0], "its record is not told that it arrived");
    let of_anew = Entry { key: key_of(&anew[0], &anew[0].status.outbox[0]), ..entry("hook") };
    assert_eq!(handed.whose(&of_anew), Whose::NotOurs);
}

#[tokio::test(start_paused = true)]
async fn what_was_only_about_to_be_handed_over_is_given_back() {
    let handed = AllHanded::default();
    let term = Leadership::always().term().expect("leads");
    let id = (KEY.to_owned(), "lane".to_owned());
    handed.intend(id, entry("hook"), 5, term);
    assert!(handed.is_intended(&entry("hook")) && handed.unrecorded().is_empty());
    assert_eq!(handed.give_back_intended(), BTreeSet::from([service()]));
    let said = shown(6, Some("Sending"));
    let due = handed.to_record(&service(), &said, key_of);
    assert_eq!(due[0].became.progress, MessageState::Pending);
    assert_eq!(taken_to_say(&handed, &shown(7, Some(""))), [""; 0], "it says so");
    assert!(handed.unrecorded().is_empty());
}
