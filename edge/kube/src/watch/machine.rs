//! The states of a watch: list page by page, connect, follow, and back.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::Method;
use tokio::time::Instant;

use super::backoff::Backoff;
use super::decode::{self, Heard, Page, Undecodable};
use super::lines::{Line, Lines};
use super::row::{Event, Project};
use super::scope::Scope;
use super::status::WatchStatus;
use crate::api::{Api, ApiError, Attempts, Call, LIST_PAGE_ITEMS, Query, Target, list_call};
use crate::resource::Resource;

/// After how many seconds the server is asked to end a watch connection; below the five minutes many proxies allow.
const CONNECTION_SECONDS: u64 = 290;

/// A connection that ends before this was not ended because its time was up.
const CONNECTION_MIN: Duration = Duration::from_secs(CONNECTION_SECONDS - 10);

/// A connection that the server has not ended after this is cut: nobody may be left at its other end.
const CONNECTION_MAX: Duration = Duration::from_secs(CONNECTION_SECONDS + 60);

/// First and longest wait between attempts.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
const BACKOFF_LONGEST: Duration = Duration::from_secs(30);

/// A connection that lived this long was fine, even if nothing happened on it.
const HEALTHY_AFTER: Duration = Duration::from_secs(30);

/// Smallest list page tried when large ones keep failing.
const LIST_PAGE_ITEMS_MIN: usize = 10;

pub(super) fn events<P: Project>(
    api: Api,
    resource: &'static Resource,
    scope: Scope,
    projection: P,
    status: WatchStatus,
) -> impl Stream<Item = Event<P::Row>> + Send + 'static {
    let machine = Machine {
        target: Target::new("watch", resource, scope.namespace.as_deref(), None, None),
        api,
        resource,
        scope,
        projection,
        status,
        backoff: Backoff::new(BACKOFF_FIRST, BACKOFF_LONGEST),
        page_items: LIST_PAGE_ITEMS,
        phase: Phase::List { token: String::new() },
        pending: VecDeque::new(),
        fulfils: 0,
        delivered: false,
    };
    futures::stream::unfold(machine, |mut machine| async move {
        loop {
            if let Some(event) = machine.pending.pop_front() {
                machine.delivered |= matches!(event, Event::Ready);
                return Some((event, machine));
            }
            if std::mem::take(&mut machine.delivered) {
                // Whoever asks for the next event has taken in the last.
                machine.status.fulfilled(machine.fulfils);
            }
            machine.advance().await;
        }
    })
}

struct Machine<P: Project> {
    api: Api,
    resource: &'static Resource,
    scope: Scope,
    projection: P,
    status: WatchStatus,
    target: Arc<Target>,
    backoff: Backoff,
    page_items: usize,
    phase: Phase,
    /// What has been read but not delivered: at most one list page and its marks.
    pending: VecDeque<Event<P::Row>>,
    /// The last wish for a new listing that came before the latest one began.
    fulfils: u64,
    /// The end of a listing was handed out, and the next event has not been asked for.
    delivered: bool,
}

enum Phase {
    /// Ask for the page after `token`; the first if empty.
    List { token: String },
    /// The server may not be the one it was: see whether its storage is behind `version`.
    Doubt { version: String },
    /// Watch from `version`.
    Connect { version: String },
    /// Read events that follow `version`.
    Follow { version: String, connection: Box<Connection> },
}

struct Connection {
    lines: Lines,
    since: Instant,
}

impl<P: Project> Machine<P> {
    async fn advance(&mut self) {
        // What is cut off below leaves this behind: the first page of a new listing.
        let phase = std::mem::replace(&mut self.phase, Phase::List { token: String::new() });
        if let Phase::List { .. } = phase {
            // Not cut off: a listing that never comes to its end would help nobody.
            self.phase = self.step(phase).await;
            return;
        }
        let resync = self.status.wish_after(self.fulfils);
        tokio::select! {
            biased;
            () = resync => {}
            next = self.step(phase) => self.phase = next,
        }
    }

    async fn step(&mut self, phase: Phase) -> Phase {
        match phase {
            Phase::List { token } => self.list(token).await,
            Phase::Doubt { version } => self.doubt(version).await,
            Phase::Connect { version } => self.connect(version).await,
            Phase::Follow { version, connection } => self.follow(version, connection).await,
        }
    }

    async fn list(&mut self, token: String) -> Phase {
        if token.is_empty() {
            self.fulfils = self.status.listing();
        }
        let namespace = self.scope.namespace.as_deref();
        let call = list_call(self.resource, namespace, &self.scope.selector, self.page_items, &token);
        let failed = match self.api.bytes(call).await {
            Ok(body) => match self.take_page(&token, &body) {
                Ok(next) => return next,
                Err(problem) => (problem, None, token),
            },
            // The continue token has expired: only a new listing is consistent.
            Err(error @ ApiError::Gone { .. }) => {
                self.status.expired();
                (error.to_string(), None, String::new())
            }
            Err(error) => (error.to_string(), error.retry_after(), token),
        };
        let (problem, retry_after, token) = failed;
        self.page_items = (self.page_items / 2).max(LIST_PAGE_ITEMS_MIN);
        self.pause(problem, retry_after).await;
        Phase::List { token }
    }

