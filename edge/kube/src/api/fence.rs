//! Whether this process may still write: the validity of a lease, judged by this machine's monotonic clock alone.

use std::fmt;

use tokio::sync::watch;
use tokio::time::Instant;

/// One unbroken stretch of leadership. It rises with every acquisition, over all processes that compete for one lease: a
/// process whose lease ran out and that got it again leads in another term, because somebody may have led in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(u64);

impl Term {
    /// The term as a number.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "term {}", self.0)
    }
}

/// A handle on leadership, cheap to clone. See [`crate::lease`] for who keeps it up to date.
#[derive(Clone, Debug)]
pub struct Leadership {
    standing: watch::Receiver<Standing>,
}

/// The other end of [`Leadership`], held by whoever renews the lease.
#[derive(Debug)]
pub(crate) struct LeadershipGrant {
    standing: watch::Sender<Standing>,
}

/// Whose record of the lease there was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// One that this process wrote: nobody else led since.
    Ourselves,
    /// Another one, or none.
    Another,
}

#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// The term that is current, or the last one that was.
    term: Option<Term>,
    /// The first of the terms up to `term` between which nobody else led.
    alone_since: Option<Term>,
    /// The end of `term` unless it is extended; `None` when it was revoked.
    valid_until: Option<Instant>,
}

impl Standing {
    fn current(self) -> Option<Term> {
        self.term.filter(|_| self.valid_until.is_some_and(|until| Instant::now() < until))
    }
}

impl Leadership {
    /// A leadership nobody holds yet, and the end that grants it.
    pub(crate) fn vacant() -> (LeadershipGrant, Leadership) {
        let (sender, receiver) = watch::channel(Standing::default());
        (LeadershipGrant { standing: sender }, Leadership { standing: receiver })
    }

    /// Leadership that never ends: one replica by construction, as in tests, demos and one-shot commands.
    pub fn always() -> Leadership {
        let first = Some(Term(0));
        let standing = Standing { term: first, alone_since: first, valid_until: Some(far_future()) };
        Leadership { standing: watch::channel(standing).1 }
    }

    /// Whether a write may be sent right now. True only strictly before [`Leadership::valid_until`], so that a process
    /// that was frozen finds out by itself.
    pub fn is_leader(&self) -> bool {
        self.term().is_some()
    }

    /// The term in which this process leads right now; `None` when it does not lead.
    pub fn term(&self) -> Option<Term> {
        self.standing.borrow().current()
    }

    /// Whether nobody else can have led between `term`, which was ours, and the last term of this process.
    pub fn led_alone_since(&self, term: Term) -> bool {
        self.standing.borrow().alone_since.is_some_and(|since| since <= term)
    }

    /// Until when this process may write without another renewal; `None` when it does not lead.
    pub fn valid_until(&self) -> Option<Instant> {
        self.standing.borrow().valid_until
    }

