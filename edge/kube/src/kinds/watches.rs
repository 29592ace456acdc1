//! The tasks that keep stores up to date.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::kind::Kind;
use super::scope::{Namespaces, scope_of};
use crate::api::{Api, ApiError};
use crate::store::Store;
use crate::watch::{Event, Project, WatchStatus, watch};

/// How often a kind that may not be watched is tried again: somebody may have granted it.
const FORBIDDEN_AGAIN: Duration = Duration::from_secs(300);
/// How often it is asked whether a kind may be watched, while nobody answers.
const UNANSWERED_AGAIN: Duration = Duration::from_secs(5);

/// The tasks that keep stores up to date, and what they say of themselves.
pub struct Watches {
    /// Endless tasks, one per kind and part of the cluster.
    pub tasks: Vec<BoxFuture<'static, ()>>,
    /// One status per task.
    pub statuses: Vec<WatchStatus>,
}

impl Watches {
    pub(super) fn new() -> Watches {
        Watches { tasks: Vec::new(), statuses: Vec::new() }
    }

    /// Watches one kind into `store`, in as many parts as `namespaces` has.
    pub(super) fn add<K: Kind>(
        &mut self,
        api: &Api,
        projection: impl Fn() -> K,
        namespaces: &Namespaces,
        store: &Store<K::Row, K::Index>,
        on_change: impl Fn(Option<&K::Row>, Option<&K::Row>) + Clone + Send + 'static,
    ) {
        let parts = namespaces.parts(K::RESOURCE);
        store.expect_parts(parts.len());
        for part in parts {
            let events = watch(api.clone(), K::RESOURCE, scope_of(&part), projection());
            let status = events.status();
            self.statuses.push(status.clone());
            let (store, on_change) = (store.clone(), on_change.clone());
            if namespaces.may_be_forbidden(K::RESOURCE) {
                let api = api.clone();
                let task = async move {
                    until_allowed::<K>(&api, &store, &status).await;
                    store.drive_part(part, events, on_change).await;
                };
                self.tasks.push(task.boxed());
            } else {
                self.tasks.push(store.drive_part(part, events, on_change).boxed());
            }
        }
    }
}

/// Returns once the kind may be listed. From the first refusal on, its store counts as complete and has no rows; before it,
/// nothing is known.
async fn until_allowed<K: Kind>(
    api: &Api,
    store: &Store<<K as Project>::Row, K::Index>,
    status: &WatchStatus,
) {
    loop {
        match api.may_list(K::RESOURCE).await {
            Ok(()) => return status.allow(),
            Err(ApiError::Forbidden { .. }) => {
                if status.forbid() {
                    tracing::warn!(resource = %K::RESOURCE, "may not be listed; the manager goes on as if there were none");
                }
                store.take(Event::Reset);
                store.take(Event::Ready);
                tokio::time::sleep(FORBIDDEN_AGAIN).await;
            }
            Err(error) => {
                status.failed(error.to_string());
                tokio::time::sleep(UNANSWERED_AGAIN).await;
            }
        }
    }
}