    /// Delivers one page. Fails only on pages that are no pages; objects that cannot be read are skipped.
    fn take_page(&mut self, token: &str, body: &Bytes) -> Result<Phase, String> {
        let page = Page::read(body)?;
        self.status.page();
        if token.is_empty() {
            self.pending.push_back(Event::Reset);
        }
        self.pending.reserve(page.items().len() + 1);
        for item in page.items() {
            match decode::object(&self.projection, item) {
                Ok(row) => self.pending.push_back(Event::Init(row)),
                Err(undecodable) => self.skip(undecodable),
            }
        }
        if !page.metadata.r#continue.is_empty() {
            return Ok(Phase::List { token: page.metadata.r#continue.into_owned() });
        }
        self.pending.push_back(Event::Ready);
        self.page_items = LIST_PAGE_ITEMS;
        self.status.listed();
        Ok(Phase::Connect { version: page.metadata.resource_version.into_owned() })
    }

    /// A storage that lost its last seconds, or was restored from a copy, is watched from a version that it has yet to reach:
    /// the server says nothing of it, and leaves out whatever happens until then. Only a broken connection tells that this may
    /// be so.
    async fn doubt(&mut self, version: String) -> Phase {
        let namespace = self.scope.namespace.as_deref();
        let call = list_call(self.resource, namespace, &self.scope.selector, 1, "");
        let page = match self.api.bytes(Call { attempts: Attempts::Once, ..call }).await {
            Ok(body) => Page::read(&body).map(|page| page.metadata.resource_version.into_owned()),
            Err(error) => {
                self.pause(error.to_string(), error.retry_after()).await;
                return Phase::Doubt { version };
            }
        };
        let number = |version: &str| version.parse::<u64>().ok();
        match page {
            Ok(latest) if number(&latest) < number(&version) => {
                let problem = format!("storage is at version {latest} and was at {version}: it went back");
                self.distrust(problem).await
            }
            Ok(_) => Phase::Connect { version },
            Err(problem) => self.distrust(problem).await,
        }
    }

    async fn connect(&mut self, version: String) -> Phase {
        match self.api.stream(&self.watch_call(&version)).await {
            Ok(body) => {
                self.status.connected();
                let connection = Box::new(Connection { lines: Lines::new(body), since: Instant::now() });
                Phase::Follow { version, connection }
            }
            Err(ApiError::Gone { .. }) => self.relist().await,
            Err(error) => {
                self.pause(error.to_string(), error.retry_after()).await;
                Phase::Doubt { version }
            }
        }
    }

    fn watch_call(&self, version: &str) -> Call {
        let mut query = Query::default();
        query.push("watch", "true");
        query.push("allowWatchBookmarks", "true");
        query.push("resourceVersion", version);
        query.push("timeoutSeconds", &CONNECTION_SECONDS.to_string());
        query.select(&self.scope.selector);
        Call {
            target: self.target.clone(),
            method: Method::GET,
            path: self.resource.path(self.scope.namespace.as_deref(), None, None),
            query,
            content_type: None,
            body: Bytes::new(),
            attempts: Attempts::Once,
        }
    }

    async fn follow(&mut self, version: String, mut connection: Box<Connection>) -> Phase {
        let ending = connection.since + CONNECTION_MAX;
        let line = tokio::time::timeout_at(ending, connection.lines.next()).await;
        let line = line.unwrap_or_else(|_| {
            Line::Broken(format!("not ended by the server within {} s", CONNECTION_MAX.as_secs()))
        });
        if connection.since.elapsed() >= HEALTHY_AFTER {
            self.backoff.reset();
        }
        match line {
            Line::Whole(line) => self.hear(&line, version, connection).await,
            Line::End => {
                // Servers end every watch after a while; that is no failure, but never a reason to spin either.
                self.status.disconnected();
                let delay = self.backoff.delay(None);
                tokio::time::sleep(delay).await;
                // One that ends it earlier than it was asked to goes away.
                let early = connection.since.elapsed() < CONNECTION_MIN;
                if early { Phase::Doubt { version } } else { Phase::Connect { version } }
            }
            Line::Broken(problem) => {
                self.pause(problem, None).await;
                Phase::Doubt { version }
            }
            Line::TooLong => self.distrust("watch line exceeds the limit".to_owned()).await,
        }
    }

    async fn hear(&mut self, line: &[u8], version: String, connection: Box<Connection>) -> Phase {
        let heard = decode::line(&self.projection, line);
        if let Heard::Event { .. } | Heard::Bookmark { .. } | Heard::Undecodable { .. } = heard {
            self.backoff.reset();
            self.status.event();
        }
        match heard {
            Heard::Event { event, version: next } => {
                self.pending.push_back(event);
                Phase::Follow { version: next.unwrap_or(version), connection }
            }
            Heard::Bookmark { version } => Phase::Follow { version, connection },
            Heard::Undecodable { undecodable, version: next } => {
                self.skip(undecodable);
                Phase::Follow { version: next.unwrap_or(version), connection }
            }
            Heard::Expired => self.relist().await,
            Heard::Failed { problem, retry_after } => {
                self.pause(problem, retry_after).await;
                Phase::Doubt { version }
            }
            Heard::Garbage { problem } => self.distrust(problem).await,
        }
    }

    /// The server has forgotten our version.
    async fn relist(&mut self) -> Phase {
        self.status.expired();
        // A server that forgets every version at once must not be listed in a tight loop.
        let delay = self.backoff.delay(None);
        tokio::time::sleep(delay).await;
        Phase::List { token: String::new() }
    }

    /// Something was said that we did not understand: start over, because it may have been a change.
    async fn distrust(&mut self, problem: String) -> Phase {
        self.pause(problem, None).await;
        Phase::List { token: String::new() }
    }

    fn skip(&mut self, undecodable: Undecodable) {
        let named = undecodable.key.as_ref().map_or_else(|| "(no name)".to_owned(), ToString::to_string);
        self.status.undecodable(&named, &undecodable.problem);
        self.pending.extend(undecodable.key.map(Event::Undecodable));
    }

    async fn pause(&mut self, problem: String, retry_after: Option<Duration>) {
        self.status.failed(problem);
        let delay = self.backoff.delay(retry_after);
        tokio::time::sleep(delay).await;
    }
}
