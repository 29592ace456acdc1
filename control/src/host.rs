//! Runs controllers: every one gets its events, its turns, the term to decide in, and its plans checked and carried out.
//!
//! ```text
//! change -> concerned() -> queue -> gather() -> plan() -> check -> writes, in the term of the decision
//! ```
//!
//! A controller says what it is about; everything that two of them would do alike is here. Watches, the elector and every
//! reconcile are tasks of their own, so that a plan that computes for seconds costs nobody else a turn.

use std::fmt::{Debug, Display};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt, join};
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use trimtab_kube::CancellationToken;
use trimtab_kube::expectations::UNSEEN_TIMEOUT;
use trimtab_kube::host::Host;
use trimtab_kube::kinds::{Changed, Namespaces};
use trimtab_kube::lease::Elector;
use trimtab_kube::queue::{Failed, Queue, QueueKey};
use trimtab_plan::{Concern, Permitted, Plan, Report, check};

use crate::computing::{computing, own_task};
use crate::context::{Context, Reads};
use crate::controller::{Controller, Gathered};
use crate::execute::{Executor, Stopped};
use crate::pace::Pace;
use crate::standing::{HELD_AGAIN, Hold};

/// How long until the next look where a write met an object that had changed, and nothing is heard of the change.
const STALE_AGAIN: Duration = Duration::from_secs(3);

/// How long until the next look where a controller asks for one at a time that is over.
const OVERDUE_AGAIN: Duration = Duration::from_secs(1);

/// How long a key that is written about too often waits at least.
const SLOWED_AGAIN: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ControllerLabel {
    controller: &'static str,
}

/// Plans that broke the list of who may write what, by controller.
type Refused = Family<ControllerLabel, Counter>;

/// Controllers and workers on one context, to be [run](Controllers::run).
pub struct Controllers {
    context: Context,
    hosted: Vec<Arc<dyn Hosted>>,
    refused: Refused,
}

/// A controller with its queue, or a worker, whose key is not spelled out.
trait Hosted: Send + Sync {
    fn changed(&self, _changed: Changed<'_>) {}
    fn begin_term(&self) {}
    fn enqueue_all(&self) {}
    /// What it is there for.
    fn part(&self) -> Task;
    fn register(&self, registry: &mut Registry);
    fn run(self: Arc<Self>, stop: CancellationToken) -> BoxFuture<'static, ()>;
}

struct Hosting<C: Controller> {
    controller: C,
    queue: Queue<C::Key>,
    context: Context,
    refused: Refused,
    pace: Pace<C::Key>,
}

/// Keys worked off beside the controllers; nothing is decided and nothing is written there.
struct Worker<K, W> {
    queue: Queue<K>,
    at_once: usize,
    work: W,
}

impl Controllers {
    /// No controller yet.
    #[must_use]
    pub fn new(context: Context) -> Self {
        Self { context, hosted: Vec::new(), refused: Refused::default() }
    }

    /// Adds a controller, which is enqueued in `queue`.
    pub fn add<C: Controller>(&mut self, controller: C, queue: Queue<C::Key>) {
        let (context, refused) = (self.context.clone(), self.refused.clone());
        self.hosted.push(Arc::new(Hosting { controller, queue, context, refused, pace: Pace::new() }));
    }

    /// Adds work that `queue` asks for, such as questions to a metrics server. `work` returns when to be asked again.
    pub fn add_worker<K, W, F>(&mut self, queue: Queue<K>, at_once: usize, work: W)
    where
        K: QueueKey + Debug,
        W: Fn(K) -> F + Send + Sync + 'static,
        F: Future<Output = Option<Timestamp>> + Send + 'static,
    {
        self.hosted.push(Arc::new(Worker { queue, at_once, work }));
    }

