//! Work apart from that of others.

use std::panic::resume_unwind;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio_util::task::AbortOnDropHandle;

/// Runs `work` as a task of its own, which ends with the future that waits for it. A panic of it is one of that future.
pub(crate) async fn own_task<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match AbortOnDropHandle::new(tokio::spawn(work)).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        // The runtime ends: so does whoever waits.
        Err(_) => std::future::pending().await,
    }
}

/// Does `work`, which may compute for seconds; what else this thread had to do goes on elsewhere. On a runtime of one thread,
/// as simulations have, everybody waits.
pub(crate) fn computing<T>(work: impl FnOnce() -> T) -> T {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}
