//! The manager is killed again and again while twenty services release at once, and once the storage loses its last second
//! with it: every message that is owed arrives, and one arrives twice only where its manager died after it was sent, and
//! the record that its successor found did not say so.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::{Instant, sleep};
use trimtab_lab::judged::FIRST_MANAGER;
use trimtab_lab::{Lab, Received};

use crate::stage::{Crowd, Entry, PATIENCE, SENT, arrivals, states};

/// Releases of each service.
const ROUNDS: usize = 3;
/// The manager is killed as soon as so many messages of a round have come: some while releases begin, some while they end.
const KILLED_AT: [usize; 4] = [4, 12, 26, 34];
/// The death of which the storage forgets the last second: its round, and how many messages had come.
const FORGOTTEN: (usize, usize) = (1, 12);
/// How much it forgets.
const LOST: Duration = Duration::from_secs(1);

/// The death of a manager.
struct Death {
    at: Instant,
    /// What the records said of every message when its successor began.
    states: BTreeMap<Entry, String>,
    /// Whether the storage forgot its last second.
    forgotten: bool,
}

impl Death {
    /// Whether a message that came before it may come again: it was being sent when the manager died, or it is forgotten
    /// that it was sent.
    fn explains(&self, entry: &Entry) -> bool {
        let said = self.states.get(entry).map(String::as_str);
        if self.forgotten { said != Some(SENT) } else { said.is_some_and(|said| said.starts_with("Sending")) }
    }
}

pub(crate) async fn only_a_death_doubles_a_message(lab: &mut Lab, crowd: &mut Crowd) -> Result<()> {
    let mut deaths = Vec::new();
    for round in 0..ROUNDS {
        let so_far = crowd.came().len();
        crowd.ship(lab).await?;
        for count in KILLED_AT {
            crowd.wait_for_messages(so_far + count).await?;
            deaths.push(die(lab, crowd, (round, count) == FORGOTTEN).await?);
        }
        crowd.wait_until_told(lab).await?;
    }
    judge(&crowd.came(), &deaths, &states(lab).await?)
}

/// Kills the manager and starts its successor.
async fn die(lab: &mut Lab, crowd: &mut Crowd, forgotten: bool) -> Result<Death> {
    if forgotten {
        lab.control_plane().remember()?;
        sleep(LOST).await;
    }
    crowd.site.kill_manager(FIRST_MANAGER).await?;
    if forgotten {
        lab.control_plane_mut().lose_what_followed().await?;
    }
    // A server that has just been started does not serve every kind at once.
    let states =
        lab.wait_for("the records are served", PATIENCE, async || states(lab).await.map(Some)).await?;
    // What it sent is read by now.
    let at = Instant::now();
    // Nobody else competes, so nothing is proved by waiting until the dead one's lease runs out.
    lab.kubectl(&["delete", "lease", "trimtab-manager", "-n", "trimtab-system"]).await?;
    crowd.site.start_manager(lab, FIRST_MANAGER).await?;
    Ok(Death { at, states, forgotten })
}

/// Holds what came against what was owed and who died when.
fn judge(received: &[Received], deaths: &[Death], owed: &BTreeMap<Entry, String>) -> Result<()> {
    let arrivals = arrivals(received);
    for entry in owed.keys() {
        ensure!(arrivals.contains_key(entry), "{entry:?} never came");
    }
    let mut doubles = 0;
    let mut forgotten = 0;
    let mut keys = BTreeMap::new();
    for (entry, came) in &arrivals {
        ensure!(owed.contains_key(entry), "{entry:?} is owed by nobody");
        let key = came[0].header("idempotency-key");
        ensure!(!key.is_empty(), "{entry:?} has no key");
        ensure!(came.iter().all(|one| one.header("idempotency-key") == key), "{entry:?} has several keys");
        ensure!(keys.insert(key, entry).is_none(), "the key of {entry:?} is another's too");
        for pair in came.windows(2) {
            doubles += 1;
            let between: Vec<&Death> =
                deaths.iter().filter(|death| pair[0].at <= death.at && death.at <= pair[1].at).collect();
            let said: Vec<_> = between.iter().map(|death| death.states.get(entry)).collect();
            let death = between.iter().find(|death| death.explains(entry));
            ensure!(death.is_some(), "{entry:?} came twice, and no death explains it: records said {said:?}");
            forgotten += usize::from(death.is_some_and(|death| death.forgotten));
        }
    }
    println!(
        "{} messages owed, {} came; {doubles} doubles by {} deaths, {forgotten} of them by the one that the storage forgot",
        owed.len(),
        received.len(),
        deaths.len()
    );
    Ok(())
}
