//! `trimtab rollback`: the template of an earlier release becomes a new one.

use serde_json::{Value, json};
use trimtab_api::AppRelease;
use trimtab_control::convert;
use trimtab_delivery::command;
use trimtab_delivery::names::release_word;
use trimtab_workload::service_image;

use super::args::RollbackArgs;
use super::args::values::reason;
use super::attended;
use super::decide;
use super::deploy::NewRecord;
use super::exit::{Exit, Failure};
use super::put_back::{NOT_ROLLED_BACK, native, put_back, put_back_numbered, template_of};
use super::service::{REASON_LOST, Service, Standing};
use super::session::Session;
use super::wait;

/// Brings back an earlier release.
///
/// # Errors
/// Refuses when there is nothing to go back to.
pub async fn rollback(session: &mut Session<'_>, args: &RollbackArgs) -> Result<Exit, Failure> {
    if let Some(release) = args.misplaced.map(release_word) {
        let meant =
            command::trimtab(&format!("rollback {} --to {release}", args.service), &session.namespace);
        return Err(Failure::usage(format!("rollback takes the release to bring back as --to {release}"))
            .hint(format!("`{meant}`")));
    }
    let service = Service::read(&session.api, session.clock.now(), &session.namespace, &args.service).await?;
    match service.standing() {
        Standing::Claimed => {}
        Standing::Claiming => return Err(service.being_claimed()),
        Standing::ClaimedBy(other) => return Err(service.claimed_by(&other, "rollback", "")),
        Standing::Unclaimed(_) => return unclaimed(session, &service, args).await,
    }
    let asked = args.to.map(|to| destination(&service, Some(to))).transpose()?;
    let ends = match asked {
        None => service.in_flight(),
        // Ending one brings nothing back where another template took over from it.
        Some(back) => service.falls_back_to(back).filter(|under_way| !service.is_replaced(under_way)),
    };
    if let Some(under_way) = ends {
        let done = decide::abort_release(session, &service, args.because.as_deref()).await?;
        return match args.wait {
            // That it is rolled back is what was asked for.
            Some(timeout) => {
                match wait::verdict(session, &service.name, under_way.spec.number, timeout).await? {
                    Exit::RolledBack => Ok(done),
                    other => Ok(other),
                }
            }
            None => Ok(done),
        };
    }
    let back = match asked {
        Some(back) => back,
        None => destination(&service, None)?,
    };
    let template = template_of(&service, back)?;
    let is_kept = service.current().is_some_and(|current| current.spec.number == back.spec.number);
    if is_kept && service.held().is_none() {
        return unseen(session, &service, back, &template, args).await;
    }
    let container = service.app.as_ref().and_then(|app| app.spec.container.as_deref());
    let record = NewRecord {
        image: service_image(&template, container).unwrap_or_default(),
        reason: reason(args.because.as_deref()).map(str::to_owned),
        rollback_to: Some(back.spec.number),
        actor: session.actor().await,
        decision: None,
    };
    let release = put_back_numbered(session, &service, &record, &template).await?;
    let word = release_word(release.spec.number);
    session.say(&format!("{} {word}", service.name))?;
    session.tell(&format!("{word} brings back {} ({})", release_word(back.spec.number), record.image));
    if !convert::release(&release).is_rollback(service.history().own()) {
        let old = release_word(back.spec.number);
        session.tell(&format!("{old} was never kept: {word} is judged, and rolled back if it fails"));
    }
    session.tell(NOT_ROLLED_BACK);
    attended::warn(session, service.app.as_ref()).await;
    match args.wait {
        Some(timeout) => wait::verdict(session, &service.name, release.spec.number, timeout).await,
        None => Ok(Exit::Done),
    }
}

/// No manager has seen what was deployed since `back` was kept: its template comes back, and needs no number.
async fn unseen(
    session: &mut Session<'_>,
    service: &Service,
    back: &AppRelease,
    template: &Value,
    args: &RollbackArgs,
) -> Result<Exit, Failure> {
    let rejected = decide::reject_replaced(session, service, args.because.as_deref()).await?;
    put_back(session, service, template, &json!({})).await?;
    let word = release_word(back.spec.number);
    session.say(&format!("{} {word}", service.name))?;
    match rejected {
        Some(rejected) => {
            let rejected = release_word(rejected.spec.number);
            session.tell(&format!(
                "{word} is back; {rejected} is aborted, and what was deployed over it is gone"
            ));
        }
        None => {
            session.tell(&format!("{word} is back: what was deployed since is no release yet"));
            if reason(args.because.as_deref()).is_some() {
                session.tell(REASON_LOST);
            }
        }
    }
    decide::tell_of_a_pause(session, service);
    session.tell(NOT_ROLLED_BACK);
    match args.wait {
        Some(timeout) => wait::rolled_out(session, service.target(), timeout).await,
        None => Ok(Exit::Done),
    }
}

async fn unclaimed(
    session: &mut Session<'_>,
    service: &Service,
    args: &RollbackArgs,
) -> Result<Exit, Failure> {
    if let Some(to) = args.to.map(release_word) {
        let message = format!("{} is not claimed, so it has no release {to}", service.name);
        let hint = format!("`{}` lists its revisions", service.rollout("history"));
        return Err(Failure::refused(message).hint(hint));
    }
    native(session, service, args.because.as_deref()).await?;
    match args.wait {
        Some(timeout) => wait::rolled_out(session, service.target(), timeout).await,
        None => Ok(Exit::Done),
    }
}

/// The release to go back to.
fn destination(service: &Service, asked: Option<u64>) -> Result<&AppRelease, Failure> {
    let current = service.current().map_or(0, |release| release.spec.number);
    if let Some(asked) = asked {
        let release = service.release(asked)?;
        let word = release_word(release.spec.number);
        if !service.is_own(release) {
            let message = format!(
                "{word} of {} was released to another Deployment than the one that is called {} now",
                service.name,
                service.target()
            );
            return Err(Failure::refused(message).hint(format!(
                "`{} -o yaml` shows its template",
                command::kubectl(&format!("get apprelease {}", release.metadata.name), &service.namespace)
            )));
        }
        if service.shows(release) {
            return Err(Failure::refused(format!(
                "Deployment {} holds the template of {word} already",
                service.target()
            ))
            .hint(format!("`{}`", service.command("explain"))));
        }
        let hash = release.spec.template_hash.as_deref();
        if hash.is_some_and(|hash| service.rejected(hash).is_some()) {
            return Err(Failure::refused(format!(
                "{word} of {} was rejected: {}",
                service.name, release.status.summary
            ))
            .hint(format!(
                "`{} --because ...` keeps it all the same",
                service.command_on("promote", &word)
            )));
        }
        return Ok(release);
    }
    if let Some(held) = service.held() {
        let (runs, held) = (release_word(current), release_word(held.spec.number));
        return Err(Failure::refused(format!(
            "{} runs {runs} already: the rejected {held} is held and touches no pod",
            service.name
        ))
        .hint(match service.earlier() {
            Some(earlier) => {
                let earlier = release_word(earlier.spec.number);
                format!("to go further back, `{} --to {earlier}`", service.command("rollback"))
            }
            None => format!("`{}`", service.command("history")),
        }));
    }
    // A template that no manager has seen yet is out: what was kept last comes back.
    let unseen = service.current().filter(|current| !service.shows(current));
    unseen.or_else(|| service.earlier()).ok_or_else(|| {
        Failure::refused(format!("{} has no kept release before {}", service.name, release_word(current)))
            .hint(format!("`{}`", service.command("history")))
    })
}
