//! What happens to a release again, hours or releases later, is news: it is acted on, and told, as the first time.

use trimtab_dst::{Stage, StageOptions};

use crate::support::{play, shows};

const SLACK: &str = "object <<\napiVersion: v1\nkind: Secret\nmetadata: {name: slack, namespace: trimtab-system}\n\
    stringData: {url: \"https://hooks.slack.example/services/T0/B0/secret\"}\n.\n\
    object <<\napiVersion: trimtab.dev/v1alpha1\nkind: FleetPolicy\nmetadata: {name: everyone}\n\
    spec: {notify: {slackUrlFrom: {name: slack, key: url}}}\n.\n";
const BEGIN: &str =
    "service pay replicas=3 rps=50 image=shop/pay:v1\nadvance 10m\nstart manager\nclaim pay\nsettle\n";
const REJECTED: &str = "apply pay shop/pay:v2-errors30 by tool\n";
/// More often than one fight is answered.
const TIMES: usize = 6;

fn stage() -> Stage {
    Stage::set(&StageOptions::seeded(7))
}

fn ships(image: &str) -> String {
    format!("apply pay {image} by argocd-controller\nsettle\n")
}

#[tokio::test(start_paused = true)]
async fn a_rejected_template_that_comes_back_after_each_release_is_restored_each_time() {
    let mut stage = stage();
    play(&mut stage, &format!("{BEGIN}fault no-admission\n{REJECTED}settle\n")).await;
    for version in 3..3 + TIMES {
        play(&mut stage, &ships(&format!("shop/pay:v{version}"))).await;
        let state = format!("pay: Healthy on v{version} [Healthy]");
        let runs = format!("Deployment: shop/pay:v{version}, claim hold-changes shop/pay:v2-errors30");
        shows(&mut stage, &format!("{REJECTED}settle\nshow pay\n"), &[&state, &runs]).await;
    }
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn a_person_is_asked_again_and_told() {
    let mut stage = stage();
    play(
        &mut stage,
        &format!("{SLACK}{BEGIN}fault no-admission\n{REJECTED}wait pay until RolledBack\nsettle\n"),
    )
    .await;
    let again = format!("{REJECTED}advance 2m\n");
    let fought = again.repeat(TIMES);
    let asked = "pay: Needs a person: v2 failed, and its template is written back whenever v1 is restored";
    shows(&mut stage, &format!("{fought}show pay\n"), &[asked]).await;
    play(&mut stage, &ships("shop/pay:v3")).await;
    let asked = "pay: Needs a person: v2 failed, and its template is written back whenever v3 is restored";
    let transcript =
        play(&mut stage, &format!("advance 3h\n{fought}show pay\nshow messages\nshow events pay\n")).await;
    assert!(transcript.contains(asked), "{transcript}");
    let told = |word: &str| transcript.lines().filter(|line| line.contains(word)).count();
    assert_eq!(told("pay v2 needs a human"), 2, "{transcript}");
    // Each fight has its hour, and within it people are told three times.
    assert_eq!((told("pay v2 rolled back to v1"), told("pay v2 rolled back to v3")), (3, 3), "{transcript}");
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_applies_a_rejected_template_later_is_named() {
    let mut stage = stage();
    let by = |who: &str| format!("apply pay shop/pay:v2-errors30 by {who}\nsettle\n");
    play(&mut stage, &format!("{SLACK}{BEGIN}{}{}", by("argocd-controller"), by("argocd-controller"))).await;
    play(&mut stage, &format!("{}advance 3h\n", ships("shop/pay:v3"))).await;
    let named = "v2 was rejected and applied again by mallory: held, no pod is touched";
    shows(&mut stage, &format!("{}show events pay\n", by("mallory")), &[named]).await;
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_record_was_written_without_an_answer_is_sent() {
    let mut stage = stage();
    play(&mut stage, &format!("{SLACK}{BEGIN}{REJECTED}")).await;
    play(
        &mut stage,
        "fault lost-answer resource=appreleases.trimtab.dev for=40s\nadvance 10m\nend faults\nsettle\n",
    )
    .await;
    let record = stage.sim.get("appreleases.trimtab.dev", "shop", "pay-v2").unwrap_or_default();
    let told = record["status"]["notifications"].as_array().cloned().unwrap_or_default();
    let states: Vec<&str> = told.iter().filter_map(|entry| entry["state"].as_str()).collect();
    assert_eq!(states, ["Sent", "Sent"], "{record}");
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn records_that_owe_messages_are_kept_until_they_are_told() {
    let mut stage = stage();
    let hook = "object <<\napiVersion: v1\nkind: Secret\nmetadata: {name: hook, namespace: trimtab-system}\n\
        stringData: {key: \"0123456789abcdef0123456789abcdef\"}\n.\n\
        object <<\napiVersion: trimtab.dev/v1alpha1\nkind: FleetPolicy\nmetadata: {name: everyone}\n\
        spec: {notify: {webhook: {url: \"https://hooks.example/releases\", signingKeyFrom: {name: hook, key: key}}}}\n.\n\
        object <<\napiVersion: trimtab.dev/v1alpha1\nkind: ManagedApp\nmetadata: {name: pay, namespace: shop}\n\
        spec: {delivery: {watch: 10s, history: 2}}\n.\nsettle\n";
    let claimed = BEGIN.replace("claim pay\nsettle\n", hook);
    play(&mut stage, &format!("{claimed}fault server-error resource=secrets code=503\n")).await;
    for version in 2..6 {
        play(&mut stage, &format!("apply pay shop/pay:v{version} by argocd-controller\nadvance 25s\n")).await;
    }
    play(&mut stage, "kill manager\nend faults\nstart manager\nadvance 20m\nsettle\n").await;
    let told: Vec<String> = stage
        .messages
        .received()
        .into_iter()
        .filter(|message| message.taken)
        .map(|message| message.key)
        .collect();
    for version in 2..6 {
        let about = format!(":v{version}:");
        assert_eq!(told.iter().filter(|key| key.contains(&about)).count(), 2, "v{version}: {told:?}");
    }
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn a_persons_pause_stays() {
    let mut stage = stage();
    let paused = "wait pay until Judging\npause pay by ana\nadvance 2m\nshow pay\n";
    let back = [
        "pay: Healthy on v1 (v2 rejected) [Healthy]",
        "ana paused the Deployment; Trimtab does not lift a pause that is not its own",
        "Deployment: shop/pay:v1, paused, claim hold-changes shop/pay:v2-errors30",
    ];
    shows(&mut stage, &format!("{BEGIN}{REJECTED}{paused}"), &back).await;
    stage.stop_managers().await;
}

#[tokio::test(start_paused = true)]
async fn a_release_ends_under_a_template_that_is_too_large() {
    let mut stage = stage();
    let large = "apply pay shop/pay:v2 by argocd-controller\nwait pay until Judging\nadvance 10s\n\
        apply pay shop/pay:v2 by argocd-controller kib=1100\nsettle\nshow pay\n";
    let ended = ["v2 shop/pay:v2 Superseded: replaced by a template that is too large to be recorded"];
    shows(&mut stage, &format!("{BEGIN}{large}"), &ended).await;
    stage.stop_managers().await;
}

/// The progress deadline of the Deployment is a day, and what never started is nothing to fall back to.
#[tokio::test(start_paused = true)]
async fn a_release_of_which_no_pod_ever_starts_fails_within_the_hour() {
    let mut stage = stage();
    let begin = BEGIN.replace("image=shop/pay:v1", "image=shop/pay:v1 deadline=100000");
    let never = "apply pay shop/pay:v2-nopull by argocd-controller\nadvance 70m\nsettle\nshow pay\n";
    let failed = ["v2 shop/pay:v2-nopull RolledBack: progress: no pod of v2 became ready within 1h"];
    shows(&mut stage, &format!("{begin}{never}"), &failed).await;
    let back = ["pay: Healthy on v1 (v2, v3 rejected) [Healthy]", "3 x shop/pay:v1 ready"];
    shows(&mut stage, &format!("{}show pay\nshow pods pay\n", ships("shop/pay:v3-errors30")), &back).await;
    stage.stop_managers().await;
}

/// The number was given, its template was taken away and brought back: the record said `Pending` meanwhile.
#[tokio::test(start_paused = true)]
async fn a_number_whose_template_was_brought_back_is_taken_up() {
    let mut stage = Stage::set(&StageOptions::seeded(323));
    let story = "service web replicas=3 rps=10 deadline=120 image=shop/web:v1\nstart manager\nawait write deployments.apps\n\
        claim web watch=2m\napply web shop/web:v2-oom15s by argocd-controller\nawait write deployments.apps\n\
        rollback web to v2\nawait write deployments.apps\ndecide web newest keep because I said so\nsettle\nshow web\n";
    let kept = ["web: Healthy on v3 [Healthy]", "v3 shop/web:v2-oom15s Kept: kept by alice: I said so"];
    shows(&mut stage, story, &kept).await;
    stage.stop_managers().await;
}
