//! How often one key may be written about: nothing needs to be told the same thing hundreds of times a second.
//!
//! Two who undo each other, or an object that is gone before we have seen that, make a plan that is due again as soon as it
//! was carried out. Such a key goes on, slowly; every other key goes on as before.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Plans about one key that may be carried out without a pause: more than a whole release needs.
const BURST: u32 = 40;
/// After it, one more is allowed each time so much has passed.
const EVERY: Duration = Duration::from_millis(500);

/// The keys that were written about lately.
#[derive(Debug)]
pub(crate) struct Pace<K> {
    spent: Mutex<BTreeMap<K, Spent>>,
}

#[derive(Clone, Copy, Debug)]
struct Spent {
    plans: u32,
    since: Instant,
    /// Whether it had to wait since it rested last.
    slowed: bool,
}

/// A key that has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slowed {
    /// For how long.
    pub(crate) wait: Duration,
    /// Whether it is the first time since it rested.
    pub(crate) is_news: bool,
}

impl Spent {
    /// What is left of it `now`.
    fn at(self, now: Instant) -> Self {
        let regained = now.duration_since(self.since).as_millis() / EVERY.as_millis();
        let regained = u32::try_from(regained).unwrap_or(u32::MAX);
        Self {
            plans: self.plans.saturating_sub(regained),
            since: self.since + EVERY * regained.min(self.plans),
            ..self
        }
    }
}

impl<K: Ord + Clone> Pace<K> {
    pub(crate) fn new() -> Self {
        Self { spent: Mutex::default() }
    }

    /// Takes a turn to write about `key`.
    ///
    /// # Errors
    /// How long to wait for the next one.
    pub(crate) fn take(&self, key: &K) -> Result<(), Slowed> {
        let now = Instant::now();
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        // Few keys are written about within a burst's time, so looking at all of them is cheap.
        spent.retain(|_, spent| spent.at(now).plans > 0);
        let fresh = Spent { plans: 0, since: now, slowed: false };
        let mine = spent.get(key).map_or(fresh, |spent| spent.at(now));
        if mine.plans >= BURST {
            spent.insert(key.clone(), Spent { slowed: true, ..mine });
            return Err(Slowed { wait: (mine.since + EVERY).duration_since(now), is_news: !mine.slowed });
        }
        spent.insert(key.clone(), Spent { plans: mine.plans + 1, ..mine });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_what_follows_is_slow() {
        let pace = Pace::new();
        assert!((0..BURST).all(|_| pace.take(&"a").is_ok()), "a whole release");
        assert_eq!(pace.take(&"a"), Err(Slowed { wait: EVERY, is_news: true }));
        assert_eq!(pace.take(&"a"), Err(Slowed { wait: EVERY, is_news: false }), "said once");
        assert_eq!(pace.take(&"b"), Ok(()), "others go on");
        let mut passed = 0;
        for _ in 0..600 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            passed += u32::from(pace.take(&"a").is_ok());
        }
        assert_eq!(passed, 120, "two a second");
        tokio::time::sleep(EVERY * (BURST + 1)).await;
        assert!((0..BURST).all(|_| pace.take(&"a").is_ok()), "after a rest as before");
        tokio::time::sleep(EVERY * (BURST + 1)).await;
        assert_eq!(
            (pace.take(&"c"), pace.spent.lock().unwrap().len()),
            (Ok(()), 1),
            "who rests is forgotten"
        );
    }
}
