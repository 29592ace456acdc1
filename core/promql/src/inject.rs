//! Narrowing an alert expression to one arm of a release: the new pods, or the old ones.
//!
//! The arm's matchers are added to *every* selector, so every number in the result comes from the arm's own pods.
//! Where that cannot give a judgement of the arm, the expression is refused with the reason and one that works:
//!
//! | expression | why it is refused |
//! |---|---|
//! | reads no metric (`vector(1)`, `time() > 0`) | the same for both arms |
//! | `absent(...)` | an arm that just started is absent too |
//! | a selector that already fixes an arm's label to something else | it could never match |
//! | a recording rule (`job:errors:rate5m`) | the pods are summed away |
//! | `ALERTS` | alerts belong to no pod |
//! | metrics of nodes and of Kubernetes objects other than pods (`kube_deployment_...`) | they carry no pod |
//! | `offset` beyond [`MAX_ARM_OFFSET`], or into the future | the arm's pods did not exist then |
//! | `@ 1700000000` | a fixed time is not the release |
//! | a range vector or a text | not a condition |
//!
//! Aggregation, `offset` within the limit, `@ end()`, subqueries and joins are fine: `on (pod) group_left kube_pod_info`
//! works because `kube_pod_...` carries the pod too. The labels of an arm that every Kubernetes object has
//! (`namespace`) do not make a metric of another object refusable.

use std::fmt;

use promql_parser::parser::value::ValueType;
use promql_parser::parser::{AtModifier, Expr as Ast, VectorSelector};
use trimtab_units::GoDuration;

use crate::expr::{Expr, children, children_mut, parse_printed};
use crate::matcher::{MatchOp, Matcher};
use crate::selectors::{Selector, selectors, signed};

/// The largest `offset` under which an arm's pods can be expected to exist: 5 minutes. It serves late scrapes.
pub const MAX_ARM_OFFSET: GoDuration = GoDuration::from_nanos(5 * 60 * 1_000_000_000);

/// Metrics of things that are not pods. `kube_pod_...` is the exception.
const OBJECT_METRIC_PREFIXES: [&str; 3] = ["kube_", "node_", "machine_"];
const POD_METRIC_PREFIX: &str = "kube_pod_";
/// The label of an arm that metrics of other Kubernetes objects carry too.
const SHARED_LABEL: &str = "namespace";
const EXAMPLE: &str = "sum(rate(http_requests_total{code=~\"5..\"}[5m])) > 5";

/// Adds `arm` to every selector of `expr`. A matcher that a selector already has is not repeated.
///
/// # Errors
/// When the expression cannot be judged by arm; see the table of this module.
pub fn inject(expr: &Expr, arm: &[Matcher]) -> Result<Expr, CannotSplit> {
    if !matches!(expr.0.value_type(), ValueType::Vector | ValueType::Scalar) {
        return Err(CannotSplit::new("it gives a range or a text, not a condition", EXAMPLE));
    }
    let found = selectors(expr);
    if found.is_empty() {
        return Err(CannotSplit::new("it reads no metric, so it is the same for both arms", EXAMPLE));
    }
    found.iter().try_for_each(|selector| check_selector(selector, arm))?;
    check_node(&expr.0)?;
    let Expr(narrowed) = restrict(expr, arm);
    // The grammar and its printer are not ours: what Prometheus will be asked must be what was meant.
    match parse_printed(&narrowed.to_string()) {
        Ok(read_back) if read_back.to_string() == narrowed.to_string() => Ok(Expr(narrowed)),
        _ => Err(CannotSplit::new("it does not survive being printed; write it more plainly", EXAMPLE)),
    }
}

/// Adds `matchers` to every selector of `expr`, whatever it is: what a data source is narrowed by, such as the cluster that
/// it is asked about. A matcher that a selector already has is not repeated.
#[must_use]
pub fn restrict(expr: &Expr, matchers: &[Matcher]) -> Expr {
    let mut narrowed = expr.0.clone();
    narrow(&mut narrowed, matchers);
    Expr(narrowed)
}

fn narrow(ast: &mut Ast, arm: &[Matcher]) {
    match ast {
        Ast::VectorSelector(selector) => narrow_selector(selector, arm),
        Ast::MatrixSelector(matrix) => narrow_selector(&mut matrix.vs, arm),
        _ => children_mut(ast).into_iter().for_each(|child| narrow(child, arm)),
    }
}

