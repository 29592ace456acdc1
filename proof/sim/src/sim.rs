//! The simulation: shared state, the queue of requests, and the direct view that oracles have of the true store.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Response;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

use crate::actor::{Actor, ActorState};
use crate::background::Background;
use crate::body::SimBody;
use crate::config::{Clock, RequestOrder, SimConfig};
use crate::failure::Failure;
use crate::faults::{Effect, FaultId, Faults, Watches};
use crate::ids::{Ids, digest, draw, hex};
use crate::kinds::Registry;
use crate::ledger::{Ledger, LedgerEntry, RequestCounts};
use crate::masking;
use crate::present::convert;
use crate::route::{self, Call};
use crate::server::{Server, verb_of};
use crate::store::{Change, Store};
use crate::tap::StoreChange;

/// The server's own controllers (garbage collection, namespaces, definitions) act this long after a change.
const BACKGROUND_DELAY: Duration = Duration::from_millis(20);

/// A simulated Kubernetes API server. Clones share one server.
#[derive(Clone)]
pub struct Sim {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: SimConfig,
    pub(crate) clock: Clock,
    pub(crate) faults: Arc<Faults>,
    state: Mutex<State>,
}

/// Everything that requests change.
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) registry: Registry,
    pub(crate) ids: Ids,
    pub(crate) ledger: Ledger,
    pub(crate) background: Background,
    pending: BTreeMap<Instant, Vec<Pending>>,
    batches: u64,
    actors: u64,
}

/// A request that waits for its instant.
struct Pending {
    sent: Instant,
    call: Call,
    effect: Option<Effect>,
    actor: Option<Arc<ActorState>>,
    answer: oneshot::Sender<Result<Response<SimBody>, io::Error>>,
}

impl Sim {
    /// A server with the namespaces and built-in objects that a new cluster has.
    pub fn new(config: SimConfig) -> Self {
        let state = State {
            store: Store::default(),
            registry: Registry::built_in(),
            ids: Ids::seeded(config.seed),
            ledger: Ledger::default(),
            background: Background::default(),
            pending: BTreeMap::new(),
            batches: 0,
            actors: 0,
        };
        let inner = Inner {
            clock: Clock::starting_at(config.epoch),
            faults: Arc::new(Faults::seeded(config.seed)),
            config,
            state: Mutex::new(state),
        };
        let sim = Sim { inner: Arc::new(inner) };
        sim.load(crate::bootstrap::objects()).expect("the initial objects are valid");
        // A server that has just started knows no history, so that watches from before it expire.
        sim.compact();
        sim
    }

    /// A client whose requests are made by `user`, such as `system:serviceaccount:trimtab-system:trimtab` or `kubectl`.
    ///
    /// Must be called within a tokio runtime.
    pub fn client(&self, user: &str) -> Actor {
        let mut state = self.state();
        state.actors += 1;
        let number = state.actors;
        drop(state);
        Actor::new(self.clone(), user, number)
    }

    /// Creates objects at once: no request is counted, no fault strikes, and definitions are established immediately.
    ///
    /// # Errors
    /// The message of the first refusal.
    pub fn load(&self, objects: Vec<Value>) -> Result<(), String> {
        for object in objects {
            let mut state = self.state();
            let mut server = self.server(&mut state);
            server.load(object).map_err(|failure| failure.message)?;
        }
        Ok(())
    }

    /// The object in the true store, in its preferred version. `resource` is `plural` or `plural.group`; the namespace is empty
    /// for cluster-scoped objects. Counts as no request.
    pub fn get(&self, resource: &str, namespace: &str, name: &str) -> Option<Value> {
        let state = self.state();
        let kind = state.registry.by_storage(resource)?;
        let stored = state.store.get(&kind.storage, &kind.key(namespace, name))?;
        Some(convert(kind, &stored.value).into_owned())
    }

    /// All objects of a resource (see [`get`](Self::get)), or those of one namespace, sorted by namespace and name.
    pub fn list(&self, resource: &str, namespace: Option<&str>) -> Vec<Value> {
        let state = self.state();
        let Some(kind) = state.registry.by_storage(resource) else { return Vec::new() };
        let prefix = namespace.map(|namespace| format!("{namespace}/")).unwrap_or_default();
        state
            .store
            .in_collection(&kind.storage)
            .filter(|(key, _)| key.starts_with(&prefix))
            .map(|(_, stored)| convert(kind, &stored.value).into_owned())
            .collect()
    }

