//! What clients ask of a service, and how well it answers when nothing is wrong.

use trimtab_kube::rng::Rng;

use super::draw::normal;

/// Requests per second over time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Rate {
    /// The same all day.
    Constant(f64),
    /// A day's wave.
    Daily {
        /// The mean of the day, in requests per second.
        mean: f64,
        /// How far the peak is above the mean, as a share of it: 0..=1.
        swing: f64,
        /// The hour of the peak, UTC.
        peak_hour: f64,
    },
}

impl Rate {
    /// Requests per second at this second since 1970.
    pub fn at(self, second: i64) -> f64 {
        match self {
            Rate::Constant(rate) => rate,
            Rate::Daily { mean, swing, peak_hour } => {
                let hour = second.rem_euclid(86_400) as f64 / 3600.0;
                let phase = (hour - peak_hour) / 24.0 * std::f64::consts::TAU;
                mean * (1.0 + swing * phase.cos())
            }
        }
    }

    /// Whether there is never a request.
    pub fn is_never(self) -> bool {
        matches!(self, Rate::Constant(mean) | Rate::Daily { mean, .. } if mean.is_nan() || mean <= 0.0)
    }
}

/// Troubles that all pods of a service share, because they come from outside: a slow database, a bad client.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bursts {
    /// Mean time from one burst to the next, in seconds.
    pub every_seconds: f64,
    /// Mean length, in seconds.
    pub lasting_seconds: f64,
    /// By how much the normal error rate is multiplied meanwhile.
    pub factor: f64,
}

/// The load of one service and its normal behaviour. What is wrong with a release is in its image, not here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServiceLoad {
    /// Requests to all pods together.
    pub rate: Rate,
    /// Share of requests that fail although nothing is wrong, in percent.
    pub error_percent: f64,
    /// How much pods differ: the standard deviation of the logarithm of a pod's own error rate.
    pub pod_spread: f64,
    /// Shared troubles.
    pub bursts: Option<Bursts>,
    /// Database errors per minute and pod although nothing is wrong.
    pub database_errors_per_minute: f64,
    /// Median duration of a request, in seconds.
    pub median_seconds: f64,
    /// Spread of durations: the standard deviation of their logarithm.
    pub duration_spread: f64,
    /// CPU time of one request, in milliseconds.
    pub cpu_milliseconds: f64,
}

impl Default for ServiceLoad {
    fn default() -> Self {
        ServiceLoad {
            rate: Rate::Constant(0.0),
            error_percent: 0.1,
            pod_spread: 0.0,
            bursts: None,
            database_errors_per_minute: 0.0,
            median_seconds: 0.03,
            duration_spread: 0.6,
            cpu_milliseconds: 2.0,
        }
    }
}

impl ServiceLoad {
    /// A load of so many requests per second, all day, otherwise normal.
    pub fn constant(requests_per_second: f64) -> Self {
        ServiceLoad { rate: Rate::Constant(requests_per_second), ..ServiceLoad::default() }
    }

    /// By how much one pod's normal error rate differs from the service's; its mean over pods is 1.
    pub(crate) fn pod_factor(&self, seed: u64, pod: &str) -> f64 {
        if self.pod_spread <= 0.0 {
            return 1.0;
        }
        let mut rng = Rng::for_key(seed, "pod-spread", pod);
        (self.pod_spread * normal(&mut rng) - self.pod_spread.powi(2) / 2.0).exp()
    }
}
