//! What holds whatever happens to a service, and wherever a manager is killed.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use trimtab_delivery::Write;
use trimtab_delivery::plan::{AppPhase, Pause};
use trimtab_delivery::snapshot::{Keep, Release, ReleasePhase, ReleaseStatus};
use trimtab_stats::Verdict;
use trimtab_workload::{AdmissionHold, Arm};

use crate::cluster::Cluster;
use crate::planned;
use crate::service::unclaimed;

/// Something that happens.
#[derive(Clone, Debug)]
enum Happens {
    Deploy(usize),
    DeployNumbered(usize),
    Rollback,
    Undo,
    Pause,
    Resume,
    Scale(i32),
    Judged(usize, Verdict),
    Decides(Keep),
    PromotesAgain,
    Passes(i64),
    Progress(usize),
    Plans,
    /// A manager is killed after so many writes.
    Killed(usize),
    Deleted,
    Created(usize),
}

/// `b6` never becomes ready.
const TEMPLATES: [&str; 6] = ["t1", "t2", "t3", "t4", "t5", "b6"];

fn happens() -> impl Strategy<Value = Happens> {
    let template = 0..TEMPLATES.len();
    let verdict =
        prop_oneof![3 => Just(Verdict::Fail), 1 => Just(Verdict::Pass), 1 => Just(Verdict::Undecided)];
    prop_oneof![
        6 => template.clone().prop_map(Happens::Deploy),
        1 => template.clone().prop_map(Happens::DeployNumbered),
        1 => Just(Happens::Rollback),
        1 => Just(Happens::Undo),
        1 => Just(Happens::Pause),
        1 => Just(Happens::Resume),
        1 => (0..5).prop_map(Happens::Scale),
        4 => (template.clone(), verdict).prop_map(|(template, verdict)| Happens::Judged(template, verdict)),
        1 => prop_oneof![Just(Keep::Keep), Just(Keep::RollBack)].prop_map(Happens::Decides),
        1 => Just(Happens::PromotesAgain),
        2 => (1..900_i64).prop_map(Happens::Passes),
        6 => (1..8_usize).prop_map(Happens::Progress),
        10 => Just(Happens::Plans),
        3 => (0..6_usize).prop_map(Happens::Killed),
        1 => Just(Happens::Deleted),
        1 => template.prop_map(Happens::Created),
    ]
}

fn happen(cluster: &mut Cluster, event: &Happens) {
    match event {
        Happens::Deploy(template) => cluster.deploy(TEMPLATES[*template]),
        Happens::DeployNumbered(template) => cluster.deploy_numbered(TEMPLATES[*template], None),
        Happens::Rollback => {
            let kept = |release: &&Release| release.status.phase == ReleasePhase::Kept;
            let earlier = cluster.service.releases.iter().rev().filter(kept).nth(1).cloned();
            if let Some((number, template)) =
                earlier.and_then(|release| Some((release.number, release.template_hash?)))
            {
                cluster.deploy_numbered(&template, Some(number));
            }
        }
        Happens::Undo => {
            let current = cluster
                .service
                .snapshot()
                .history()
                .current()
                .and_then(|release| release.template_hash.clone());
            current.into_iter().for_each(|template| cluster.deploy(&template));
        }
        Happens::Pause => cluster.others_write(|target| {
            (target.paused, target.paused_by) = (true, Some("kubectl-rollout".into()));
        }),
        Happens::Resume => cluster.others_write(|target| (target.paused, target.paused_by) = (false, None)),
        Happens::Scale(replicas) => cluster.others_write(|target| target.replicas = *replicas),
        Happens::Judged(template, verdict) => {
            cluster.verdicts.insert(TEMPLATES[*template].into(), *verdict);
        }
        Happens::Decides(keep) => cluster.decide(*keep),
        Happens::PromotesAgain => {
            let rejected =
                cluster.service.snapshot().history().rejected().next_back().map(|release| release.number);
            if let Some(number) = rejected {
                cluster.promote_again(number);
            }
        }
        Happens::Passes(seconds) => cluster.pass(SignedDuration::from_secs(*seconds)),
        Happens::Progress(steps) => (0..*steps).for_each(|_| {
            cluster.progress();
        }),
        Happens::Plans | Happens::Killed(_) => {
            let plan = cluster.plan();
            let writes = if let Happens::Killed(writes) = event { *writes } else { usize::MAX };
            cluster.execute(&plan, writes);
        }
        Happens::Deleted => cluster.delete(),
        Happens::Created(template) => cluster.create(TEMPLATES[*template]),
    }
}

