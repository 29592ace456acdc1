//! Operators between two values.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::parser::{BinModifier, BinaryExpr, LabelModifier, VectorMatchCardinality};
use trimtab_promql::{Labels, METRIC_NAME};

use crate::value::{EvalError, Item, Value};

/// What an operator makes of two numbers.
#[derive(Clone, Copy)]
enum Outcome {
    Number(f64),
    /// A comparison, and whether it holds.
    Holds(bool),
}

/// How a vector operator treats labels.
struct Matching<'a> {
    operator: &'a str,
    modifier: BinModifier,
}

/// Applies the operator of `node`.
pub(crate) fn combine(node: &BinaryExpr, left: Value, right: Value) -> Result<Value, EvalError> {
    let operator = node.op.to_string();
    let modifier = node.modifier.clone().unwrap_or_default();
    if modifier.fill_values.lhs.is_some() || modifier.fill_values.rhs.is_some() {
        return Err(EvalError::Unsupported("fill".to_owned()));
    }
    let matching = Matching { operator: &operator, modifier };
    match (left, right) {
        (Value::Scalar(left), Value::Scalar(right)) => match apply(&operator, left, right)? {
            Outcome::Number(value) => Ok(Value::Scalar(value)),
            Outcome::Holds(holds) => Ok(Value::Scalar(f64::from(u8::from(holds)))),
        },
        (Value::Vector(items), Value::Scalar(right)) => {
            matching.each(items, |value| apply(&operator, value, right)).map(Value::Vector)
        }
        (Value::Scalar(left), Value::Vector(items)) => {
            matching.each(items, |value| apply(&operator, left, value)).map(Value::Vector)
        }
        (Value::Vector(left), Value::Vector(right)) if node.op.is_set_operator() => {
            Ok(Value::Vector(matching.set_operation(left, right)))
        }
        (Value::Vector(left), Value::Vector(right)) => matching.join(left, right).map(Value::Vector),
        _ => Err(EvalError::Invalid(format!("{operator} needs numbers or instant vectors"))),
    }
}

fn apply(operator: &str, left: f64, right: f64) -> Result<Outcome, EvalError> {
    Ok(match operator {
        "+" => Outcome::Number(left + right),
        "-" => Outcome::Number(left - right),
        "*" => Outcome::Number(left * right),
        "/" => Outcome::Number(left / right),
        "%" => Outcome::Number(left % right),
        "^" => Outcome::Number(left.powf(right)),
        "atan2" => Outcome::Number(left.atan2(right)),
        "==" => Outcome::Holds(left == right),
        "!=" => Outcome::Holds(left != right),
        ">" => Outcome::Holds(left > right),
        "<" => Outcome::Holds(left < right),
        ">=" => Outcome::Holds(left >= right),
        "<=" => Outcome::Holds(left <= right),
        other => return Err(EvalError::Unsupported(format!("the operator {other}"))),
    })
}

impl Matching<'_> {
    /// The element that `outcome` leaves of `labels`, whose own value is `kept`: a filter keeps value and name.
    fn element(&self, labels: Labels, kept: f64, outcome: Outcome) -> Option<Item> {
        match outcome {
            Outcome::Number(value) => Some(Item { labels: labels.without_metric(), value }),
            Outcome::Holds(holds) if self.modifier.return_bool => {
                Some(Item { labels: labels.without_metric(), value: f64::from(u8::from(holds)) })
            }
            Outcome::Holds(holds) => holds.then_some(Item { labels, value: kept }),
        }
    }

    /// A vector against a number: a filter keeps the vector's value, whichever side it stands on.
    fn each(
        &self,
        items: Vec<Item>,
        outcome: impl Fn(f64) -> Result<Outcome, EvalError>,
    ) -> Result<Vec<Item>, EvalError> {
        let elements = items.into_iter().map(|Item { labels, value }| Ok((outcome(value)?, labels, value)));
        let kept = elements.filter_map(|element| match element {
            Ok((outcome, labels, value)) => self.element(labels, value, outcome).map(Ok),
            Err(error) => Some(Err(error)),
        });
        kept.collect()
    }

    /// The labels by which two series find each other.
    fn key(&self, labels: &Labels) -> Labels {
        match &self.modifier.matching {
            Some(LabelModifier::Include(on)) => {
                labels.filtered(|name| on.labels.iter().any(|label| label == name))
            }
            Some(LabelModifier::Exclude(ignored)) => labels
                .filtered(|name| name != METRIC_NAME && !ignored.labels.iter().any(|label| label == name)),
            None => labels.without_metric(),
        }
    }

    fn set_operation(&self, mut left: Vec<Item>, mut right: Vec<Item>) -> Vec<Item> {
        let keys = |items: &[Item]| -> BTreeSet<Labels> {
            items.iter().map(|item| self.key(&item.labels)).collect()
        };
        match self.operator {
            "and" => {
                let wanted = keys(&right);
                left.retain(|item| wanted.contains(&self.key(&item.labels)));
            }
            "unless" => {
                let unwanted = keys(&right);
                left.retain(|item| !unwanted.contains(&self.key(&item.labels)));
            }
            _ => {
                let present = keys(&left);
                right.retain(|item| !present.contains(&self.key(&item.labels)));
                left.append(&mut right);
            }
        }
        left
    }

    /// One-to-one, many-to-one or one-to-many. The "one" side must be unique by key.
    fn join(&self, left: Vec<Item>, right: Vec<Item>) -> Result<Vec<Item>, EvalError> {
        let swapped = matches!(self.modifier.card, VectorMatchCardinality::OneToMany(_));
        let (many, one) = if swapped { (right, left) } else { (left, right) };
        // With nothing to match there is nothing ambiguous either.
        if many.is_empty() || one.is_empty() {
            return Ok(Vec::new());
        }
        let mut by_key: BTreeMap<Labels, Item> = BTreeMap::new();
        for item in one {
            let key = self.key(&item.labels);
            if let Some(other) = by_key.insert(key, item) {
                return Err(EvalError::Invalid(format!(
                    "{} has several partners on the other side, one of them {}; match on more labels or aggregate first",
                    self.key(&other.labels),
                    other.labels
                )));
            }
        }
        let (mut used, mut joined) = (BTreeSet::new(), Vec::new());
        for item in many {
            let key = self.key(&item.labels);
            let Some(partner) = by_key.get(&key) else { continue };
            let (first, second) =
                if swapped { (partner.value, item.value) } else { (item.value, partner.value) };
            let outcome = apply(self.operator, first, second)?;
            let labels = self.joined_labels(&item.labels, &partner.labels);
            let Some(element) = self.element(labels, first, outcome) else { continue };
            if self.modifier.card == VectorMatchCardinality::OneToOne && !used.insert(key) {
                return Err(EvalError::Invalid(format!(
                    "several series match {}; say group_left or group_right, or aggregate first",
                    partner.labels
                )));
            }
            joined.push(element);
        }
        Ok(joined)
    }

    fn joined_labels(&self, many: &Labels, one: &Labels) -> Labels {
        match &self.modifier.card {
            VectorMatchCardinality::ManyToOne(included) | VectorMatchCardinality::OneToMany(included) => {
                let mut labels = many.clone();
                for name in &included.labels {
                    labels.set(name, one.get(name));
                }
                labels
            }
            _ => match &self.modifier.matching {
                Some(LabelModifier::Include(_)) => self.key(many),
                Some(LabelModifier::Exclude(ignored)) => {
                    many.filtered(|name| !ignored.labels.iter().any(|label| label == name))
                }
                None => many.clone(),
            },
        }
    }
}
