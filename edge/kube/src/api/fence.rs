//! Whether this process may still write: the validity of a lease, judged by this machine's monotonic clock alone.

use tokio::sync::watch;
use tokio::time::Instant;

/// A handle on leadership, cheap to clone. See [`crate::lease`] for who keeps it up to date.
#[derive(Clone, Debug)]
pub struct Leadership {
    valid_until: watch::Receiver<Option<Instant>>,
}

/// The other end of [`Leadership`], held by whoever renews the lease.
#[derive(Debug)]
pub(crate) struct LeadershipGrant {
    valid_until: watch::Sender<Option<Instant>>,
}

impl Leadership {
    /// A leadership nobody holds yet, and the end that grants it.
    pub(crate) fn vacant() -> (LeadershipGrant, Leadership) {
        let (sender, receiver) = watch::channel(None);
        (LeadershipGrant { valid_until: sender }, Leadership { valid_until: receiver })
    }

    /// Leadership that never ends: one replica by construction, as in tests, demos and one-shot commands.
    pub fn always() -> Leadership {
        Leadership { valid_until: watch::channel(Some(far_future())).1 }
    }

    /// Whether a write may be sent right now. True only strictly before [`Leadership::valid_until`], so that a process
    /// that was frozen finds out by itself.
    pub fn is_leader(&self) -> bool {
        self.valid_until().is_some_and(|until| Instant::now() < until)
    }

    /// Until when this process may write without another renewal; `None` when it does not lead.
    pub fn valid_until(&self) -> Option<Instant> {
        *self.valid_until.borrow()
    }

    /// Waits until this process leads. Never returns if the elector was stopped.
    pub async fn gained(&self) {
        let mut receiver = self.valid_until.clone();
        while !self.is_leader() {
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until this process does not lead: the lease was released, taken, or ran out unrenewed.
    pub async fn lost(&self) {
        let mut receiver = self.valid_until.clone();
        while self.is_leader() {
            let until = (*receiver.borrow_and_update()).unwrap_or_else(Instant::now);
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
    /// Leads until `until`, unless extended or revoked before.
    pub(crate) fn grant(&self, until: Instant) {
        self.valid_until.send_replace(Some(until));
    }

    /// Stops leading at once.
    pub(crate) fn revoke(&self) {
        self.valid_until.send_if_modified(|until| until.take().is_some());
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
        grant.grant(Instant::now() + 10 * SECOND);
        leadership.gained().await;
        let started = Instant::now();
        leadership.lost().await;
        assert_eq!(started.elapsed().as_secs(), 10);
        assert!(!leadership.is_leader());
    }

    #[tokio::test(start_paused = true)]
    async fn revoking_wakes_those_who_wait() {
        let (grant, leadership) = Leadership::vacant();
        grant.grant(Instant::now() + 10 * SECOND);
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
        grant.grant(Instant::now() + 5 * SECOND);
        drop(grant);
        let started = Instant::now();
        leadership.lost().await;
        assert_eq!(started.elapsed().as_secs(), 5);
        assert!(Leadership::always().is_leader());
    }
}
