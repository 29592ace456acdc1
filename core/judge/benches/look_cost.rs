//! What one look of the judge costs: `cargo bench -p trimtab-judge --bench look_cost`.
//!
//! Prints nanoseconds per call for one look with the built-in rules: the first, with the server that answers it, and the ones
//! after it. Wall time wobbles with the machine; what CI holds fast is the number of allocations, in `tests/cost.rs`.

#[path = "../tests/judge/lab.rs"]
#[allow(dead_code, reason = "the tests use more of it")]
mod lab;

use std::hint::black_box;

use trimtab_cost::print_nanoseconds as measure;
use trimtab_judge::finding::Finding;
use trimtab_judge::rule::built_in;

fn main() {
    let lab = lab::lab(built_in().swap_remove(0).kind).with(|lab| lab.rules = built_in());
    let lab = lab.traffic(300.0, (12.0, 0.01), (12.0, 0.01));
    measure("look, the first", || drop(black_box::<Vec<Finding>>(lab.findings(&[200.0]))));
    let mut judge = lab.judge();
    lab.look(&mut judge, 200.0);
    let soon = lab::instant(201.0);
    measure("look after a second: what to ask", || drop(black_box(judge.needs(soon))));
    let (needs, answers) = lab.questions(&judge, 201.0);
    let answers: Vec<_> = needs.into_iter().zip(answers).collect();
    measure("look after a second: taking it in", || {
        let mut judge = judge.clone();
        judge.absorb(answers.clone(), soon);
        black_box(judge.findings(soon));
    });
}
