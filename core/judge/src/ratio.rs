//! Bad requests over all requests.

use trimtab_promql::Series;
use trimtab_stats::spread::{FleetPrior, Spread, margin, overdispersion};
use trimtab_stats::{AbsoluteLimit, Harm, MetricPlan, MetricTest, Verdict, WarmUp};
use trimtab_workload::Arm;

use crate::answered::Answered;
use crate::arms::{ArmPod, Arms};
use crate::counter::{self, Counter, Increment};
use crate::describe;
use crate::finding::{Counts, Finding, FindingState};
use crate::ingest::{Ingest, LATE_MAX_MS};
use crate::narrowed::{Narrowed, To};
use crate::pairing::{Counts as CountsAs, Pairing, whole};
use crate::question::{Answer, Failure, INGEST_DELAY_MS, Part, Query, history_from};
use crate::reading::{Reading, Window};
use crate::rule::{ArmLabel, RatioRule};

/// New pods that are scraped this long without a request get none.
const TRAFFIC_PATIENCE_MS: i64 = 60_000;

/// Old pods that are ready this long without a sample are no measure any more.
const OLD_PATIENCE_MS: i64 = LATE_MAX_MS + 45_000;

/// Judges one ratio rule.
#[derive(Clone, Debug)]
pub(super) struct RatioJudge {
    rule: RatioRule,
    alpha: f64,
    start_ms: i64,
    reading: Reading,
    sources: Vec<Source>,
    bound: Option<usize>,
    pairing: Pairing,
    test: Option<MetricTest>,
    spread: f64,
    /// How long each pod warms up, in milliseconds; learnt in the look that binds the rule.
    warm_up_ms: Option<i64>,
    harm: Harm,
    counts: Counts,
    answered: Answered,
    refused: Option<String>,
    bad_family_known: bool,
}

/// What was read of one source in one look.
#[derive(Clone, Debug, Default)]
struct Read {
    bad: Option<Vec<Series>>,
    total: Option<Vec<Series>>,
    /// Until when was asked.
    until_ms: i64,
}

/// The counters of one source.
#[derive(Clone, Debug, Default)]
struct Source {
    bad: Counter,
    total: Counter,
    /// How far the samples of both are there.
    ingest: Ingest,
}

impl Source {
    /// What all requests and the bad ones gained.
    fn absorb(&mut self, read: Read, arms: &Arms, label: &ArmLabel) -> (Vec<Increment>, Vec<Increment>) {
        let Read { total: Some(total), bad: Some(bad), .. } = read else { return Default::default() };
        let complete_to_ms = self.ingest.complete_ms();
        let exposure = self.total.absorb(total, arms, label, complete_to_ms, |_| None);
        // The bad counter is read second: a pod that was scraped without it had none. Before there is anything to divide by
        // it is left unread.
        if !self.total.exists() {
            return (exposure, Vec::new());
        }
        let scraped = |pod: &str| self.total.first_scrape_ms(pod);
        (exposure, self.bad.absorb(bad, arms, label, complete_to_ms, scraped))
    }
}

impl RatioJudge {
    pub(super) fn new(rule: &RatioRule, alpha: f64, start_ms: i64, reading: Reading) -> Self {
        let counter = Counter::read_as(reading);
        let source = Source { bad: counter.clone(), total: counter, ingest: Ingest::default() };
        Self {
            sources: vec![source; rule.sources.len()],
            rule: rule.clone(),
            alpha,
            start_ms,
            reading,
            bound: None,
            pairing: Pairing::new(start_ms),
            test: None,
            spread: 0.0,
            warm_up_ms: None,
            harm: Harm::new(1.0),
            counts: Counts::default(),
            answered: Answered::default(),
            refused: None,
            bad_family_known: false,
        }
    }

