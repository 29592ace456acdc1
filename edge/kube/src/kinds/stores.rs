//! One store a kind, and the watches that keep them up to date.

use std::fmt;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::kind::Kind;
use super::scope::{Namespaces, is_forbidden, scope_of};
use crate::api::Api;
use crate::intern::Interner;
use crate::resource::Resource;
use crate::store::Store;
use crate::watch::{Event, Project, WatchHealth, WatchStatus, watch};

/// How often a kind that may not be watched is tried again: somebody may have granted it.
const FORBIDDEN_AGAIN: Duration = Duration::from_secs(300);

/// The tasks that keep stores up to date, and what they say of themselves.
pub struct Watches {
    /// Endless tasks, one per kind and part of the cluster.
    pub tasks: Vec<BoxFuture<'static, ()>>,
    /// One status per task.
    pub statuses: Vec<WatchStatus>,
}

/// A kind whose store may not be decided on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unhealthy {
    /// Which kind.
    pub resource: &'static Resource,
    /// Since when.
    pub since: Instant,
    /// What is wrong, in lower case.
    pub why: String,
}

impl fmt::Display for Unhealthy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {} s: {}", self.resource, self.since.elapsed().as_secs(), self.why)
    }
}

/// The kinds among `statuses` that may not be decided on.
pub(super) fn unhealthy(statuses: &[WatchStatus]) -> Vec<Unhealthy> {
    let unhealthy = statuses.iter().filter_map(|status| match status.health() {
        WatchHealth::Healthy => None,
        WatchHealth::Unhealthy { since, why } => Some(Unhealthy { resource: status.resource(), since, why }),
    });
    unhealthy.collect()
}

impl Watches {
    pub(super) fn new() -> Watches {
        Watches { tasks: Vec::new(), statuses: Vec::new() }
    }

    /// Watches one kind into `store`, in as many parts as `namespaces` has.
    pub(super) fn add<P: Kind>(
        &mut self,
        api: &Api,
        interner: &Interner,
        namespaces: &Namespaces,
        store: &Store<P::Row, P::Index>,
        on_change: impl Fn(Option<&P::Row>, Option<&P::Row>) + Clone + Send + 'static,
    ) {
        let parts = namespaces.parts(P::RESOURCE);
        store.expect_parts(parts.len());
        for part in parts {
            let events = watch(api.clone(), P::RESOURCE, scope_of(&part), P::new(interner));
            let status = events.status();
            self.statuses.push(status.clone());
            let (store, on_change) = (store.clone(), on_change.clone());
            if namespaces.may_be_forbidden(P::RESOURCE) {
                let api = api.clone();
                let task = async move {
                    until_allowed::<P>(&api, &store, &status).await;
                    store.drive_part(part, events, on_change).await;
                };
                self.tasks.push(task.boxed());
            } else {
                self.tasks.push(store.drive_part(part, events, on_change).boxed());
            }
        }
    }
}

/// Returns once the kind may be listed. Until then its store counts as complete and has no rows.
async fn until_allowed<P: Kind>(
    api: &Api,
    store: &Store<<P as Project>::Row, P::Index>,
    status: &WatchStatus,
) {
    while is_forbidden(api, P::RESOURCE).await {
        if status.forbid() {
            tracing::warn!(resource = %P::RESOURCE, "may not be listed; the manager goes on as if there were none");
        }
        store.take(Event::Reset);
        store.take(Event::Ready);
        tokio::time::sleep(FORBIDDEN_AGAIN).await;
    }
    status.allow();
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $field:ident $variant:ident: $kind:ty;)*) => {
        /// Everything that decisions are made on, one store a kind. Cheap to clone.
        #[derive(Clone)]
        pub struct Stores {
            $($(#[$doc])* pub $field: $crate::store::Store<<$kind as $crate::watch::Project>::Row, <$kind as Kind>::Index>,)*
            statuses: std::sync::Arc<std::sync::OnceLock<Vec<$crate::watch::WatchStatus>>>,
        }

        /// One row that changed, before and after; `None` where there was or is none.
        #[derive(Clone, Copy, Debug)]
        pub enum Changed<'a> {
            $(
                $(#[$doc])*
                $variant(
                    Option<&'a <$kind as $crate::watch::Project>::Row>,
                    Option<&'a <$kind as $crate::watch::Project>::Row>,
                ),
            )*
        }

        impl<'a> Changed<'a> {
            /// The object, where it was deleted.
            #[must_use]
            pub fn deleted(self) -> Option<(&'static $crate::resource::Resource, &'a $crate::resource::Key)> {
                match self {
                    $(Changed::$variant(Some(old), None) => {
                        Some((<$kind as Kind>::RESOURCE, $crate::watch::Row::key(old)))
                    })*
                    _ => None,
                }
            }
        }

        impl Stores {
            /// Empty stores.
            #[must_use]
            pub fn new() -> Stores {
                Stores {
                    $($field: $crate::store::Store::indexed(<$kind as Kind>::index),)*
                    statuses: std::sync::Arc::default(),
                }
            }

            /// Whether every kind has been listed once.
            #[must_use]
            pub fn synced(&self) -> bool {
                true $(&& self.$field.synced())*
            }

            /// Waits until every kind has been listed once.
            pub async fn wait_synced(&self) {
                $(self.$field.wait_synced().await;)*
            }

            /// Watches every kind; each change is told to `on_change` once it can be read. To be called once.
            #[must_use]
            pub fn watch(
                &self,
                api: &$crate::api::Api,
                namespaces: &Namespaces,
                on_change: impl Fn(Changed<'_>) + Send + Sync + 'static,
            ) -> Watches {
                let on_change = std::sync::Arc::new(on_change);
                let interner = Interner::new();
                let mut watches = Watches::new();
                $({
                    let on_change = on_change.clone();
                    watches.add::<$kind>(api, &interner, namespaces, &self.$field, move |old, new| {
                        on_change(Changed::$variant(old, new));
                    });
                })*
                let _ = self.statuses.set(watches.statuses.clone());
                watches
            }
        }
    };
}
pub(super) use kinds;