fn after(events: &[Happens], admission: bool) -> Cluster {
    let mut cluster = Cluster::new();
    cluster.admission = admission;
    events.iter().for_each(|event| happen(&mut cluster, event));
    cluster
}

/// What must not depend on where a manager was killed: everything but how often it tried, and whether there was time
/// to label the pods of a release that was over at once.
fn end(cluster: &Cluster) -> String {
    let service = &cluster.service;
    let target = service.target.as_ref();
    let target = target.map(|t| (&t.template_hash, t.replicas, t.paused, &t.paused_by, t.hold));
    let status = &service.app.status;
    let mut text = format!("{target:?}\n{status:?}\n{:?}\n", cluster.events);
    for Release { number, template_hash, decision, status, .. } in &service.releases {
        let status = ReleaseStatus { restores: 0, restored: None, ..status.clone() };
        text += &format!("v{number} {template_hash:?} {decision:?} {status:?}\n");
    }
    let sets: BTreeMap<&str, (i32, i32)> =
        service.sets.iter().map(|set| (set.name.as_str(), (set.replicas, set.available))).collect();
    // Which pods are left of a rollout that is stuck until a person comes depends on when it got stuck.
    let stuck = service.releases.iter().any(|release| release.status.needs_human.is_some());
    let running = sets.iter().filter(|(_, (replicas, _))| *replicas > 0 && !stuck);
    text + &format!("{:?}", running.collect::<Vec<_>>())
}