fn narrow_selector(selector: &mut VectorSelector, arm: &[Matcher]) {
    for Matcher(matcher) in arm {
        if !selector.matchers.matchers.contains(matcher) {
            selector.matchers.matchers.push(matcher.clone());
        }
    }
}

fn check_selector(selector: &Selector, arm: &[Matcher]) -> Result<(), CannotSplit> {
    let metric = selector.metric.as_deref().unwrap_or_default();
    let refuse = |reason: String| Err(CannotSplit { reason, example: EXAMPLE.to_owned() });
    if metric == "ALERTS" || metric == "ALERTS_FOR_STATE" {
        return refuse(format!("{metric} belongs to no pod; use the expression of the alert"));
    }
    let named_by_pattern = selector
        .matchers
        .iter()
        .find(|matcher| matcher.name() == crate::METRIC_NAME && matcher.value().contains(':'));
    if let Some(rule) = metric.contains(':').then_some(metric).or(named_by_pattern.map(Matcher::value)) {
        return refuse(format!(
            "{rule} is a recording rule, whose pods are summed away; use the rule's own expression"
        ));
    }
    let of_object = OBJECT_METRIC_PREFIXES.iter().any(|prefix| metric.starts_with(prefix));
    if of_object
        && !metric.starts_with(POD_METRIC_PREFIX)
        && arm.iter().any(|matcher| matcher.name() != SHARED_LABEL)
    {
        return refuse(format!(
            "{metric} carries no pod, so it cannot tell the arms apart; use a metric of the pods"
        ));
    }
    for wanted in arm {
        if let Some(pinned) = selector.matchers.iter().find(|own| excludes(own, wanted)) {
            let reason =
                format!("{selector} already has {pinned}, which no pod of the arm ({wanted}) passes");
            let mut freed = selector.clone();
            freed.matchers.retain(|own| own != pinned);
            return Err(CannotSplit { reason, example: format!("{freed} instead of {selector}") });
        }
    }
    if selector.offset > MAX_ARM_OFFSET || selector.offset < GoDuration::ZERO {
        return refuse(offset_reason(selector));
    }
    Ok(())
}

fn offset_reason(selector: &Selector) -> String {
    format!(
        "{selector} has an offset other than 0 to {MAX_ARM_OFFSET}: the new pods did not exist then; Trimtab compares the arms itself"
    )
}

/// Can no value pass both? Only what is provable: two patterns may always share one.
fn excludes(own: &Matcher, wanted: &Matcher) -> bool {
    if own.name() != wanted.name() {
        return false;
    }
    match (own.op(), wanted.op()) {
        (MatchOp::Equal, _) => !wanted.is_match(own.value()),
        (_, MatchOp::Equal) => !own.is_match(wanted.value()),
        _ => false,
    }
}

fn check_node(ast: &Ast) -> Result<(), CannotSplit> {
    let at = match ast {
        Ast::VectorSelector(selector) => selector.at.as_ref(),
        Ast::MatrixSelector(matrix) => matrix.vs.at.as_ref(),
        Ast::Subquery(subquery) => {
            let offset = signed(subquery.offset.as_ref());
            if offset > MAX_ARM_OFFSET || offset < GoDuration::ZERO {
                return Err(CannotSplit::new(
                    "a subquery has an offset beyond what the new pods have lived; Trimtab compares the arms itself",
                    EXAMPLE,
                ));
            }
            subquery.at.as_ref()
        }
        Ast::Call(call) if call.func.name.starts_with("absent") => {
            let reason =
                "absent() holds for every arm that has just started; count what must be there instead";
            return Err(CannotSplit::new(reason, "count(up == 0) > 0"));
        }
        _ => None,
    };
    if let Some(AtModifier::At(_)) = at {
        return Err(CannotSplit::new("@ with a fixed time reads before or after the release", EXAMPLE));
    }
    children(ast).into_iter().try_for_each(check_node)
}

/// An expression that cannot be judged by arm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CannotSplit {
    /// What is in the way.
    pub reason: String,
    /// Something that works.
    pub example: String,
}

impl CannotSplit {
    fn new(reason: &str, example: &str) -> Self {
        CannotSplit { reason: reason.to_owned(), example: example.to_owned() }
    }
}

impl fmt::Display for CannotSplit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "cannot judge this expression by arm: {}; for example: {}",
            self.reason, self.example
        )
    }
}

impl std::error::Error for CannotSplit {}
