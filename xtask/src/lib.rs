//! What the project's tasks and the tests of its shape share.
//!
//! The binary runs the tests in tiers and writes the reference pages; `tests/` holds the rules that no compiler checks:
//! which crate may depend on which, how long a module may be, that every link leads somewhere.

pub mod markdown;
pub mod reference;
pub mod source;
pub mod workspace;
