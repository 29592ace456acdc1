//! Reading series: instant selectors, windows and subqueries.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use promql_parser::parser::{AtModifier, Expr as Ast, Offset, SubqueryExpr, VectorSelector};
use trimtab_promql::{Labels, METRIC_NAME, Matcher, Sample, Series, is_stale_marker};

use crate::evaluate::Evaluator;
use crate::value::{DEFAULT_SUBQUERY_STEP_MS, EvalError, Item, MAX_SUBQUERY_STEPS, RangeWindows};

/// The samples between two times, per identity.
pub(crate) struct Window {
    pub(crate) start_ms: i64,
    pub(crate) end_ms: i64,
    /// None is empty and none holds a stale marker.
    pub(crate) series: Vec<Series>,
}

impl Evaluator<'_> {
    /// The last sample of each series within the look-back, unless the series has ended.
    pub(crate) fn instant(&mut self, selector: &VectorSelector, at_ms: i64) -> Result<Vec<Item>, EvalError> {
        let latest = self.latest(selector, at_ms)?;
        Ok(latest.into_iter().map(|(labels, sample)| Item { labels, value: sample.value }).collect())
    }

    /// As [`Self::instant`], with the time of each sample.
    pub(crate) fn latest(
        &mut self,
        selector: &VectorSelector,
        at_ms: i64,
    ) -> Result<Vec<(Labels, Sample)>, EvalError> {
        let end_ms = self.moved(at_ms, selector.at.as_ref(), selector.offset.as_ref());
        let start_ms = end_ms.saturating_sub(self.options.lookback_ms.max(0));
        let found = self.read(selector, start_ms, end_ms)?;
        let latest = found.into_iter().filter_map(|series| Some((series.labels, *series.samples.last()?)));
        Ok(latest.filter(|(_, sample)| !is_stale_marker(sample.value)).collect())
    }

    /// The samples of a range selector or a subquery, within any parentheses.
    pub(crate) fn window(&mut self, ast: &Ast, at_ms: i64) -> Result<Window, EvalError> {
        match ast {
            Ast::Paren(paren) => self.window(&paren.expr, at_ms),
            Ast::Subquery(subquery) => self.subquery(subquery, at_ms),
            Ast::MatrixSelector(matrix) => {
                let end_ms = self.moved(at_ms, matrix.vs.at.as_ref(), matrix.vs.offset.as_ref());
                let start_ms = end_ms.saturating_sub(millis(matrix.range));
                let mut series = self.read(&matrix.vs, start_ms, end_ms)?;
                for one in &mut series {
                    one.samples.retain(|sample| !is_stale_marker(sample.value));
                }
                series.retain(|one| !one.samples.is_empty());
                Ok(Window { start_ms, end_ms, series })
            }
            _ => Err(EvalError::Invalid("a range such as [5m] is needed here".to_owned())),
        }
    }

    fn subquery(&mut self, node: &SubqueryExpr, at_ms: i64) -> Result<Window, EvalError> {
        let end_ms = self.moved(at_ms, node.at.as_ref(), node.offset.as_ref());
        let start_ms = end_ms.saturating_sub(millis(node.range));
        let step_ms = node.step.map_or(DEFAULT_SUBQUERY_STEP_MS, millis).max(1);
        let first = self.first_after(start_ms).div_euclid(step_ms);
        let aligned = if first.saturating_mul(step_ms) < self.first_after(start_ms) {
            first.saturating_add(1)
        } else {
            first
        };
        let last = end_ms.div_euclid(step_ms);
        if last.saturating_sub(aligned) >= MAX_SUBQUERY_STEPS {
            return Err(EvalError::TooMuchWork);
        }
        let mut samples: BTreeMap<Labels, Vec<Sample>> = BTreeMap::new();
        for step in aligned..=last {
            let step_at = step.saturating_mul(step_ms);
            for Item { labels, value } in self.eval(&node.expr, step_at)?.into_vector("a subquery")? {
                self.spend(1)?;
                samples.entry(labels).or_default().push(Sample { at_ms: step_at, value });
            }
        }
        let series = samples.into_iter().map(|(labels, samples)| Series { labels, samples }).collect();
        Ok(Window { start_ms, end_ms, series })
    }

    /// The earliest time that belongs to a window which starts at `start_ms`.
    fn first_after(&self, start_ms: i64) -> i64 {
        match self.options.range_windows {
            RangeWindows::LeftOpen => start_ms.saturating_add(1),
            RangeWindows::Closed => start_ms,
        }
    }

    fn read(
        &mut self,
        selector: &VectorSelector,
        start_ms: i64,
        end_ms: i64,
    ) -> Result<Vec<Series>, EvalError> {
        let name = selector.name.iter().map(|name| Matcher::equal(METRIC_NAME, name));
        let matchers: Vec<Matcher> =
            name.chain(selector.matchers.matchers.iter().cloned().map(Matcher::from)).collect();
        let found = self.source.select(&matchers, self.first_after(start_ms), end_ms);
        self.spend(found.iter().map(|series| series.samples.len() + 1).sum())?;
        Ok(found)
    }

    /// The time that a selector means by "now".
    fn moved(&self, at_ms: i64, at: Option<&AtModifier>, offset: Option<&Offset>) -> i64 {
        let fixed = match at {
            None => at_ms,
            Some(AtModifier::Start | AtModifier::End) => self.query_ms,
            Some(AtModifier::At(time)) => millis_of(*time),
        };
        match offset {
            None => fixed,
            Some(Offset::Pos(back)) => fixed.saturating_sub(millis(*back)),
            Some(Offset::Neg(ahead)) => fixed.saturating_add(millis(*ahead)),
        }
    }
}

/// Parsing refused every time before 1970.
fn millis_of(time: SystemTime) -> i64 {
    millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
