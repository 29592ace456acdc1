//! When a message is tried again. Pure, and without chance: simulations repeat exactly, and the key's hash
//! spreads the attempts of many messages that failed together.

use std::hash::Hasher as _;
use std::time::Duration;

use fnv::FnvHasher;

/// Wait after the first attempt, before spreading.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// Longest wait, before spreading.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
/// Attempts of one message, the first included.
pub const ATTEMPTS_AT_MOST: u32 = 32;
/// Time after which no further attempt starts. An outage of two hours is survived.
pub const GIVE_UP_AFTER: Duration = Duration::from_secs(3 * 3600);

/// Buckets over which waits are spread.
const SPREAD_BUCKETS: u64 = 1_000;

/// How long to wait after `attempt` (the first is 1) of the message with `key`: doubling, between three and
/// five quarters of the plain value.
#[must_use]
pub fn wait(key: &str, attempt: u32) -> Duration {
    let doublings = attempt.saturating_sub(1).min(16);
    let plain = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    let bucket = hash(key, attempt) % SPREAD_BUCKETS;
    let share = u32::try_from(bucket).expect("less than a thousand");
    plain * 3 / 4 + plain / 2 * share / u32::try_from(SPREAD_BUCKETS).expect("a thousand")
}

/// When to try again after `attempt` failed, `elapsed` after the message was submitted, given what the
/// destination asked for. `None`: give up.
#[must_use]
pub fn next(key: &str, attempt: u32, elapsed: Duration, asked: Option<Duration>) -> Option<Duration> {
    let wait = wait(key, attempt).max(asked.unwrap_or_default());
    let is_in_time = elapsed.saturating_add(wait) <= GIVE_UP_AFTER;
    (attempt < ATTEMPTS_AT_MOST && is_in_time).then_some(wait)
}

/// FNV-1a: stable between builds and machines, which the standard library's hasher does not promise.
fn hash(key: &str, attempt: u32) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(key.as_bytes());
    hasher.write(&attempt.to_le_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_stay_within_their_quarters() {
        let plain_seconds = [5, 10, 20, 40, 80, 160, 320, 600, 600];
        for (attempt, seconds) in (1..).zip(plain_seconds) {
            for key in ["a", "b", "payments/v128/rolled-back", ""] {
                let wait = wait(key, attempt);
                let plain = Duration::from_secs(seconds);
                assert!(wait >= plain * 3 / 4 && wait < plain * 5 / 4, "{key} {attempt}: {wait:?}");
            }
        }
        assert!(wait("a", u32::MAX) < LONGEST_WAIT * 5 / 4);
    }

    #[test]
    fn many_messages_do_not_return_together() {
        let mut waits: Vec<Duration> = (0..100).map(|index| wait(&format!("key-{index}"), 8)).collect();
        waits.sort_unstable();
        waits.dedup();
        assert!(waits.len() > 80, "{} distinct waits", waits.len());
    }

    #[test]
    fn the_hash_is_the_same_in_every_build() {
        assert_eq!(hash("", 1), 0xad2a_ca77_4798_5764);
        assert_eq!(hash("payments/v128/rolled-back", 0x0102_0304), 0xaa1b_aad7_9c9d_ad05);
    }

    #[test]
    fn an_outage_of_two_hours_is_survived_and_a_day_is_not() {
        for index in 0..200 {
            let key = format!("key-{index}");
            let mut elapsed = Duration::ZERO;
            let mut attempt = 1;
            while let Some(wait) = next(&key, attempt, elapsed, None) {
                elapsed += wait;
                attempt += 1;
            }
            assert!(
                elapsed >= Duration::from_secs(2 * 3600) && elapsed <= GIVE_UP_AFTER,
                "{key}: {elapsed:?}"
            );
            assert!(attempt <= ATTEMPTS_AT_MOST);
        }
    }

    #[test]
    fn a_destination_is_left_alone_as_long_as_it_asks() {
        let minute = Duration::from_secs(60);
        assert_eq!(next("a", 1, Duration::ZERO, Some(minute)), Some(minute));
        assert_eq!(next("a", 8, Duration::ZERO, Some(minute)), Some(wait("a", 8)));
        assert_eq!(next("a", 1, Duration::ZERO, Some(GIVE_UP_AFTER + minute)), None);
        assert_eq!(next("a", 1, Duration::MAX, None), None);
    }
}
