//! Get, list and watch.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::body::SimBody;
use crate::failure::{Cause, Failure};
use crate::route::Call;
use crate::selector::Selector;
use crate::server::{Answer, Server, Target};
use crate::store::{ChangeType, Collection, Stored};
use crate::watch::{self, Bookmarks, WatchOptions, seen_as};

static EMPTY: Collection = BTreeMap::new();

/// Where a paged list continues.
struct Continuation {
    revision: u64,
    after: String,
}

impl Server<'_> {
    pub(crate) fn read(&mut self, call: &Call, target: &Target) -> Result<Answer, Failure> {
        let key = target.key();
        if let Some(revision) = self.frozen(call) {
            let collection = self.collection_at(target, revision)?;
            return collection
                .get(&key)
                .map(|stored| Answer::Stored(200, stored.clone()))
                .ok_or_else(|| Failure::not_found(&target.kind.subject(), &target.route.name));
        }
        if let Some(wanted) = parse_revision(call.parameter("resourceVersion"))? {
            self.refuse_future(wanted)?;
        }
        self.existing(target).map(|stored| Answer::Stored(200, stored))
    }

    /// The object that the request names, or 404.
    pub(crate) fn existing(&self, target: &Target) -> Result<Arc<Stored>, Failure> {
        self.state
            .store
            .get(&target.kind.storage, &target.key())
            .cloned()
            .ok_or_else(|| Failure::not_found(&target.kind.subject(), &target.route.name))
    }

    pub(crate) fn list(&mut self, call: &Call, target: &Target) -> Result<Answer, Failure> {
        let presenter = self.presenter(call)?;
        let kind = &target.kind;
        let selector =
            Selector::parse(call.parameter("labelSelector"), call.parameter("fieldSelector"), kind)?;
        let continuation = parse_continue(call.parameter("continue"))?;
        let limit = parse_limit(call)?;
        let (revision, collection) = self.listed(call, target, continuation.as_ref(), limit)?;
        let prefix = namespace_prefix(target);
        let after = continuation.map(|continuation| continuation.after).unwrap_or_default();
        let mut matching = collection
            .range(prefix.clone()..)
            .take_while(|(key, _)| key.starts_with(&prefix))
            .filter(|(key, stored)| **key > after && selector.matches(&stored.value));
        let limit = if call.parameter("resourceVersion") == "0" { None } else { limit };
        let page: Vec<(&String, &Arc<Stored>)> =
            matching.by_ref().take(limit.unwrap_or(usize::MAX)).collect();
        let remaining = if limit.is_some() { matching.count() } else { 0 };
        let mut metadata = json!({"resourceVersion": revision.to_string()});
        if let (true, Some((last, _))) = (remaining > 0, page.last()) {
            metadata["continue"] = continue_token(revision, last).into();
            if selector.is_everything() {
                metadata["remainingItemCount"] = remaining.into();
            }
        }
        let items: Vec<&Arc<Stored>> = page.into_iter().map(|(_, stored)| stored).collect();
        let body = presenter.list(kind, &metadata, &items);
        Ok(Answer::Rendered(SimBody::json(200, body)))
    }

    /// The collection at the revision that the request asks for.
    fn listed(
        &self,
        call: &Call,
        target: &Target,
        continuation: Option<&Continuation>,
        limit: Option<usize>,
    ) -> Result<(u64, Cow<'_, Collection>), Failure> {
        let current = self.state.store.revision;
        if let Some(continuation) = continuation {
            let message = "The provided continue parameter is too old to display a consistent list result. \
                           You can start a new list without the continue parameter.";
            let collection = self
                .state
                .store
                .collection_at(&target.kind.storage, continuation.revision)
                .map_err(|_| Failure::expired(message))?;
            return Ok((continuation.revision, Cow::Owned(collection)));
        }
        let wanted = call.parameter("resourceVersion");
        let matching = call.parameter("resourceVersionMatch");
        check_match(wanted, matching, continuation)?;
        if let Some(frozen) = self.frozen(call) {
            return Ok((frozen, Cow::Owned(self.collection_at(target, frozen)?)));
        }
        let Some(revision) = parse_revision(wanted)? else {
            return Ok((current, self.current(target)));
        };
        self.refuse_future(revision)?;
        let exact = matching == "Exact" || (matching.is_empty() && limit.is_some() && revision > 0);
        if exact {
            return Ok((revision, Cow::Owned(self.collection_at(target, revision)?)));
        }
        Ok((current, self.current(target)))
    }

    fn current(&self, target: &Target) -> Cow<'_, Collection> {
        Cow::Borrowed(self.state.store.collections.get(&target.kind.storage).unwrap_or(&EMPTY))
    }

    fn collection_at(&self, target: &Target, revision: u64) -> Result<Collection, Failure> {
        self.state.store.collection_at(&target.kind.storage, revision).map_err(|_| {
            Failure::expired("The provided resource version is no longer available: it has been compacted")
        })
    }

    /// The revision that a fault shows to this user, where the request allows staleness.
    fn frozen(&self, call: &Call) -> Option<u64> {
        (call.parameter("resourceVersion") == "0").then(|| self.faults.frozen_at(&call.user)).flatten()
    }

    fn refuse_future(&self, wanted: u64) -> Result<(), Failure> {
        let current = self.state.store.revision;
        if wanted > current { Err(Failure::future_revision(wanted, current)) } else { Ok(()) }
    }

    pub(crate) fn watch(&mut self, call: &Call, target: &Target) -> Result<Answer, Failure> {
        let presenter = self.presenter(call)?;
        let kind = target.kind.clone();
        let mut fields = call.parameter("fieldSelector").to_owned();
        if !target.route.name.is_empty() {
            fields = format!("metadata.name={}", target.route.name);
        }
        let selector = Selector::parse(call.parameter("labelSelector"), &fields, &kind)?;
        let initial = initial_events(call)?;
        let wanted = parse_revision(call.parameter("resourceVersion"))?;
        let timeout = call.parameter("timeoutSeconds").parse().ok().filter(|seconds| *seconds > 0);
        let options = WatchOptions {
            user: call.user.clone(),
            actor: self.actor,
            prefix: namespace_prefix(target),
            selector: selector.clone(),
            bookmarks: if call.flag("allowWatchBookmarks") { Bookmarks::Wanted } else { Bookmarks::Unwanted },
            timeout: timeout.map(Duration::from_secs),
        };
        let prefix = options.prefix.clone();
        let published = self.state.store.published.clone();
        let (watcher, mut stream) = watch::open(options, kind, presenter, self.faults.clone(), published);
        let in_view =
            |key: &str, stored: &Stored| key.starts_with(&prefix) && selector.matches(&stored.value);
        match (initial, wanted) {
            (Initial::Requested, _) | (Initial::Unsaid, None | Some(0)) => {
                for (key, stored) in self.state.store.in_collection(&target.kind.storage) {
                    if in_view(key, stored) {
                        stream.push_initial(ChangeType::Added, stored);
                    }
                }
                if initial == Initial::Requested {
                    stream.push_initial_end(self.state.store.revision);
                }
            }
            (Initial::Declined, None | Some(0)) => {}
            (Initial::Declined | Initial::Unsaid, Some(revision)) => {
                if revision > self.state.store.revision {
                    return Err(Failure::future_revision(revision, self.state.store.revision));
                }
                match self.state.store.changes_after(revision) {
                    Ok(changes) => {
                        for change in changes.filter(|change| change.storage == target.kind.storage) {
                            if !change.key.starts_with(&prefix) {
                                continue;
                            }
                            if let Some(seen) = seen_as(change, &selector) {
                                stream.push_change(change, seen);
                            }
                        }
                    }
                    Err(_) => {
                        let oldest = self.state.store.compacted + 1;
                        let failure =
                            Failure::expired(format!("too old resource version: {revision} ({oldest})"));
                        stream.push_error(&failure.status());
                        return Ok(Answer::Rendered(SimBody::watch(stream)));
                    }
                }
            }
        }
        self.state.store.subscribe(&target.kind.storage, watcher);
        Ok(Answer::Rendered(SimBody::watch(stream)))
    }
}

