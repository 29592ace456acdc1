//! The whole grammar of lists and watches, against a scripted server and virtual time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod listing;
mod resuming;
mod script;
