//! Scenario scripts, crash points, oracles.
