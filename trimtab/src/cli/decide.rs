//! `trimtab promote` and `trimtab abort`: a person overrules, and says why.

use serde_json::{Value, json};
use trimtab_api::AppRelease;
use trimtab_delivery::command;
use trimtab_delivery::names::{RELEASE_ANNOTATION, release_word};
use trimtab_delivery::snapshot::ReleasePhase;
use trimtab_kube::ApiError;
use trimtab_kube::api::Patch;
use trimtab_kube::kinds::APP_RELEASES;

use super::args::values::reason;
use super::args::{AbortArgs, PromoteArgs};
use super::attended;
use super::deploy::NewRecord;
use super::exit::{Exit, Failure};
use super::put_back::{NOT_ROLLED_BACK, native, put_back, put_back_numbered, template_of};
use super::service::{Service, Standing, phase};
use super::session::Session;
use super::wait::{Progress, progress};

/// How often a decision is written again because the release's record changed meanwhile.
const ATTEMPTS_MAX: usize = 5;
/// Longest reason that a record keeps, in characters.
const BECAUSE_CHARS_MAX: usize = 1024;

/// What a person decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    RollBack,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Keep => "Keep",
            Self::RollBack => "RollBack",
        }
    }

    /// Whether the decision changes anything about `release` where it stands. A rollback that failed is kept, and a person
    /// is asked: to keep it is an answer.
    fn applies_to(self, release: &AppRelease) -> bool {
        match (self, phase(release)) {
            (Self::Keep, ReleasePhase::Kept) => needs_human(release),
            (Self::Keep, phase) => phase.in_flight() || phase == ReleasePhase::RolledBack,
            (Self::RollBack, phase) => phase == ReleasePhase::Judging,
        }
    }
}

/// Keeps a release whatever the evidence says.
///
/// # Errors
/// Refuses when there is nothing to keep, or somebody decided otherwise before.
pub async fn promote(session: &mut Session<'_>, args: &PromoteArgs) -> Result<Exit, Failure> {
    if reason(Some(&args.because)).is_none() {
        return Err(
            Failure::refused("--because gives no reason").hint("say why: it is recorded with your name")
        );
    }
    let service = Service::read(&session.api, session.clock.now(), &session.namespace, &args.service).await?;
    match service.standing() {
        Standing::Claimed => {}
        Standing::Claiming => return Err(service.being_claimed()),
        Standing::ClaimedBy(other) => return Err(service.claimed_by(&other, "promote", " --because ...")),
        Standing::Unclaimed(why) => return Err(nothing_to_promote(&service, why.as_deref())),
    }
    let release = promotable(&service, args.release)?;
    let aborted =
        release.spec.decision.as_ref().filter(|decision| decision.verdict == Verdict::RollBack.word());
    // Numbers only go up: what was rejected before another release was kept comes back under a new one.
    if (aborted.is_some() || !service.is_news(release)) && phase(release) == ReleasePhase::RolledBack {
        return promote_again(session, &service, release, &args.because).await;
    }
    let word = release_word(release.spec.number);
    let decided = decide(session, &service, release, Verdict::Keep, &args.because).await?;
    let comes_back = phase(&decided) == ReleasePhase::RolledBack && !service.shows(&decided);
    if comes_back {
        let template = template_of(&service, release)?;
        put_back(session, &service, &template, &json!({RELEASE_ANNOTATION: word})).await?;
        session.tell(&format!("{word} is deployed again"));
    }
    session.say(&format!("{} {word} kept by decision", service.name))?;
    if comes_back || !service.is_replaced(&decided) {
        tell_of_a_pause(session, &service);
    } else {
        tell_of_another_template(session, &service, &word);
    }
    attended::warn(session, service.app.as_ref()).await;
    Ok(Exit::Done)
}

/// What is decided is carried out in the spec; pods follow when nobody holds them back.
pub(super) fn tell_of_a_pause(session: &mut Session<'_>, service: &Service) {
    if service.is_paused_by_others() {
        let (namespace, target) = (&service.namespace, service.target());
        session.tell(&format!("Deployment {namespace}/{target} is paused: no pod changes before that ends"));
        session.hint(&format!("`{}`", service.rollout("resume")));
    }
}

/// The Deployment holds another template than that of release `word`. A pause over it is nothing to end in a hurry.
fn tell_of_another_template(session: &mut Session<'_>, service: &Service, word: &str) {
    let (namespace, target) = (&service.namespace, service.target());
    session.tell(&format!("Deployment {namespace}/{target} holds another template than that of {word}"));
    if service.is_paused_by_others() {
        session.tell("it is paused: no pod changes before that ends, and then the other template ships");
    }
}

