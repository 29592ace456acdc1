//! How far apart two good pods of this service are, and the margin that follows.
//!
//! Requests in one pod share a node, a cache and a noisy neighbour. A test that counts requests as independent convicts
//! a good canary because it has one pod. The cure is a margin wide enough for the spread between stable pods.

use crate::float::{exp, ln};
use serde::{Deserialize, Serialize};

/// What one stable pod counted in one window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PodCounts {
    /// Bad events.
    pub bad: u64,
    /// Exposure, finite and positive; other pods are left out.
    pub total: f64,
}

/// What is believed about the spread of a service before its own pods are seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FleetPrior {
    /// Typical standard deviation of log rate between pods.
    pub sigma: f64,
    /// How many degrees of freedom of its own evidence outweigh it.
    pub weight: f64,
}

impl Default for FleetPrior {
    /// 0.4, as much as four pods' worth of knowledge: plausible for services behind one load balancer, until the fleet's
    /// own average replaces it.
    fn default() -> Self {
        Self { sigma: 0.4, weight: 4.0 }
    }
}

/// Running estimate of the spread, one past window of stable pods at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    #[serde(with = "crate::bits::one")]
    weighted_variance: f64,
    #[serde(with = "crate::bits::one")]
    freedom: f64,
}

/// Widest spread of log rate believed: beyond it no margin would let anything fail.
const WIDEST_SIGMA: f64 = 3.0;

impl Spread {
    /// Takes in the stable pods of one window; fewer than two exposed pods say nothing.
    ///
    /// Variance of the log rates (half an event added against empty pods) less the Poisson noise of each. Pods weigh
    /// the same, since weights by count would let the noisiest neighbour stand for all; windows weigh by how little
    /// noise they have, and are averaged before the result is floored at zero.
    pub fn observe(&mut self, pods: &[PodCounts]) {
        let count = exposed(pods).count() as f64;
        if count < 2.0 {
            return;
        }
        let log_rate = |pod: &PodCounts| ln((pod.bad as f64 + 0.5) / pod.total);
        let mean = exposed(pods).map(log_rate).sum::<f64>() / count;
        let squares: f64 = exposed(pods).map(log_rate).map(|rate| (rate - mean) * (rate - mean)).sum();
        let noise = exposed(pods).map(|pod| 1.0 / (pod.bad as f64 + 0.5)).sum::<f64>() / count;
        let freedom = (count - 1.0) / (1.0 + noise / INFORMATIVE_NOISE);
        self.weighted_variance += freedom * (squares / (count - 1.0) - noise);
        self.freedom += freedom;
    }

    /// Standard deviation of log rate between pods, net of Poisson noise, shrunk to `prior` while the pods have said
    /// little. Within [0, 3].
    pub fn sigma(&self, prior: &FleetPrior) -> f64 {
        let believed = |value: f64| if value.is_finite() { value.max(0.0) } else { 0.0 };
        let (prior_sigma, prior_weight) = (believed(prior.sigma), believed(prior.weight));
        let weight = self.freedom + prior_weight;
        if weight <= 0.0 {
            return prior_sigma.min(WIDEST_SIGMA);
        }
        let own = self.weighted_variance.max(0.0);
        let variance = (own + prior_weight * prior_sigma * prior_sigma) / weight;
        variance.sqrt().min(WIDEST_SIGMA)
    }
}

/// Poisson variance of a log rate at which a pod counts half: some six events per pod.
const INFORMATIVE_NOISE: f64 = 0.16;

/// Standard normal quantile: the pod draw exceeds the margin in 1 % of good releases.
const Z: f64 = 2.33;

/// The margin that a canary of `canary_pods` is judged by: what the owner tolerates, or what the draw of the pods alone
/// may do, whichever is wider. No pods is read as one. Recompute as the canary grows.
pub fn margin(tolerated: f64, sigma: f64, canary_pods: u32, stable_pods: u32) -> f64 {
    let sigma = if sigma.is_finite() { sigma.clamp(0.0, WIDEST_SIGMA) } else { WIDEST_SIGMA };
    let one_over = |pods: u32| 1.0 / f64::from(pods.max(1));
    exp(Z * sigma * (one_over(canary_pods) + one_over(stable_pods)).sqrt()).max(tolerated)
}