/// A calm cluster costs nothing, today and in a year, and looks as it should.
fn check_quiet(cluster: &mut Cluster) {
    let plan = cluster.plan();
    assert_eq!(plan.writes, [], "a calm service is written to");
    assert_eq!(plan.status, cluster.service.app.status);
    // A rejection is forgotten after a month, and the claim says so; nothing else changes with time.
    let mut plan = plan;
    for _ in 0..TEMPLATES.len() {
        let Some(forgets_at) = plan.wake_at else { break };
        cluster.service.now = forgets_at;
        let mut forgets = cluster.plan();
        forgets.writes.retain(|write| !matches!(write, Write::Hold { pause: Pause::Leave, .. }));
        assert_eq!(forgets.writes, [], "time alone changes something");
        cluster.calm();
        plan = cluster.plan();
    }
    cluster.service.now = cluster.service.now.checked_add(SignedDuration::from_hours(8760)).expect("a year");
    let later = cluster.plan();
    assert_eq!((later.writes, later.status), (plan.writes, plan.status), "time alone changes something");

    let snapshot = cluster.service.snapshot();
    if snapshot.history().in_flight().is_none() && snapshot.target.is_some() {
        let canary = snapshot.pods.iter().find(|pod| pod.arm == Some(Arm::Canary));
        assert_eq!(canary, None, "a label outlives its release");
    }
    let Some(target) = snapshot.target else { return };
    let phase = cluster.service.app.status.phase;
    if phase != AppPhase::Unclaimed {
        let asked = snapshot
            .history()
            .in_flight()
            .or(snapshot.history().current())
            .is_some_and(|of| of.status.needs_human.is_some());
        assert_eq!(phase == AppPhase::Degraded, asked, "a person is asked, and nothing else says so");
    }
    let person = snapshot.releases.iter().any(|release| release.status.needs_human.is_some())
        || target.paused_by.is_some();
    if target.paused && !person {
        assert!(cluster.is_rejected(&target.template_hash), "paused for nothing");
        assert_eq!(cluster.service.app.status.phase, AppPhase::Held);
    }
    if !target.paused && !person && snapshot.history().in_flight().is_none() {
        let kept = snapshot.history().current().and_then(|release| release.template_hash.clone());
        assert_eq!(kept.as_deref(), Some(target.template_hash.as_str()), "runs what was not kept");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happened, in the end there is peace, with and without the admission policy.
    #[test]
    fn quiet_in_the_end(events in vec(happens(), 0..40), admission: bool) {
        let mut cluster = after(&events, admission);
        cluster.calm();
        check_quiet(&mut cluster);
    }

    /// A manager may be killed after any write of any plan: its successor comes to the same end.
    #[test]
    fn killed_anywhere_ends_the_same(events in vec(happens(), 0..25)) {
        let mut whole = after(&events, true);
        let mut rounds = 0;
        loop {
            let plan = whole.plan();
            for writes in 0..plan.writes.len() {
                let mut killed = whole.clone();
                killed.execute(&plan, writes);
                killed.calm();
                let mut spared = whole.clone();
                spared.calm();
                let (killed, spared) = (end(&killed), end(&spared));
                prop_assert!(
                    killed == spared,
                    "killed after write {writes} of\n{}--- ends as\n{killed}\n--- not as\n{spared}",
                    crate::render::writes(&plan.writes),
                );
            }
            whole.execute(&plan, usize::MAX);
            rounds += 1;
            if (plan.writes.is_empty() && !whole.progress()) || rounds > 12 {
                break;
            }
        }
    }

    /// While the admission policy is there and nobody resumes by hand, a rejected template gets no pod.
    #[test]
    fn rejected_templates_get_no_pods(events in vec(happens(), 0..40)) {
        let forced = |event: &Happens| matches!(event, Happens::Resume | Happens::Deleted | Happens::Created(_));
        let events: Vec<Happens> = events.into_iter().filter(|event| !forced(event)).collect();
        let mut cluster = after(&events, true);
        cluster.calm();
        prop_assert_eq!(cluster.leaked, Vec::<String>::new());
    }

    /// No record is so odd that there is no plan for it.
    #[test]
    fn any_records_are_survived(
        releases in vec((1..9_u64, 0..TEMPLATES.len(), 0..6_usize, any::<[bool; 6]>()), 0..8),
        (template, replicas, claim, odd) in (0..TEMPLATES.len(), -1..4_i32, 0..4_usize, any::<[bool; 4]>()),
        history in 0..5_usize,
    ) {
        let mut service = unclaimed().applies(TEMPLATES[template]).settings(|settings| settings.history = history);
        for (number, template, phase, [named, started, ready, held, decides, keeps]) in releases {
            let phase = ["Pending", "Judging", "RollingBack", "RolledBack", "Kept", "Superseded"][phase];
            let phase = ReleasePhase::parse(phase).expect("a phase");
            service = service.release(number, TEMPLATES[template], phase).last(|release| {
                release.template_hash = release.template_hash.take().filter(|_| named);
                release.created_at = release.created_at.filter(|_| started);
                release.status.started_at = release.created_at;
                release.status.ready_at = release.created_at.filter(|_| ready);
                release.status.held = held;
            });
            if decides {
                service = service.decides(if keeps { Keep::Keep } else { Keep::RollBack });
            }
        }
        let service = service.target(|target| {
            target.replicas = replicas;
            target.hold = [None, Some(AdmissionHold::Open), Some(AdmissionHold::HoldChanges), Some(AdmissionHold::Held)][claim];
            target.paused = odd[0];
            target.paused_by = odd[1].then(|| "kubectl".to_owned());
            target.observed_generation = if odd[2] { 0 } else { target.generation };
            target.progress_deadline_exceeded = odd[3].then(|| "stuck".to_owned());
        });
        let (plan, report) = planned(&service.snapshot());
        prop_assert!(!report.steps.is_empty(), "no reason for {plan:?}");
    }

    /// A plan is a function of the objects, not of the order in which a store returns them.
    #[test]
    fn order_does_not_matter(events in vec(happens(), 0..30), turn in 0..7_usize) {
        let mut cluster = after(&events, true);
        let plan = cluster.plan();
        cluster.service.sets.reverse();
        let middle = turn.min(cluster.service.pods.len());
        cluster.service.pods.rotate_left(middle);
        prop_assert_eq!(cluster.plan(), plan);
    }

    /// Time alone changes the status only together with a write.
    #[test]
    fn the_status_is_not_a_clock(events in vec(happens(), 0..30), seconds in 1..100_000_i64) {
        let mut cluster = after(&events, true);
        let plan = cluster.plan();
        cluster.service.now = cluster.service.now.checked_add(SignedDuration::from_secs(seconds)).expect("soon");
        let later = cluster.plan();
        if plan.writes.is_empty() && later.writes.is_empty() {
            prop_assert_eq!(plan.status, later.status);
        }
    }
}
