//! Events: what people see of a release with kubectl.

use trimtab_plan as plan;
use trimtab_plan::concern::DELIVERY;
use trimtab_plan::{Event, Kind, Object, Severity};

use crate::names::release_object;
use crate::objects;
use crate::snapshot::{ReleaseEvent, Snapshot};

/// Records that `event` happened to release `number`.
pub(super) fn event(snapshot: &Snapshot<'_>, number: u64, event: ReleaseEvent, note: &str) -> plan::Write {
    let app = snapshot.app;
    let severity = match event {
        ReleaseEvent::Started | ReleaseEvent::Kept => Severity::Normal,
        ReleaseEvent::RolledBack | ReleaseEvent::Held | ReleaseEvent::NeedsHuman => Severity::Warning,
    };
    // The same may happen to a release again: an Event is named by the version of the record that it was decided on. Whoever
    // decides it anew after a crash names it the same, unless the record was written meanwhile.
    let version =
        snapshot.releases.iter().find(|release| release.number == number).map_or(0, |of| of.version);
    let name = format!("{}.{}.{version:x}", release_object(&app.name, number), event.word().to_lowercase());
    let event = Event {
        object: Object::new(Kind::EVENT, &app.namespace, name),
        regarding: objects::service(app),
        uid: app.uid.clone(),
        reason: event.reason(),
        severity,
        note: note.to_owned(),
        at: snapshot.now,
    };
    plan::Write::Event { event, by: &DELIVERY }
}
