//! Objects of our own kinds, as people, and whoever may write to the API server, leave them.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use trimtab_api::resolve::{Policies, check_app, check_policy, reaches, settings};
use trimtab_api::{AppRelease, FleetPolicy, ManagedApp};
use trimtab_control::convert;
use trimtab_delivery::lower;
use trimtab_delivery::snapshot::App;
use trimtab_kube::intern::Interner;
use trimtab_kube::kinds::{self, Apps, Releases, Trusted};
use trimtab_kube::watch::{Project, Row};

/// What is read is written and read as the same; settings are usable whatever a spec says; a row tells what its object
/// said; and statuses survive being carried into the core and back.
pub fn kinds(data: &[u8]) {
    let policy = read::<FleetPolicy>(data);
    if let Some(policy) = &policy {
        let _ = check_policy(policy);
        let _ = kinds::Policies.project(data);
    }
    if let Some(app) = read::<ManagedApp>(data) {
        check_settings(&app, policy.as_ref());
        check_row(&app, data);
    }
    if let Some(release) = read::<AppRelease>(data) {
        check_release(&release, data);
    }
}

fn read<T: DeserializeOwned + Serialize + PartialEq + Debug>(data: &[u8]) -> Option<T> {
    let value: T = serde_json::from_slice(data).ok()?;
    let printed = serde_json::to_vec(&value).expect("what was read from JSON prints as JSON");
    let again: T = serde_json::from_slice(&printed).expect("what was printed is read");
    assert_eq!(again, value);
    Some(value)
}

fn check_settings(app: &ManagedApp, policy: Option<&FleetPolicy>) {
    let _ = check_app(app);
    let policies = Policies::matching(policy, app);
    let (settings, problems) = settings(app, &policies);
    assert!(settings.alpha > 0.0 && settings.alpha < 1.0, "{}", settings.alpha);
    assert!((2..=100).contains(&settings.history), "{}", settings.history);
    assert!(problems.iter().all(|problem| !problem.to_string().is_empty()));
    let _ = reaches(&app.spec, &policies);
}

fn check_row(app: &ManagedApp, data: &[u8]) {
    let Ok(row) = Apps::new(Interner::new()).project(data) else { return };
    let kept = row.app();
    assert_eq!((&*row.key().namespace, &*row.key().name), (&*app.metadata.namespace, &*app.metadata.name));
    assert_eq!((&kept.spec, &kept.status), (&app.spec, &app.status));
    assert_eq!(kept.metadata.labels, app.metadata.labels);
    let status = convert::app_status(&app.status);
    let of = App { transitions: convert::transitions(&app.status.conditions), ..App::default() };
    let applied = lower::service_status(&of, &status, jiff::Timestamp::UNIX_EPOCH);
    let wire = serde_json::from_value(applied).expect("what is applied can be read");
    assert_eq!(convert::app_status(&wire), status, "a status is carried there and back");
}

fn check_release(wire: &AppRelease, data: &[u8]) {
    let release = convert::release(wire);
    let patch = lower::release_status(&Default::default(), &release.status);
    assert!(patch.get("phase").is_some());
    let Ok(row) = Releases::new(Interner::new(), Trusted::default()).project(data) else { return };
    let kept = row.release();
    assert_eq!((kept.number, &kept.template_hash), (release.number, &release.template_hash));
    assert_eq!(kept.status.phase, release.status.phase);
    if release.status.phase.in_flight() {
        assert_eq!(
            format!("{:?}", kept.status),
            format!("{:?}", release.status),
            "nothing is left out while it is under way"
        );
    }
}
