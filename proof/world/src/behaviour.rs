//! How a container misbehaves, written in its image tag.
//!
//! A scenario says what is wrong with a release where a person would look for it: `shop/payments:v128-errors30`.
//! Modelled pods and pods run as local processes read the same tag, so one scenario means the same in both.

use std::time::Duration;

/// The longest delay a tag can ask for, in seconds (one week); longer ones are cut to it.
pub const LONGEST_DELAY_SECONDS: u64 = 7 * 24 * 3600;
/// The most digits a number in a tag may have; a longer one is not a number we know, and the part is ignored.
const MOST_DIGITS: usize = 9;
/// The most database errors per minute and pod that a tag can ask for; larger ones are cut to it.
const MOST_DATABASE_ERRORS_PER_MINUTE: u64 = 1_000_000;

/// What a container does wrong. The default is a container that does nothing wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// `errorsN`: share of requests answered with 500, in percent (0..=100). Unset: the service's own normal rate.
    pub error_percent: Option<u32>,
    /// `panicNs`: the container exits with code 101 this long after each start.
    pub panic_after: Option<Duration>,
    /// `latencyNms`: added to every request.
    pub added_latency: Duration,
    /// `dberrorsN`: database errors per minute and pod, on top of the service's own normal rate.
    pub database_errors_per_minute: u32,
    /// `slowstartNs`: not ready before this long after each start.
    pub slow_start: Duration,
    /// `nopull`: the image cannot be pulled.
    pub cannot_pull: bool,
    /// `oomNs`: killed for memory this long after each start.
    pub out_of_memory_after: Option<Duration>,
    /// `neverready`: runs, and never becomes ready.
    pub never_ready: bool,
}

impl Behaviour {
    /// Reads the tag of an image reference; parts are separated by `-`, unknown ones are ignored, the last of a kind
    /// wins. An image without a tag behaves well whatever its name is. Never fails.
    pub fn from_image(image: &str) -> Self {
        let mut behaviour = Self::default();
        for part in tag(image).split('-') {
            behaviour.apply(part);
        }
        behaviour
    }

    fn apply(&mut self, part: &str) {
        match part {
            "nopull" => self.cannot_pull = true,
            "neverready" => self.never_ready = true,
            _ => self.apply_counted(part),
        }
    }

    fn apply_counted(&mut self, part: &str) {
        let name_length = part.bytes().take_while(u8::is_ascii_lowercase).count();
        let (name, rest) = part.split_at(name_length);
        let number_length = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, unit) = rest.split_at(number_length);
        if digits.len() > MOST_DIGITS {
            return;
        }
        let Ok(number) = digits.parse::<u64>() else { return };
        let seconds = Duration::from_secs(number.min(LONGEST_DELAY_SECONDS));
        match (name, unit) {
            ("errors", "") => self.error_percent = Some(at_most(number, 100)),
            ("dberrors", "") => {
                self.database_errors_per_minute = at_most(number, MOST_DATABASE_ERRORS_PER_MINUTE);
            }
            ("panic", "s") => self.panic_after = Some(seconds),
            ("oom", "s") => self.out_of_memory_after = Some(seconds),
            ("slowstart", "s") => self.slow_start = seconds,
            ("latency", "ms") => {
                self.added_latency = Duration::from_millis(number.min(LONGEST_DELAY_SECONDS * 1000));
            }
            _ => {}
        }
    }
}

/// The tag of `registry:5000/path/name:tag@digest`; empty when there is none. A colon before a slash is a port.
fn tag(image: &str) -> &str {
    let without_digest = image.split_once('@').map_or(image, |(before, _)| before);
    let name = without_digest.rsplit_once('/').map_or(without_digest, |(_, name)| name);
    name.split_once(':').map_or("", |(_, tag)| tag)
}

fn at_most(number: u64, limit: u64) -> u32 {
    u32::try_from(number.min(limit)).expect("both limits fit in 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(image: &str, expect: Behaviour) {
        assert_eq!(Behaviour::from_image(image), expect, "image {image:?}");
    }

    #[test]
    fn tags_say_what_is_wrong() {
        let good = Behaviour::default;
        let seconds = Duration::from_secs;
        check("", good());
        check("shop/payments", good());
        check("shop/payments:v127", good());
        check("shop/payments:v128-errors30", Behaviour { error_percent: Some(30), ..good() });
        check("shop/payments:v128-errors0", Behaviour { error_percent: Some(0), ..good() });
        check("shop/payments:errors400", Behaviour { error_percent: Some(100), ..good() });
        check("localhost:5000/a:v1-panic5s", Behaviour { panic_after: Some(seconds(5)), ..good() });
        check("localhost:5000/a-panic5s", good());
        check("errors30", good());
        check("a:v1-latency250ms", Behaviour { added_latency: Duration::from_millis(250), ..good() });
        check("a:v1-dberrors12", Behaviour { database_errors_per_minute: 12, ..good() });
        check("a:v1-slowstart40s", Behaviour { slow_start: seconds(40), ..good() });
        check(
            "a:v1-oom90s@sha256:00-errors9",
            Behaviour { out_of_memory_after: Some(seconds(90)), ..good() },
        );
        check("a:nopull", Behaviour { cannot_pull: true, ..good() });
        check("a:v2-neverready", Behaviour { never_ready: true, ..good() });
        check(
            "a:v2-errors5-errors7-latency10ms",
            Behaviour { error_percent: Some(7), added_latency: Duration::from_millis(10), ..good() },
        );
    }

    #[test]
    fn what_is_almost_a_behaviour_is_ignored() {
        for image in
            ["a:errors", "a:errors-3", "a:errors5%", "a:panic5", "a:panic5m", "a:latency5s", "a:Errors5"]
        {
            check(image, Behaviour::default());
        }
        check("a:errors1234567890", Behaviour::default());
        check("a:panics3", Behaviour::default());
    }

    #[test]
    fn long_delays_are_cut() {
        let longest = Duration::from_secs(LONGEST_DELAY_SECONDS);
        check("a:panic999999999s", Behaviour { panic_after: Some(longest), ..Behaviour::default() });
    }

    proptest! {
        #[test]
        fn any_text_is_a_behaviour(image in ".*") {
            let behaviour = Behaviour::from_image(&image);
            prop_assert!(behaviour.error_percent.is_none_or(|percent| percent <= 100));
        }

        #[test]
        fn near_misses_are_behaviours(parts in "(errors|panic|latency|oom|dberrors|slowstart|é|:|/|@|-)*[0-9]{0,12}(s|ms)?") {
            Behaviour::from_image(&format!("a:{parts}"));
        }

        #[test]
        fn parts_commute(percent in 0_u32..=100, seconds in 0_u64..1000) {
            let one = Behaviour::from_image(&format!("a:v1-errors{percent}-panic{seconds}s"));
            let other = Behaviour::from_image(&format!("a:panic{seconds}s-v1-errors{percent}"));
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(one.error_percent, Some(percent));
        }
    }
}
