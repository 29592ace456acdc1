//! The leader dies in the middle of a judged release: the other manager takes the lease and comes to the same verdict.

use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::Instant;
use trimtab_lab::Lab;
use trimtab_lab::judged::FIRST_MANAGER;

use crate::messages::{event_of, slack_path, verify, webhook_path};
use crate::stage::{
    HANDED_OVER, NAMESPACE, PATIENCE, Stage, TOLD, items, release, ship, text, wait_for_release,
    wait_until_known,
};

/// The other manager.
const SECOND_MANAGER: u16 = FIRST_MANAGER + 1;
/// A lease lasts 15 s and is looked at every 2 s; the rest is for a machine with other work.
const TAKE_OVER_MAX: Duration = Duration::from_secs(25);
/// The release that is judged by two.
const RELEASE: &str = "handed-over-v2";

pub(crate) async fn a_second_manager_takes_over(lab: &Lab, stage: &mut Stage) -> Result<()> {
    stage.site.start_manager(lab, SECOND_MANAGER).await?;
    wait_until_known(lab, HANDED_OVER).await?;
    let leader = leader(lab, stage).await?;
    let told_before = messages_of(stage, TOLD);
    // The first message is on its way when its sender dies: it has arrived, and nobody has noted that.
    stage.receiver.hold_answers();
    ship(lab, HANDED_OVER, "v2-errors30").await?;
    lab.wait_for("the release is judged, and two messages are on their way", PATIENCE, async || {
        let judged = text(&release(lab, RELEASE).await?, "/status/phase") == "Judging";
        let begun = messages_of(stage, HANDED_OVER);
        Ok((judged && begun == [1, 1]).then_some(()))
    })
    .await?;
    stage.site.kill_manager(leader).await?;
    let killed = Instant::now();
    stage.receiver.answer_again();
    let phase = text(&release(lab, RELEASE).await?, "/status/phase").to_owned();
    ensure!(phase == "Judging", "the leader was killed too late: the release is {phase}");
    let successor = self::leader(lab, stage).await?;
    let took = killed.elapsed();
    ensure!(successor != leader, "the lease went to a dead manager");
    let closed = wait_for_release(lab, RELEASE, "RolledBack").await?;
    let ended = killed.elapsed();
    let summary = text(&closed, "/status/summary");
    ensure!(summary.starts_with("rpc-errors:"), "the verdict is another one: {summary}");
    ensure!(took <= TAKE_OVER_MAX, "taking over took {took:?}, more than {TAKE_OVER_MAX:?}");
    println!(
        "taken over after {:.1} s, rolled back {:.1} s after the leader died: {summary}",
        took.as_secs_f64(),
        ended.as_secs_f64()
    );
    one_event(lab).await?;
    messages_in_flight(lab, stage).await?;
    // A new leader looks at everything once, and tells nothing again.
    ensure!(messages_of(stage, TOLD) == told_before, "the successor told again what {TOLD} had told");
    stage.stop_traffic();
    Ok(())
}

async fn leader(lab: &Lab, stage: &Stage) -> Result<u16> {
    lab.wait_for("a manager that runs has the lease", PATIENCE, async || stage.site.leader(lab).await).await
}

/// How many messages about a service came to Slack and to the webhook.
fn messages_of(stage: &Stage, service: &str) -> [usize; 2] {
    [slack_path(service), webhook_path(service)].map(|path| stage.receiver.received(&path).len())
}

/// The rollback is one event, however many managers saw it.
async fn one_event(lab: &Lab) -> Result<()> {
    let list = lab.get(&format!("/apis/events.k8s.io/v1/namespaces/{NAMESPACE}/events")).await?;
    let own = items(&list)?.iter().filter(|event| {
        text(event, "/reportingController") == "trimtab.dev/delivery"
            && text(event, "/regarding/name") == HANDED_OVER
    });
    let mut reasons: Vec<&str> = own.map(|event| text(event, "/reason")).collect();
    reasons.sort_unstable();
    ensure!(reasons == ["RolledBack", "Started"], "the events are {reasons:?}");
    Ok(())
}

/// What was on its way when its sender died came to Slack once, and its outbox says that nobody knows; the webhook got it
/// again with the same key, by which a receiver knows it.
async fn messages_in_flight(lab: &Lab, stage: &Stage) -> Result<()> {
    let closed = lab
        .wait_for("everything is told", PATIENCE, async || {
            let release = release(lab, RELEASE).await?;
            let outbox = release["status"]["notifications"].as_array().cloned().unwrap_or_default();
            let over = |state: &str| ["Sent", "Unknown"].iter().any(|word| state.starts_with(word));
            Ok((outbox.len() == 4 && outbox.iter().all(|one| over(text(one, "/state")))).then_some(outbox))
        })
        .await?;
    let unsure: Vec<String> = closed
        .iter()
        .filter(|one| text(one, "/state") != "Sent")
        .map(|one| format!("{} to {}", text(one, "/event"), text(one, "/destination")))
        .collect();
    ensure!(unsure == ["Started to slack"], "the outbox does not know of {unsure:?}");
    let slack: Vec<Option<&str>> =
        stage.receiver.received(&slack_path(HANDED_OVER)).iter().map(event_of).collect();
    ensure!(slack == [Some("Started"), Some("RolledBack")], "Slack got {slack:?}");
    let webhook = stage.receiver.received(&webhook_path(HANDED_OVER));
    let events: Vec<Option<&str>> = webhook.iter().map(event_of).collect();
    ensure!(events == [Some("Started"), Some("Started"), Some("RolledBack")], "the webhook got {events:?}");
    let keys: Vec<&str> = webhook.iter().map(|message| message.header("idempotency-key")).collect();
    ensure!(!keys[0].is_empty() && keys[0] == keys[1] && keys[1] != keys[2], "the keys are {keys:?}");
    webhook.iter().try_for_each(verify)
}
