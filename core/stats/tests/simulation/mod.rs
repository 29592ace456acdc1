//! Simulated releases: seeded traffic on two arms, shared by the calibration example and the calibration gate.

pub(crate) mod cells;
pub(crate) mod random;
pub(crate) mod report;
