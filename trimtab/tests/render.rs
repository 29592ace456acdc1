//! What people read, as files: `tests/golden/*.txt`. Rendering is a function of plain data, so no cluster is needed.
//!
//! After a change that is meant, write them anew with `UPDATE_GOLDEN=1 cargo test -p trimtab --test render` and read the diff.

use std::path::Path;

use clap::CommandFactory;
use jiff::Timestamp;
use serde_json::json;
use trimtab::cli::explain::{Explained, Unattended, release_text, service_text};
use trimtab::cli::get::{Breadth, ServiceLine, services};
use trimtab::cli::history::releases;
use trimtab::cli::output::{Form, Mood, Paint};
use trimtab::cli::rules::effective;
use trimtab::cli::{Arguments, lint};
use trimtab_api::resolve::{Policies, settings};
use trimtab_api::{AppRelease, FleetPolicy, ManagedApp};
use trimtab_delivery::plan::{AppPhase, Plan};
use trimtab_judge::rule::built_in;
use trimtab_plan::report::{Report, Step};
use trimtab_plan::{Kind, Object, Reason};

fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("the golden file can be written");
    }
    let expect = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, expect, "{}", path.display());
}

fn now() -> Timestamp {
    "2026-03-04T12:00:00Z".parse().expect("an instant")
}

fn example(kind: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../api/tests/examples/{kind}.yaml"));
    std::fs::read_to_string(path).expect("an example")
}

fn rolled_back() -> AppRelease {
    serde_saphyr::from_str(&example("apprelease")).expect("a release")
}

fn kept(number: u64, low_evidence: bool) -> AppRelease {
    serde_json::from_value(json!({
        "metadata": {"name": format!("payments-v{number}"), "creationTimestamp": "2026-03-01T09:00:00Z"},
        "spec": {"app": "payments", "number": number, "image": format!("payments:{number}"), "actor": "alice"},
        "status": {"phase": "Kept", "lowEvidence": low_evidence, "harmed": 0.0, "summary": "rpc-errors: 0.4 % vs 0.4 %"},
    }))
    .expect("a release")
}

fn lines() -> Vec<ServiceLine> {
    let line = |name: &str, phase: &str, summary: &str, current, in_flight| ServiceLine {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        target: name.to_owned(),
        mood: Mood::of_app(phase),
        summary: summary.to_owned(),
        current,
        in_flight,
        tier: current.map(|_| 1),
        since: Some(now().checked_sub(jiff::SignedDuration::from_hours(50)).expect("in range")),
    };
    vec![
        line("accounts", "Releasing", "Releasing v8, judged against v7", Some(7), Some(8)),
        line("carts", "RollingBack", "Rolling back v31 to v30", Some(30), Some(31)),
        line("orders", "Healthy", "Healthy on v12", Some(12), None),
        line("payments", "Held", "Healthy on v127 (v128 rejected)", Some(127), None),
        line("legacy", "", "not claimed", None, None),
    ]
}

#[test]
fn services_in_a_table() {
    check("get.txt", &services(&lines(), Breadth::Namespace, now(), Form::Table, Paint::Plain));
    check("get-wide.txt", &services(&lines(), Breadth::Cluster, now(), Form::Wide, Paint::Plain));
}

#[test]
fn releases_in_a_table() {
    let found = [kept(120, false), kept(127, true), rolled_back()];
    check("history.txt", &releases(&found, now(), Form::Table, Paint::Plain));
    check("history-wide.txt", &releases(&found, now(), Form::Wide, Paint::Plain));
}

#[test]
fn why_a_release_was_rolled_back() {
    check("explain-release.txt", &release_text(&rolled_back(), &built_in(), Paint::Plain));
}

#[test]
fn what_a_held_service_waits_for() {
    let mut plan =
        Plan { wake_at: now().checked_add(jiff::SignedDuration::from_secs(90)).ok(), ..Plan::default() };
    plan.status.phase = AppPhase::Held;
    let step = Step {
        code: Reason::Held,
        subject: Object::new(Kind::APP_RELEASE, "shop", "payments-v128"),
        saw: "the Deployment holds the template of v128, which was rejected".to_owned(),
        decided: "holds it; the pods of the previous release keep running".to_owned(),
        waits_for: Some("another template, or `trimtab promote payments -n shop --because ...`".to_owned()),
    };
    let report = Report {
        about: Object::new(Kind::MANAGED_APP, "shop", "payments"),
        summary: "Healthy on v127 (v128 rejected)".to_owned(),
        steps: vec![step],
    };
    let release = rolled_back();
    let explained = Explained {
        name: "payments",
        plan: &plan,
        report: &report,
        last: Some(&release),
        decided: &[&release],
        held: Some(128),
        target: "payments",
        now: now(),
        unattended: None,
    };
    check("explain-service.txt", &service_text(&explained, Paint::Plain));
    let unattended = Unattended {
        words: "no manager of instance team-a acts since 2026-03-04T09:00:00Z, 3h ago".to_owned(),
        written: "Healthy on v127 (v128 rejected), 3h ago".to_owned(),
        next: "`kubectl get pods -l app.kubernetes.io/name=trimtab-team-a -n trimtab-system`".to_owned(),
    };
    let explained = Explained { unattended: Some(&unattended), ..explained };
    check("explain-unattended.txt", &service_text(&explained, Paint::Plain));
}

#[test]
fn rules_with_their_origin() {
    let app: ManagedApp = serde_saphyr::from_str(&example("managedapp")).expect("an app");
    let policy: FleetPolicy = serde_saphyr::from_str(&example("fleetpolicy")).expect("a policy");
    let policies = [policy];
    let (settings, _) = settings(&app, &Policies::matching(&policies, &app));
    let disabled = [("legacy".to_owned(), "ManagedApp".to_owned())];
    check("rules.txt", &effective(&settings, &disabled, Form::Table, Paint::Plain));
}

#[test]
fn problems_with_file_and_line() {
    let text = "\
apiVersion: trimtab.dev/v1alpha1
kind: ManagedApp
metadata: {name: payments}
spec:
  tier: 9
  teir: 1
  delivery:
    watch: 5 minutes
    rules:
    - name: errors
      ratio: {bad: errors_total, total: requests_total, limit: 20}
    - name: errors
      events: {counter: x_total}
---
apiVersion: trimtab.dev/v1
kind: FleetPolicy
spec: {alpha: lots, match: {tiers: 3}}
---
kind: Service
spec: {anything: goes}
";
    let told: String = lint::check(text)
        .iter()
        .map(|found| format!("{} {:?} {}: {}\n", found.line, found.weight, found.path, found.cause))
        .collect();
    check("lint.txt", &told);
    assert_eq!(lint::check(&example("managedapp")), [], "the maximal example has no fault");
    assert_eq!(lint::check(&example("fleetpolicy")), [], "the maximal example has no fault");
}

#[test]
fn the_manual() {
    check("help.txt", &Arguments::command().term_width(100).render_long_help().to_string());
}
