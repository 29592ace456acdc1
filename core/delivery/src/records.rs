//! Which records are releases of a service: those that the manager sealed, and the numbers that people took for what they are
//! about to release. Whoever may edit a namespace may write any others beside them.

use std::ops::RangeInclusive;

use crate::names::{release_object, release_word};
use crate::release::{Release, ReleasePhase};
use crate::seal::Author;

/// How far a number that a person took may lie above the highest one so far. Everybody takes the next free one, so a distance
/// comes from numbers that were given and forgotten.
pub const NUMBER_JUMP_MAX: u64 = 1000;

/// Records of a service, told apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sifted {
    /// Its releases, ascending by number.
    pub releases: Vec<Release>,
    /// Names of records that do not count, and why.
    pub refused: Vec<String>,
}

/// Tells the releases of `service` from records that do not count. Each record comes with the name of its object; `reached`
/// is the highest number that is known from elsewhere.
#[must_use]
pub fn sift(service: &str, reached: u64, mut records: Vec<(String, Release)>) -> Sifted {
    records.sort_by(|(name, a), (other, b)| (a.number, name).cmp(&(b.number, other)));
    let (mut sifted, mut reached) = (Sifted::default(), reached);
    for (name, release) in records {
        match fault(service, reached, &name, &release) {
            Some(why) => sifted.refused.push(format!("AppRelease {name}: {why}")),
            None => {
                reached = reached.max(release.number);
                sifted.releases.push(release);
            }
        }
    }
    sifted
}

fn fault(service: &str, reached: u64, name: &str, release: &Release) -> Option<String> {
    let (number, word) = (release.number, release_word(release.number));
    if number == 0 {
        return Some("numbers begin with 1".to_owned());
    }
    if name != release_object(service, number) {
        return Some(format!("{word} of {service} is called {}", release_object(service, number)));
    }
    if release.author != Author::Person {
        return release.author.fault().map(str::to_owned);
    }
    // What keeps no template was never out.
    if !matches!(release.status.phase, ReleasePhase::Pending | ReleasePhase::Superseded) {
        return Author::Unsealed.fault().map(str::to_owned);
    }
    let too_far = number > reached.saturating_add(NUMBER_JUMP_MAX);
    too_far.then(|| format!("{word} is more than {NUMBER_JUMP_MAX} above {}", release_word(reached)))
}

/// Numbers from `first` on, in a row, whose names something else holds; none where the first is free.
#[must_use]
pub fn taken_from(first: u64, is_held: impl Fn(u64) -> bool) -> Option<RangeInclusive<u64>> {
    let free = (first..=u64::MAX).find(|number| !is_held(*number));
    // Nobody holds all there are.
    let last = free.map_or(u64::MAX, |free| free.saturating_sub(1));
    (free != Some(first)).then_some(first..=last)
}
