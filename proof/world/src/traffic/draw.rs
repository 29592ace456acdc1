//! Random counts, from a seeded stream.

use trimtab_kube::rng::Rng;

/// Means below this are drawn exactly, by inversion; above it the normal curve is close enough.
const EXACT_BELOW: f64 = 30.0;

/// A standard normal number.
pub(super) fn normal(rng: &mut Rng) -> f64 {
    // 1 - u is never 0, so the logarithm is finite.
    let radius = (-2.0 * (1.0 - rng.unit()).ln()).sqrt();
    radius * (std::f64::consts::TAU * rng.unit()).cos()
}

/// How many events happen when `mean` are expected. 0 for a mean that is not positive.
pub(crate) fn poisson(rng: &mut Rng, mean: f64) -> u64 {
    if mean.is_nan() || mean <= 0.0 {
        return 0;
    }
    if mean >= EXACT_BELOW {
        return (mean + mean.sqrt() * normal(rng)).round().max(0.0) as u64;
    }
    let mut left = rng.unit();
    let mut probability = (-mean).exp();
    let mut count = 0;
    // The tail beyond ten means and 100 is lighter than the generator's resolution.
    while left >= probability && count < 400 {
        left -= probability;
        count += 1;
        probability *= mean / count as f64;
    }
    count
}

/// How many of `trials` succeed when each does with `chance`.
pub(super) fn binomial(rng: &mut Rng, trials: u64, chance: f64) -> u64 {
    if trials == 0 || chance.is_nan() || chance <= 0.0 {
        return 0;
    }
    if chance >= 1.0 {
        return trials;
    }
    if chance > 0.5 {
        return trials - binomial(rng, trials, 1.0 - chance);
    }
    let mean = trials as f64 * chance;
    if mean >= EXACT_BELOW {
        let spread = (mean * (1.0 - chance)).sqrt();
        return ((mean + spread * normal(rng)).round().max(0.0) as u64).min(trials);
    }
    let odds = chance / (1.0 - chance);
    let mut probability = (1.0 - chance).powf(trials as f64);
    let mut left = rng.unit();
    let mut count = 0;
    while left >= probability && count < trials {
        left -= probability;
        probability *= odds * (trials - count) as f64 / (count + 1) as f64;
        count += 1;
    }
    count
}

/// The share of a lognormal distribution below `value`; `sigma` is the spread of the logarithm.
pub(super) fn lognormal_share_below(value: f64, median: f64, sigma: f64) -> f64 {
    if value <= 0.0 || median <= 0.0 {
        return 0.0;
    }
    standard_normal_share_below((value / median).ln() / sigma.max(1e-6))
}

/// Abramowitz and Stegun 26.2.17; its error is below 7.5e-8.
fn standard_normal_share_below(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let series = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let polynomial = series.iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    let tail = polynomial * (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
    if z >= 0.0 { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u32 = 20_000;

    fn mean_and_variance(mut draw: impl FnMut() -> u64) -> (f64, f64) {
        let draws: Vec<f64> = (0..DRAWS).map(|_| draw() as f64).collect();
        let mean = draws.iter().sum::<f64>() / f64::from(DRAWS);
        let variance = draws.iter().map(|draw| (draw - mean).powi(2)).sum::<f64>() / f64::from(DRAWS);
        (mean, variance)
    }

    fn check((mean, variance): (f64, f64), expect: (f64, f64)) {
        let near = |found: f64, wanted: f64| (found - wanted).abs() <= 0.05 * wanted + 0.01;
        assert!(near(mean, expect.0) && near(variance, expect.1), "{mean} {variance} instead of {expect:?}");
    }

    #[test]
    fn counts_have_their_mean_and_variance() {
        for mean in [0.01, 0.5, 7.0, 29.0, 31.0, 900.0] {
            let mut rng = Rng::for_key(1, "poisson", "");
            check(mean_and_variance(|| poisson(&mut rng, mean)), (mean, mean));
        }
        for (trials, chance) in [(1, 0.3), (20, 0.02), (50, 0.9), (1_000, 0.01), (1_000, 0.4), (100_000, 0.3)]
        {
            let mut rng = Rng::for_key(1, "binomial", "");
            let mean = trials as f64 * chance;
            check(mean_and_variance(|| binomial(&mut rng, trials, chance)), (mean, mean * (1.0 - chance)));
        }
    }

    #[test]
    fn edges() {
        let mut rng = Rng::for_key(1, "edges", "");
        assert_eq!(poisson(&mut rng, 0.0), 0);
        assert_eq!(poisson(&mut rng, f64::NAN), 0);
        assert_eq!(binomial(&mut rng, 5, 1.0), 5);
        assert_eq!(binomial(&mut rng, 5, -1.0), 0);
        assert_eq!(binomial(&mut rng, 0, 0.5), 0);
        assert_eq!(binomial(&mut rng, 5, f64::NAN), 0);
    }

    #[test]
    fn half_of_a_lognormal_is_below_its_median() {
        for (value, expect) in
            [(0.1, 0.5), (0.0, 0.0), (0.1 * 0.5_f64.exp(), 0.841_345), (0.1 / 0.5_f64.exp(), 0.158_655)]
        {
            let share = lognormal_share_below(value, 0.1, 0.5);
            assert!((share - expect).abs() < 1e-5, "{value}: {share}");
        }
    }
}
