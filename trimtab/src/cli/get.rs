//! `trimtab get`: services and how they are.

use jiff::Timestamp;
use serde_json::{Value, json};
use trimtab_api::ManagedApp;
use trimtab_api::condition::Condition;
use trimtab_delivery::names::release_word;
use trimtab_kube::api::Selector;
use trimtab_kube::kinds::MANAGED_APPS;
use trimtab_kube::resource::DEPLOYMENTS;

use super::args::GetArgs;
use super::exit::{Exit, Failure};
use super::output::{Cell, Form, Mood, Paint, age, objects, table};
use super::service::{text, typed};
use super::session::Session;

/// Lists services.
///
/// # Errors
/// When they cannot be listed, or the one that is named does not exist.
pub async fn get(session: &mut Session<'_>, args: &GetArgs) -> Result<Exit, Failure> {
    let own = session.namespace.clone();
    let namespace = if args.all_namespaces { None } else { Some(own.as_str()) };
    let mut found = match &args.service {
        Some(name) => vec![one(session, name).await?],
        None => session.api.list(MANAGED_APPS, namespace, &Selector::all()).await?,
    };
    found.sort_by_key(key);
    if matches!(session.form, Form::Json | Form::Yaml) {
        let value = match (&args.service, found.pop()) {
            (Some(_), Some(only)) => only,
            (_, last) => {
                found.extend(last);
                json!({"apiVersion": trimtab_api::API_VERSION, "kind": "ManagedAppList", "items": found})
            }
        };
        objects(session.out, session.form, &value)?;
        return Ok(Exit::Done);
    }
    let mut rows: Vec<ServiceLine> =
        found.into_iter().map(|object| typed(object).map(|app| claimed(&app))).collect::<Result<_, _>>()?;
    if args.all {
        let deployments = session.api.list(DEPLOYMENTS, namespace, &Selector::all()).await?;
        let unclaimed: Vec<ServiceLine> = deployments
            .iter()
            .map(unclaimed)
            .filter(|line| {
                !rows.iter().any(|row| (&row.namespace, &row.target) == (&line.namespace, &line.target))
            })
            .collect();
        rows.extend(unclaimed);
    }
    if rows.is_empty() {
        session.tell(&format!("no service is claimed in {}", namespace.unwrap_or("any namespace")));
        session.hint("`trimtab get --all` lists Deployments; `trimtab claim NAME` claims one");
        return Ok(Exit::Done);
    }
    let breadth = if args.all_namespaces { Breadth::Cluster } else { Breadth::Namespace };
    let text = services(&rows, breadth, session.clock.now(), session.form, session.paint);
    session.out.write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

async fn one(session: &Session<'_>, name: &str) -> Result<Value, Failure> {
    let found = session.api.get(MANAGED_APPS, Some(&session.namespace), name).await?;
    found.ok_or_else(|| {
        Failure::error(format!("{}/{name} is not claimed", session.namespace))
            .hint(format!("`trimtab claim {name}`"))
    })
}

fn key(object: &Value) -> (String, String) {
    (text(object, "/metadata/namespace").to_owned(), text(object, "/metadata/name").to_owned())
}

/// One line of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceLine {
    /// Namespace.
    pub namespace: String,
    /// Name of the service.
    pub name: String,
    /// Name of its Deployment.
    pub target: String,
    /// One word; empty where it is not claimed.
    pub phase: String,
    /// One line.
    pub summary: String,
    /// The release that was kept last.
    pub current: Option<u64>,
    /// The release under way.
    pub in_flight: Option<u64>,
    /// Tier.
    pub tier: Option<u8>,
    /// When it was claimed, or created.
    pub since: Option<Timestamp>,
}

fn claimed(app: &ManagedApp) -> ServiceLine {
    let status = &app.status;
    let mut summary = status.summary.clone();
    if summary.is_empty() {
        summary.push_str("not seen by a manager yet");
    }
    let uncounted = |condition: &Condition| condition.kind == "RecordsCounted" && condition.status == "False";
    if status.conditions.iter().any(uncounted) {
        summary.push_str("; has records that do not count");
    }
    ServiceLine {
        namespace: app.metadata.namespace.clone(),
        name: app.metadata.name.clone(),
        target: app
            .spec
            .target
            .as_ref()
            .map_or_else(|| app.metadata.name.clone(), |target| target.name.clone()),
        phase: status.phase.clone(),
        summary,
        current: status.current,
        in_flight: status.in_flight,
        tier: app.spec.tier,
        since: app.metadata.creation_timestamp,
    }
}

fn unclaimed(deployment: &Value) -> ServiceLine {
    let name = text(deployment, "/metadata/name").to_owned();
    ServiceLine {
        namespace: text(deployment, "/metadata/namespace").to_owned(),
        target: name.clone(),
        name,
        summary: "not claimed".to_owned(),
        since: text(deployment, "/metadata/creationTimestamp").parse().ok(),
        ..ServiceLine::default()
    }
}

/// How far a table reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Breadth {
    /// One namespace, which goes without saying.
    Namespace,
    /// Every namespace.
    Cluster,
}

/// The table of services.
#[must_use]
pub fn services(rows: &[ServiceLine], breadth: Breadth, now: Timestamp, form: Form, paint: Paint) -> String {
    let mut header = vec!["SERVICE", "STATE", "RELEASE", "TIER", "AGE"];
    if form == Form::Wide {
        header.insert(3, "IN FLIGHT");
    }
    if breadth == Breadth::Cluster {
        header.insert(0, "NAMESPACE");
    }
    let word = |number: Option<u64>| Cell::text(number.map_or_else(|| "-".to_owned(), release_word));
    let lines: Vec<Vec<Cell>> = rows
        .iter()
        .map(|row| {
            let mut cells = vec![
                Cell::text(&row.name),
                Cell::mood(Mood::of_app(&row.phase), &row.summary),
                word(row.current),
                Cell::text(row.tier.map_or_else(|| "-".to_owned(), |tier| tier.to_string())),
                Cell::text(age(now, row.since)),
            ];
            if form == Form::Wide {
                cells.insert(3, word(row.in_flight));
            }
            if breadth == Breadth::Cluster {
                cells.insert(0, Cell::text(&row.namespace));
            }
            cells
        })
        .collect();
    table(&header, &lines, form, paint)
}
