//! A Slack app's card, against a channel in memory: posted once, edited later, looked up where nobody knows.
#![allow(clippy::unwrap_used, reason = "in a test, a panic is the report")]

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use http::{Method, Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use support::{TOKEN, held, kept, needs_human, rolled_back, slack, started};
use tokio::time::Instant;
use trimtab_notify::{
    Card, Destination, DestinationKind, Message, Notification, Outcome, OutcomeState, SLACK_API, SecretText,
    Sender, SenderPolicy,
};
use trimtab_providers::http::{BodyStream, HttpTransport, TransportError, body_of};

const CHANNEL: &str = "C0123456789";
/// What all messages about the release have in common.
const ABOUT: &str = "2f1c:v128:bcdfg24567";

/// What goes wrong with one call.
#[derive(Clone, Copy, Debug)]
enum Trouble {
    /// It is not carried out, and Slack says why.
    Word(&'static str),
    /// So, and how long to wait.
    Limited(&'static str),
    /// It is carried out, and its answer is lost.
    LostAnswer,
    /// It is carried out, and its answer never comes.
    Silent,
    /// Its answer is no JSON.
    Garbled,
}

/// A channel, and what was asked of it.
#[derive(Default)]
struct Slack {
    messages: Mutex<Vec<Value>>,
    calls: Mutex<Vec<String>>,
    troubles: Mutex<BTreeMap<&'static str, Vec<Trouble>>>,
}

impl Slack {
    fn with(troubles: &[(&'static str, Trouble)]) -> Arc<Self> {
        let slack = Self::default();
        for (method, trouble) in troubles {
            slack.troubles.lock().unwrap().entry(method).or_default().push(*trouble);
        }
        Arc::new(slack)
    }

    fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// Posts to the channel, and to threads.
    fn posts(&self) -> (Vec<Value>, Vec<Value>) {
        let all = self.messages.lock().unwrap().clone();
        all.into_iter().partition(|message| message["thread_ts"].is_null())
    }

    fn carry_out(&self, method: &str, query: &str, body: &Value) -> Value {
        let mut messages = self.messages.lock().unwrap();
        let refused = |word: &str| json!({"ok": false, "error": word});
        let asks = |part: &str| query.split('&').any(|one| one == part);
        match method {
            "chat.postMessage" => {
                let ts = format!("1763694462.{:06}", messages.len());
                let mut message = body.clone();
                message["ts"] = json!(ts);
                messages.push(message);
                json!({"ok": true, "channel": CHANNEL, "ts": ts})
            }
            "chat.update" => {
                let Some(message) = messages.iter_mut().find(|message| message["ts"] == body["ts"]) else {
                    return refused("message_not_found");
                };
                for (name, value) in body.as_object().unwrap() {
                    message[name] = value.clone();
                }
                json!({"ok": true, "channel": CHANNEL, "ts": body["ts"]})
            }
            _ if !asks(&format!("channel={CHANNEL}")) => refused("channel_not_found"),
            _ if !asks("include_all_metadata=true") => json!({"ok": true, "messages": []}),
            "conversations.history" => {
                let top: Vec<&Value> = messages.iter().filter(|one| one["thread_ts"].is_null()).collect();
                // One a page, the newest first.
                let place = query.split('&').find_map(|one| one.strip_prefix("cursor=page")?.parse().ok());
                let place: usize = place.unwrap_or(0);
                let page: Vec<&Value> = top.iter().rev().skip(place).take(1).copied().collect();
                let next = if place + 1 < top.len() { format!("page{}", place + 1) } else { String::new() };
                json!({"ok": true, "messages": page, "response_metadata": {"next_cursor": next}})
            }
            "conversations.replies" => {
                let of = |one: &&Value| {
                    let thread = if one["thread_ts"].is_null() { &one["ts"] } else { &one["thread_ts"] };
                    asks(&format!("ts={}", thread.as_str().unwrap()))
                };
                json!({"ok": true, "messages": messages.iter().filter(of).collect::<Vec<_>>()})
            }
            _ => refused("unknown_method"),
        }
    }
}

impl HttpTransport for Slack {
    fn send(&self, request: Request<Bytes>) -> BoxFuture<'_, Result<Response<BodyStream>, TransportError>> {
        async move {
            let uri = request.uri().to_string();
            let rest = uri.strip_prefix(SLACK_API).unwrap().trim_start_matches('/').to_owned();
            assert_eq!(request.headers()["authorization"], format!("Bearer {TOKEN}"));
            let (method, query) = rest.split_once('?').unwrap_or((&rest, ""));
            let verb = if method.starts_with("chat.") { Method::POST } else { Method::GET };
            assert_eq!(request.method(), verb);
            self.calls.lock().unwrap().push(method.to_owned());
            let body = serde_json::from_slice(request.body()).unwrap_or_default();
            let answer = |said: Value| Response::new(body_of([Bytes::from(said.to_string())]));
            let trouble = self.troubles.lock().unwrap().get_mut(method).and_then(Vec::pop);
            match trouble {
                None => Ok(answer(self.carry_out(method, query, &body))),
                Some(Trouble::Word(word)) => Ok(answer(json!({"ok": false, "error": word}))),
                Some(Trouble::Limited(seconds)) => {
                    let mut response = answer(json!({"ok": false, "error": "ratelimited"}));
                    response.headers_mut().insert("retry-after", http::HeaderValue::from_static(seconds));
                    Ok(response)
                }
                Some(Trouble::LostAnswer) => {
                    self.carry_out(method, query, &body);
                    Err(TransportError::Broken { host: "slack.com".to_owned(), cause: TOKEN.to_owned() })
                }
                Some(Trouble::Silent) => {
                    self.carry_out(method, query, &body);
                    std::future::pending().await
                }
                Some(Trouble::Garbled) => Ok(Response::new(body_of([Bytes::from_static(b"<html>")]))),
            }
        }
        .boxed()
    }
}

fn message(notification: Notification) -> Message {
    let destination = Destination {
        kind: DestinationKind::SlackApp,
        url: SecretText::new(SLACK_API.to_owned()),
        token: Some(SecretText::new(TOKEN.to_owned())),
        channel: Some(CHANNEL.to_owned()),
        ..slack()
    };
    Message { about: ABOUT.to_owned(), ..Message::new(notification, destination) }
}

/// Sends one message; yields what became of it, and how long that took.
async fn send(slack: &Arc<Slack>, message: Message) -> (Outcome, Duration) {
    let outcomes = Arc::<Mutex<Vec<Outcome>>>::default();
    let told = outcomes.clone();
    let tell = move |outcome| told.lock().unwrap().push(outcome);
    let transport: Arc<dyn HttpTransport> = Arc::<Slack>::clone(slack);
    let sender = Sender::new(transport, SenderPolicy::default(), || true, || Timestamp::UNIX_EPOCH, tell);
    let start = Instant::now();
    sender.submit(message).unwrap();
    while !sender.waiting().is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let outcome = outcomes.lock().unwrap().pop().unwrap();
    assert!(!format!("{outcome:?}").contains(TOKEN), "{outcome:?}");
    (outcome, start.elapsed())
}

/// Sends what began a release; yields its card.
async fn posted(slack: &Arc<Slack>) -> Card {
    let (outcome, _) = send(slack, message(started())).await;
    assert_eq!(outcome.state, OutcomeState::Sent);
    outcome.card.unwrap()
}

fn later(notification: Notification, card: Option<Card>) -> Message {
    Message { card, follows: true, ..message(notification) }
}

#[tokio::test(start_paused = true)]
async fn a_release_is_one_card_and_what_needs_people_is_said_aloud() {
    for (notification, loud) in
        [(kept(), false), (rolled_back(), true), (held(), true), (needs_human(), true)]
    {
        let slack = Slack::with(&[]);
        let card = posted(&slack).await;
        assert_eq!(card.to_string().parse(), Ok(card.clone()));
        let (outcome, _) = send(&slack, later(notification.clone(), Some(card.clone()))).await;
        assert_eq!((outcome.state, outcome.card), (OutcomeState::Sent, Some(card.clone())));
        let (cards, replies) = slack.posts();
        assert_eq!(cards.len(), 1, "{cards:?}");
        let expect = trimtab_notify::slack::payload(&notification);
        assert_eq!((&cards[0]["text"], &cards[0]["blocks"]), (&expect["text"], &expect["blocks"]));
        assert_eq!(cards[0]["metadata"]["event_payload"]["key"], ABOUT);
        assert_eq!(replies.len(), usize::from(loud), "{:?}", notification.event);
        for reply in replies {
            assert_eq!((&reply["thread_ts"], &reply["reply_broadcast"]), (&json!(card.ts), &json!(true)));
            assert_eq!(reply["metadata"]["event_payload"]["key"], *notification.key);
        }
        assert!(!slack.calls().iter().any(|call| call.starts_with("conversations.")), "nobody was in doubt");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_message_that_needs_people_is_posted_and_not_said_twice() {
    let slack = Slack::with(&[]);
    assert_eq!(send(&slack, message(rolled_back())).await.0.state, OutcomeState::Sent);
    let (cards, replies) = slack.posts();
    assert_eq!((cards.len(), replies.len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_been_posted_is_looked_up_before_it_is_posted_again() {
    for trouble in [Trouble::LostAnswer, Trouble::Silent] {
        let slack = Slack::with(&[("chat.postMessage", trouble)]);
        let (outcome, _) = send(&slack, message(started())).await;
        let (cards, _) = slack.posts();
        assert_eq!(cards.len(), 1, "{trouble:?}");
        assert_eq!(outcome.card.unwrap().ts, cards[0]["ts"].as_str().unwrap());
    }
    for trouble in [Trouble::Word("internal_error"), Trouble::Word("fatal_error"), Trouble::Garbled] {
        let slack = Slack::with(&[("chat.postMessage", trouble)]);
        let (outcome, _) = send(&slack, message(started())).await;
        assert_eq!((outcome.state, slack.posts().0.len()), (OutcomeState::Sent, 1), "{trouble:?}");
        assert!(slack.calls().contains(&"conversations.history".to_owned()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_successor_edits_the_card_that_its_predecessor_posted() {
    let slack = Slack::with(&[]);
    let card = posted(&slack).await;
    // Others have said something since: it is found on the second page.
    slack.messages.lock().unwrap().push(json!({"ts": "1763694999.000001", "text": "lunch?"}));
    let (outcome, _) = send(&slack, Message { again: true, ..message(started()) }).await;
    assert_eq!((outcome.state, outcome.card), (OutcomeState::Sent, Some(card.clone())));
    assert_eq!(slack.posts().0.len(), 2);
    // It was posted by nobody: the predecessor died before.
    let other = Message { about: "another".to_owned(), again: true, ..message(started()) };
    assert_eq!(send(&slack, other).await.0.state, OutcomeState::Sent);
    assert_eq!(slack.posts().0.len(), 3);
    // The reply was posted, and nobody noted it.
    let aloud = later(rolled_back(), Some(card));
    assert_eq!(send(&slack, aloud.clone()).await.0.state, OutcomeState::Sent);
    assert_eq!(send(&slack, Message { again: true, ..aloud }).await.0.state, OutcomeState::Sent);
    assert_eq!(slack.posts().1.len(), 1, "said aloud once");
}

#[tokio::test(start_paused = true)]
async fn without_the_scope_to_look_nothing_is_posted_again() {
    for (word, part) in [("missing_scope", "channels:history"), ("channel_not_found", "by its ID")] {
        let slack = Slack::with(&[("conversations.history", Trouble::Word(word))]);
        let (outcome, _) = send(&slack, Message { again: true, ..message(started()) }).await;
        let OutcomeState::Unknown { why } = outcome.state else { panic!("{outcome:?}") };
        assert!(why.contains("may have arrived") && why.contains(word) && why.contains(part), "{why}");
        assert_eq!(slack.posts().0.len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_card_that_was_deleted_is_posted_anew() {
    let slack = Slack::with(&[]);
    let card = posted(&slack).await;
    slack.messages.lock().unwrap().clear();
    slack.messages.lock().unwrap().push(json!({"ts": "1763694999.000001", "text": "lunch?"}));
    let (outcome, _) = send(&slack, later(rolled_back(), Some(card.clone()))).await;
    assert_eq!(outcome.state, OutcomeState::Sent);
    assert_ne!(outcome.card, Some(card));
    let (cards, replies) = slack.posts();
    assert_eq!((cards.len(), replies.len()), (2, 0), "a new card needs no reply to be noticed");
}

#[tokio::test(start_paused = true)]
async fn errors_that_come_as_success_are_understood() {
    let minutes = Duration::from_secs(120);
    let slack = Slack::with(&[("chat.postMessage", Trouble::Limited("120"))]);
    let (outcome, took) = send(&slack, message(started())).await;
    assert_eq!((outcome.state, slack.posts().0.len()), (OutcomeState::Sent, 1));
    assert!(took >= minutes, "asked to wait for {minutes:?}, waited {took:?}");
    for (word, part) in [
        ("invalid_auth", "secret that holds the token"),
        ("token_revoked", "secret that holds the token"),
        ("channel_not_found", "check the channel"),
        ("not_in_channel", "invite the app"),
        ("missing_scope", "chat:write"),
        (TOKEN, "an error"),
    ] {
        let slack = Slack::with(&[("chat.postMessage", Trouble::Word(word))]);
        let (outcome, _) = send(&slack, message(started())).await;
        let OutcomeState::GaveUp { why } = outcome.state else { panic!("{outcome:?}") };
        assert!(why.contains(part), "{why}");
        assert_eq!(slack.calls(), ["chat.postMessage"]);
    }
}
