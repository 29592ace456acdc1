//! Watches: a queue per watcher, and the stream that turns it into the lines of a response body.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http_body::Frame;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::faults::Faults;
use crate::kinds::Kind;
use crate::present::Presenter;
use crate::selector::Selector;
use crate::store::{Change, ChangeType};

/// Undelivered events of one watcher before the server gives up on it, as the real one does with slow clients.
const WATCH_QUEUE_EVENTS_MAX: usize = 200_000;

/// Bookmarks come this often to watchers that asked for them.
const BOOKMARK_PERIOD: Duration = Duration::from_secs(60);

/// And once more this long before the watch ends, so that its successor need not look back far.
const LAST_BOOKMARK_BEFORE_END: Duration = Duration::from_secs(2);

/// A watch that is shorter than that gets its bookmark this soon.
const EARLIEST_BOOKMARK: Duration = Duration::from_millis(500);

/// A watch without `timeoutSeconds` ends after this long.
const WATCH_TIMEOUT_DEFAULT: Duration = Duration::from_secs(45 * 60);

/// After how long a client notices that its watch is half-open: kube's read timeout.
pub const HALF_OPEN_NOTICED: Duration = Duration::from_secs(295);

/// What the store hands to a watch stream.
#[derive(Debug)]
enum Signal {
    Changed(Arc<Change>, ChangeType),
    Reset,
    Abandoned(Instant),
}

/// The store's end of a watch.
#[derive(Debug)]
pub(crate) struct Watcher {
    pub(crate) user: String,
    /// The actor the watch belongs to; 0 for requests that came over HTTP.
    pub(crate) actor: u64,
    resource: Arc<str>,
    prefix: String,
    selector: Selector,
    faults: Arc<Faults>,
    queue: mpsc::Sender<Signal>,
    held: Vec<Signal>,
}

impl Watcher {
    /// Queues the change if it concerns this watcher; false when the watcher is gone or too slow.
    pub(crate) fn offer(&mut self, change: &Arc<Change>) -> bool {
        if self.queue.is_closed() {
            return false;
        }
        if !change.key.starts_with(&self.prefix) {
            return true;
        }
        match seen_as(change, &self.selector) {
            Some(seen) => self.deliver(Signal::Changed(change.clone(), seen)),
            None => true,
        }
    }

    fn deliver(&mut self, signal: Signal) -> bool {
        if self.is_held() {
            self.held.push(signal);
            return self.held.len() <= WATCH_QUEUE_EVENTS_MAX;
        }
        self.release() && self.queue.try_send(signal).is_ok()
    }

    /// Whether a fault keeps events back.
    pub(crate) fn is_held(&self) -> bool {
        self.faults.watches_held(&self.user, self.actor, &self.resource)
    }

    /// Sends what was held back; false when the watcher is gone or too slow.
    pub(crate) fn release(&mut self) -> bool {
        self.held.drain(..).all(|signal| self.queue.try_send(signal).is_ok())
    }

    /// Leaves the connection half-open.
    pub(crate) fn abandon(&self) {
        // A full or closed queue ends the stream by itself.
        let _ = self.queue.try_send(Signal::Abandoned(Instant::now()));
    }

    /// Breaks the connection.
    pub(crate) fn reset(&self) {
        // A full or closed queue means that the stream ends without this signal as well.
        let _ = self.queue.try_send(Signal::Reset);
    }
}

/// What a change is to a watcher with this selector: objects enter and leave its view.
pub(crate) fn seen_as(change: &Change, selector: &Selector) -> Option<ChangeType> {
    let before = change.previous.as_ref().is_some_and(|previous| selector.matches(&previous.value));
    let after = change.change != ChangeType::Deleted && selector.matches(&change.object.value);
    match (before, after) {
        (false, true) => Some(ChangeType::Added),
        (true, true) => Some(ChangeType::Modified),
        (true, false) => Some(ChangeType::Deleted),
        (false, false) => None,
    }
}

/// How a watch was asked for.
#[derive(Debug)]
pub(crate) struct WatchOptions {
    pub(crate) user: String,
    pub(crate) actor: u64,
    pub(crate) prefix: String,
    pub(crate) selector: Selector,
    pub(crate) bookmarks: Bookmarks,
    pub(crate) timeout: Option<Duration>,
}

/// Whether a watcher asked for bookmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bookmarks {
    Wanted,
    Unwanted,
}

/// The body of a watch response. Costs nothing while nothing happens, except one timer.
pub(crate) struct WatchStream {
    kind: Arc<Kind>,
    presenter: Presenter,
    faults: Arc<Faults>,
    user: String,
    actor: u64,
    initial: VecDeque<Bytes>,
    queue: mpsc::Receiver<Signal>,
    waiting: Option<(Arc<Change>, ChangeType, Pin<Box<Sleep>>)>,
    revision: Arc<std::sync::atomic::AtomicU64>,
    bookmark: Option<Pin<Box<Sleep>>>,
    deadline: Pin<Box<Sleep>>,
    /// When the client notices that the connection is half-open.
    abandoned: Option<Pin<Box<Sleep>>>,
    ended: bool,
}

