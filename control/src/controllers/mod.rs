//! The controllers of a manager, one file each: what concerns it, what it sees, and the core that decides.

pub mod delivery;
pub mod messages;
pub mod policy;
pub mod unclaim;
