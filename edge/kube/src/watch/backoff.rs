//! Delays that grow without chance.

use std::time::Duration;

/// Doubles from a first delay to a longest one, until something succeeds.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new(first: Duration, longest: Duration) -> Backoff {
        Backoff { first, longest, next: first }
    }

    /// The next delay; `asked` is what the other side wants at least.
    pub(crate) fn delay(&mut self, asked: Option<Duration>) -> Duration {
        let delay = self.next;
        self.next = (delay * 2).min(self.longest);
        delay.max(asked.unwrap_or_default()).min(self.longest)
    }

    /// Something succeeded: start over.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_the_longest_and_starts_over() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100), ms(700));
        let delays: Vec<_> = (0..5).map(|_| backoff.delay(None).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 700, 700]);
        backoff.reset();
        assert_eq!(backoff.delay(Some(ms(300))), ms(300));
        assert_eq!(backoff.delay(Some(ms(9_000))), ms(700));
    }
}
