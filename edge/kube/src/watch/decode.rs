//! Reads list pages and watch lines without building objects. Total: any bytes give an answer.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::row::{Event, Project, Row};
use crate::api::Status;
use crate::resource::Key;

/// A list page with its items still as bytes of the answer.
#[derive(Deserialize)]
pub(crate) struct Page<'a> {
    #[serde(default, borrow)]
    pub(crate) metadata: PageMetadata<'a>,
    #[serde(default, borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PageMetadata<'a> {
    #[serde(borrow)]
    pub(crate) resource_version: Cow<'a, str>,
    #[serde(borrow)]
    pub(crate) r#continue: Cow<'a, str>,
}

/// One watch line.
#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(borrow)]
    r#type: Cow<'a, str>,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Headed<'a> {
    #[serde(borrow)]
    metadata: Head<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Head<'a> {
    #[serde(borrow)]
    namespace: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    resource_version: Cow<'a, str>,
}

/// An object that could not be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Undecodable {
    /// Its key, if at least that could be read.
    pub(crate) key: Option<Key>,
    pub(crate) problem: String,
}

/// What one watch line says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard<R> {
    /// Something changed; resume from `version`, if it has one.
    Event { event: Event<R>, version: Option<String> },
    /// Nothing changed up to `version`.
    Bookmark { version: String },
    /// An object changed but cannot be read; resume from `version`, if that could be read.
    Undecodable { undecodable: Undecodable, version: Option<String> },
    /// The server no longer knows our version.
    Expired,
    /// The server ends this watch for another reason.
    Failed { problem: String, retry_after: Option<Duration> },
    /// The line cannot be understood, so a change may have been missed.
    Garbage { problem: String },
}

/// Reads one object, or says why not.
pub(crate) fn object<P: Project>(projection: &P, bytes: &[u8]) -> Result<P::Row, Undecodable> {
    projection.project(bytes).map_err(|error| Undecodable { key: head(bytes).0, problem: error.to_string() })
}

impl<'a> Page<'a> {
    /// An answer without a version is no list, whatever else it is: taking it for an empty one would forget everything.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Page<'a>, String> {
        match serde_json::from_slice::<Page<'a>>(bytes) {
            Ok(page) if page.metadata.resource_version.is_empty() => {
                Err("list page cannot be read: it has no resource version".to_owned())
            }
            Ok(page) => Ok(page),
            Err(error) => Err(format!("list page cannot be read: {error}")),
        }
    }

    pub(crate) fn items(&self) -> impl ExactSizeIterator<Item = &'a [u8]> {
        self.items.as_deref().unwrap_or_default().iter().map(|item| item.get().as_bytes())
    }
}

/// Reads one watch line.
pub(crate) fn line<P: Project>(projection: &P, bytes: &[u8]) -> Heard<P::Row> {
    let frame: Frame<'_> = match serde_json::from_slice(bytes) {
        Ok(frame) => frame,
        Err(error) => return garbage(bytes, &error),
    };
    let bytes = frame.object.get().as_bytes();
    match &*frame.r#type {
        "ADDED" | "MODIFIED" => applied(projection, bytes),
        "DELETED" => deleted(bytes),
        "BOOKMARK" => match head(bytes).1 {
            Some(version) => Heard::Bookmark { version },
            None => Heard::Garbage { problem: "bookmark without a resource version".to_owned() },
        },
        "ERROR" => failure(&Status::read(0, bytes)),
        other => Heard::Garbage { problem: format!("unknown watch event type {other:?}") },
    }
}

fn applied<P: Project>(projection: &P, bytes: &[u8]) -> Heard<P::Row> {
    match object(projection, bytes) {
        Ok(row) => {
            Heard::Event { version: Some(row.resource_version().to_string()), event: Event::Apply(row) }
        }
        Err(undecodable) => Heard::Undecodable { undecodable, version: head(bytes).1 },
    }
}

fn deleted<R>(bytes: &[u8]) -> Heard<R> {
    match head(bytes) {
        (Some(key), version) => Heard::Event { event: Event::Delete(key), version },
        (None, _) => Heard::Garbage { problem: "deleted object without a name".to_owned() },
    }
}

fn failure<R>(status: &Status) -> Heard<R> {
    if status.code == 410 || matches!(status.reason.as_str(), "Expired" | "Gone") {
        return Heard::Expired;
    }
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    Heard::Failed {
        problem: format!("watch ended by the server ({} {}): {}", status.code, status.reason, status.message),
        retry_after: (seconds > 0).then(|| Duration::from_secs(seconds)),
    }
}

/// Some servers and proxies answer a bare Status instead of an ERROR event.
fn garbage<R>(bytes: &[u8], error: &serde_json::Error) -> Heard<R> {
    match serde_json::from_slice::<Status>(bytes) {
        Ok(status) if status.code != 0 => failure(&status),
        _ => Heard::Garbage { problem: format!("watch line cannot be read: {error}") },
    }
}

/// Key and version of an object that may be undecodable otherwise.
fn head(bytes: &[u8]) -> (Option<Key>, Option<String>) {
    let head = serde_json::from_slice::<Headed<'_>>(bytes).unwrap_or_default().metadata;
    let key = (!head.name.is_empty()).then(|| Key::new(&*head.namespace, &*head.name));
    let version = (!head.resource_version.is_empty()).then(|| head.resource_version.into_owned());
    (key, version)
}
