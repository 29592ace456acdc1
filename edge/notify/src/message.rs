//! A message on its way to one destination, and how many of them a sender takes.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::destination::Destination;
use crate::notification::Notification;

/// Limits of a sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SenderPolicy {
    /// From connecting to the head of the response.
    pub attempt_timeout: Duration,
    /// Messages that may wait for one destination, the one on its way included.
    pub waiting_per_destination: usize,
    /// Messages that may wait in all.
    pub waiting_in_all: usize,
    /// Requests in flight. Only this many destinations that accept and then say nothing can slow the others,
    /// and each by no more than the attempt's timeout.
    pub attempts_at_once: usize,
}

impl Default for SenderPolicy {
    fn default() -> Self {
        Self {
            attempt_timeout: Duration::from_secs(10),
            waiting_per_destination: 1_000,
            waiting_in_all: 10_000,
            attempts_at_once: 256,
        }
    }
}

/// A notification on its way to one destination.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// What to tell.
    pub notification: Notification,
    /// Whom to tell.
    pub destination: Destination,
    /// Key of what all messages about one release have in common. What follows is only read where cards are edited.
    pub about: String,
    /// The card that an earlier message about the release posted.
    pub card: Option<Card>,
    /// Whether an earlier message about the release came before this one.
    pub follows: bool,
    /// Whether somebody may have sent this very message, and did not live to tell.
    pub again: bool,
}

impl Message {
    /// A message about something that nobody was told of yet.
    #[must_use]
    pub fn new(notification: Notification, destination: Destination) -> Self {
        let about = notification.key.clone();
        Self { notification, destination, about, card: None, follows: false, again: false }
    }
}

/// Where a card is: what Slack calls the channel, and the message in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// The channel's ID.
    pub channel: String,
    /// The message's timestamp, which is its name.
    pub ts: String,
}

impl fmt::Display for Card {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.channel, self.ts)
    }
}

impl FromStr for Card {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let plain = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
        };
        let (channel, ts) =
            text.split_once('/').filter(|(channel, ts)| plain(channel) && plain(ts)).ok_or(())?;
        Ok(Self { channel: channel.to_owned(), ts: ts.to_owned() })
    }
}