    pub(super) fn needs(
        &self,
        arms: &Arms,
        label: &ArmLabel,
        narrowed: &Narrowed,
        to_ms: i64,
    ) -> Vec<(Part, Query)> {
        let by = arms.kept_labels(label);
        let mut asked = Vec::new();
        let mut ask = |part, selector: &str, counter: &Counter, ingest: &Ingest| {
            if let Some(selector) = narrowed.get(selector, To::Both) {
                let after = ingest.after(arms, counter.taken_to_ms(), history_from(self.start_ms));
                let window = Window { start_ms: self.start_ms, after, to_ms };
                let queries = self.reading.queries(selector, &by, &window);
                asked.extend(queries.into_iter().map(|query| (part, query)));
            }
        };
        for (index, (selectors, source)) in self.rule.sources.iter().zip(&self.sources).enumerate() {
            if self.bound.is_none_or(|bound| bound == index) {
                ask(Part::Total(index), &selectors.total, &source.total, &source.ingest);
                ask(Part::Bad(index), &selectors.bad, &source.bad, &source.ingest);
            }
        }
        asked
    }

    /// Whether its selectors can be narrowed is known once there are arms.
    pub(super) fn check(&mut self, narrowed: &Narrowed) {
        let first = self.rule.sources.first();
        self.refused = first.and_then(|source| narrowed.refusal(&source.total, To::Both)).map(str::to_owned);
    }

    pub(super) fn absorb(
        &mut self,
        answers: Vec<(Part, Query, Answer)>,
        arms: &Arms,
        label: &ArmLabel,
        now_ms: i64,
    ) {
        let read = match self.read(answers) {
            Ok(read) => read,
            Err(why @ Failure::TooLarge(_)) if self.reading == Reading::Raw => {
                // What was found until now comes again.
                *self = Self::new(&self.rule, self.alpha, self.start_ms, Reading::Sums);
                return self.answered.failed(now_ms - INGEST_DELAY_MS, why.passing());
            }
            Err(why) => return self.answered.failed(now_ms - INGEST_DELAY_MS, why),
        };
        self.answered.succeeded();
        let asked = self.sources.iter_mut().zip(&read).filter(|(_, read)| read.total.is_some());
        let complete = asked.map(|(source, Read { total, bad, until_ms })| {
            source.ingest.note(total.iter().chain(bad).flatten(), arms, label, *until_ms, now_ms)
        });
        // The whole past is read at once, that of every source: what is learnt from it, and which one the rule is bound to,
        // must not depend on when anybody looked.
        if complete.min().is_some_and(|complete_to_ms| complete_to_ms < self.start_ms) {
            return;
        }
        let sources = self.sources.iter_mut().zip(read);
        let mut gained: Vec<_> = sources.map(|(source, read)| source.absorb(read, arms, label)).collect();
        let totals = self.sources.iter().map(|source| &source.total);
        self.bound = self.bound.or_else(|| counter::bound(totals, self.start_ms));
        let Some(bound) = self.bound else { return };
        let (mut exposure, mut bad) = gained.swap_remove(bound);
        let warm_up_ms = *self.warm_up_ms.get_or_insert_with(|| match self.reading {
            Reading::Raw => warm_up_ms(arms, self.start_ms, &exposure, &bad),
            // The past is too coarse to show how a pod began.
            Reading::Sums => 0,
        });
        for increments in [&mut exposure, &mut bad] {
            increments.retain(|increment| age_ms(arms, increment).is_none_or(|age| age >= warm_up_ms));
        }
        self.pairing.add(CountsAs::Exposure, exposure);
        self.pairing.add(CountsAs::Bad, bad);
        let bad_exists = self.sources.get(bound).is_some_and(|source| source.bad.exists());
        self.bad_family_known = self.bad_family_known || bad_exists || self.one_family();
        self.judge();
    }

