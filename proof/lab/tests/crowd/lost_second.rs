//! A storage that loses its last second, as etcd does on a machine whose disk only says that it has written: decisions are
//! made again, messages are not told again, and every release comes to its end.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::sleep;
use trimtab_lab::Lab;

use crate::stage::{Crowd, Entry, SENT, arrivals, states};

/// Storage is remembered when so many messages have come.
const REMEMBERED_AT: usize = 4;
/// What is lost.
const LOST: Duration = Duration::from_secs(1);

pub(crate) async fn a_lost_second_is_made_up_for_and_nobody_is_told_twice(
    lab: &mut Lab,
    crowd: &mut Crowd,
) -> Result<()> {
    let before = crowd.came().len();
    crowd.ship(lab).await?;
    crowd.wait_for_messages(before + REMEMBERED_AT).await?;
    lab.control_plane().remember()?;
    let remembered = sent(lab).await?;
    sleep(LOST).await;
    let lost: BTreeSet<_> = sent(lab).await?.difference(&remembered).cloned().collect();
    ensure!(!lost.is_empty(), "nothing was recorded within {LOST:?}, so nothing is lost and nothing shown");
    lab.control_plane_mut().lose_what_followed().await?;
    crowd.wait_until_told(lab).await?;
    let received = crowd.came();
    let came = arrivals(&received);
    let twice: Vec<_> = came.iter().filter(|(_, times)| times.len() > 1).map(|(entry, _)| entry).collect();
    ensure!(twice.is_empty(), "told more than once: {twice:?}; records lost: {lost:?}");
    let recorded = sent(lab).await?;
    ensure!(came.keys().eq(recorded.iter()), "{:?} came, and {recorded:?} are recorded as sent", came.keys());
    println!(
        "{} messages came once each; storage had lost that {} of them were sent",
        came.len(),
        lost.len()
    );
    Ok(())
}

/// The messages that are recorded as sent.
async fn sent(lab: &Lab) -> Result<BTreeSet<Entry>> {
    Ok(states(lab).await?.into_iter().filter(|(_, state)| state == SENT).map(|(entry, _)| entry).collect())
}
