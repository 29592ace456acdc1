//! Anytime-valid verdict statistics: is the new version worse than the old one, and how sure are we?
//!
//! Every process here is an *e-process*: evidence that starts at 1 and, as long as the release is harmless, is not
//! expected to grow however often it is read. Crossing `1/alpha` at any moment therefore happens to at most `alpha` of
//! the harmless releases (Ville's inequality), so a verdict may be taken at every scrape.
//!
//! | module | answers |
//! |---|---|
//! | [`ratio`] | is the canary's bad rate more than `r0` times the stable one's; by how much |
//! | [`absolute`] | is the canary's bad share above a limit, or below a harmless floor |
//! | [`events`] | are there more events than this service's own history explains |
//! | [`spread`] | how far apart are two good pods of this service, hence which margin |
//! | [`alpha`] | how the false-alarm budget is shared by metrics and restarts |
//! | [`harm`] | how many requests failed because of the release |
//! | [`power`] | how long a regression of a given size takes to be found |
//! | [`sample_ratio`] | does the canary get the traffic it was promised |
//! | [`warm_up`] | how long new pods fail more than usual |
//! | [`verdict`] | one answer per metric |
//!
//! Everything is a pure function of its inputs: no clock, no randomness, and elementary functions of our own
//! ([`float`]), so that a replay gives the same bits on every platform.

pub mod absolute;
pub mod alpha;
pub mod events;
pub mod float;
pub mod gamma;
pub mod harm;
pub mod power;
pub mod ratio;
pub mod ratio_interval;
pub mod sample_ratio;
pub mod spread;
pub mod verdict;
pub mod warm_up;

mod bits;
mod tilt;

pub use absolute::{AbsoluteLimit, AbsoluteTest, RateEstimate};
pub use events::{EventGrid, EventsTest};
pub use harm::{Harm, HarmEstimate};
pub use ratio::{RatioTest, TickCounts};
pub use ratio_interval::{RatioEstimate, RatioInterval};
pub use sample_ratio::{SampleRatioTest, TrafficSplit};
pub use verdict::{MetricPlan, MetricTest, Verdict};
pub use warm_up::WarmUp;