    /// The answers by source, or why there are none.
    fn read(&self, answers: Vec<(Part, Query, Answer)>) -> Result<Vec<Read>, Failure> {
        let mut read: Vec<Read> = vec![Read::default(); self.sources.len()];
        for (part, query, answer) in answers {
            match (part, answer) {
                // Half an answer is none: all of it is asked again.
                (_, Answer::Failed(why)) => return Err(why),
                (Part::Total(index), Answer::Samples(series)) if index < read.len() => {
                    read[index].total.get_or_insert_default().extend(series);
                    read[index].until_ms = query.to_ms().max(read[index].until_ms);
                }
                (Part::Bad(index), Answer::Samples(series)) if index < read.len() => {
                    read[index].bad.get_or_insert_default().extend(series);
                }
                _ => {}
            }
        }
        Ok(read)
    }

    /// Whether the bad requests are a part of the same metric, so that no series of them means none of them.
    fn one_family(&self) -> bool {
        let Some(source) = self.bound.and_then(|bound| self.rule.sources.get(bound)) else { return false };
        let family = |selector: &str| selector.split(['{', ' ']).next().map(str::to_owned);
        family(&source.bad) == family(&source.total)
    }

    pub(crate) fn late_ms(&self) -> i64 {
        self.judged_by().map(Ingest::late_ms).max().unwrap_or_default()
    }

    fn judge(&mut self) {
        let Some(source) = self.bound.and_then(|bound| self.sources.get(bound)) else { return };
        if !self.bad_family_known {
            return;
        }
        let complete_to_ms = source.ingest.complete_ms();
        let ticks = self.pairing.close(complete_to_ms);
        let test = self.test.get_or_insert_with(|| {
            let past = self.pairing.past_pods();
            let mut spread = Spread::default();
            spread.observe(&past);
            self.spread = spread.sigma(&FleetPrior { sigma: 0.2, ..FleetPrior::default() });
            MetricTest::new(MetricPlan {
                alpha: self.alpha,
                phi: overdispersion(&past),
                margin: Some(self.rule.tolerate),
                limit: self.rule.limit.map(AbsoluteLimit::new),
                ..MetricPlan::default()
            })
        });
        for tick in ticks {
            test.set_margin(margin(self.rule.tolerate, self.spread, tick.canary_pods, tick.stable_pods));
            test.observe(&tick.counts);
            self.harm.observe(&tick.counts);
            self.counts.canary_bad = self.counts.canary_bad.saturating_add(tick.counts.canary_bad);
            self.counts.canary_total += tick.counts.canary_total;
            self.counts.stable_bad = self.counts.stable_bad.saturating_add(tick.counts.stable_bad);
            self.counts.stable_total += tick.counts.stable_total;
        }
    }

    pub(super) fn finding(&self, name: &str, arms: &Arms, now_ms: i64) -> Finding {
        let state = self.state(arms, now_ms);
        let verdict = self.test.as_ref().map_or(Verdict::Undecided, MetricTest::verdict);
        let verdict = if state == FindingState::Judged || verdict == Verdict::Fail {
            verdict
        } else {
            Verdict::Undecided
        };
        let ratio = self.test.as_ref().and_then(describe::ratio);
        let summary = match &state {
            FindingState::Unbound(why) | FindingState::TelemetryLost(why) if verdict != Verdict::Fail => {
                why.clone()
            }
            FindingState::NoTraffic if verdict != Verdict::Fail => {
                "the new pods are scraped and get no requests".to_owned()
            }
            _ => format!(
                "{}{}{}",
                describe::comparison(&self.counts, ratio.as_ref()),
                describe::because(verdict),
                self.left_out(),
            ),
        };
        let state = if verdict == Verdict::Fail { FindingState::Judged } else { state };
        Finding {
            rule: name.to_owned(),
            verdict,
            state,
            counts: self.counts,
            ratio,
            evidence: self.test.as_ref().and_then(describe::evidence),
            harmed: self.test.as_ref().map(|_| self.harm.estimate().requests),
            summary,
        }
    }

