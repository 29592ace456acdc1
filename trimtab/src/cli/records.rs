//! The records of a service, told apart: its releases, and what does not count as one.

use trimtab_api::AppRelease;
use trimtab_control::convert;
use trimtab_delivery::names::APP_LABEL;
use trimtab_delivery::records::sift;
use trimtab_delivery::release::Release;
use trimtab_kube::Api;
use trimtab_kube::api::Selector;
use trimtab_kube::kinds::APP_RELEASES;

use super::exit::Failure;
use super::objects::list;

/// What is recorded of a service.
#[derive(Default)]
pub struct Records {
    /// Its releases, ascending.
    pub counted: Vec<AppRelease>,
    /// The same releases, as decisions see them.
    pub known: Vec<Release>,
    /// Records that do not count as releases.
    pub refused: Vec<Refused>,
}

/// A record that does not count, and is never brought back.
pub struct Refused {
    /// The number that it claims.
    pub number: u64,
    /// Its name, and why it does not count.
    pub why: String,
}

/// What is recorded of a service. `told` is the highest number that its status speaks of.
///
/// # Errors
/// When they cannot be listed.
pub async fn records(api: &Api, namespace: &str, service: &str, told: u64) -> Result<Records, Failure> {
    let of_service = Selector::all().labels(format!("{APP_LABEL}={service}"));
    let mut found: Vec<AppRelease> = list(api, APP_RELEASES, Some(namespace), &of_service).await?;
    // A label is anybody's to write.
    found.retain(|release| release.spec.app == service);
    found.sort_by_key(|release| release.spec.number);
    let (mut records, mut reached) = (Records::default(), told);
    for record in found {
        let (number, name) = (record.spec.number, record.metadata.name.clone());
        let mut sifted = sift(service, reached, vec![(name, convert::release(&record))]);
        records.refused.extend(sifted.refused.pop().map(|why| Refused { number, why }));
        if let Some(release) = sifted.releases.pop() {
            reached = reached.max(number);
            records.known.push(release);
            records.counted.push(record);
        }
    }
    Ok(records)
}
