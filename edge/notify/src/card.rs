//! One card per release in a Slack channel: posted once, edited by every later message.
//!
//! Slack knows no idempotency, so a card carries the release's key in its metadata: whoever does not know whether it was posted
//! looks for it before posting. An edited card notifies nobody. What people must act on is also said in a reply to it, which
//! is shown in the channel.

use std::fmt;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::answer::AttemptEnd;
use crate::message::{Card, Message};
use crate::notification::Event;
use crate::slack;
use crate::web::{Failure, Web};

/// What the metadata of our messages is called.
const METADATA: &str = "trimtab_release";
/// Messages of one page that is looked through.
const PAGE: usize = 100;
/// Pages that are looked through at most.
const PAGES_MAX: usize = 10;
/// All but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// How much earlier than the event a look begins, in seconds: Slack's clock is not ours.
const LOOK_BACK_SECONDS: i64 = 300;

/// How far a message got. It lives as long as the message, over all attempts.
#[derive(Debug)]
pub(crate) struct Posting {
    /// The release's card, where there is one.
    pub(crate) card: Option<Card>,
    /// A call was made, so that something may have been done.
    pub(crate) begun: bool,
    /// The card may have been posted by somebody who did not live to tell.
    look: bool,
    /// So may the reply.
    look_reply: bool,
    /// The card says it.
    says: bool,
    /// The reply is due.
    reply: bool,
}

impl Posting {
    pub(crate) fn of(message: &Message) -> Self {
        let loud = matches!(message.notification.event, Event::RolledBack | Event::Held | Event::NeedsHuman);
        Self {
            card: message.card.clone(),
            begun: message.again,
            look: message.again,
            look_reply: message.again,
            says: false,
            // The first message of a release is posted, and needs nothing beside it to be noticed.
            reply: loud && message.follows,
        }
    }

    /// One attempt at everything that is left to do.
    pub(crate) async fn attempt(&mut self, web: &Web<'_>, message: &Message) -> AttemptEnd {
        self.begun = true;
        match self.advance(web, message).await {
            Ok(()) => AttemptEnd::Arrived,
            Err(verdict) => verdict,
        }
    }

    async fn advance(&mut self, web: &Web<'_>, message: &Message) -> Result<(), AttemptEnd> {
        if self.card.is_none() && self.look {
            self.card = look(web, message, None).await?;
            self.look = false;
        }
        if !self.says
            && let Some(card) = &self.card
        {
            self.says = update(web, message, card).await?;
            if !self.says {
                self.card = None;
            }
        }
        if self.card.is_none() {
            let posted = self.post(web, message, None).await?;
            // It was posted for this event, and is noticed by itself.
            (self.card, self.says, self.reply) = (Some(posted), true, false);
        }
        if self.reply
            && let Some(card) = self.card.clone()
        {
            if !(self.look_reply && look(web, message, Some(&card)).await?.is_some()) {
                self.look_reply = false;
                self.post(web, message, Some(&card)).await?;
            }
            self.reply = false;
        }
        Ok(())
    }

    /// Posts the card, or a reply to it.
    async fn post(
        &mut self,
        web: &Web<'_>,
        message: &Message,
        to: Option<&Card>,
    ) -> Result<Card, AttemptEnd> {
        let channel = web.destination.channel.as_deref().unwrap_or_default();
        let mut body = match to {
            None => slack::payload(&message.notification),
            Some(card) => json!({
                "text": slack::headline(&message.notification), "thread_ts": card.ts, "reply_broadcast": true,
            }),
        };
        body["channel"] = json!(to.map_or(channel, |card| &card.channel));
        body["metadata"] = metadata(message, to);
        match web.write("chat.postMessage", &body).await {
            Ok(said) => posted(&said).ok_or_else(|| {
                self.lost(to, format!("{} did not say where it posted", web.destination.name))
            }),
            Err(Failure::Lost(why)) => Err(self.lost(to, why)),
            // It is possible that some of it succeeded, Slack says.
            Err(Failure::Word(word @ ("fatal_error" | "internal_error"), _)) => {
                Err(self.lost(to, format!("{} answered {word}", web.destination.name)))
            }
            Err(failure) => Err(refused(web, failure)),
        }
    }

    /// It may have been posted: whoever tries again looks first.
    fn lost(&mut self, to: Option<&Card>, why: String) -> AttemptEnd {
        match to {
            None => self.look = true,
            Some(_) => self.look_reply = true,
        }
        AttemptEnd::Later { why, asked: None }
    }
}

