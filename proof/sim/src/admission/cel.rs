//! CEL as admission policies use it: raw JSON in, raw JSON out, and object literals such as `Object{spec: Object.spec{}}`.

use std::sync::Arc;

use kube_cel::KubeCelExt;
use kube_cel::cel::common::ast::{EntryExpr, Expr, IdedEntryExpr, LiteralValue, MapEntryExpr, MapExpr};
use kube_cel::cel::objects::{Key, Map};
use kube_cel::cel::parser::{Expression, Parser};
use kube_cel::cel::{Context, IdedExpr, Value as Cel};
use serde_json::{Map as JsonMap, Number, Value};

/// Longest expression, as in the real server's cost limits by order of magnitude.
const EXPRESSION_BYTES_MAX: usize = 64 * 1024;

/// Compiles an expression; object literals become maps, because types say nothing that JSON does not.
///
/// # Errors
/// What the parser objects to.
pub(crate) fn compile(source: &str) -> Result<Expression, String> {
    if source.len() > EXPRESSION_BYTES_MAX {
        return Err(format!("the expression is longer than {EXPRESSION_BYTES_MAX} bytes"));
    }
    let mut expression = Parser::default()
        .enable_optional_syntax(true)
        .parse(source)
        .map_err(|errors| format!("compilation failed: {errors}"))?;
    structs_to_maps(&mut expression)?;
    Ok(expression)
}

fn structs_to_maps(node: &mut IdedExpr) -> Result<(), String> {
    match &mut node.expr {
        Expr::Struct(literal) => {
            let mut entries = std::mem::take(&mut literal.entries);
            for entry in &mut entries {
                entry_to_map(entry)?;
            }
            node.expr = Expr::Map(MapExpr { entries });
        }
        Expr::Map(map) => map.entries.iter_mut().try_for_each(entry_to_map)?,
        Expr::Call(call) => {
            if let Some(target) = &mut call.target {
                structs_to_maps(target)?;
            }
            call.args.iter_mut().try_for_each(structs_to_maps)?;
        }
        Expr::Comprehension(inner) => {
            for part in [
                &mut inner.iter_range,
                &mut inner.accu_init,
                &mut inner.loop_cond,
                &mut inner.loop_step,
                &mut inner.result,
            ] {
                structs_to_maps(part)?;
            }
        }
        Expr::List(list) => list.elements.iter_mut().try_for_each(structs_to_maps)?,
        Expr::Select(select) => structs_to_maps(&mut select.operand)?,
        Expr::Unspecified => return Err("the expression is empty".to_owned()),
        Expr::Ident(_) | Expr::Literal(_) => {}
    }
    Ok(())
}

fn entry_to_map(entry: &mut IdedEntryExpr) -> Result<(), String> {
    match &mut entry.expr {
        EntryExpr::StructField(field) => {
            structs_to_maps(&mut field.value)?;
            let key = Expr::Literal(LiteralValue::String(field.field.as_str().into()));
            entry.expr = EntryExpr::MapEntry(MapEntryExpr {
                key: IdedExpr { id: entry.id, expr: key },
                value: std::mem::take(&mut field.value),
                optional: field.optional,
            });
        }
        EntryExpr::MapEntry(pair) => {
            structs_to_maps(&mut pair.key)?;
            structs_to_maps(&mut pair.value)?;
        }
    }
    Ok(())
}

/// A set of variables to evaluate expressions against.
pub(crate) struct Scope {
    context: Context<'static>,
}

impl Scope {
    pub(crate) fn new() -> Self {
        Scope { context: Context::default().with_all() }
    }

    pub(crate) fn bind(&mut self, name: &str, value: &Value) {
        self.context.add_variable_from_value(name, to_cel(value));
    }

    /// Evaluates a source text.
    ///
    /// # Errors
    /// What the compiler or the evaluation objects to.
    pub(crate) fn evaluate(&self, source: &str) -> Result<Value, String> {
        let expression = compile(source)?;
        let value = self.context.resolve(&expression).map_err(|error| error.to_string())?;
        from_cel(&value)
    }
}

fn to_cel(value: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(flag) => Cel::Bool(*flag),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Cel::Int(integer),
            None => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(to_cel).collect())),
        Value::Object(object) => {
            let pairs =
                object.iter().map(|(name, inner)| (Key::String(Arc::new(name.clone())), to_cel(inner)));
            Cel::Map(Map { map: Arc::new(pairs.collect()) })
        }
    }
}

fn from_cel(value: &Cel) -> Result<Value, String> {
    Ok(match value {
        Cel::Null => Value::Null,
        Cel::Bool(flag) => (*flag).into(),
        Cel::Int(integer) => (*integer).into(),
        Cel::UInt(integer) => (*integer).into(),
        Cel::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        Cel::String(text) => text.as_str().into(),
        Cel::List(items) => items.iter().map(from_cel).collect::<Result<Vec<_>, _>>()?.into(),
        Cel::Map(map) => {
            let mut object = JsonMap::new();
            for (key, inner) in map.map.iter() {
                let Key::String(name) = key else {
                    return Err("a map with keys other than strings is no JSON object".to_owned());
                };
                object.insert(name.as_str().to_owned(), from_cel(inner)?);
            }
            Value::Object(object)
        }
        other => return Err(format!("a {} has no JSON form", other.type_of())),
    })
}
