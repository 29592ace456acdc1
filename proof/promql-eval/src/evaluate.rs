//! One walk over the tree, once for the time asked for and once per step of a subquery. Leaves are pure: `range` turns
//! the samples of one window into a number; `aggregate`, `binary`, `functions` and `histogram` turn vectors into
//! vectors. This module only reads series, moves time and keeps the budget.

use promql_parser::parser::{AggregateExpr, BinaryExpr, Expr as Ast};
use trimtab_promql::{Expr, Sample};

use crate::source::SeriesSource;
use crate::value::{
    EvalError, EvalOptions, EvalValue, InstantSample, Item, MAX_WORK, ScalarValue, TextValue, Value, distinct,
};
use crate::{aggregate, binary};

/// Evaluates `expr` at `at_ms` (milliseconds since 1970). Never panics, whatever the expression and the series.
///
/// # Errors
/// When a function is not supported, series cannot be matched as written, or the work exceeds [`MAX_WORK`].
pub fn evaluate(
    expr: &Expr,
    source: &dyn SeriesSource,
    at_ms: i64,
    options: EvalOptions,
) -> Result<EvalValue, EvalError> {
    let mut evaluator = Evaluator { source, options, query_ms: at_ms, work_left: MAX_WORK };
    Ok(match evaluator.eval(expr.syntax(), at_ms)? {
        Value::Scalar(value) => EvalValue::Scalar(ScalarValue { at_ms, value }),
        Value::Text(text) => EvalValue::String(TextValue { at_ms, text }),
        Value::Matrix(series) => EvalValue::Matrix(series),
        Value::Vector(items) => {
            let stamp = |Item { labels, value }| InstantSample { labels, sample: Sample { at_ms, value } };
            EvalValue::Vector(items.into_iter().map(stamp).collect())
        }
    })
}

pub(crate) struct Evaluator<'a> {
    pub(crate) source: &'a dyn SeriesSource,
    pub(crate) options: EvalOptions,
    /// The time asked for, to which `@ start()` and `@ end()` refer inside subqueries too.
    pub(crate) query_ms: i64,
    work_left: u64,
}

impl Evaluator<'_> {
    pub(crate) fn spend(&mut self, work: usize) -> Result<(), EvalError> {
        match self.work_left.checked_sub(work as u64) {
            Some(left) => {
                self.work_left = left;
                Ok(())
            }
            None => Err(EvalError::TooMuchWork),
        }
    }

    pub(crate) fn eval(&mut self, ast: &Ast, at_ms: i64) -> Result<Value, EvalError> {
        self.spend(1)?;
        match ast {
            Ast::NumberLiteral(number) => Ok(Value::Scalar(number.val)),
            Ast::StringLiteral(text) => Ok(Value::Text(text.val.clone())),
            Ast::Paren(paren) => self.eval(&paren.expr, at_ms),
            Ast::VectorSelector(selector) => Ok(Value::Vector(self.instant(selector, at_ms)?)),
            Ast::MatrixSelector(_) | Ast::Subquery(_) => Ok(Value::Matrix(self.window(ast, at_ms)?.series)),
            Ast::Unary(unary) => match self.eval(&unary.expr, at_ms)? {
                Value::Scalar(value) => Ok(Value::Scalar(-value)),
                other => {
                    let items = other.into_vector("unary minus")?;
                    distinct(items.iter().map(|item| item.renamed(-item.value)).collect())
                }
            },
            Ast::Binary(binary) => self.binary(binary, at_ms),
            Ast::Aggregate(aggregation) => self.aggregate(aggregation, at_ms),
            Ast::Call(call) => self.call(call, at_ms),
            Ast::Extension(_) => Err(EvalError::Unsupported("an extension".to_owned())),
        }
    }

    fn binary(&mut self, node: &BinaryExpr, at_ms: i64) -> Result<Value, EvalError> {
        let left = self.eval(&node.lhs, at_ms)?;
        let right = self.eval(&node.rhs, at_ms)?;
        match binary::combine(node, left, right)? {
            Value::Vector(items) => distinct(items),
            other => Ok(other),
        }
    }

    fn aggregate(&mut self, node: &AggregateExpr, at_ms: i64) -> Result<Value, EvalError> {
        let items = self.eval(&node.expr, at_ms)?.into_vector("an aggregation")?;
        self.spend(items.len())?;
        let parameter = node.param.as_deref().map(|parameter| self.eval(parameter, at_ms)).transpose()?;
        aggregate::aggregate(node, items, parameter).map(Value::Vector)
    }
}
