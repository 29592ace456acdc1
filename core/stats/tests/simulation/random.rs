//! Seeded samplers. Only simulations draw random numbers; nothing that decides does.

use rand_xoshiro::SplitMix64;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use trimtab_stats::gamma::ln_gamma;

/// Between the seeds of two runs.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Any seed is a good seed.
pub(crate) struct Random(SplitMix64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(SplitMix64::from_seed(seed.to_le_bytes()))
    }

    /// The generator of one run of a cell. Its seed is drawn from the cell's own generator: seeds that differ by a
    /// constant would make neighbouring runs alike.
    pub(crate) fn of_run(seed: u64, run: u32) -> Self {
        let mut seeds = Self::new(seed.wrapping_add(u64::from(run).wrapping_mul(STEP)));
        Self::new(seeds.next())
    }

    fn next(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in (0, 1): never 0, so that its logarithm exists.
    pub(crate) fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Uniform in 0..below.
    pub(crate) fn below(&mut self, below: usize) -> usize {
        (self.uniform() * below as f64) as usize
    }

    pub(crate) fn normal(&mut self) -> f64 {
        let radius = (-2.0 * self.uniform().ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }

    /// Mean of `count` log-normal draws with median 1: what `count` pods together do to a rate.
    pub(crate) fn mean_lognormal(&mut self, sigma: f64, count: u32) -> f64 {
        (0..count).map(|_| (sigma * self.normal()).exp()).sum::<f64>() / f64::from(count)
    }

    pub(crate) fn poisson(&mut self, mean: f64) -> u64 {
        if mean < 10.0 { self.poisson_by_products(mean) } else { self.poisson_by_rejection(mean) }
    }

    fn poisson_by_products(&mut self, mean: f64) -> u64 {
        let floor = (-mean).exp();
        let mut product = self.uniform();
        let mut count = 0;
        while product > floor {
            product *= self.uniform();
            count += 1;
        }
        count
    }

    /// Hoermann's transformed rejection (PTRS), exact for means of at least 10.
    fn poisson_by_rejection(&mut self, mean: f64) -> u64 {
        let b = 0.931 + 2.53 * mean.sqrt();
        let a = -0.059 + 0.024_83 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        loop {
            let u = self.uniform() - 0.5;
            let v = self.uniform();
            let distance = 0.5 - u.abs();
            let count = ((2.0 * a / distance + b) * u + mean + 0.43).floor();
            if count < 0.0 || (distance < 0.013 && v > distance) {
                continue;
            }
            let accepted = (v * inverse_alpha / (a / (distance * distance) + b)).ln();
            if accepted <= count * mean.ln() - mean - ln_gamma(count + 1.0) {
                return count as u64;
            }
        }
    }

    /// A Poisson number of requests of which each is bad with probability `bad`: bad and all of them. Thinning gives
    /// the same law as a binomial draw from the Poisson total.
    pub(crate) fn requests(&mut self, mean: f64, bad: f64) -> (u64, u64) {
        let failed = self.poisson(mean * bad);
        (failed, failed + self.poisson(mean * (1.0 - bad)))
    }
}