/// Edits the card, which may be done any number of times; `false` where there is none to edit any more.
async fn update(web: &Web<'_>, message: &Message, card: &Card) -> Result<bool, AttemptEnd> {
    let mut body = slack::payload(&message.notification);
    body["channel"] = json!(card.channel);
    body["ts"] = json!(card.ts);
    body["metadata"] = metadata(message, None);
    match web.write("chat.update", &body).await {
        Ok(_) => Ok(true),
        Err(Failure::Word("message_not_found" | "cant_update_message" | "edit_window_closed", _)) => {
            Ok(false)
        }
        Err(failure) => Err(refused(web, failure)),
    }
}

/// Looks for the card in its channel, or for the reply under a card.
async fn look(web: &Web<'_>, message: &Message, under: Option<&Card>) -> Result<Option<Card>, AttemptEnd> {
    let wanted = metadata(message, under);
    let channel = web.destination.channel.as_deref().unwrap_or_default();
    let (method, channel, which) = match under {
        None => {
            let oldest = message.notification.at.as_second().saturating_sub(LOOK_BACK_SECONDS);
            ("conversations.history", channel, format!("oldest={oldest}"))
        }
        Some(card) => ("conversations.replies", card.channel.as_str(), format!("ts={}", card.ts)),
    };
    let mut cursor = String::new();
    for _ in 0..PAGES_MAX {
        let query =
            format!("channel={}&include_all_metadata=true&limit={PAGE}&{which}{cursor}", escaped(channel));
        let page = match web.read(method, &query).await {
            Ok(page) => page,
            Err(Failure::Word(word, asked)) if !is_passing(word) => {
                let AttemptEnd::Never { why } = refused(web, Failure::Word(word, asked)) else { continue };
                return Err(AttemptEnd::Unclear {
                    why: format!("it may have arrived, and cannot be looked up: {why}"),
                });
            }
            Err(failure) => return Err(refused(web, failure)),
        };
        let messages = page["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        let ours =
            |message: &&Value| message["metadata"]["event_payload"]["key"] == wanted["event_payload"]["key"];
        if let Some(ts) = messages.iter().find(ours).and_then(|message| message["ts"].as_str()) {
            return Ok(Some(Card { channel: channel.to_owned(), ts: ts.to_owned() }));
        }
        match page.pointer("/response_metadata/next_cursor").and_then(Value::as_str) {
            Some(next) if !next.is_empty() => cursor = format!("&cursor={}", escaped(next)),
            _ => return Ok(None),
        }
    }
    Err(AttemptEnd::Unclear {
        why: "it may have arrived, and too much was said since to look it up".to_owned(),
    })
}

/// What a card is found by is the release, what a reply is found by is its event.
fn metadata(message: &Message, reply_to: Option<&Card>) -> Value {
    let key = if reply_to.is_some() { &message.notification.key } else { &message.about };
    json!({"event_type": METADATA, "event_payload": {"key": key}})
}

fn posted(said: &Value) -> Option<Card> {
    format!("{}/{}", said["channel"].as_str()?, said["ts"].as_str()?).parse().ok()
}

fn is_passing(word: &str) -> bool {
    matches!(
        word,
        "ratelimited" | "request_timeout" | "service_unavailable" | "fatal_error" | "internal_error"
    )
}

/// What a failed call means for the message, where doing it again harms nobody.
fn refused(web: &Web<'_>, failure: Failure) -> AttemptEnd {
    let name = &web.destination.name;
    match failure {
        Failure::Before(verdict) => verdict,
        Failure::Lost(why) => AttemptEnd::Later { why, asked: None },
        Failure::Word(word, asked) if is_passing(word) => {
            // Slack always says how long; a minute is what its limits are counted by.
            let asked = asked.or_else(|| (word == "ratelimited").then_some(Duration::from_secs(60)));
            AttemptEnd::Later { why: format!("{name} answered {word}"), asked }
        }
        Failure::Word(word, _) => {
            let next = match word {
                "" => "the error is none that is documented",
                "channel_not_found" => {
                    "check the channel, name it by its ID, and invite the app where it is private"
                }
                "not_in_channel" => "invite the app to the channel",
                "is_archived" => "name another channel",
                "missing_scope" => {
                    "add the scopes chat:write, channels:history and groups:history to the app"
                }
                "invalid_auth"
                | "not_authed"
                | "account_inactive"
                | "token_expired"
                | "token_revoked"
                | "not_allowed_token_type" => "check the secret that holds the token",
                _ => "check the app and the channel",
            };
            let word = if word.is_empty() { "an error" } else { word };
            AttemptEnd::Never { why: format!("{name} answered {word}; {next}") }
        }
    }
}

/// `text` as a part of a query.
fn escaped(text: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(text, RESERVED)
}
