//! A lean watch: bytes in, rows out; full objects are never built.
//!
//! The stream of [`watch`] never ends and never fails. Whatever goes wrong on the way is retried with a growing,
//! chance-free delay, counted, logged, and visible through [`WatchStatus`], which also takes the wish to
//! [list anew](WatchStatus::resync); what comes out is only this grammar:
//!
//! ```text
//! ( Reset  (Init | Undecodable)*  Ready  (Apply | Delete | Undecodable)* )*      a Reset may also cut a listing short
//! ```

mod backoff;
mod decode;
mod lines;
mod machine;
mod row;
mod scope;
mod status;

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;
use futures::stream::BoxStream;

pub use self::row::{Event, Project, ProjectError, Row};
pub use self::scope::{Scope, WatchPart};
pub use self::status::{HEALTHY_WITHIN, WatchCounts, WatchHealth, WatchStatus};
use crate::api::Api;
use crate::resource::Resource;

/// The endless stream made by [`watch`].
pub struct Watch<R> {
    events: BoxStream<'static, Event<R>>,
    status: WatchStatus,
}

impl<R> Watch<R> {
    /// A handle that outlives the stream's owner: healthy or not, last error, counts, and the wish for a new listing.
    pub fn status(&self) -> WatchStatus {
        self.status.clone()
    }
}

impl<R> Stream for Watch<R> {
    type Item = Event<R>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event<R>>> {
        self.events.as_mut().poll_next(context)
    }
}

/// Watches `resource` within `scope`, keeping of every object what `projection` makes of it.
pub fn watch<P: Project>(
    api: Api,
    resource: &'static Resource,
    scope: Scope,
    projection: P,
) -> Watch<P::Row> {
    let status = WatchStatus::new(resource, scope.namespace.as_deref());
    let events = Box::pin(machine::events(api, resource, scope, projection, status.clone()));
    Watch { events, status }
}