/// Overdispersion between the stable pods of one window, `max(1, Pearson chi2 / df)`: for arms of fewer than three pods
/// and for callers that retry. 1 with fewer than two exposed pods or no bad event.
pub fn overdispersion(pods: &[PodCounts]) -> f64 {
    let total: f64 = exposed(pods).map(|pod| pod.total).sum();
    let bad: f64 = exposed(pods).map(|pod| pod.bad as f64).sum();
    let freedom = exposed(pods).count() as f64 - 1.0;
    if freedom < 1.0 || bad == 0.0 || !total.is_finite() {
        return 1.0;
    }
    let chi_square: f64 = exposed(pods)
        .map(|pod| {
            let expected = bad * (pod.total / total);
            (pod.bad as f64 - expected) * (pod.bad as f64 - expected) / expected.max(f64::MIN_POSITIVE)
        })
        .sum();
    crate::ratio::overdispersion(chi_square / freedom)
}

fn exposed(pods: &[PodCounts]) -> impl Iterator<Item = &PodCounts> {
    pods.iter().filter(|pod| pod.total.is_finite() && pod.total > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_PRIOR: FleetPrior = FleetPrior { sigma: 0.0, weight: 0.0 };

    fn pods(counts: &[u64]) -> Vec<PodCounts> {
        counts.iter().map(|&bad| PodCounts { bad, total: 1e6 }).collect()
    }

    fn sigma(counts: &[u64], prior: &FleetPrior) -> f64 {
        let mut spread = Spread::default();
        spread.observe(&pods(counts));
        spread.sigma(prior)
    }

    #[test]
    fn margins() {
        let check = |tolerated, sigma, canary, stable, expect: f64| {
            let got = margin(tolerated, sigma, canary, stable);
            assert!((got - expect).abs() < 0.005, "{got} is not {expect}");
        };
        check(1.2, 0.2, 1, 2, 1.77);
        check(1.2, 0.4, 1, 2, 3.13);
        check(1.2, 0.7, 1, 2, 7.37);
        check(1.2, 0.0, 1, 2, 1.2);
        check(1.2, 0.0, 0, 0, 1.2);
        check(2.0, 0.2, 5, 20, 2.0);
        check(f64::NAN, 0.4, 1, 2, 3.13);
        assert_eq!(margin(1.2, f64::NAN, 1, 1), margin(1.2, f64::INFINITY, 1, 1));
    }

    #[test]
    fn spread_between_pods_is_net_of_counting_noise() {
        // exp(+-0.5) around 10,000 events: sd of {-0.5, -0.5, 0.5, 0.5} is 0.577
        assert!((sigma(&[6065, 6065, 16487, 16487], &NO_PRIOR) - 0.577).abs() < 0.01);
        // what Poisson noise of 100 events alone gives
        assert!(sigma(&[90, 110, 95, 105], &NO_PRIOR) < 0.01);
        assert_eq!(sigma(&[0, 0, 1], &NO_PRIOR), 0.0);
    }

    #[test]
    fn few_pods_believe_the_fleet() {
        let prior = FleetPrior::default();
        assert_eq!(Spread::default().sigma(&prior), 0.4);
        assert!((sigma(&[0, 1], &prior) - 0.4).abs() < 0.02);
        let mut spread = Spread::default();
        for _ in 0..50 {
            spread.observe(&pods(&[10_000, 10_050, 9_950, 10_010]));
        }
        assert!(spread.sigma(&prior) < 0.1);
    }

    #[test]
    fn overdispersions() {
        let check = |counts: &[u64], expect: f64| {
            let got = overdispersion(&pods(counts));
            assert!((got - expect).abs() < 1e-9, "{counts:?}: {got} is not {expect}");
        };
        check(&[], 1.0);
        check(&[7], 1.0);
        check(&[0, 0], 1.0);
        check(&[10, 10, 10], 1.0);
        check(&[0, 20], 20.0);
        check(&[10, 30], 10.0);
    }

    #[test]
    fn impossible_pods_are_left_out() {
        let mut spread = Spread::default();
        let broken = |total| PodCounts { bad: 5, total };
        let pods = [broken(f64::NAN), broken(0.0), broken(-3.0), broken(f64::INFINITY), broken(10.0)];
        spread.observe(&pods);
        assert_eq!((spread, overdispersion(&pods)), (Spread::default(), 1.0));
        assert!(Spread::default().sigma(&FleetPrior { sigma: f64::NAN, weight: f64::INFINITY }).is_finite());
    }
}