    /// Runs until `stop` is cancelled: leads when it can, watches always. Returns after the last write was answered and the
    /// lease was given back.
    pub async fn run(self, elector: Elector, namespaces: &Namespaces, host: &Host, stop: CancellationToken) {
        let Self { context, hosted, refused } = self;
        let hosted: Arc<[Arc<dyn Hosted>]> = hosted.into();
        let (told, expectations) = (hosted.clone(), context.expectations.clone());
        let watches = context.stores.watch(&context.api, namespaces, move |changed| {
            if let Some((resource, key)) = changed.deleted() {
                expectations.forget(resource, key);
            }
            told.iter().for_each(|hosted| hosted.changed(changed));
        });
        register(host, &context, &hosted, refused);
        // The lease outlives the last write: it is given back only once nothing of ours is under way.
        let after_writes = CancellationToken::new();
        let mut tasks: JoinSet<Task> = JoinSet::new();
        for watch in watches.tasks {
            tasks.spawn(watch.map(|()| Task::Watch));
        }
        tasks.spawn(elector.run(after_writes.clone()).map(|()| Task::Elector));
        let decided = CancellationToken::new();
        let mut running: Vec<Task> = vec![Task::Deciding];
        for hosted in hosted.iter() {
            let part = hosted.part();
            let until = if part == Task::Recording { &decided } else { &stop };
            running.push(part);
            tasks.spawn(hosted.clone().run(until.clone()).map(move |()| part));
        }
        tasks.spawn(take_over(context, hosted, stop).map(|()| Task::Deciding));
        while let Some(ended) = tasks.join_next().await {
            match ended {
                Ok(Task::Elector) => return,
                Ok(ended) => {
                    if let Some(place) = running.iter().position(|running| *running == ended) {
                        running.swap_remove(place);
                    }
                }
                // A process that lost a part of itself is not to go on without it.
                Err(error) => {
                    if error.is_panic() {
                        resume_unwind(error.into_panic())
                    }
                }
            }
            // What only asks keeps nobody from saying the last words.
            if !running.contains(&Task::Deciding) {
                decided.cancel();
            }
            if running.is_empty() {
                after_writes.cancel();
            }
        }
    }
}

/// What a task is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Watch,
    Elector,
    /// It asks, and decides nothing.
    Asking,
    Deciding,
    /// It records what became of what was decided, and ends after that.
    Recording,
}

/// A new leader reads everything anew and then decides about everything once: what its predecessor left undone has no event
/// of its own.
async fn take_over(context: Context, hosted: Arc<[Arc<dyn Hosted>]>, stop: CancellationToken) {
    let standing = &context.standing;
    let terms = async {
        loop {
            let term = standing.leadership().gained().await;
            hosted.iter().for_each(|hosted| hosted.begin_term());
            let ended = standing.leadership().ended(term);
            let reads = async {
                context.seals.read(&context.api.in_term(term)).await;
                standing.read_anew(term, || hosted.iter().for_each(|hosted| hosted.enqueue_all())).await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                biased;
                () = ended => {}
                () = reads => {}
            }
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = terms => {}
    }
}

fn register(host: &Host, context: &Context, hosted: &[Arc<dyn Hosted>], refused: Refused) {
    let standing = context.standing.clone();
    host.ready_when("watches", move || {
        standing.unready().map_or(Ok(()), |why| Err(format!("{why}; decisions are held")))
    });
    let seals = context.seals.clone();
    host.ready_when("seal key", move || seals.ready());
    host.register(|registry| {
        for status in context.stores.statuses() {
            status.register(registry);
        }
        for hosted in hosted {
            hosted.register(registry);
        }
        let help = "plans not carried out, because they would have written what their controller must not";
        registry.register("trimtab_plans_refused", help, refused);
        context.api.counters().register(registry);
    });
}

impl<C: Controller> Hosted for Hosting<C> {
    fn part(&self) -> Task {
        if self.controller.ends_last() { Task::Recording } else { Task::Deciding }
    }

    fn changed(&self, changed: Changed<'_>) {
        for key in self.controller.concerned(changed) {
            self.queue.enqueue(key);
        }
    }

    fn begin_term(&self) {
        self.controller.begin_term();
    }

    fn enqueue_all(&self) {
        for key in self.controller.all() {
            self.queue.enqueue(key);
        }
    }

    fn register(&self, registry: &mut Registry) {
        self.queue.register(registry);
    }

    fn run(self: Arc<Self>, stop: CancellationToken) -> BoxFuture<'static, ()> {
        let (queue, at_once) = (self.queue.clone(), self.controller.at_once());
        async move {
            let reconcile = |key| {
                let this = self.clone();
                own_task(async move { this.reconcile(key).await })
            };
            let done = CancellationToken::new();
            let stopping = async {
                stop.cancelled().await;
                self.controller.last_words().await;
                done.cancel();
            };
            join(queue.run(at_once, done.clone(), reconcile), stopping).await;
        }
        .boxed()
    }
}

