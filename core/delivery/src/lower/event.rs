//! Events: what people see of a release with kubectl.

use serde_json::json;
use trimtab_plan as plan;
use trimtab_plan::{IfThere, Kind, Object};

use crate::names::{API_VERSION, MANAGER, release_object};
use crate::snapshot::{Happening, Snapshot};

/// Records that `happening` happened to release `number`.
pub(super) fn event(snapshot: &Snapshot<'_>, number: u64, happening: Happening, note: &str) -> plan::Write {
    let app = snapshot.app;
    let severity = match happening {
        Happening::Started | Happening::Kept => "Normal",
        Happening::RolledBack | Happening::Held | Happening::NeedsHuman => "Warning",
    };
    // Its name follows from the release and what happened, so that it exists once.
    let name = format!("{}.{}", release_object(&app.name, number), happening.word().to_lowercase());
    let body = json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": app.namespace},
        // `MicroTime` wants exactly six digits.
        "eventTime": format!("{:.6}", snapshot.now),
        "reportingController": "trimtab.dev/delivery",
        "reportingInstance": MANAGER,
        "action": happening.word(),
        "reason": happening.word(),
        "type": severity,
        "note": cut(note, EVENT_NOTE_BYTES_MAX),
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": "ManagedApp",
            "name": app.name,
            "namespace": app.namespace,
            "uid": app.uid,
        },
    });
    let object = Object::new(Kind::Event, &app.namespace, name);
    plan::Write::Create { object, body, copy: None, if_there: IfThere::Done }
}

/// Longest note that the API accepts, in bytes.
const EVENT_NOTE_BYTES_MAX: usize = 1024;

fn cut(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or_default()).unwrap_or_default()
}
