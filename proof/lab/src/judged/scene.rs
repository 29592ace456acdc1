//! What the cases of one program share: Trimtab in the lab, and what stands around it. The first case sets it.

use std::rc::Rc;

use anyhow::{Context, Result, anyhow};
use futures::future::LocalBoxFuture;
use tokio::sync::Mutex;

use super::Site;
use crate::harness::Case;
use crate::lab::Lab;

/// What cases share.
pub trait Scene: Sized + 'static {
    /// Sets it in a lab that is ready.
    fn set(lab: &Lab) -> impl Future<Output = Result<Self>>;

    /// Trimtab in the lab.
    fn site(&mut self) -> &mut Site;
}

/// A scene, once the first case has set it.
pub struct Shared<S>(Rc<Mutex<Option<S>>>);

impl<S> Default for Shared<S> {
    fn default() -> Self {
        Self(Rc::default())
    }
}

impl<S: Scene> Shared<S> {
    /// A case in the scene. An error carries the end of the managers' output.
    pub fn case(
        &self,
        name: &str,
        run: impl for<'a> FnOnce(&'a mut Lab, &'a mut S) -> LocalBoxFuture<'a, Result<()>> + 'static,
    ) -> Case {
        let shared = Rc::clone(&self.0);
        Case::new(name, move |lab| {
            Box::pin(async move {
                let mut scene = shared.lock().await;
                if scene.is_none() {
                    *scene = Some(S::set(lab).await?);
                }
                let scene = scene.as_mut().context("was set above")?;
                // A case that failed between killing a manager and starting it takes no other case with it.
                if scene.site().is_deserted() {
                    scene.site().start(lab).await?;
                }
                let outcome = run(lab, scene).await;
                outcome.map_err(|error| anyhow!("{error:#}\n{}", scene.site().tail()))
            })
        })
    }
}