fn nothing_to_promote(service: &Service, why: Option<&str>) -> Failure {
    let name = &service.name;
    match why {
        Some(why) => Failure::refused(format!("{name} is not looked after: {why}"))
            .hint(format!("`{}`", service.command("explain"))),
        None => Failure::refused(format!(
            "{name} is not claimed: nothing judges its deploys, so there is nothing to promote"
        ))
        .hint(format!("`{}`", service.command("claim"))),
    }
}

/// Keeps what a person rolled back before, or what was rejected before the current release was kept: the template gets a
/// new number, and the rejection is lifted with it.
async fn promote_again(
    session: &mut Session<'_>,
    service: &Service,
    release: &AppRelease,
    because: &str,
) -> Result<Exit, Failure> {
    let template = template_of(service, release)?;
    let old = release_word(release.spec.number);
    if service.shows(release) && service.held().is_none() {
        let message = format!(
            "Deployment {}/{} holds the template of {old} already",
            service.namespace,
            service.target()
        );
        return Err(Failure::refused(message).hint(format!("`{}`", service.command("explain"))));
    }
    let actor = session.actor().await;
    let record = NewRecord {
        image: release.spec.image.clone().unwrap_or_default(),
        reason: Some(because.to_owned()),
        rollback_to: Some(release.spec.number),
        decision: Some(decision(session, Verdict::Keep, &actor, because)),
        actor,
    };
    let again = put_back_numbered(session, service, &record, &template).await?;
    let new = release_word(again.spec.number);
    session.say(&format!("{} {new} kept by decision", service.name))?;
    session.tell(&format!(
        "{new} is {old} again, which was rolled back, and is deployed; its template is held no more"
    ));
    attended::warn(session, service.app.as_ref()).await;
    Ok(Exit::Done)
}

fn decision(session: &Session<'_>, verdict: Verdict, actor: &str, because: &str) -> Value {
    json!({
        "verdict": verdict.word(), "actor": actor, "at": session.clock.now(),
        "because": because.chars().take(BECAUSE_CHARS_MAX).collect::<String>(),
    })
}

fn promotable(service: &Service, asked: Option<u64>) -> Result<&AppRelease, Failure> {
    let release = match asked {
        Some(asked) => service.release(asked)?,
        None => default_release(service).ok_or_else(|| {
            Failure::refused(format!("{} has no release under way and none rejected", service.name))
                .hint(format!("`{}`", service.command("history")))
        })?,
    };
    if Verdict::Keep.applies_to(release) {
        return Ok(release);
    }
    let word = release_word(release.spec.number);
    if phase(release) == ReleasePhase::Pending {
        let message = format!("no manager has seen the template of {word} of {} yet", service.name);
        return Err(Failure::refused(message).hint(format!("`{}`", service.command("explain"))));
    }
    let message =
        format!("{word} of {} is {}: there is nothing to promote", service.name, phase(release).word());
    Err(Failure::refused(message).hint(if service.shows(release) {
        format!("it runs: `{}`", service.command_on("explain", &word))
    } else {
        format!("`{} --to {word}` brings it back", service.command("rollback"))
    }))
}

fn needs_human(release: &AppRelease) -> bool {
    release.status.needs_human == Some(true)
}

/// The one under way, or the one that runs and about which a person is asked, or the one that is held, or the one that was
/// rejected last and came after what runs.
fn default_release(service: &Service) -> Option<&AppRelease> {
    let asked = || service.current().filter(|release| needs_human(release));
    service.in_flight().or_else(asked).or_else(|| service.held()).or_else(|| service.last_rejected())
}

/// Rolls back the release under way.
///
/// # Errors
/// Refuses when nothing is under way.
pub async fn abort(session: &mut Session<'_>, args: &AbortArgs) -> Result<Exit, Failure> {
    if let Some(release) = args.release.map(release_word) {
        let command = |words: String| command::trimtab(&words, &session.namespace);
        let message = format!("abort acts on the release under way, and takes no number such as {release}");
        return Err(Failure::usage(message).hint(format!(
            "`{}`; to bring back {release}, `{}`",
            command(format!("abort {}", args.service)),
            command(format!("rollback {} --to {release}", args.service))
        )));
    }
    let service = Service::read(&session.api, session.clock.now(), &session.namespace, &args.service).await?;
    match service.standing() {
        Standing::Claimed => abort_release(session, &service, args.because.as_deref()).await,
        Standing::ClaimedBy(other) => Err(service.claimed_by(&other, "abort", "")),
        Standing::Claiming => Err(service.being_claimed()),
        Standing::Unclaimed(_) => {
            if progress(&service.deployment) == Progress::Done {
                let message = format!("{} is not claimed, and no rollout is under way", service.name);
                return Err(Failure::refused(message)
                    .hint(format!("`{}` goes back to the revision before", service.rollout("undo"))));
            }
            native(session, &service, args.because.as_deref()).await
        }
    }
}