    /// Every mutating request so far, in order of execution.
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        self.state().ledger.entries.clone()
    }

    /// The mutating requests after the first `count`.
    pub fn ledger_since(&self, count: usize) -> Vec<LedgerEntry> {
        self.state().ledger.entries.get(count..).unwrap_or_default().to_vec()
    }

    /// What a user has requested so far.
    pub fn requests(&self, user: &str) -> RequestCounts {
        self.state().ledger.counts.get(user).cloned().unwrap_or_default()
    }

    /// The revision of the last change.
    pub fn revision(&self) -> u64 {
        self.state().store.revision
    }

    /// Virtual wall-clock time.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    /// SHA-256 over the whole store in canonical form: equal for equal histories only.
    pub fn state_digest(&self) -> String {
        let state = self.state();
        let mut text = String::new();
        for (storage, collection) in &state.store.collections {
            for (key, stored) in collection {
                text.push_str(&format!("{storage}/{key} {}\n", crate::json::canonical(&stored.value)));
            }
        }
        digest(text.as_bytes())
    }

    /// Every object under `plural.group/namespace/name`, without what differs between equivalent histories: uids,
    /// revisions, times, managed fields, and the random part of generated names.
    pub fn masked_state(&self) -> BTreeMap<String, Value> {
        masking::masked(&self.state().store)
    }

    /// Forgets all history: older watches and continue tokens expire with 410.
    pub fn compact(&self) {
        self.state().store.compact();
    }

    /// Breaks every open watch with a connection reset.
    pub fn drop_watches(&self) {
        self.state().store.break_watches(|_| true);
    }

    /// Breaks the open watches of these clients.
    pub fn drop_watches_of(&self, watches: &Watches) {
        self.state().store.break_watches_of(watches);
    }

    /// Ends one fault. What a hold kept back from watches is delivered, in order.
    pub fn end_fault(&self, id: FaultId) {
        self.inner.faults.end(id);
        self.release_held();
    }

    /// Ends every fault: disarms, thaws reads, delivers what was kept back from watches.
    pub fn end_faults(&self) {
        self.inner.faults.clear();
        self.release_held();
    }

    fn release_held(&self) {
        for watchers in self.state().store.watchers.values_mut() {
            watchers.retain(|_, watcher| watcher.is_held() || watcher.release());
        }
    }

    /// Leaves the open watches of these clients half-open: the server has forgotten them and the client has not noticed. It
    /// notices after [`HALF_OPEN_NOTICED`](crate::HALF_OPEN_NOTICED), as the client library's read timeout makes it.
    pub fn abandon_watches(&self, watches: &Watches) {
        let mut state = self.state();
        for (storage, watchers) in &mut state.store.watchers {
            watchers.retain(|_, watcher| {
                let struck = watches.include(&watcher.user, watcher.actor, storage);
                if struck {
                    watcher.abandon();
                }
                !struck
            });
        }
    }

    /// From now on, changes of these resources (`plural.group`) are kept for [`take_changes`](Self::take_changes).
    pub fn record_changes(&self, resources: &[&'static str]) {
        self.state().store.record_changes(resources);
    }

    /// Every recorded change since the last call, in order, each with the state after it.
    pub fn take_changes(&self) -> Vec<StoreChange> {
        let changes = self.state().store.take_changes();
        let at = |instant: Instant| self.inner.clock.at(instant);
        let change = |change: Arc<Change>| StoreChange { at: at(change.at), sent: at(change.sent), change };
        changes.into_iter().map(change).collect()
    }

    /// The fault plan.
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn server<'a>(&'a self, state: &'a mut State) -> Server<'a> {
        Server {
            state,
            config: &self.inner.config,
            clock: &self.inner.clock,
            faults: &self.inner.faults,
            now: self.inner.clock.now(),
            actor: 0,
            sent: None,
        }
    }

    /// Queues a request for its instant and waits for the answer.
    pub(crate) async fn submit(
        &self,
        call: Call,
        actor: Option<Arc<ActorState>>,
    ) -> Result<Response<SimBody>, io::Error> {
        let verb = verb_of(&call);
        let resource = route::parse(&call.path)
            .map(|route| crate::failure::qualified(&route.plural, &route.group))
            .unwrap_or_default();
        let number = actor.as_ref().map_or(0, |actor| actor.number);
        let effect = self.inner.faults.strike(&call.user, number, verb, &resource);
        let (extra, answer_delay) = match &effect {
            Some(Effect::Delay(delay)) => (*delay, None),
            Some(Effect::DelayAnswer(delay)) => (Duration::ZERO, Some(*delay)),
            _ => (Duration::ZERO, None),
        };
        let sent = Instant::now();
        let due = sent + self.inner.config.effective_latency() + extra;
        let (answer, answered) = oneshot::channel();
        let first = {
            let mut state = self.state();
            let batch = state.pending.entry(due).or_default();
            batch.push(Pending { sent, call, effect, actor, answer });
            batch.len() == 1
        };
        if first {
            let sim = self.clone();
            tokio::spawn(async move {
                sleep_until(due).await;
                sim.run_batch(due);
            });
        }
        let answer = answered.await.unwrap_or_else(|_| Err(connection_reset()));
        if let Some(delay) = answer_delay {
            sleep(delay).await;
        }
        answer
    }

    /// Executes the requests of one instant, in an order that does not depend on the executor.
    fn run_batch(&self, due: Instant) {
        let mut batch = {
            let mut state = self.state();
            state.batches += 1;
            let mut batch = state.pending.remove(&due).unwrap_or_default();
            batch.sort_by_cached_key(|pending| sort_key(&pending.call));
            if self.inner.config.order == RequestOrder::Shuffled {
                shuffle(&mut batch, self.inner.config.seed, state.batches);
            }
            batch
        };
        for pending in batch.drain(..) {
            let answer = self.run(&pending);
            // A caller that stopped waiting does not undo its request.
            let _ = pending.answer.send(answer);
        }
        self.schedule_background();
    }

    fn run(&self, pending: &Pending) -> Result<Response<SimBody>, io::Error> {
        let actor = pending.actor.as_deref();
        if actor.is_some_and(ActorState::is_dead) {
            return Err(connection_reset());
        }
        let mut state = self.state();
        let mut server = self.server(&mut state);
        server.actor = actor.map_or(0, |actor| actor.number);
        server.sent = Some(pending.sent);
        let answer = match &pending.effect {
            Some(Effect::DropBefore) => {
                server.count(&pending.call);
                Err(connection_reset())
            }
            Some(Effect::Refuse { code, retry_after }) => {
                server.count(&pending.call);
                Ok(SimBody::failure(&Failure::injected(*code, *retry_after)))
            }
            Some(Effect::DropAfter) => {
                server.answer(&pending.call);
                Err(connection_reset())
            }
            Some(Effect::Delay(_) | Effect::DelayAnswer(_)) | None => Ok(server.answer(&pending.call)),
        };
        if let (Some(actor), Ok(response)) = (actor, &answer)
            && response.status().is_success()
            && is_mutating(&pending.call)
            && actor.count_write()
        {
            state.store.break_watches(|watcher| watcher.actor == actor.number);
        }
        drop(state);
        answer.map(|response| SimBody::dated(response, self.now()))
    }

    /// Wakes the server's own controllers when something they care about changed.
    pub(crate) fn schedule_background(&self) {
        if !self.state().background.claim() {
            return;
        }
        let sim = self.clone();
        tokio::spawn(async move {
            sleep(BACKGROUND_DELAY).await;
            {
                let mut state = sim.state();
                sim.server(&mut state).run_background();
            }
            sim.schedule_background();
        });
    }
}

fn is_mutating(call: &Call) -> bool {
    !matches!(verb_of(call), "get" | "list" | "watch")
}

fn connection_reset() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by the simulated network")
}

fn sort_key(call: &Call) -> String {
    format!("{} {} {} {}", call.user, call.method, call.uri(), hex(&call.body))
}

fn shuffle<T>(items: &mut [T], seed: u64, round: u64) {
    for index in (1..items.len()).rev() {
        let bytes = draw(seed ^ round.rotate_left(32), "shuffle", index as u64);
        let mut low = [0u8; 8];
        low.copy_from_slice(&bytes[..8]);
        let other = usize::try_from(u64::from_be_bytes(low) % (index as u64 + 1)).unwrap_or(index);
        items.swap(index, other);
    }
}
