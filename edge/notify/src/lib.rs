//! Tells people and programs what became of a release.
//!
//! A [`Notification`] is a value. [`slack`] and [`webhook`] turn it into requests, [`schedule`] says when to try again: all
//! pure. Only [`Sender`] talks, through the transport it is given.

mod answer;
mod card;
mod destination;
mod lanes;
mod message;
mod notification;
pub mod schedule;
mod sender;
pub mod slack;
mod web;
pub mod webhook;
mod words;

pub use destination::{Destination, DestinationKind, NotifyError};
pub use message::{Card, Message, SenderPolicy};
pub use notification::{Baseline, BaselineSource, Counts, Event, Evidence, Finding, Notification, Ratio};
pub use sender::{Outcome, OutcomeState, Sender};
pub use trimtab_providers::secret::SecretText;
pub use web::BASE as SLACK_API;
