//! Pages and lines of a watch.

use std::time::Duration;

use futures::StreamExt;
use trimtab_kube::intern::Interner;
use trimtab_kube::kinds::pod::{PodRow, Pods};
use trimtab_kube::resource::PODS;
use trimtab_kube::watch::{Event, Row, Scope, WatchCounts, watch as follow};
use trimtab_kube::{Api, Key, Store, Uid};

use crate::server::{Answer, api};

/// Long enough for every answer to be heard, and for some retries.
const PATIENCE: Duration = Duration::from_secs(120);
const EMPTY_PAGE: &str = r#"{"metadata":{"resourceVersion":"1"},"items":[]}"#;

/// Whatever a server says, as a page or as lines: what comes out keeps to the grammar of events, and the rows of a store
/// that takes it in are those that a page or a line named last.
pub fn watch(data: &[u8]) {
    crate::block_on(async {
        hear(api([Answer::ok(data), Answer::ok("")])).await;
        hear(api([Answer::ok(EMPTY_PAGE), Answer::ok(data)])).await;
    });
}

async fn hear(api: Api) {
    let mut events = follow(api, PODS, Scope::all(), Pods::new(Interner::new()));
    let status = events.status();
    let store: Store<PodRow, Uid> =
        Store::indexed(|row, values| values.extend(row.owner.as_ref().map(|owner| owner.uid)));
    let mut grammar = Grammar::Start;
    let all = async {
        while let Some(event) = events.next().await {
            grammar = grammar.after(&event);
            let named = key(&event).cloned();
            let is_apply = matches!(event, Event::Apply(_));
            store.take(event);
            if let Some(key) = named.filter(|_| is_apply) {
                assert!(store.get(&key).is_some(), "{key} was applied");
            }
        }
    };
    // The stream has no end.
    let _ = tokio::time::timeout(PATIENCE, all).await;
    let WatchCounts { .. } = status.counts();
    let rows = store.read();
    for row in rows.iter() {
        let owner = row.owner.as_ref().map(|owner| owner.uid);
        assert!(owner.is_none_or(|uid| rows.at(&uid).any(|other| other.key() == row.key())), "{}", row.key());
    }
}

fn key(event: &Event<PodRow>) -> Option<&Key> {
    match event {
        Event::Reset | Event::Ready => None,
        Event::Init(row) | Event::Apply(row) => Some(row.key()),
        Event::Delete(key) | Event::Undecodable(key) => Some(key),
    }
}

/// `( Reset (Init | Undecodable)* Ready (Apply | Delete | Undecodable)* )*`, where a Reset may cut a listing short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grammar {
    Start,
    Listing,
    Following,
}

impl Grammar {
    fn after(self, event: &Event<PodRow>) -> Self {
        match (self, event) {
            (_, Event::Reset) => Self::Listing,
            (Self::Listing, Event::Init(_) | Event::Undecodable(_)) => Self::Listing,
            (Self::Listing, Event::Ready) => Self::Following,
            (Self::Following, Event::Apply(_) | Event::Delete(_) | Event::Undecodable(_)) => Self::Following,
            _ => panic!("{event:?} while {self:?}"),
        }
    }
}
