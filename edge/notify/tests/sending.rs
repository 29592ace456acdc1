//! The sender in virtual time: retries, order, bulkheads, bounds, and what it says when it gives up.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

#[path = "sending/closing.rs"]
mod closing;
mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::{BoxFuture, FutureExt as _};
use http::{Request, Response};
use jiff::Timestamp;
use support::{SIGNING_KEY, TOKEN, rolled_back, slack, started, webhook};
use tokio::time::Instant;
use trimtab_notify::{
    Destination, Message, Notification, NotifyError, Outcome, OutcomeState, SecretText, Sender, SenderPolicy,
};
use trimtab_providers::http::{BodyStream, HttpTransport, TransportError, body_of};

/// How a destination reacts to one attempt.
#[derive(Clone)]
enum Reaction {
    Status(u16, &'static str),
    RetryAfter(u16, &'static str),
    Unreachable,
    Refused,
    Breaks,
    Silent,
    /// The head of a refusal, and then nothing.
    Stalls(u16),
}

#[derive(Debug, Clone, PartialEq)]
struct Seen {
    at: Duration,
    host: String,
    idempotency_key: Option<String>,
    signature: Option<String>,
    body: Bytes,
}

/// Reacts by host: each attempt takes the next reaction, the last one stays. Records what came.
struct Receivers {
    reactions: Mutex<BTreeMap<String, Vec<Reaction>>>,
    seen: Mutex<Vec<Seen>>,
    latency: Duration,
    start: Instant,
}

impl Receivers {
    fn new(reactions: &[(&str, &[Reaction])], latency: Duration) -> Arc<Self> {
        let reactions =
            reactions.iter().map(|(host, reactions)| ((*host).to_owned(), reactions.to_vec())).collect();
        Arc::new(Self {
            reactions: Mutex::new(reactions),
            seen: Mutex::default(),
            latency,
            start: Instant::now(),
        })
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl HttpTransport for Receivers {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<BodyStream>, TransportError>> {
        let host = request.uri().host().unwrap().to_owned();
        let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        self.seen.lock().unwrap().push(Seen {
            at: self.start.elapsed(),
            host: host.clone(),
            idempotency_key: header("idempotency-key"),
            signature: header("x-trimtab-signature"),
            body: request.body().clone(),
        });
        let reaction = match self.reactions.lock().unwrap().get_mut(&host) {
            None => Reaction::Status(200, "ok"),
            Some(reactions) if reactions.len() > 1 => reactions.remove(0),
            Some(reactions) => reactions[0].clone(),
        };
        async move {
            tokio::time::sleep(self.latency).await;
            let cause = || format!("by https://{host}/services/T0/B0/{TOKEN}");
            let response = |status, body| Response::builder().status(status).body(body).unwrap();
            match reaction {
                Reaction::Status(status, text) => Ok(response(status, body_of([Bytes::from(text)]))),
                Reaction::RetryAfter(status, seconds) => {
                    let mut response = response(status, body_of([]));
                    response.headers_mut().insert("retry-after", http::HeaderValue::from_static(seconds));
                    Ok(response)
                }
                Reaction::Unreachable => Err(TransportError::Connect { host: host.clone(), cause: cause() }),
                Reaction::Refused => Err(TransportError::Refused { host: host.clone(), why: cause() }),
                Reaction::Breaks => Err(TransportError::Broken { host: host.clone(), cause: cause() }),
                Reaction::Silent => std::future::pending().await,
                Reaction::Stalls(status) => Ok(response(status, futures::stream::pending().boxed())),
            }
        }
        .boxed()
    }
}

fn word(state: &OutcomeState) -> &'static str {
    match state {
        OutcomeState::Sent => "sent",
        OutcomeState::GaveUp { .. } => "gave up",
        OutcomeState::Unknown { .. } => "unknown",
        OutcomeState::Deferred => "deferred",
        OutcomeState::ToLookUp => "to look up",
    }
}

type Outcomes = Arc<Mutex<Vec<(Duration, Outcome)>>>;

fn sender(receivers: &Arc<Receivers>, policy: SenderPolicy) -> (Sender, Outcomes) {
    let outcomes = Outcomes::default();
    let (start, told) = (receivers.start, Arc::clone(&outcomes));
    let now = move || Timestamp::UNIX_EPOCH + start.elapsed();
    let tell = move |outcome| told.lock().unwrap().push((start.elapsed(), outcome));
    let transport: Arc<dyn HttpTransport> = Arc::<Receivers>::clone(receivers);
    (Sender::new(transport, policy, || true, now, tell), outcomes)
}

/// Waits, in virtual time, until the sender has nothing left.
async fn drained(sender: &Sender) {
    while !sender.waiting().is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn numbered(notification: Notification, number: u64) -> Notification {
    Notification { key: format!("key-{number}"), sequence: number, ..notification }
}

fn slack_at(host: &str) -> Destination {
    let url = SecretText::new(format!("https://{host}/services/T0/B0/{TOKEN}"));
    Destination { name: host.to_owned(), url, ..slack() }
}

/// Sends one message; yields the outcome and the number of attempts.
async fn send_one(destination: Destination, reactions: &[Reaction]) -> (Outcome, usize) {
    let host = destination.url.expose().split('/').nth(2).unwrap().to_owned();
    let receivers = Receivers::new(&[(&host, reactions)], Duration::from_millis(10));
    let (sender, outcomes) = sender(&receivers, SenderPolicy::default());
    sender.submit(Message::new(rolled_back(), destination)).unwrap();
    drained(&sender).await;
    let outcomes = outcomes.lock().unwrap();
    assert_eq!(outcomes.len(), 1, "exactly one outcome");
    (outcomes[0].1.clone(), receivers.seen().len())
}

#[tokio::test(start_paused = true)]
async fn what_each_reaction_leads_to() {
    use Reaction::{Breaks, Refused, RetryAfter, Silent, Stalls, Status, Unreachable};
    let ok = Status(200, "ok");
    // Reactions, then for Slack and for a webhook: what follows for the outbox, attempts, part of the reason.
    type Row<'a> = (Vec<Reaction>, (&'a str, usize, &'a str), (&'a str, usize, &'a str));
    let sent = |attempts| ("sent", attempts, "");
    let table: Vec<Row<'_>> = vec![
        (vec![ok.clone()], sent(1), sent(1)),
        (vec![Status(204, "")], sent(1), sent(1)),
        (vec![Status(500, "oops"), Status(503, ""), ok.clone()], sent(3), sent(3)),
        (vec![Unreachable, Unreachable, ok.clone()], sent(3), sent(3)),
        (vec![RetryAfter(429, "30"), ok.clone()], sent(2), sent(2)),
        (vec![Stalls(503), ok.clone()], sent(2), sent(2)),
        (vec![Stalls(404), ok.clone()], ("gave up", 1, "status 404"), ("gave up", 1, "status 404")),
        (
            vec![Status(410, "channel_is_archived")],
            ("gave up", 1, "410 (channel_is_archived)"),
            ("gave up", 1, "check the destination"),
        ),
        (
            vec![Status(302, "")],
            ("gave up", 1, "redirects are not followed"),
            ("gave up", 1, "set the final url"),
        ),
        (vec![Refused], ("gave up", 1, "is refused"), ("gave up", 1, "is refused")),
        (vec![Breaks, ok.clone()], ("unknown", 1, "broke"), sent(2)),
        (vec![Silent, ok.clone()], ("unknown", 1, "no answer within 10s"), sent(2)),
        (vec![Status(504, ""), ok], ("unknown", 1, "status 504"), sent(2)),
    ];
    for (reactions, for_slack, for_webhook) in table {
        for (destination, (change, attempts, part)) in [(slack(), for_slack), (webhook(), for_webhook)] {
            let (outcome, made) = send_one(destination, &reactions).await;
            assert_eq!((word(&outcome.state), made), (change, attempts), "{outcome:?}");
            let shown = format!("{outcome:?}");
            assert!(
                shown.contains(part) && !shown.contains(TOKEN) && !shown.contains(SIGNING_KEY),
                "{shown}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_of_an_answer_is_told() {
    let body = "invalid_token for XyZcanaryToken, signed with canary-signing-key, at db.shop.svc";
    for destination in [webhook(), slack()] {
        for reaction in [Reaction::Status(400, body), Reaction::Breaks, Reaction::Unreachable] {
            let (outcome, _) = send_one(destination.clone(), &[reaction]).await;
            let (OutcomeState::GaveUp { why } | OutcomeState::Unknown { why }) = outcome.state else {
                panic!("{outcome:?}")
            };
            for part in ["canary", "db.shop", "invalid_token", " by "] {
                assert!(!why.contains(part), "{why}");
            }
            assert!(why.contains("status 400") || why.contains("the manager's log has the cause"), "{why}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dead_destination_is_given_up_after_hours_and_says_why() {
    let (outcome, attempts) = send_one(slack(), &[Reaction::Unreachable]).await;
    let OutcomeState::GaveUp { why } = outcome.state else { panic!("{outcome:?}") };
    assert!(why.contains("cannot connect to "), "{why}");
    assert!(why.contains(&format!("gave up after {attempts} attempts")) && attempts > 15, "{why}");
}

#[tokio::test(start_paused = true)]
async fn every_attempt_at_a_webhook_is_the_same_message_signed_anew() {
    let receivers = Receivers::new(
        &[(
            "log.example",
            &[Reaction::Status(500, ""), Reaction::RetryAfter(429, "40"), Reaction::Status(200, "")],
        )],
        Duration::ZERO,
    );
    let (sender, _) = sender(&receivers, SenderPolicy::default());
    sender.submit(Message::new(rolled_back(), webhook())).unwrap();
    drained(&sender).await;
    let seen = receivers.seen();
    assert_eq!(seen.len(), 3);
    for attempt in &seen {
        assert_eq!(attempt.body, seen[0].body);
        assert_eq!(attempt.idempotency_key.as_deref(), Some("2f1c/128/rolled-back"));
        let signed_at = format!("t={},", attempt.at.as_secs());
        assert!(attempt.signature.as_ref().unwrap().starts_with(&signed_at), "{attempt:?}");
    }
    assert!(seen[2].at - seen[1].at >= Duration::from_secs(40), "the receiver asked for 40 s");
}

#[tokio::test(start_paused = true)]
async fn a_dead_destination_delays_nobody_else_and_order_is_kept() {
    let receivers = Receivers::new(
        &[("dead.example", &[Reaction::Silent]), ("down.example", &[Reaction::Unreachable])],
        Duration::from_millis(100),
    );
    let (sender, outcomes) = sender(&receivers, SenderPolicy::default());
    for number in 0..5 {
        for host in ["dead.example", "down.example", "alive.example"] {
            let message = Message::new(numbered(rolled_back(), number), slack_at(host));
            sender.submit(message).unwrap();
        }
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let told: Vec<String> = outcomes.lock().unwrap().iter().map(|(_, outcome)| outcome.key.clone()).collect();
    assert_eq!(told, ["key-0", "key-1", "key-2", "key-3", "key-4"]);
    assert_eq!(
        sender.waiting(),
        BTreeMap::from([("dead.example".to_owned(), 5), ("down.example".to_owned(), 5)])
    );

    drained(&sender).await;
    let outcomes = outcomes.lock().unwrap();
    assert_eq!(outcomes.len(), 15);
    // Messages that waited together are given up together, not three hours each.
    assert!(outcomes.iter().all(|(at, _)| *at < Duration::from_secs(4 * 3600)), "{:?}", outcomes.last());
    for host in ["dead.example", "down.example"] {
        let keys: Vec<&str> = outcomes
            .iter()
            .filter(|(_, outcome)| outcome.destination == host)
            .map(|(_, outcome)| outcome.key.as_str())
            .collect();
        assert_eq!(keys, ["key-0", "key-1", "key-2", "key-3", "key-4"], "{host}");
    }
}

#[tokio::test(start_paused = true)]
async fn queues_are_bounded_and_last_words_are_kept() {
    let receivers = Receivers::new(&[("dead.example", &[Reaction::Unreachable])], Duration::ZERO);
    let policy = SenderPolicy { waiting_per_destination: 3, waiting_in_all: 4, ..SenderPolicy::default() };
    let (sender, outcomes) = sender(&receivers, policy);
    let submit =
        |told, number, host: &str| sender.submit(Message::new(numbered(told, number), slack_at(host)));
    for number in 0..3 {
        submit(started(), number, "dead.example").unwrap();
    }
    submit(started(), 2, "dead.example").unwrap();
    assert_eq!(sender.waiting()["dead.example"], 3, "the same message waits once");
    let full = submit(started(), 3, "dead.example").unwrap_err();
    assert!(matches!(full, NotifyError::QueueFull { waiting: 3, .. }), "{full}");

    submit(rolled_back(), 4, "dead.example").unwrap();
    submit(rolled_back(), 5, "dead.example").unwrap();
    let displaced: Vec<String> =
        outcomes.lock().unwrap().iter().map(|(_, outcome)| outcome.key.clone()).collect();
    assert_eq!(displaced, ["key-1", "key-2"], "the first one is on its way and stays");
    assert!(submit(rolled_back(), 6, "dead.example").is_err(), "a last word gives way to nobody");

    submit(started(), 7, "other.example").unwrap();
    let full = submit(rolled_back(), 8, "third.example").unwrap_err().to_string();
    assert!(full.contains("third.example") && full.contains("4 messages wait"), "{full}");
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_messages_drain_in_minutes() {
    let receivers = Receivers::new(&[], Duration::from_millis(50));
    let (sender, outcomes) = sender(&receivers, SenderPolicy::default());
    for number in 0..10_000 {
        let destination = slack_at(&format!("host-{}.example", number % 20));
        sender.submit(Message::new(numbered(rolled_back(), number), destination)).unwrap();
    }
    drained(&sender).await;
    let outcomes = outcomes.lock().unwrap();
    assert_eq!(outcomes.len(), 10_000);
    assert!(outcomes.iter().all(|(_, outcome)| outcome.state == OutcomeState::Sent));
    assert!(receivers.start.elapsed() <= Duration::from_secs(600), "{:?}", receivers.start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn attempts_at_once_are_bounded() {
    let reactions: Vec<(String, Vec<Reaction>)> =
        (0..6).map(|index| (format!("host-{index}.example"), vec![Reaction::Silent])).collect();
    let reactions: Vec<(&str, &[Reaction])> =
        reactions.iter().map(|(host, reactions)| (host.as_str(), reactions.as_slice())).collect();
    let receivers = Receivers::new(&reactions, Duration::ZERO);
    let (sender, _) = sender(&receivers, SenderPolicy { attempts_at_once: 2, ..SenderPolicy::default() });
    for (host, _) in &reactions {
        sender.submit(Message::new(rolled_back(), slack_at(host))).unwrap();
    }
    drained(&sender).await;
    let times: Vec<u64> = receivers.seen().iter().map(|seen| seen.at.as_secs()).collect();
    assert_eq!(times, [0, 0, 10, 10, 20, 20]);
}