    /// What is known about the arrival of the bound source's samples, or of all of them while none is bound.
    fn judged_by(&self) -> impl Iterator<Item = &Ingest> {
        let judged = |(index, _): &(usize, &Source)| self.bound.is_none_or(|bound| bound == *index);
        self.sources.iter().enumerate().filter(judged).map(|(_, source)| &source.ingest)
    }

    fn left_out(&self) -> String {
        match self.warm_up_ms {
            Some(warm_up_ms) if warm_up_ms > 0 => {
                format!("; without the first {} s of each pod, in which old pods fail too", warm_up_ms / 1000)
            }
            _ => String::new(),
        }
    }

    fn state(&self, arms: &Arms, now_ms: i64) -> FindingState {
        if let Some(why) = &self.refused {
            return FindingState::Unbound(why.clone());
        }
        let canary = |pod: &str| arms.pods.get(pod).is_some_and(|pod| pod.arm == Arm::Canary);
        let too_late = || self.judged_by().find_map(|ingest| ingest.lost(self.start_ms));
        if let Some(lost) = self.answered.lost(now_ms).or_else(too_late) {
            return lost;
        }
        let Some(total) = self.bound.and_then(|bound| self.sources.get(bound)).map(|source| &source.total)
        else {
            let tried: Vec<&str> = self.rule.sources.iter().map(|source| source.total.as_str()).collect();
            if self.sources.iter().any(|source| source.total.has_unclaimed()) {
                return FindingState::Unbound(arms.unclaimed(&tried.join(", ")));
            }
            return FindingState::Unbound(format!("no series of this service for {}", tried.join(", ")));
        };
        if !self.bad_family_known {
            let bad =
                self.bound.and_then(|bound| self.rule.sources.get(bound)).map(|source| source.bad.as_str());
            return FindingState::Unbound(format!(
                "no series of this service for {}",
                bad.unwrap_or_default()
            ));
        }
        let seen_to_ms = now_ms - self.late_ms();
        if let Some(lost) = self.answered.unscraped(arms, total.last_scrape_ms(canary), seen_to_ms) {
            return lost;
        }
        let old_ms = total.last_scrape_ms(|pod| arms.pods.get(pod).is_some_and(ArmPod::is_ready_and_old));
        if let Some(silent_ms) = old_ms.map(|last_ms| now_ms - last_ms).filter(|ms| *ms > OLD_PATIENCE_MS) {
            return FindingState::TelemetryLost(format!(
                "the old pods are ready and were not scraped for {} s",
                silent_ms / 1000
            ));
        }
        let waited =
            arms.canary_ready_since_ms().is_some_and(|ready_ms| now_ms - ready_ms > TRAFFIC_PATIENCE_MS);
        let unserved = self.counts.canary_total == 0.0
            && (self.pairing.stable_waiting() > 0.0 || self.pairing.past().1 > 0.0);
        if waited && unserved { FindingState::NoTraffic } else { FindingState::Judged }
    }
}

/// Age of the pod at the scrape, in milliseconds; `None` where nobody knows when it started.
fn age_ms(arms: &Arms, increment: &Increment) -> Option<i64> {
    arms.started_ms(&increment.pod).map(|started_ms| increment.at_ms - started_ms)
}

/// How long the old pods that started in the hour before the release took to warm up.
fn warm_up_ms(arms: &Arms, start_ms: i64, exposure: &[Increment], bad: &[Increment]) -> i64 {
    let mut warm_up = WarmUp::default();
    let past = |increment: &&Increment| increment.at_ms < start_ms && increment.arm == Arm::Stable;
    let mut count = |increment: &Increment, bad: u64, total: f64| {
        if let Some(age_ms) = age_ms(arms, increment) {
            warm_up.observe(age_ms as f64 / 1000.0, bad, total);
        }
    };
    exposure.iter().filter(past).for_each(|increment| count(increment, 0, increment.amount));
    bad.iter().filter(past).for_each(|increment| count(increment, whole(increment.amount), 0.0));
    (warm_up.seconds() * 1000.0) as i64
}
