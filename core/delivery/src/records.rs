//! Which records are releases of a service: those that the manager and its command line could have written. Whoever may edit
//! a namespace may write any others beside them.

use crate::names::{release_object, release_word};
use crate::release::Release;

/// How far a number may lie above the highest one so far. Everybody takes the next free one, so a distance comes from
/// numbers that were given and forgotten.
pub const NUMBER_JUMP_MAX: u64 = 1000;
/// Numbers in a row that are passed over because something else holds their names.
pub const TAKEN_MAX: usize = 1000;

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
        match fault(service, reached, &name, release.number) {
            Some(why) => sifted.refused.push(format!("AppRelease {name}: {why}")),
            None => {
                reached = reached.max(release.number);
                sifted.releases.push(release);
            }
        }
    }
    sifted
}

fn fault(service: &str, reached: u64, name: &str, number: u64) -> Option<String> {
    let word = release_word(number);
    if number == 0 {
        return Some("numbers begin with 1".to_owned());
    }
    if name != release_object(service, number) {
        return Some(format!("{word} of {service} is called {}", release_object(service, number)));
    }
    let too_far = number > reached.saturating_add(NUMBER_JUMP_MAX);
    too_far.then(|| format!("{word} is more than {NUMBER_JUMP_MAX} above {}", release_word(reached)))
}

/// Numbers from `first` on, in a row, whose names something else holds.
#[must_use]
pub fn taken_from(first: u64, is_held: impl Fn(u64) -> bool) -> Vec<u64> {
    (first..=u64::MAX).take(TAKEN_MAX).take_while(|number| is_held(*number)).collect()
}
