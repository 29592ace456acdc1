//! A workload as a decision sees it: a Deployment, its ReplicaSets and pods, the arm that a pod belongs to, and who acts on
//! it now.
//!
//! Plain values that every controller shares. Nothing here decides: it knows no release, no rule and no policy.

mod arm;
mod claim;
mod hold;
mod objects;
mod report;
mod template;

pub use arm::{ARM_LABEL, Arm};
pub use claim::{Actor, Claim};
pub use hold::AdmissionHold;
pub use objects::{Pod, ReplicaSet, Target};
pub use report::{ContainerReport, End};
pub use template::{containers, images, service_container, service_image};
