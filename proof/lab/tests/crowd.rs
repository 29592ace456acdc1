//! Twenty services that release at once, each of which tells a webhook: every message comes, whoever dies and whatever the
//! storage forgets, and it comes once unless nobody is left who knows that it was sent.

#[path = "crowd/deaths.rs"]
mod deaths;
#[path = "crowd/lost_second.rs"]
mod lost_second;
#[path = "crowd/stage.rs"]
mod stage;

use std::process::ExitCode;

use trimtab_lab::judged::Shared;
use trimtab_lab::{harness, judged};

use stage::Crowd;

fn main() -> ExitCode {
    let stage = Shared::<Crowd>::default();
    let cases = vec![
        stage.case("a_lost_second_is_made_up_for_and_nobody_is_told_twice", |lab, crowd| {
            Box::pin(lost_second::a_lost_second_is_made_up_for_and_nobody_is_told_twice(lab, crowd))
        }),
        stage.case("only_a_death_doubles_a_message", |lab, crowd| {
            Box::pin(deaths::only_a_death_doubles_a_message(lab, crowd))
        }),
    ];
    // It ends with its last case, before the lab does.
    drop(stage);
    harness::run(judged::options(), cases)
}