/// Makes both ends of a watch. `revision` is the store's current revision, for bookmarks.
pub(crate) fn open(
    options: WatchOptions,
    kind: Arc<Kind>,
    presenter: Presenter,
    faults: Arc<Faults>,
    revision: Arc<std::sync::atomic::AtomicU64>,
) -> (Watcher, WatchStream) {
    let (queue, receiver) = mpsc::channel(WATCH_QUEUE_EVENTS_MAX);
    let now = Instant::now();
    let deadline = now + options.timeout.unwrap_or(WATCH_TIMEOUT_DEFAULT);
    let resource = kind.storage.clone();
    let stream = WatchStream {
        kind,
        presenter,
        faults: faults.clone(),
        user: options.user.clone(),
        actor: options.actor,
        initial: VecDeque::new(),
        queue: receiver,
        waiting: None,
        revision,
        bookmark: (options.bookmarks == Bookmarks::Wanted).then(|| {
            let last = (deadline - LAST_BOOKMARK_BEFORE_END).max(now + EARLIEST_BOOKMARK);
            Box::pin(sleep_until(last.min(now + BOOKMARK_PERIOD)))
        }),
        deadline: Box::pin(sleep_until(deadline)),
        abandoned: None,
        ended: false,
    };
    let watcher = Watcher {
        user: options.user,
        actor: options.actor,
        resource,
        prefix: options.prefix,
        selector: options.selector,
        faults,
        queue,
        held: Vec::new(),
    };
    (watcher, stream)
}

impl WatchStream {
    /// Queues a line that goes out before anything that happens from now on.
    pub(crate) fn push_initial(&mut self, change: ChangeType, object: &crate::store::Stored) {
        let line = self.presenter.event(&self.kind, change, object);
        self.initial.push_back(line);
    }

    /// Queues the line of a past change.
    pub(crate) fn push_change(&mut self, change: &Change, seen: ChangeType) {
        let line = self.render(change, seen);
        self.initial.push_back(line);
    }

    /// Queues the bookmark that ends the initial events of a streaming list.
    pub(crate) fn push_initial_end(&mut self, revision: u64) {
        let annotations = json!({"k8s.io/initial-events-end": "true"});
        self.initial.push_back(self.presenter.bookmark(&self.kind, revision, Some(annotations)));
    }

    /// Queues an `ERROR` event and ends the stream after it.
    pub(crate) fn push_error(&mut self, status: &Value) {
        self.initial.push_back(line_of(&json!({"type": "ERROR", "object": status})));
        self.ended = true;
    }

    fn render(&mut self, change: &Change, seen: ChangeType) -> Bytes {
        // A deletion seen because the selector no longer matches carries the state that last matched, at the new revision.
        let left_view = seen == ChangeType::Deleted && change.change != ChangeType::Deleted;
        match (&change.previous, left_view) {
            (Some(previous), true) => self.presenter.left_view(&self.kind, &previous.value, change.revision),
            _ => self.presenter.event(&self.kind, seen, &change.object),
        }
    }
}

/// One line of a watch body.
pub(crate) fn line_of(event: &Value) -> Bytes {
    let mut line = event.to_string();
    line.push('\n');
    Bytes::from(line)
}

impl Stream for WatchStream {
    type Item = Result<Frame<Bytes>, io::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        if let Some(line) = this.initial.pop_front() {
            return Poll::Ready(Some(Ok(Frame::data(line))));
        }
        if this.ended {
            return Poll::Ready(None);
        }
        if this.abandoned.is_some() {
            return this.poll_abandoned(context);
        }
        loop {
            if let Some((change, seen, due)) = &mut this.waiting {
                if due.as_mut().poll(context).is_pending() {
                    break;
                }
                let (change, seen) = (change.clone(), *seen);
                this.waiting = None;
                let line = this.render(&change, seen);
                return Poll::Ready(Some(Ok(Frame::data(line))));
            }
            match this.queue.poll_recv(context) {
                Poll::Ready(Some(Signal::Changed(change, seen))) => {
                    let delay = this.delay();
                    let due = Box::pin(sleep_until(change.at + delay));
                    this.waiting = Some((change, seen, due));
                }
                Poll::Ready(Some(Signal::Reset)) => {
                    this.ended = true;
                    let error = io::Error::new(io::ErrorKind::ConnectionReset, "watch was dropped");
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(Some(Signal::Abandoned(since))) => {
                    this.abandoned = Some(Box::pin(sleep_until(since + HALF_OPEN_NOTICED)));
                    return this.poll_abandoned(context);
                }
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => break,
            }
        }
        this.poll_timers(context)
    }
}

impl WatchStream {
    fn delay(&self) -> Duration {
        self.faults.watch_delay(&self.user, self.actor, &self.kind.storage).unwrap_or_default()
    }

    fn poll_abandoned(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some(noticed) = &mut self.abandoned else { return Poll::Pending };
        if noticed.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.ended = true;
        Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::TimedOut, "nothing was read for too long"))))
    }

    fn poll_timers(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.deadline.as_mut().poll(context).is_ready() {
            self.ended = true;
            return Poll::Ready(None);
        }
        // A delayed event is older than the current revision: a bookmark must not overtake it.
        if self.waiting.is_some() || self.faults.watches_held(&self.user, self.actor, &self.kind.storage) {
            return Poll::Pending;
        }
        let Some(bookmark) = &mut self.bookmark else { return Poll::Pending };
        if bookmark.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        let (now, last) = (Instant::now(), self.deadline.deadline() - LAST_BOOKMARK_BEFORE_END);
        let next = now + BOOKMARK_PERIOD;
        bookmark.as_mut().reset(if now < last { next.min(last) } else { next });
        let revision = self.revision.load(std::sync::atomic::Ordering::Relaxed);
        if self.faults.bookmarks_withheld(&self.user, self.actor, &self.kind.storage) {
            // Polled once, so that the timer that was set wakes this stream.
            return self.poll_timers(context);
        }
        let line = self.presenter.bookmark(&self.kind, revision, None);
        Poll::Ready(Some(Ok(Frame::data(line))))
    }
}
