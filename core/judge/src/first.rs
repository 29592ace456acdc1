//! The first of several counters that exists for a service.

use std::collections::BTreeMap;

use trimtab_promql::Series;

use crate::arms::Arms;
use crate::counter::{self, Counter, Increment};
use crate::finding::FindingState;
use crate::ingest::Ingest;
use crate::narrowed::{Narrowed, To};
use crate::question::{Answer, Failure, Part, Query, history_from};
use crate::reading::{Reading, Window};
use crate::rule::ArmLabel;

/// The first of several counters that exists for a service.
#[derive(Clone, Debug)]
pub(crate) struct FirstCounter {
    selectors: Vec<String>,
    sources: Vec<Source>,
    bound: Option<usize>,
    start_ms: i64,
    reading: Reading,
}

/// A counter, and how far its samples are there.
#[derive(Clone, Debug, Default)]
struct Source {
    counter: Counter,
    ingest: Ingest,
}

impl FirstCounter {
    pub(crate) fn new(selectors: &[String], start_ms: i64, reading: Reading) -> Self {
        let source = Source { counter: Counter::read_as(reading), ingest: Ingest::default() };
        Self {
            selectors: selectors.to_vec(),
            sources: vec![source; selectors.len()],
            bound: None,
            start_ms,
            reading,
        }
    }

    /// Whether this failure is one that sums would not meet.
    pub(crate) fn should_sum(&self, why: &Failure) -> bool {
        self.reading == Reading::Raw && matches!(why, Failure::TooLarge(_))
    }

    pub(crate) fn needs(
        &self,
        arms: &Arms,
        label: &ArmLabel,
        narrowed: &Narrowed,
        to_ms: i64,
    ) -> Vec<(Part, Query)> {
        let candidates = self.selectors.iter().zip(&self.sources).enumerate();
        candidates
            .filter(|(index, _)| self.bound.is_none_or(|bound| bound == *index))
            .filter_map(|(index, (selector, Source { counter, ingest }))| {
                let selector = narrowed.get(selector, To::Both)?;
                let after = ingest.after(arms, counter.taken_to_ms(), history_from(self.start_ms));
                let window = Window { start_ms: self.start_ms, after, to_ms };
                let queries = self.reading.queries(selector, &arms.kept_labels(label), &window);
                Some(queries.into_iter().map(move |query| (Part::Counter(index), query)))
            })
            .flatten()
            .collect()
    }

    /// Increments of the bound counter and until when they are complete, or why there was no answer.
    pub(crate) fn absorb(
        &mut self,
        answers: Vec<(Part, Query, Answer)>,
        arms: &Arms,
        label: &ArmLabel,
        now_ms: i64,
    ) -> Result<(Vec<Increment>, i64), Failure> {
        let mut answered: BTreeMap<usize, (Vec<Series>, i64)> = BTreeMap::new();
        for (part, query, answer) in answers {
            match (part, answer) {
                // Half an answer is none: all of it is asked again.
                (_, Answer::Failed(why)) => return Err(why),
                (Part::Counter(index), Answer::Samples(series)) => {
                    let (all, until_ms) = answered.entry(index).or_default();
                    all.extend(series);
                    *until_ms = query.to_ms().max(*until_ms);
                }
                _ => {}
            }
        }
        let mut complete = Vec::new();
        for (index, (series, until_ms)) in &answered {
            if let Some(source) = self.sources.get_mut(*index) {
                complete.push(source.ingest.note(series, arms, label, *until_ms, now_ms));
            }
        }
        // The whole past is read at once, that of every counter: what is learnt from it, and which one the rule is bound to,
        // must not depend on when anybody looked.
        if complete.into_iter().min().is_some_and(|complete_to_ms| complete_to_ms < self.start_ms) {
            return Ok((Vec::new(), i64::MIN));
        }
        let mut gained = vec![Vec::new(); self.sources.len()];
        for (index, (series, _)) in answered {
            if let Some((source, gained)) = self.sources.get_mut(index).zip(gained.get_mut(index)) {
                let complete_to_ms = source.ingest.complete_ms();
                *gained = source.counter.absorb(series, arms, label, complete_to_ms, |_| None);
            }
        }
        let counters = self.sources.iter().map(|source| &source.counter);
        self.bound = self.bound.or_else(|| counter::bound(counters, self.start_ms));
        let Some(bound) = self.bound else { return Ok((Vec::new(), i64::MIN)) };
        Ok((gained.swap_remove(bound), self.sources[bound].ingest.complete_ms()))
    }

    pub(crate) fn bound(&self) -> Option<&Counter> {
        self.bound.and_then(|bound| self.sources.get(bound)).map(|source| &source.counter)
    }

    /// How late samples come.
    pub(crate) fn late_ms(&self) -> i64 {
        self.judged_by().map(Ingest::late_ms).max().unwrap_or_default()
    }

    /// What is wrong with samples that come too late.
    pub(crate) fn lost(&self) -> Option<FindingState> {
        self.judged_by().find_map(|ingest| ingest.lost(self.start_ms))
    }

    /// What is known about the arrival of the bound counter's samples, or of all of them while none is bound.
    fn judged_by(&self) -> impl Iterator<Item = &Ingest> {
        let judged = |(index, _): &(usize, &Source)| self.bound.is_none_or(|bound| bound == *index);
        self.sources.iter().enumerate().filter(judged).map(|(_, source)| &source.ingest)
    }

    pub(crate) fn has_unclaimed(&self) -> bool {
        self.sources.iter().any(|source| source.counter.has_unclaimed())
    }

    pub(crate) fn tried(&self) -> String {
        self.selectors.join(", ")
    }
}