    /// Waits until this process leads, and says in which term. Never returns if the elector was stopped.
    pub async fn gained(&self) -> Term {
        let mut receiver = self.standing.clone();
        loop {
            if let Some(term) = receiver.borrow_and_update().current() {
                return term;
            }
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until the term that is current at the call is over; returns at once when there is none.
    pub async fn lost(&self) {
        if let Some(term) = self.term() {
            self.ended(term).await;
        }
    }

    /// Waits until `term` is not current: the lease was released, taken, or ran out unrenewed. Returns as well when this
    /// process has got the lease again since, in another term, however seldom the waiting task was run.
    pub async fn ended(&self, term: Term) {
        let mut receiver = self.standing.clone();
        loop {
            let standing = *receiver.borrow_and_update();
            if standing.current() != Some(term) {
                return;
            }
            let until = standing.valid_until.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                changed = receiver.changed() => {
                    // Without an elector nothing renews any more: only the deadline is left to wait for.
                    if changed.is_err() { tokio::time::sleep_until(until).await; }
                }
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }
}

impl LeadershipGrant {
    /// Whether the granted term is current right now.
    pub(crate) fn is_current(&self) -> bool {
        self.standing.borrow().current().is_some()
    }

    /// Begins a term that ends at `until`, unless it is extended or revoked before. `transitions` is the lease's own count
    /// of acquisitions: it makes terms rise over all processes. A lease that was deleted counts from the start again, so
    /// that the last term of this process counts as well. `after` tells whose record the acquisition replaced.
    pub(crate) fn begin(&self, until: Instant, transitions: u64, after: Holder) {
        self.standing.send_modify(|standing| {
            let next = standing.term.map_or(0, |Term(last)| last.saturating_add(1));
            let term = Some(Term(next.max(transitions)));
            let alone_since = standing.alone_since.filter(|_| after == Holder::Ourselves).or(term);
            *standing = Standing { term, alone_since, valid_until: Some(until) };
        });
    }

    /// Makes the current term last until `until`. A term that is over stays so: others may have led since.
    pub(crate) fn extend(&self, until: Instant) {
        self.standing.send_if_modified(|standing| {
            let goes_on = standing.current().is_some();
            if goes_on {
                standing.valid_until = Some(until);
            }
            goes_on
        });
    }

    /// Stops leading at once.
    pub(crate) fn revoke(&self) {
        self.standing.send_if_modified(|standing| standing.valid_until.take().is_some());
    }
}

/// What an [`Api`](super::Api) asks before it sends a write.
#[derive(Clone, Debug)]
pub(crate) enum Fence {
    /// Nothing: every write is sent.
    Open,
    /// That this process leads, in whatever term.
    AnyTerm(Leadership),
    /// That this process leads in the term.
    OneTerm(Leadership, Term),
}

impl Fence {
    /// The same fence, narrowed to one term. Without a leadership there is no term: nothing is sent any more.
    pub(crate) fn in_term(&self, term: Term) -> Fence {
        match self {
            Fence::Open => Fence::OneTerm(Leadership::vacant().1, term),
            Fence::AnyTerm(leadership) | Fence::OneTerm(leadership, _) => {
                Fence::OneTerm(leadership.clone(), term)
            }
        }
    }

    /// What a write that begins now may be sent under.
    pub(crate) fn permit(&self) -> Permit<'_> {
        match self {
            Fence::Open => Permit::Always,
            Fence::AnyTerm(leadership) => match leadership.term() {
                Some(term) => Permit::During(leadership, term),
                None => Permit::Never,
            },
            Fence::OneTerm(leadership, term) => Permit::During(leadership, *term),
        }
    }
}

/// When one request may be under way, its retries and the waits between them included.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Permit<'a> {
    Always,
    Never,
    During(&'a Leadership, Term),
}

impl Permit<'_> {
    /// Whether the request may be sent right now.
    pub(crate) fn holds(self) -> bool {
        match self {
            Permit::Always => true,
            Permit::Never => false,
            Permit::During(leadership, term) => leadership.term() == Some(term),
        }
    }

    /// `work`, or `None` once the permit has ended. The permit is looked at first: a process that was frozen must not
    /// send, when it wakes up, what it was about to send.
    pub(crate) async fn cut<T>(self, work: impl Future<Output = T>) -> Option<T> {
        match self {
            Permit::Always => Some(work.await),
            Permit::Never => None,
            Permit::During(leadership, term) => tokio::select! {
                biased;
                () = leadership.ended(term) => None,
                done = work => Some(done),
            },
        }
    }
}

fn far_future() -> Instant {
    /// Thirty years, in seconds: beyond any run, and within what timers can hold.
    const FAR_SECONDS: u64 = 30 * 365 * 86_400;
    Instant::now() + std::time::Duration::from_secs(FAR_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn validity_ends_by_itself() {
        let (grant, leadership) = Leadership::vacant();
        assert!(!leadership.is_leader());
        grant.begin(Instant::now() + 10 * SECOND, 0, Holder::Another);
        leadership.gained().await;
        let started = Instant::now();
        leadership.lost().await;
        assert_eq!(started.elapsed().as_secs(), 10);
        assert!(!leadership.is_leader());
    }

    #[tokio::test(start_paused = true)]
    async fn revoking_wakes_those_who_wait() {
        let (grant, leadership) = Leadership::vacant();
        grant.begin(Instant::now() + 10 * SECOND, 0, Holder::Another);
        let started = Instant::now();
        let waiting = tokio::spawn({
            let leadership = leadership.clone();
            async move { leadership.lost().await }
        });
        tokio::time::sleep(SECOND).await;
        grant.revoke();
        waiting.await.unwrap();
        assert_eq!(started.elapsed(), SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn leadership_outlives_its_elector_only_until_the_deadline() {
        let (grant, leadership) = Leadership::vacant();
        grant.begin(Instant::now() + 5 * SECOND, 0, Holder::Another);
        drop(grant);
        let started = Instant::now();
        leadership.lost().await;
        assert_eq!(started.elapsed().as_secs(), 5);
        assert!(Leadership::always().is_leader());
    }

    #[tokio::test(start_paused = true)]
    async fn a_lapse_and_a_new_grant_is_another_term_however_late_it_is_looked_at() {
        let (grant, leadership) = Leadership::vacant();
        grant.begin(Instant::now() + 10 * SECOND, 3, Holder::Another);
        let first = leadership.gained().await;
        assert_eq!(first.number(), 3);
        let mut waiting = std::pin::pin!(leadership.ended(first));
        assert!(futures::poll!(&mut waiting).is_pending());
        tokio::time::sleep(5 * SECOND).await;
        grant.extend(Instant::now() + 10 * SECOND);
        assert_eq!(leadership.term(), Some(first), "a renewal goes on");
        tokio::time::sleep(10 * SECOND).await;
        grant.extend(Instant::now() + 10 * SECOND);
        assert_eq!(leadership.term(), None, "a term that is over cannot be extended");
        // A lease that was deleted counts from the start again.
        grant.begin(Instant::now() + 10 * SECOND, 0, Holder::Another);
        assert_eq!(leadership.term(), Some(Term(4)));
        assert!(futures::poll!(&mut waiting).is_ready(), "the first term is over although somebody leads");
    }

    #[tokio::test(start_paused = true)]
    async fn terms_after_our_own_record_are_ours_alone() {
        let (grant, leadership) = Leadership::vacant();
        let begin = |transitions, after| {
            grant.begin(Instant::now() + SECOND, transitions, after);
            leadership.term().expect("leads")
        };
        let first = begin(3, Holder::Another);
        // An acquisition whose answer was lost counts as well: numbers tell nothing.
        let second = begin(6, Holder::Ourselves);
        assert!(leadership.led_alone_since(first) && leadership.led_alone_since(second));
        let third = begin(7, Holder::Another);
        assert!(!leadership.led_alone_since(second), "somebody else may have led");
        assert!(leadership.led_alone_since(third));
    }

    #[tokio::test(start_paused = true)]
    async fn a_revoked_term_is_not_the_next_one() {
        let (grant, leadership) = Leadership::vacant();
        grant.begin(Instant::now() + 10 * SECOND, 0, Holder::Another);
        let first = leadership.gained().await;
        let fence = Fence::AnyTerm(leadership.clone());
        let (narrow, any) = (fence.in_term(first), fence.permit());
        grant.revoke();
        assert!(!any.holds() && !narrow.permit().holds() && !fence.permit().holds());
        grant.begin(Instant::now() + 10 * SECOND, 7, Holder::Another);
        assert!(fence.permit().holds(), "any term will do for what begins now");
        assert!(!any.holds() && !narrow.permit().holds(), "what began in the first term has ended with it");
        assert!(!Fence::Open.in_term(first).permit().holds(), "without a leadership there is no term");
    }
}
