//! Rules that change while a release is judged. From then on it is judged by the rules as they stand, by each of them from the
//! beginning of the release, and what they were before fails nothing.
//!
//! Every change here is certain to come before a verdict: an alert has not held for its `for` yet, a ratio has not seen a
//! request, or nothing that is in force finds anything wrong.

use serde_json::{Value, json};
use trimtab_dst::stage::NAMESPACE;
use trimtab_dst::{Stage, StageOptions};
use trimtab_kube::api::Patch;
use trimtab_kube::kinds::{FLEET_POLICIES, MANAGED_APPS};

use crate::support::{play, shows};

const RUNNING: &str = "service pay replicas=3 rps=50 image=shop/pay:v1\nadvance 10m\nobject <<\n\
    apiVersion: trimtab.dev/v1alpha1\nkind: FleetPolicy\nmetadata: {name: everyone}\nspec: {}\n.\n\
    start manager\nclaim pay watch=6m\nsettle\n";
const END: &str = "settle\nshow pay\n";
/// Answers every request, and slowly.
const SLOW: &str = "shop/pay:v2-latency900ms";
/// Answers in time, and often with an error.
const FAILING: &str = "shop/pay:v2-errors30";

const HEALTHY: &str = "pay: Healthy on v2 [Healthy]";
const REJECTED: &str = "pay: Healthy on v1 (v2 rejected) [Healthy]";

/// What becomes of the manager once the rules have changed: nothing; it dies before it acts on them; it dies soon after.
const DEATHS: [&str; 3] = [
    "",
    "kill manager\nadvance 30s\nstart manager\n",
    "advance 5s\nkill manager\nadvance 30s\nstart manager\n",
];

/// Where a rule is written.
#[derive(Clone, Copy)]
enum Whose {
    Fleet,
    Service,
}

/// An alert about requests that take longer than so many seconds, for so long.
fn slow(name: &str, seconds: &str, span: &str) -> Value {
    let buckets = "http_request_duration_seconds_bucket";
    let expr = format!("histogram_quantile(0.9, sum by (le) (rate({buckets}[30s]))) > {seconds}");
    json!({"name": name, "alert": {"expr": expr, "for": span}})
}

/// The built-in rule about failed requests, turned off.
fn no_rpc_errors() -> Value {
    json!([{"name": "rpc-errors", "disabled": true}])
}

/// Puts `rules` in the place of those that stand there.
async fn write_rules(stage: &Stage, whose: Whose, rules: &Value) {
    let written = match whose {
        Whose::Fleet => {
            let patch = Patch::Merge(json!({"spec": {"rules": rules}}));
            stage.person.patch(FLEET_POLICIES, None, "everyone", &patch).await
        }
        Whose::Service => {
            let patch = Patch::Merge(json!({"spec": {"delivery": {"rules": rules}}}));
            stage.person.patch(MANAGED_APPS, Some(NAMESPACE), "pay", &patch).await
        }
    };
    written.unwrap();
}

/// A release of `image`, out everywhere and judged by `rules` and the built-in ones for a minute and a half, with minutes to
/// come.
async fn judged(seed: u64, whose: Whose, rules: &Value, image: &str) -> Stage {
    let mut stage = Stage::set(&StageOptions::seeded(seed));
    play(&mut stage, RUNNING).await;
    write_rules(&stage, whose, rules).await;
    let story =
        format!("settle\napply pay {image} by argocd-controller\nadvance 90s\nshow pay\nshow pods pay\n");
    let (judging, out) = (format!("  v2 {image} Judging"), format!("  3 x {image} ready canary"));
    shows(&mut stage, &story, &[&judging, &out]).await;
    stage
}

/// A release that the fleet's rule `slow` would fail is kept on its evidence where `rules` are written in time.
async fn is_kept(seed: u64, whose: Whose, rules: &Value) {
    let mut stage = judged(seed, Whose::Fleet, &json!([slow("slow", "0.5", "2m")]), SLOW).await;
    write_rules(&stage, whose, rules).await;
    let kept = format!("  v2 {SLOW} Kept: rpc-errors: canary");
    shows(&mut stage, END, &[HEALTHY, &kept]).await;
    stage.stop_managers().await;
}

/// How a release of [`SLOW`] ends under rules of the fleet that change in mid-release, after each of [`DEATHS`].
async fn ends(seed: u64, before: &Value, after: &Value) -> Vec<String> {
    let mut ends = Vec::new();
    for death in DEATHS {
        let mut stage = judged(seed, Whose::Fleet, before, SLOW).await;
        write_rules(&stage, Whose::Fleet, after).await;
        let shown = play(&mut stage, &format!("{death}{END}")).await;
        stage.stop_managers().await;
        ends.push(without_counts(&shown));
    }
    ends
}

