//! Parsing text into an expression, and printing it back.

use std::fmt;
use std::time::SystemTime;

use promql_parser::label::{MatchOp, Matchers};
use promql_parser::parser::{self, AtModifier, Expr as Ast, VectorSelector};

use crate::matcher::is_closed_pattern;
use crate::parse_error::ParseError;
use crate::printed::write_printed;
use crate::scan;

/// Deepest tree of an expression: every walk over it may recurse.
pub const MAX_DEPTH: usize = 128;

/// A parsed PromQL expression. Prints as PromQL that Prometheus reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr(pub(crate) Ast);

impl Expr {
    /// The tree, for an evaluator: this crate does not evaluate.
    #[must_use]
    pub fn syntax(&self) -> &Ast {
        &self.0
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_printed(&self.0.to_string(), formatter)
    }
}

/// Parses an expression and checks its types, as Prometheus does before it evaluates.
///
/// # Errors
/// When the text is no PromQL, or exceeds [`crate::MAX_SOURCE_BYTES`], [`crate::MAX_TOKENS`], [`crate::MAX_NESTING`] or [`MAX_DEPTH`].
pub fn parse(source: &str) -> Result<Expr, ParseError> {
    let tokens = scan::scan(source)?;
    if tokens.is_empty() {
        return Err(ParseError::at(0, "the expression is empty"));
    }
    let ast = parse_printed(source).map_err(|message| match message.as_str() {
        "invalid promql query" => scan::locate_fault(source, &tokens),
        _ => ParseError::at(place_of_quoted(source, &message), message),
    })?;
    check(&ast, 0).map_err(|message| ParseError::at(0, message))?;
    Ok(Expr(ast))
}

/// Parses text that this crate printed: injected matchers may take it past the limits for what people write.
pub(crate) fn parse_printed(source: &str) -> Result<Ast, String> {
    parser::parse(source)
}

/// The byte at which the first 'quoted' word of `message` stands in `source`; 0 when it quotes nothing from there.
fn place_of_quoted(source: &str, message: &str) -> usize {
    message.split('\'').nth(1).filter(|word| !word.is_empty()).and_then(|word| source.find(word)).unwrap_or(0)
}

/// Refuses what the grammar accepts but Prometheus does not, or what would not print back.
fn check(ast: &Ast, depth: usize) -> Result<(), String> {
    if depth > MAX_DEPTH {
        return Err(format!("the expression nests deeper than {MAX_DEPTH}"));
    }
    match ast {
        Ast::VectorSelector(selector) => check_selector(selector),
        Ast::MatrixSelector(matrix) => check_selector(&matrix.vs),
        Ast::Subquery(subquery) => check_at(subquery.at.as_ref()),
        _ => Ok(()),
    }?;
    children(ast).into_iter().try_for_each(|child| check(child, depth + 1))
}

fn check_selector(selector: &VectorSelector) -> Result<(), String> {
    let Matchers { matchers, or_matchers } = &selector.matchers;
    if !or_matchers.is_empty() {
        return Err(
            "'or' inside braces is not PromQL; write two selectors: a{x=\"1\"} or a{x=\"2\"}".to_owned()
        );
    }
    let escapes = |matcher: &&promql_parser::label::Matcher| {
        matches!(matcher.op, MatchOp::Re(_) | MatchOp::NotRe(_)) && !is_closed_pattern(&matcher.value)
    };
    if let Some(matcher) = matchers.iter().find(escapes) {
        return Err(format!("{:?} is not a regular expression", matcher.value));
    }
    check_at(selector.at.as_ref())
}

fn check_at(at: Option<&AtModifier>) -> Result<(), String> {
    match at {
        Some(AtModifier::At(time)) if *time < SystemTime::UNIX_EPOCH => {
            Err("@ must not be before 1970".to_owned())
        }
        _ => Ok(()),
    }
}

/// The direct operands of a node, left to right.
pub(crate) fn children(ast: &Ast) -> Vec<&Ast> {
    match ast {
        Ast::Aggregate(node) => node.param.as_deref().into_iter().chain([&*node.expr]).collect(),
        Ast::Unary(node) => vec![&node.expr],
        Ast::Binary(node) => vec![&node.lhs, &node.rhs],
        Ast::Paren(node) => vec![&node.expr],
        Ast::Subquery(node) => vec![&node.expr],
        Ast::Call(node) => node.args.args.iter().map(|argument| &**argument).collect(),
        Ast::NumberLiteral(_) | Ast::StringLiteral(_) | Ast::VectorSelector(_) | Ast::MatrixSelector(_) => {
            vec![]
        }
        Ast::Extension(_) => vec![],
    }
}

/// As [`children`], for rewriting.
pub(crate) fn children_mut(ast: &mut Ast) -> Vec<&mut Ast> {
    match ast {
        Ast::Aggregate(node) => node.param.as_deref_mut().into_iter().chain([&mut *node.expr]).collect(),
        Ast::Unary(node) => vec![&mut node.expr],
        Ast::Binary(node) => vec![&mut node.lhs, &mut node.rhs],
        Ast::Paren(node) => vec![&mut node.expr],
        Ast::Subquery(node) => vec![&mut node.expr],
        Ast::Call(node) => node.args.args.iter_mut().map(|argument| &mut **argument).collect(),
        Ast::NumberLiteral(_) | Ast::StringLiteral(_) | Ast::VectorSelector(_) | Ast::MatrixSelector(_) => {
            vec![]
        }
        Ast::Extension(_) => vec![],
    }
}
