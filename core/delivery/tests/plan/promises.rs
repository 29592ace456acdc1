//! A decision to keep what was rolled back is kept, in whatever order its record and its template are seen.

use jiff::SignedDuration;
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