/// What is shown, without how much was counted until then, and without what is still asked about the rules.
fn without_counts(shown: &str) -> String {
    let told = shown.lines().filter(|line| !line.starts_with('>') && !line.starts_with("  not "));
    let uncounted = told.map(|line| line.split_once(" canary ").map_or(line, |(before, _)| before));
    uncounted.collect::<Vec<_>>().join("\n")
}

/// What the others are held against.
#[tokio::test(start_paused = true)]
async fn a_rule_that_stays_fails_the_release() {
    let mut stage = judged(31, Whose::Fleet, &json!([slow("slow", "0.5", "2m")]), SLOW).await;
    let failed = format!("  v2 {SLOW} RolledBack: slow: ");
    shows(&mut stage, END, &[REJECTED, &failed]).await;
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_removed_fails_nothing_more() {
    is_kept(32, Whose::Fleet, &json!([])).await;
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_the_service_turns_off_fails_nothing_more() {
    is_kept(33, Whose::Service, &json!([{"name": "slow", "disabled": true}])).await;
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_becomes_milder_fails_by_its_new_words_alone() {
    is_kept(34, Whose::Service, &json!([slow("slow", "5", "2m")])).await;
}

#[tokio::test(start_paused = true)]
async fn the_rules_beside_the_one_that_is_removed_go_on_judging() {
    let longer = slow("slow-for-longer", "0.5", "4m");
    let both = json!([slow("slow", "0.5", "2m"), longer]);
    let mut stage = judged(35, Whose::Fleet, &both, SLOW).await;
    write_rules(&stage, Whose::Fleet, &json!([longer])).await;
    let failed = format!("  v2 {SLOW} RolledBack: slow-for-longer: ");
    shows(&mut stage, END, &[REJECTED, &failed]).await;
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn a_built_in_rule_that_is_turned_off_before_the_first_request_fails_nothing() {
    let mut stage = Stage::set(&StageOptions::seeded(36));
    let ship = format!("apply pay {FAILING} by argocd-controller\nadvance 90s\nshow pay\n");
    let judging = format!("  v2 {FAILING} Judging");
    shows(&mut stage, &format!("{RUNNING}traffic pay rps=0\n{ship}"), &[&judging]).await;
    write_rules(&stage, Whose::Service, &no_rpc_errors()).await;
    // No other rule counts requests, so nobody can say that the release is good.
    let kept = format!("  v2 {FAILING} Kept (low evidence): ");
    shows(&mut stage, &format!("traffic pay rps=50\n{END}"), &[HEALTHY, &kept]).await;
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_is_added_judges_the_release_from_its_beginning() {
    let mut stage = judged(37, Whose::Fleet, &json!([]), SLOW).await;
    write_rules(&stage, Whose::Fleet, &json!([slow("slow", "0.5", "30s")])).await;
    // Since it was written it cannot have held for its half minute.
    let shown = play(&mut stage, "advance 20s\nshow pay\n").await;
    assert!(!shown.contains(&format!("  v2 {SLOW} Judging")), "{shown}");
    let failed = format!("  v2 {SLOW} RolledBack: slow: ");
    shows(&mut stage, END, &[REJECTED, &failed]).await;
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn a_built_in_rule_that_is_turned_on_again_judges_the_same_release() {
    let mut stage = judged(38, Whose::Service, &no_rpc_errors(), FAILING).await;
    write_rules(&stage, Whose::Service, &json!([])).await;
    let failed = format!("  v2 {FAILING} RolledBack: rpc-errors: canary");
    shows(&mut stage, END, &[REJECTED, &failed]).await;
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn a_successor_keeps_what_a_rule_that_is_gone_would_have_failed() {
    let ends = ends(39, &json!([slow("slow", "0.5", "2m")]), &json!([])).await;
    let kept = format!("  v2 {SLOW} Kept: rpc-errors:");
    assert!(ends[0].contains(HEALTHY) && ends[0].contains(&kept), "{ends:#?}");
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_successor_takes_back_what_a_rule_fails_that_is_new() {
    let ends = ends(40, &json!([]), &json!([slow("slow", "0.5", "30s")])).await;
    let failed = format!("  v2 {SLOW} RolledBack: slow: ");
    assert!(ends[0].contains(REJECTED) && ends[0].contains(&failed), "{ends:#?}");
    assert!(ends.iter().all(|end| *end == ends[0]), "{ends:#?}");
}
