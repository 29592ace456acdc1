//! Whether a manager looks after a service now: what the lease of its instance says.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use trimtab_api::ManagedApp;
use trimtab_delivery::command;
use trimtab_delivery::names::{INSTANCE_LABEL, lease_name};
use trimtab_kube::Api;
use trimtab_kube::api::Selector;
use trimtab_kube::resource::LEASES;

use super::install::workload;
use super::objects::text;
use super::output::age;
use super::session::Session;

/// How long a lease may go without a renewal before its manager counts as gone. A leader renews every two seconds; the
/// rest is for clocks that differ.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Whether the manager of one instance acts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attended {
    /// It renews its lease.
    Now,
    /// It does not, since then; the namespace is the lease's.
    NotSince {
        /// When the lease was renewed or given back last.
        at: Option<Timestamp>,
        /// Namespace of the lease.
        namespace: String,
    },
    /// There is no lease: no manager of this instance ever led.
    Never,
    /// The lease may not be read, or could not be.
    Unknown(String),
}

/// The instance that looks after a service.
#[must_use]
pub fn instance(app: &ManagedApp) -> Option<&str> {
    app.metadata.labels.get(INSTANCE_LABEL).map(String::as_str)
}

/// Asks whether the manager of an instance acts.
pub async fn attended(api: &Api, instance: Option<&str>, now: Timestamp) -> Attended {
    // In whichever namespace the manager was installed.
    let named = Selector::all().fields(format!("metadata.name={}", lease_name(instance)));
    match api.list(LEASES, None, &named).await {
        Ok(leases) => judge(&leases, now),
        Err(error) => Attended::Unknown(error.to_string()),
    }
}

fn judge(leases: &[Value], now: Timestamp) -> Attended {
    let renewed = |lease: &Value| text(lease, "/spec/renewTime").parse::<Timestamp>().ok();
    let Some(last) = leases.iter().max_by_key(|lease| renewed(lease)) else { return Attended::Never };
    let promised = last.pointer("/spec/leaseDurationSeconds").and_then(Value::as_u64).unwrap_or_default();
    let patience = SILENCE_MAX.max(Duration::from_secs(promised.saturating_mul(2)));
    let silent = renewed(last)
        .is_none_or(|at| Duration::try_from(now.duration_since(at)).unwrap_or_default() > patience);
    if silent || text(last, "/spec/holderIdentity").is_empty() {
        let namespace = text(last, "/metadata/namespace").to_owned();
        return Attended::NotSince { at: renewed(last), namespace };
    }
    Attended::Now
}

impl Attended {
    /// Whether it is known that nobody looks after the services of the instance.
    #[must_use]
    pub fn by_nobody(&self) -> bool {
        matches!(self, Self::NotSince { .. } | Self::Never)
    }

    /// What is wrong, in words; nothing while a manager acts.
    #[must_use]
    pub fn words(&self, instance: Option<&str>, now: Timestamp) -> Option<String> {
        let manager = instance.map_or_else(|| "manager".to_owned(), |id| format!("manager of instance {id}"));
        match self {
            Self::Now => None,
            Self::NotSince { at: Some(at), .. } => {
                Some(format!("no {manager} acts since {at:.0}, {} ago", age(now, Some(*at))))
            }
            Self::NotSince { at: None, .. } => Some(format!("no {manager} acts")),
            Self::Never => {
                Some(format!("no {manager} ever acted: there is no lease {}", lease_name(instance)))
            }
            Self::Unknown(why) => Some(format!("whether a {manager} acts is not known: {why}")),
        }
    }

    /// What to do about it, where something is wrong. With an example of the services concerned.
    #[must_use]
    pub fn next(&self, instance: Option<&str>, namespace: &str, name: &str) -> Option<String> {
        match (self, instance) {
            (Self::Now | Self::Unknown(_), _) => None,
            (Self::NotSince { namespace, .. }, _) => {
                let pods = format!("get pods -l app.kubernetes.io/name={}", workload(instance));
                Some(format!("`{}`", command::kubectl(&pods, namespace)))
            }
            (Self::Never, None) => Some("`trimtab install | kubectl apply --server-side -f -`".to_owned()),
            (Self::Never, Some(id)) => Some(format!(
                "`trimtab install --instance {id} | kubectl apply --server-side -f -`, or give it to the manager without an instance: `{}`",
                command::kubectl(&format!("label managedapp {name} {INSTANCE_LABEL}-"), namespace)
            )),
        }
    }
}

/// Says, before or after a command that a manager has to act on, that none does.
pub async fn warn(session: &mut Session<'_>, app: Option<&ManagedApp>) {
    let Some(app) = app else { return };
    let (own, now) = (instance(app), session.clock.now());
    let attended = attended(&session.api, own, now).await;
    if let Some(words) = attended.words(own, now).filter(|_| attended.by_nobody()) {
        session.tell(&format!("{words}: this waits for one"));
        if let Some(next) = attended.next(own, &app.metadata.namespace, &app.metadata.name) {
            session.hint(&next);
        }
    }
}

/// When a manager wrote the status of a `ManagedApp` last, as the API server recorded it.
#[must_use]
pub fn observed_at(app: &Value) -> Option<Timestamp> {
    let entries = app.pointer("/metadata/managedFields").and_then(Value::as_array);
    let of_status = |entry: &&Value| text(entry, "/subresource") == "status";
    entries
        .into_iter()
        .flatten()
        .filter(of_status)
        .filter_map(|entry| text(entry, "/time").parse().ok())
        .max()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lease(holder: &str, renewed: &str) -> Value {
        json!({"metadata": {"namespace": "ops"}, "spec": {"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15}})
    }

    #[test]
    fn a_lease_tells_whether_its_manager_acts() {
        let now: Timestamp = "2026-03-04T12:00:00Z".parse().unwrap();
        let gone = |at: &str| Attended::NotSince { at: at.parse().ok(), namespace: "ops".to_owned() };
        let fresh = lease("a", "2026-03-04T11:59:50.000000Z");
        let old = lease("b", "2026-03-04T09:00:00.000000Z");
        let given_back = lease("", "2026-03-04T11:59:50.000000Z");
        assert_eq!(judge(&[], now), Attended::Never);
        assert_eq!(judge(std::slice::from_ref(&fresh), now), Attended::Now);
        assert_eq!(judge(std::slice::from_ref(&old), now), gone("2026-03-04T09:00:00Z"));
        assert_eq!(judge(&[given_back], now), gone("2026-03-04T11:59:50Z"));
        assert_eq!(judge(&[old, fresh], now), Attended::Now, "of another installation");
        assert_eq!(
            judge(&[lease("a", "2026-03-04T12:09:00.000000Z")], now),
            Attended::Now,
            "its clock is ahead"
        );
    }
}
