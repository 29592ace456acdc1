//! Makes a failing case small: fewer lines, shorter spans, the same promise broken in the same way.

use super::{Case, Oracle, Violation, run};
use crate::planted::Planted;

/// Runs that making one case small may take.
const RUNS_MAX: usize = 250;

/// The smallest case found that still shows `violation`, numbers apart.
#[must_use]
pub fn shrink(case: &Case, violation: &Violation, planted: Option<Planted>) -> Case {
    let mut search = Search { best: case.clone(), wanted: kind_of(violation), planted, runs: 0 };
    loop {
        let before = search.best.lines.clone();
        let mut size = (before.len() / 2).max(1);
        loop {
            search.drop_chunks(size);
            if size == 1 {
                break;
            }
            size /= 2;
        }
        search.shorten();
        if search.best.lines == before || search.runs >= RUNS_MAX {
            return search.best;
        }
    }
}

/// What is broken, and how: the same fault counts and times differently in a shorter story.
fn kind_of(violation: &Violation) -> (Oracle, String) {
    let words = violation.what.split(|c: char| !c.is_alphabetic()).filter(|word| word.len() > 1);
    (violation.oracle, words.take(KIND_WORDS).collect::<Vec<_>>().join(" "))
}

/// Words of a message that tell one way of breaking a promise from another.
const KIND_WORDS: usize = 5;

struct Search {
    best: Case,
    wanted: (Oracle, String),
    planted: Option<Planted>,
    runs: usize,
}

impl Search {
    /// Takes the lines if the promise is broken with them as well; tells which.
    fn takes(&mut self, lines: Vec<String>) -> bool {
        if self.runs >= RUNS_MAX {
            return false;
        }
        self.runs += 1;
        let case = Case { seed: self.best.seed, lines };
        let broken = run(&case, self.planted).violations.iter().any(|found| kind_of(found) == self.wanted);
        if broken {
            self.best = case;
        }
        broken
    }

    fn drop_chunks(&mut self, size: usize) {
        let mut at = self.best.lines.len();
        while at > 0 {
            let from = at.saturating_sub(size);
            let mut lines = self.best.lines.clone();
            lines.drain(from..at);
            self.takes(lines);
            at = from;
        }
    }

    /// Halves spans of seconds, one after the other.
    fn shorten(&mut self) {
        for index in 0..self.best.lines.len() {
            while let Some(line) = shorter(&self.best.lines[index]) {
                let mut lines = self.best.lines.clone();
                lines[index] = line;
                if !self.takes(lines) {
                    break;
                }
            }
        }
    }
}

/// The line with the span that it waits halved.
fn shorter(line: &str) -> Option<String> {
    let (head, span) = line.rsplit_once("advance ").or_else(|| line.rsplit_once("for="))?;
    let seconds: u64 = span.strip_suffix('s')?.parse().ok()?;
    let word = if line.starts_with("advance") { "advance " } else { "for=" };
    (seconds > 1).then(|| format!("{head}{word}{}s", seconds / 2))
}
