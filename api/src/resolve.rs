//! From what people wrote to what is judged: validation and merging are one pass, so that nothing unchecked gets through.

mod rules;
mod scaling;
mod settings;
#[cfg(test)]
mod tests;

pub use rules::{merge_rules, rule};
pub use settings::{Policies, Reach, check_app, check_policy, reaches, settings};
