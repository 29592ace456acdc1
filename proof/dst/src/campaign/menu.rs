//! What a campaign may draw, and what it may not draw yet.

use crate::fault::FaultKind;

/// What people, tools and machines do in a drawn story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// A version that behaves is deployed.
    DeployGood,
    /// A version that fails most of its requests.
    DeployBad,
    /// A version that fails few of its requests: it is out for a while before that is known.
    DeploySlowlyBad,
    /// A version that crashes.
    DeployCrashing,
    /// A deploy is numbered first, as `trimtab deploy` does.
    Numbered,
    /// Git applies again what was rejected.
    Reapply,
    /// `kubectl rollout undo`.
    Undo,
    /// A person keeps the newest release.
    Keep,
    /// A person rolls the newest release back.
    RollBack,
    /// A person goes back to an earlier release.
    GoBack,
    /// A person pauses the Deployment, and resumes it.
    Pause,
    /// Somebody scales.
    Scale,
    /// The service is unclaimed, and claimed again.
    Unclaim,
    /// Somebody names the Deployment in a second ManagedApp, whose name comes first, and takes it away again.
    SecondService,
    /// The watch is made longer or shorter.
    EditWatch,
    /// The strategy is changed.
    EditStrategy,
    /// The Deployment is deleted, and made again.
    DeleteDeployment,
    /// A manager is killed, and another one started.
    KillManager,
    /// Two managers compete, their clocks apart.
    SecondManager,
}

/// One thing that a campaign may draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ingredient {
    /// Something that people, tools or machines do.
    Act(Act),
    /// Something that goes wrong.
    Fault(FaultKind),
}

/// What makes the product fail today, and why: not drawn unless everything is asked for. Whoever mends the fault removes
/// the line.
pub const NOT_YET: &[(Ingredient, &str)] = &[];

/// What may be drawn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Menu {
    without: Vec<Ingredient>,
}

impl Menu {
    /// All there is.
    #[must_use]
    pub fn everything() -> Self {
        Self::default()
    }

    /// All but [`NOT_YET`].
    #[must_use]
    pub fn mended() -> Self {
        Self { without: NOT_YET.iter().map(|(ingredient, _)| *ingredient).collect() }
    }

    pub(crate) fn has(&self, ingredient: Ingredient) -> bool {
        !self.without.contains(&ingredient)
    }
}