impl<K, W, F> Hosted for Worker<K, W>
where
    K: QueueKey + Debug,
    W: Fn(K) -> F + Send + Sync + 'static,
    F: Future<Output = Option<Timestamp>> + Send + 'static,
{
    fn part(&self) -> Task {
        Task::Asking
    }

    fn register(&self, registry: &mut Registry) {
        self.queue.register(registry);
    }

    fn run(self: Arc<Self>, stop: CancellationToken) -> BoxFuture<'static, ()> {
        async move {
            let work = |key| own_task((self.work)(key).map(Ok::<_, Failed>));
            self.queue.run(self.at_once, stop, work).await;
        }
        .boxed()
    }
}

impl<C: Controller> Hosting<C> {
    /// Decides about `key`, and carries it out. Returns when to look again.
    async fn reconcile(&self, key: C::Key) -> Result<Option<Timestamp>, Failed> {
        let (context, controller) = (&self.context, &self.controller);
        let after = |wait| context.clock.now().checked_add(wait).ok();
        let reads = controller.reads(&key);
        let namespaces: Vec<&str> = reads.iter().map(Reads::namespace).collect();
        let term = match context.standing.may_decide(&namespaces) {
            Ok(term) => term,
            Err(Hold::Elsewhere) => return Ok(None),
            Err(Hold::Unhealthy(why)) => {
                // The watch itself warns: one line, and not one for each key.
                tracing::debug!(controller = controller.concern().name, %key, why, "holds its decisions");
                return Ok(after(HELD_AGAIN));
            }
        };
        if context.is_behind(&reads) {
            return Ok(after(UNSEEN_TIMEOUT));
        }
        let now = context.clock.now();
        let decided = computing(|| match controller.gather(&key, now) {
            Gathered::Nothing => Gathered::Nothing,
            Gathered::Later(at) => Gathered::Later(at),
            Gathered::Seen(seen) => {
                let decided = controller.plan(&seen);
                Gathered::Seen((seen, decided))
            }
        });
        let (seen, (plan, report)) = match decided {
            Gathered::Nothing => return Ok(None),
            Gathered::Later(at) => return Ok(Some(ahead(now, at))),
            Gathered::Seen(decided) => decided,
        };
        let permitted = self.permitted(&plan)?;
        if !plan.is_quiet()
            && let Err(slowed) = self.pace.take(&key)
        {
            let wait = slowed.wait.max(SLOWED_AGAIN);
            if slowed.is_news {
                tracing::warn!(controller = controller.concern().name, %key, report = report.text(), "is written about again and again, and waits");
            }
            return Ok(after(wait));
        }
        log(controller.concern(), &key, &plan, &report);
        let api = context.api.in_term(term);
        let executor = Executor {
            api: &api,
            expectations: &context.expectations,
            known: &|copy| context.known(copy),
            key: context.seals.key(),
            notify: &|entry, destination| controller.notify(&seen, entry, destination),
        };
        let wake_at = plan.wake_at.map(|at| ahead(now, at));
        match executor.carry_out(permitted).await {
            Ok(()) => Ok(wake_at),
            Err(Stopped::Stale(error)) => {
                tracing::debug!(controller = controller.concern().name, %key, %error, "plans anew");
                Ok(earliest(wake_at, after(STALE_AGAIN)))
            }
            Err(Stopped::Failed(error)) => Err(Failed { wake_at, ..Failed::from(error) }),
        }
    }

    /// A plan that its concern may not carry out is a fault of ours, and changes nothing.
    fn permitted<'a>(&self, plan: &'a Plan) -> Result<Permitted<'a>, Failed> {
        let concern = self.controller.concern();
        check(plan, concern).map_err(|breach| {
            self.refused.get_or_create(&ControllerLabel { controller: concern.name }).inc();
            Failed::from(format!(
                "a plan of {} was not carried out: {breach}; please report this",
                concern.name
            ))
        })
    }
}

/// When to look again at the earliest. A time that is over would make a look that finds nothing to do come again at once, and
/// again, for as long as nothing changes.
fn ahead(now: Timestamp, at: Timestamp) -> Timestamp {
    if at > now { at } else { now.checked_add(OVERDUE_AGAIN).unwrap_or(Timestamp::MAX) }
}

/// The earlier of two times to look again.
pub(crate) fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn log(concern: &Concern, key: &impl Display, plan: &Plan, report: &Report) {
    for write in &plan.writes {
        let object = write.object().map(ToString::to_string).unwrap_or_default();
        tracing::info!(controller = concern.name, %key, verb = write.verb(), object, "writes");
    }
    if !plan.is_quiet() {
        tracing::debug!(controller = concern.name, %key, report = report.text(), "why");
    }
}
