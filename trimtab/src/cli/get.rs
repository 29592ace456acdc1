//! `trimtab get`: services and how they are.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Value, json};
use trimtab_api::ManagedApp;
use trimtab_api::managed_app::ManagedAppStatus;
use trimtab_delivery::command;
use trimtab_delivery::names::release_word;
use trimtab_kube::api::Selector;
use trimtab_kube::kinds::MANAGED_APPS;
use trimtab_kube::resource::DEPLOYMENTS;

use super::args::GetArgs;
use super::attended::{self, Attended};
use super::exit::{Exit, Failure};
use super::objects::{text, typed};
use super::output::{Cell, Form, Mood, Paint, age, objects, table};
use super::service::uncounted;
use super::session::Session;
use super::whereabouts;

/// Lists services.
///
/// # Errors
/// When they cannot be listed, or the one that is named does not exist.
pub async fn get(session: &mut Session<'_>, args: &GetArgs) -> Result<Exit, Failure> {
    let own = session.namespace.clone();
    let namespace = if args.all_namespaces { None } else { Some(own.as_str()) };
    let mut found = match &args.service {
        Some(name) if args.all_namespaces => everywhere(session, name).await?,
        Some(name) => vec![one(session, name).await?],
        None => session.api.list(MANAGED_APPS, namespace, &Selector::all()).await?,
    };
    found.sort_by_key(key);
    if matches!(session.form, Form::Json | Form::Yaml) {
        if args.all {
            let message = "--all lists Deployments beside services, which one list of objects cannot hold";
            return Err(Failure::usage(message).hint("leave out --all or -o"));
        }
        let value = match (args.service.as_ref().filter(|_| !args.all_namespaces), found.pop()) {
            (Some(_), Some(only)) => only,
            (_, last) => {
                found.extend(last);
                json!({"apiVersion": trimtab_api::API_VERSION, "kind": "ManagedAppList", "items": found})
            }
        };
        objects(session.out, session.form, &value)?;
        return Ok(Exit::Done);
    }
    let apps: Vec<ManagedApp> = found.into_iter().map(typed).collect::<Result<_, _>>()?;
    let looked = looked_after(session, &apps).await;
    let mut rows: Vec<ServiceLine> =
        apps.iter().map(|app| claimed(app, &looked[&attended::instance(app)])).collect();
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
        return none(session, namespace).await;
    }
    let breadth = if args.all_namespaces { Breadth::Cluster } else { Breadth::Namespace };
    let text = services(&rows, breadth, session.clock.now(), session.form, session.paint);
    session.out.write_all(text.as_bytes())?;
    for (instance, attended) in &looked {
        let now = session.clock.now();
        let Some(words) = attended.words(*instance, now) else { continue };
        let after = |app: &&ManagedApp| attended::instance(app) == *instance;
        let concerned = apps.iter().find(after).map(|app| &app.metadata);
        session.tell(&words);
        let next = concerned.and_then(|app| attended.next(*instance, &app.namespace, &app.name));
        next.iter().for_each(|next| session.hint(next));
    }
    Ok(Exit::Done)
}

/// Whether managers look after these services: one question for each instance.
async fn looked_after<'a>(
    session: &Session<'_>,
    apps: &'a [ManagedApp],
) -> BTreeMap<Option<&'a str>, Attended> {
    let instances: BTreeSet<Option<&str>> = apps.iter().map(attended::instance).collect();
    let mut looked = BTreeMap::new();
    for instance in instances {
        looked.insert(instance, attended::attended(&session.api, instance, session.clock.now()).await);
    }
    looked
}

/// There is nothing to list; where there is, as far as the person may list it.
async fn none(session: &mut Session<'_>, namespace: Option<&str>) -> Result<Exit, Failure> {
    let Some(namespace) = namespace else {
        session.tell("no service is claimed in any namespace");
        session
            .hint("`trimtab get -A --all` lists Deployments; `trimtab claim NAME -n NAMESPACE` claims one");
        return Ok(Exit::Done);
    };
    session.tell(&format!("no service is claimed in namespace {namespace}"));
    let elsewhere = session.api.list(MANAGED_APPS, None, &Selector::all()).await.unwrap_or_default();
    if !elsewhere.is_empty() {
        session.tell(&format!("in other namespaces: {}", elsewhere.len()));
        session.hint("`trimtab get -A`");
    }
    let (all, claim) = (command::trimtab("get --all", namespace), command::trimtab("claim NAME", namespace));
    session.hint(&format!("`{all}` lists Deployments; `{claim}` claims one"));
    Ok(Exit::Done)
}

async fn one(session: &Session<'_>, name: &str) -> Result<Value, Failure> {
    match session.api.get(MANAGED_APPS, Some(&session.namespace), name).await? {
        Some(found) => Ok(found),
        None => Err(whereabouts::unclaimed(&session.api, &session.namespace, name, "get").await),
    }
}

/// The services of a name, in whichever namespace.
async fn everywhere(session: &Session<'_>, name: &str) -> Result<Vec<Value>, Failure> {
    let named = Selector::all().fields(format!("metadata.name={name}"));
    let found = session.api.list(MANAGED_APPS, None, &named).await?;
    if found.is_empty() {
        return Err(Failure::error(format!("no namespace has a service {name}"))
            .hint("`trimtab get -A --all` lists services and Deployments"));
    }
    Ok(found)
}

fn key(object: &Value) -> (String, String) {
    (text(object, "/metadata/namespace").to_owned(), text(object, "/metadata/name").to_owned())
}

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceLine {
    /// Namespace.
    pub namespace: String,
    /// Name of the service.
    pub name: String,
    /// Name of its Deployment.
    pub target: String,
    /// What its state says.
    pub mood: Mood,
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

fn claimed(app: &ManagedApp, attended: &Attended) -> ServiceLine {
    let status = &app.status;
    let (mood, mut summary) = state(status, attended);
    if uncounted(app).is_some() {
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
        mood,
        summary,
        current: status.current,
        in_flight: status.in_flight,
        tier: app.spec.tier,
        since: app.metadata.creation_timestamp,
    }
}

/// What was written last says how a service is while a manager looks after it, and how it was when nobody does.
fn state(status: &ManagedAppStatus, attended: &Attended) -> (Mood, String) {
    match (status.summary.as_str(), attended.by_nobody()) {
        ("", true) => (Mood::Unknown, "unknown, never seen by a manager".to_owned()),
        ("", false) => (Mood::Still, "not seen by a manager yet".to_owned()),
        (summary, true) => (Mood::Unknown, format!("unknown, was {summary}")),
        (summary, false) => (Mood::of_app(&status.phase), summary.to_owned()),
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
        mood: Mood::Still,
        current: None,
        in_flight: None,
        tier: None,
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
                Cell::mood(row.mood, &row.summary),
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
