//! A decision to keep what was rolled back is kept, in whatever order its record and its template are seen.

use jiff::SignedDuration;
use trimtab_delivery::plan::RESTORES_MAX;
use trimtab_delivery::snapshot::{Keep, ReleasePhase};
use trimtab_stats::Verdict;

use crate::cluster::Cluster;

/// `v2` was rolled back by a person; the service runs `v1` again.
fn aborted(admission: bool) -> Cluster {
    let mut cluster = Cluster::new();
    cluster.admission = admission;
    cluster.calm();
    cluster.deploy("t2");
    for _ in 0..2 {
        let plan = cluster.plan();
        cluster.execute(&plan, usize::MAX);
    }
    cluster.decide(Keep::RollBack);
    cluster.verdicts.insert("t2".into(), Verdict::Undecided);
    cluster.calm();
    assert_eq!(cluster.service.releases[1].status.phase, ReleasePhase::RolledBack);
    cluster
}

fn plans(cluster: &mut Cluster, rounds: usize) {
    for _ in 0..rounds {
        let plan = cluster.plan();
        cluster.execute(&plan, usize::MAX);
        cluster.progress();
    }
}

#[track_caller]
fn kept(mut cluster: Cluster, number: u64, how: &str) {
    cluster.calm();
    let newest = cluster.service.releases.last().expect("recorded");
    let status = &newest.status;
    assert_eq!((newest.number, status.phase), (number, ReleasePhase::Kept), "{how}: {}", status.summary);
    assert_eq!(status.summary, "kept by ana: so", "{how}");
    let target = cluster.service.target.as_ref().expect("there");
    assert_eq!((target.template_hash.as_str(), target.paused), ("t2", false), "{how}");
}

#[test]
fn the_record_is_seen_first() {
    for admission in [true, false] {
        for rounds in 0..8 {
            let mut cluster = aborted(admission);
            let number = cluster.record_promise(2);
            plans(&mut cluster, rounds);
            cluster.write_promise(2, number);
            kept(cluster, 3, &format!("admission {admission}, {rounds} plans between"));
        }
    }
}

#[test]
fn the_template_is_seen_first() {
    for admission in [true, false] {
        for rounds in 0..8 {
            let mut cluster = aborted(admission);
            cluster.write_promise(2, 3);
            plans(&mut cluster, rounds);
            assert_eq!(cluster.record_promise(2), 3);
            kept(cluster, 3, &format!("admission {admission}, {rounds} plans between"));
        }
    }
}

#[test]
fn a_command_that_died_between_leaves_nothing_behind() {
    let mut cluster = aborted(true);
    cluster.record_promise(2);
    cluster.calm();
    let newest = cluster.service.releases.last().expect("recorded");
    assert_eq!(newest.status.phase, ReleasePhase::Superseded);
    assert_eq!(newest.status.summary, "its template never reached the Deployment, so ana decided nothing");
    assert_eq!(cluster.service.target.as_ref().expect("there").template_hash, "t1");
    // The same command again does the whole of it.
    assert_eq!(cluster.promote_again(2), 4);
    kept(cluster, 4, "again");
}

/// `promote` of a release that is being rolled back: the previous template may be on its way, or there already.
#[test]
fn a_rollback_is_called_back() {
    for rounds in 0..8 {
        let mut cluster = Cluster::new();
        cluster.calm();
        cluster.deploy("t2");
        plans(&mut cluster, 2);
        cluster.verdicts.insert("t2".into(), Verdict::Fail);
        plans(&mut cluster, 1 + rounds);
        if cluster.service.releases[1].status.phase == ReleasePhase::RolledBack {
            return;
        }
        cluster.decide(Keep::Keep);
        cluster.pass(SignedDuration::from_secs(1));
        kept(cluster, 2, &format!("{rounds} plans after the verdict"));
    }
    panic!("the rollback never ended");
}

/// The manager restored the previous template as often as it may before a person called the release back: that does not
/// count against them.
#[test]
fn a_rollback_is_called_back_after_a_fight() {
    for restores in [RESTORES_MAX - 1, RESTORES_MAX, RESTORES_MAX + 2] {
        let cluster = fought(restores);
        kept(cluster, 2, &format!("{restores} restores"));
    }
}

/// `v2` is being rolled back for the nth time when a person calls it back.
fn fought(restores: u32) -> Cluster {
    let mut cluster = Cluster::new();
    cluster.calm();
    cluster.deploy("t2");
    plans(&mut cluster, 2);
    cluster.verdicts.insert("t2".into(), Verdict::Fail);
    plans(&mut cluster, 1);
    let release = cluster.service.releases.last_mut().expect("recorded");
    assert_eq!(release.status.phase, ReleasePhase::RollingBack);
    release.status.restores = restores;
    cluster.decide(Keep::Keep);
    cluster
}

/// Somebody takes the template away whenever it is there: that ends, and the record answers the person.
#[test]
fn a_decision_that_cannot_be_carried_out_is_answered() {
    let mut cluster = fought(1);
    for _ in 0..4 * RESTORES_MAX {
        cluster.deploy("t1");
        let plan = cluster.plan();
        cluster.execute(&plan, usize::MAX);
        cluster.deploy("t1");
        cluster.progress();
    }
    cluster.calm();
    let release = cluster.service.releases.last().expect("recorded");
    let answer = "; ana decided to keep it, and its template was taken away each time";
    assert_eq!(release.status.phase, ReleasePhase::RolledBack);
    assert_eq!(release.status.restores, 2 * RESTORES_MAX);
    assert_eq!(release.status.summary.matches(answer).count(), 1, "{}", release.status.summary);
    assert_eq!(cluster.service.target.as_ref().expect("there").template_hash, "t1");
}

/// What was decided about a release that another one takes over from, or that somebody undid, stands on its record.
#[test]
fn a_decision_that_was_overtaken_is_answered() {
    let table = [
        (
            ReleasePhase::Judging,
            Keep::Keep,
            ReleasePhase::Superseded,
            "replaced by v3; ana had decided to keep it: so",
        ),
        (
            ReleasePhase::RollingBack,
            Keep::Keep,
            ReleasePhase::Superseded,
            "replaced by v3; ana had decided to keep it: so",
        ),
        (
            ReleasePhase::Judging,
            Keep::RollBack,
            ReleasePhase::RolledBack,
            "rolled back by ana: so; replaced by v3",
        ),
    ];
    for (phase, keep, ended, summary) in table {
        let mut cluster = Cluster::new();
        cluster.calm();
        cluster.deploy("t2");
        plans(&mut cluster, 2);
        cluster.service.releases.last_mut().expect("recorded").status.phase = phase;
        cluster.decide(keep);
        cluster.deploy("t3");
        plans(&mut cluster, 2);
        let status = &cluster.service.releases[1].status;
        assert_eq!((status.phase, status.summary.as_str()), (ended, summary));
    }
    let mut cluster = Cluster::new();
    cluster.calm();
    cluster.deploy("t2");
    plans(&mut cluster, 2);
    cluster.decide(Keep::Keep);
    cluster.deploy("t1");
    cluster.calm();
    let status = &cluster.service.releases[1].status;
    let summary = "ci put the previous template back; ana had decided to keep it: so";
    assert_eq!((status.phase, status.summary.as_str()), (ReleasePhase::Superseded, summary));
}
