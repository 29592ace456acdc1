//! The cells of the calibration table and how one release of each is simulated.

use super::random::Random;
use trimtab_stats::spread::{FleetPrior, PodCounts, Spread, margin};
use trimtab_stats::{AbsoluteLimit, AbsoluteTest, RatioTest, TickCounts};

pub(crate) const ALPHA: f64 = 0.005;
pub(crate) const TICK_SECONDS: f64 = 15.0;
pub(crate) const TICKS: usize = 120;
const BURST_TICKS: usize = 8;
const HIGHEST_RATE: f64 = 0.95;
/// Owner's tolerance where the margin is calibrated by the pods.
const TOLERATED: f64 = 1.2;
/// What the absolute rule and the fixed threshold forbid.
const LIMIT: f64 = 0.20;
const WINDOW_TICKS: usize = 20;

/// The traffic of a release.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    /// Requests per second on both arms together.
    pub(crate) rate: f64,
    /// Bad share of the old version between bursts.
    pub(crate) bad_share: f64,
    /// What a shared burst of two minutes, in half of the runs, multiplies both arms by.
    pub(crate) burst: f64,
    /// The new version's bad share over the old one's.
    pub(crate) harm: f64,
    /// Pods of the new and of the old version; requests are spread evenly over pods unless `canary_share` is set.
    pub(crate) pods: (u32, u32),
    /// Part of the requests that the new version gets.
    pub(crate) canary_share: f64,
    /// Standard deviation of log rate between pods.
    pub(crate) sigma: f64,
}

/// What judges the release.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Judge {
    /// The conditional e-process with a given margin and overdispersion.
    Ratio { margin: f64, phi: f64 },
    /// The same, margin from the true spread between pods.
    CalibratedMargin,
    /// The same, margin from a spread estimated on `windows` past windows of the stable pods' fleet of `pods`.
    EstimatedMargin { pods: u32, windows: u32 },
    /// Recent estimate above 20 % and evidence against 10 %.
    AbsoluteRule,
    /// Five-minute ratio above 20 %: what the absolute rule replaces.
    FixedThreshold,
}

/// One cell: a kind of release, a judge and a seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell {
    pub(crate) traffic: Traffic,
    pub(crate) judge: Judge,
    pub(crate) seed: u64,
}

/// Seconds to the FAIL of each simulated release; infinite where there was none.
pub(crate) fn simulate(cell: &Cell, runs: u32) -> Vec<f64> {
    (0..runs)
        .map(|run| {
            let mut random = Random::of_run(cell.seed, run);
            release(cell, &mut random).map_or(f64::INFINITY, |tick| (tick + 1) as f64 * TICK_SECONDS)
        })
        .collect()
}

fn release(cell: &Cell, random: &mut Random) -> Option<usize> {
    let mut referee = Referee::new(cell, random);
    ticks(&cell.traffic, random).position(|tick| referee.fails(&tick))
}

/// What the ticks of one release count.
pub(crate) fn ticks<'a>(
    traffic: &'a Traffic,
    random: &'a mut Random,
) -> impl Iterator<Item = TickCounts> + 'a {
    let burst = (random.uniform() < 0.5).then(|| random.below(TICKS - BURST_TICKS));
    let canary_pods = random.mean_lognormal(traffic.sigma, traffic.pods.0);
    let stable_pods = random.mean_lognormal(traffic.sigma, traffic.pods.1);
    (0..TICKS).map(move |tick| {
        let in_burst = burst.is_some_and(|start| (start..start + BURST_TICKS).contains(&tick));
        let shared = traffic.bad_share * if in_burst { traffic.burst } else { 1.0 };
        let share = |arm: f64| (shared * arm).min(HIGHEST_RATE);
        let mean = traffic.rate * TICK_SECONDS;
        let (canary_bad, canary) =
            random.requests(mean * traffic.canary_share, share(traffic.harm * canary_pods));
        let (stable_bad, stable) = random.requests(mean * (1.0 - traffic.canary_share), share(stable_pods));
        TickCounts { canary_bad, canary_total: canary as f64, stable_bad, stable_total: stable as f64 }
    })
}

enum Referee {
    Ratio(RatioTest),
    Absolute(AbsoluteTest),
    Fixed(Vec<(u64, f64)>),
}

impl Referee {
    fn new(cell: &Cell, random: &mut Random) -> Self {
        let ratio = |margin, phi| Self::Ratio(RatioTest::worse_than(margin, ALPHA, phi));
        match cell.judge {
            Judge::Ratio { margin, phi } => ratio(margin, phi),
            Judge::CalibratedMargin => ratio(calibrated(&cell.traffic, cell.traffic.sigma), 1.0),
            Judge::EstimatedMargin { pods, windows } => {
                let sigma = estimated_sigma(&cell.traffic, pods, windows, random);
                ratio(calibrated(&cell.traffic, sigma), 1.0)
            }
            Judge::AbsoluteRule => {
                Self::Absolute(AbsoluteTest::new(AbsoluteLimit::new(LIMIT), ALPHA, 0.05, 1.0))
            }
            Judge::FixedThreshold => Self::Fixed(Vec::new()),
        }
    }

    fn fails(&mut self, tick: &TickCounts) -> bool {
        match self {
            Self::Ratio(test) => {
                test.observe(tick);
                test.has_crossed()
            }
            Self::Absolute(test) => {
                test.observe(tick.canary_bad, tick.canary_total);
                test.has_exceeded()
            }
            Self::Fixed(seen) => {
                seen.push((tick.canary_bad, tick.canary_total));
                let window = &seen[seen.len().saturating_sub(WINDOW_TICKS)..];
                let bad: u64 = window.iter().map(|(bad, _)| bad).sum();
                bad as f64 > LIMIT * window.iter().map(|(_, total)| total).sum::<f64>()
            }
        }
    }
}

fn calibrated(traffic: &Traffic, sigma: f64) -> f64 {
    margin(TOLERATED, sigma, traffic.pods.0, traffic.pods.1)
}

/// What the service's own past tells: each past window is one deploy's pods with their own draw, half an hour long.
fn estimated_sigma(traffic: &Traffic, pods: u32, windows: u32, random: &mut Random) -> f64 {
    let mut spread = Spread::default();
    let total =
        traffic.rate * (1.0 - traffic.canary_share) / f64::from(traffic.pods.1) * TICK_SECONDS * TICKS as f64;
    for _ in 0..windows {
        let window: Vec<PodCounts> = (0..pods)
            .map(|_| {
                let share = (traffic.bad_share * random.mean_lognormal(traffic.sigma, 1)).min(HIGHEST_RATE);
                PodCounts { bad: random.poisson(total * share), total }
            })
            .collect();
        spread.observe(&window);
    }
    spread.sigma(&FleetPrior::default())
}