/// What the request says about initial events.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Initial {
    Unsaid,
    Requested,
    Declined,
}

fn initial_events(call: &Call) -> Result<Initial, Failure> {
    let matching = call.parameter("resourceVersionMatch");
    let initial = match call.parameter("sendInitialEvents") {
        "" if !matching.is_empty() => {
            let field = "resourceVersionMatch";
            let detail = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
            return Err(list_options_invalid(&[Cause::forbidden(field, detail)]));
        }
        "" => return Ok(Initial::Unsaid),
        "true" | "1" => Initial::Requested,
        _ => Initial::Declined,
    };
    if matching != "NotOlderThan" {
        let detail = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan";
        return Err(list_options_invalid(&[Cause::forbidden("resourceVersionMatch", detail)]));
    }
    Ok(initial)
}

fn check_match(wanted: &str, matching: &str, continuation: Option<&Continuation>) -> Result<(), Failure> {
    if matching.is_empty() {
        return Ok(());
    }
    let field = "resourceVersionMatch";
    let mut causes = Vec::new();
    if wanted.is_empty() {
        let detail = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        causes.push(Cause::forbidden(field, detail));
    }
    if continuation.is_some() {
        causes.push(Cause::forbidden(field, "resourceVersionMatch is forbidden when continue is provided"));
    }
    if !matches!(matching, "Exact" | "NotOlderThan") {
        let supported = ["Exact".to_owned(), "NotOlderThan".to_owned(), String::new()];
        causes.push(Cause::unsupported(field, &matching.into(), &supported));
    }
    if matching == "Exact" && wanted == "0" {
        let detail = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
        causes.push(Cause::forbidden(field, detail));
    }
    if causes.is_empty() { Ok(()) } else { Err(list_options_invalid(&causes)) }
}

