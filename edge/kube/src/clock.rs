//! The one place that may ask what time it is.
//!
//! Decisions take a [`Timestamp`] as data; shells get it from a [`Clock`]. Under tokio's paused clock the same code
//! runs through virtual days, because [`Clock::following_tokio`] moves exactly as far as `tokio::time` does.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use crate::sync::locked;

/// A source of the present instant, cheap to clone and shared by everything in one process.
#[derive(Clone, Debug)]
pub struct Clock {
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    System,
    Tokio { epoch: Timestamp, origin: Instant },
    Told { by: Told, otherwise: Box<Clock> },
}

/// What somebody else said last about the time, and when that was heard. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    last: Arc<Mutex<Option<(Timestamp, Instant)>>>,
}

impl Told {
    pub(crate) fn hear(&self, now: Timestamp) {
        *locked(&self.last) = Some((now, Instant::now()));
    }

    fn now(&self) -> Option<Timestamp> {
        locked(&self.last).map(|(told, heard)| later(told, heard.elapsed()))
    }
}

impl Clock {
    /// The machine's wall clock: what a production process uses.
    pub fn system() -> Clock {
        Clock { source: Source::System }
    }

    /// A clock that reads `epoch` now and advances with `tokio::time`, virtual or real.
    pub fn following_tokio(epoch: Timestamp) -> Clock {
        Clock { source: Source::Tokio { epoch, origin: Instant::now() } }
    }

    /// The clock of whoever tells the time; `otherwise` until they told it for the first time.
    pub(crate) fn told(by: Told, otherwise: Clock) -> Clock {
        Clock { source: Source::Told { by, otherwise: Box::new(otherwise) } }
    }

    /// The present instant. Saturates at the ends of [`Timestamp`]'s range.
    pub fn now(&self) -> Timestamp {
        match &self.source {
            Source::System => wall_clock(),
            Source::Tokio { epoch, origin } => later(*epoch, origin.elapsed()),
            Source::Told { by, otherwise } => by.now().unwrap_or_else(|| otherwise.now()),
        }
    }

    /// How long until `instant`; zero when it has passed.
    pub fn until(&self, instant: Timestamp) -> Duration {
        Duration::try_from(instant.duration_since(self.now())).unwrap_or(Duration::ZERO)
    }
}

#[allow(clippy::disallowed_methods, reason = "every other caller takes the time from here")]
fn wall_clock() -> Timestamp {
    Timestamp::try_from(std::time::SystemTime::now()).unwrap_or(Timestamp::MAX)
}

fn later(instant: Timestamp, by: Duration) -> Timestamp {
    instant.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch() -> Timestamp {
        "2026-01-01T00:00:00Z".parse().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn follows_virtual_time() {
        let clock = Clock::following_tokio(epoch());
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert_eq!(clock.now().to_string(), "2026-01-01T00:01:30Z");
    }

    #[tokio::test(start_paused = true)]
    async fn until_is_zero_for_the_past() {
        let clock = Clock::following_tokio(epoch());
        for (instant, expect) in
            [("2026-01-01T00:00:07Z", 7), ("2026-01-01T00:00:00Z", 0), ("2025-12-31T23:59:59Z", 0)]
        {
            assert_eq!(clock.until(instant.parse().unwrap()), Duration::from_secs(expect), "{instant}");
        }
    }

    #[test]
    fn system_clock_is_past_the_day_this_was_written() {
        assert!(Clock::system().now() > epoch());
    }
}