/// Rolls back the release under way of a claimed service.
pub(super) async fn abort_release(
    session: &mut Session<'_>,
    service: &Service,
    because: Option<&str>,
) -> Result<Exit, Failure> {
    let Some(release) = service.in_flight() else {
        let message = format!("{} has no release under way", service.name);
        return Err(Failure::refused(message)
            .hint(format!("`{}` goes back to an earlier one", service.command("rollback"))));
    };
    let word = release_word(release.spec.number);
    if phase(release) == ReleasePhase::RollingBack {
        return Err(Failure::refused(format!("{} {word} is being rolled back already", service.name))
            .hint(format!("`{}`", service.command_on("explain", &word))));
    }
    let before = release.spec.decision.as_ref();
    if let Some(decision) = before.filter(|decision| decision.verdict == Verdict::RollBack.word()) {
        // The same again is no second effect, and the first reason stands.
        session.tell(&format!("{} decided so before: {}", decision.actor, decision.because));
    }
    roll_back(session, service, release, because).await?;
    session.say(&format!("{} {word} aborted", service.name))?;
    let back = service.current().map(|back| release_word(back.spec.number));
    if service.is_replaced(release) {
        tell_of_another_template(session, service, &word);
        if let Some(back) = back {
            let rollback = service.command("rollback");
            session.hint(&format!("`{rollback} --to {back}` puts the template of {back} in its place"));
        }
    } else {
        if let Some(back) = back {
            session.tell(&format!("{back} comes back"));
        }
        tell_of_a_pause(session, service);
    }
    session.tell(NOT_ROLLED_BACK);
    attended::warn(session, service.app.as_ref()).await;
    Ok(Exit::Done)
}

/// Decides that a release which another template replaced already is not wanted; whoever does that puts its place right.
pub(super) async fn reject_replaced(
    session: &Session<'_>,
    service: &Service,
    because: Option<&str>,
) -> Result<Option<AppRelease>, Failure> {
    let is_open =
        |release: &&AppRelease| service.is_replaced(release) && Verdict::RollBack.applies_to(release);
    let Some(release) = service.in_flight().filter(is_open) else { return Ok(None) };
    roll_back(session, service, release, because).await.map(Some)
}

async fn roll_back(
    session: &Session<'_>,
    service: &Service,
    release: &AppRelease,
    because: Option<&str>,
) -> Result<AppRelease, Failure> {
    let because = reason(because).unwrap_or("no reason given");
    decide(session, service, release, Verdict::RollBack, because).await
}

/// Writes a decision on the very release that the person saw.
async fn decide(
    session: &Session<'_>,
    service: &Service,
    seen: &AppRelease,
    verdict: Verdict,
    because: &str,
) -> Result<AppRelease, Failure> {
    let (namespace, name) = (Some(service.namespace.as_str()), seen.metadata.name.as_str());
    let word = release_word(seen.spec.number);
    let decision = decision(session, verdict, &session.actor().await, because);
    let mut release = seen.clone();
    for _ in 0..ATTEMPTS_MAX {
        still_open(service, &release, verdict)?;
        if release.spec.decision.is_some() {
            return Ok(release);
        }
        let patch = Patch::Json(json!([
            {"op": "test", "path": "/metadata/uid", "value": seen.metadata.uid},
            {"op": "test", "path": "/metadata/resourceVersion", "value": release.metadata.resource_version},
            {"op": "add", "path": "/spec/decision", "value": decision},
        ]));
        match session.api.patch(APP_RELEASES, namespace, name, &patch).await {
            Ok(stored) => return super::objects::typed(stored),
            // A failed test is told as a conflict or as an invalid patch.
            Err(ApiError::Conflict { .. } | ApiError::Invalid { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let again: Option<Value> = session.api.get(APP_RELEASES, namespace, name).await?;
        release = super::objects::typed(again.unwrap_or_default())?;
        if release.metadata.uid != seen.metadata.uid {
            return Err(Failure::refused(format!("{} {word} is not the release that it was", service.name)));
        }
    }
    Err(Failure::error(format!("the record of {} {word} keeps changing", service.name)).hint("try again"))
}

/// Whether the decision still makes sense. The same decision again is no second effect.
fn still_open(service: &Service, release: &AppRelease, verdict: Verdict) -> Result<(), Failure> {
    let word = release_word(release.spec.number);
    if let Some(decision) = &release.spec.decision {
        if decision.verdict == verdict.word() {
            return Ok(());
        }
        let message = format!(
            "{} decided {} for {} {word}: {}",
            decision.actor, decision.verdict, service.name, decision.because
        );
        return Err(Failure::refused(message).hint(format!(
            "a decision stands once it is written; `{}` shows what came of it",
            service.command("history")
        )));
    }
    if verdict.applies_to(release) {
        return Ok(());
    }
    Err(Failure::refused(format!("{} {word} is {} by now", service.name, phase(release).word()))
        .hint(format!("`{}`", service.command_on("explain", &word))))
}