fn list_options_invalid(causes: &[Cause]) -> Failure {
    let subject = crate::failure::Subject { group: "meta.k8s.io", plural: "", kind: "ListOptions" };
    Failure::invalid(&subject, "", causes)
}

/// Keys of a namespaced request start with this; all keys when the request is for every namespace.
fn namespace_prefix(target: &Target) -> String {
    if target.route.namespace.is_empty() { String::new() } else { format!("{}/", target.route.namespace) }
}

pub(crate) fn parse_revision(text: &str) -> Result<Option<u64>, Failure> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        let cause = Cause::invalid("resourceVersion", &text.into(), "strconv.ParseUint: invalid syntax");
        Failure::bad_request(format!("{}: {}", cause.field, cause.message))
    })
}

fn parse_limit(call: &Call) -> Result<Option<usize>, Failure> {
    match call.parameter("limit") {
        "" | "0" => Ok(None),
        text => {
            text.parse().map(Some).map_err(|_| Failure::bad_request(format!("limit: invalid value {text}")))
        }
    }
}

fn continue_token(revision: u64, after: &str) -> String {
    let token = json!({"v": "meta.k8s.io/v1", "rv": revision, "start": format!("{after}\u{0}")});
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn parse_continue(token: &str) -> Result<Option<Continuation>, Failure> {
    if token.is_empty() {
        return Ok(None);
    }
    let refuse = || Failure::bad_request("continue key is not valid: invalid token");
    let decoded = URL_SAFE_NO_PAD.decode(token).map_err(|_| refuse())?;
    let token: Value = serde_json::from_slice(&decoded).map_err(|_| refuse())?;
    let revision = token["rv"].as_u64().ok_or_else(refuse)?;
    let after = token["start"].as_str().ok_or_else(refuse)?.trim_end_matches('\u{0}').to_owned();
    Ok(Some(Continuation { revision, after }))
}
