//! Chance, from a seed alone.

use trimtab_sim::draw_unit;

/// A stream of draws for one purpose. One more draw in one stream never shifts another.
#[derive(Debug)]
pub(crate) struct Draw {
    seed: u64,
    purpose: String,
    drawn: u64,
}

impl Draw {
    pub(crate) fn new(seed: u64, purpose: impl Into<String>) -> Self {
        Self { seed, purpose: purpose.into(), drawn: 0 }
    }

    fn unit(&mut self) -> f64 {
        self.drawn += 1;
        draw_unit(self.seed, &self.purpose, self.drawn)
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.unit() * bound as f64) as usize
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high - low + 1)
    }

    /// Whether something of this chance happens.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of several, each as likely as the others.
    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }
}
