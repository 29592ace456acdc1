//! Reference pages, generated so that they cannot say anything but what is so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Where the schemas are read from, relative to the root, in the order of the page.
pub const CRDS: [&str; 3] =
    ["deploy/crds/managedapps.yaml", "deploy/crds/fleetpolicies.yaml", "deploy/crds/appreleases.yaml"];
/// The page about them.
pub const CRD_PAGE: &str = "docs/reference/kinds.md";
/// The page about the command line.
pub const CLI_PAGE: &str = "docs/reference/cli.md";

/// Levels of fields that are followed; no schema of ours is deeper.
const DEPTH_MAX: usize = 16;
/// Levels of commands that are followed.
const COMMAND_DEPTH_MAX: usize = 4;

/// The page about our kinds, from the schemas in `root`.
///
/// # Errors
/// When a schema cannot be read.
pub fn crd_page(root: &Path) -> Result<String> {
    let mut page = String::from(
        "# Kinds\n\n<!-- Written by `cargo xtask reference` from deploy/crds. -->\n\n\
         All are of `trimtab.dev/v1alpha1`. kubectl refuses fields that are not listed. What the definitions of a later version \
         know survives the writes of this one.\n",
    );
    for path in CRDS {
        let text = std::fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))?;
        let crd: Value =
            serde_saphyr::from_str(&text).with_context(|| format!("cannot read {path} as YAML"))?;
        kind_section(&crd, &mut page).with_context(|| format!("{path} has an unexpected shape"))?;
    }
    Ok(page)
}

fn kind_section(crd: &Value, page: &mut String) -> Result<()> {
    let kind = crd["spec"]["names"]["kind"].as_str().context("a CRD has a kind")?;
    let scope = crd["spec"]["scope"].as_str().context("a CRD has a scope")?;
    let schema = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
    ensure!(schema.is_object(), "{kind} has no schema");
    let _ = write!(page, "\n## {kind}\n\n{}\n\nScope: {scope}.\n", sentence(schema));
    for part in ["spec", "status"] {
        let fields = &schema["properties"][part];
        if fields.is_object() {
            let _ = write!(page, "\n### {kind} {part}\n\n{}\n\n", sentence(fields));
            page.push_str("| field | type | meaning |\n|---|---|---|\n");
            field_rows(fields, part, 0, page);
        }
    }
    Ok(())
}

/// A schema's description as a sentence.
fn sentence(schema: &Value) -> String {
    let text =
        schema["description"].as_str().unwrap_or_default().trim().replace('|', "\\|").replace('\n', " ");
    if text.is_empty() || text.ends_with('.') { text } else { format!("{text}.") }
}

fn field_rows(schema: &Value, path: &str, depth: usize, page: &mut String) {
    let Some(properties) = schema["properties"].as_object().filter(|_| depth < DEPTH_MAX) else { return };
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    // Sorted here, since the order of a JSON object depends on what other crates ask of the parser.
    let sorted: BTreeMap<&String, &Value> = properties.iter().collect();
    for (name, field) in sorted {
        let path = format!("{path}.{name}");
        let mut meaning = sentence(field);
        if required.contains(&name.as_str()) {
            meaning = format!("Required. {meaning}");
        }
        let _ = writeln!(page, "| `{path}` | {} | {} |", type_words(field), meaning.trim());
        field_rows(field, &path, depth + 1, page);
        field_rows(&field["items"], &format!("{path}[]"), depth + 1, page);
        field_rows(&field["additionalProperties"], &format!("{path}.*"), depth + 1, page);
    }
}

fn type_words(field: &Value) -> String {
    let of = |inner: &Value| inner["type"].as_str().unwrap_or("any").to_owned();
    let mut words = match field["type"].as_str() {
        Some("array") => format!("list of {}", of(&field["items"])),
        Some("object") if field["additionalProperties"].is_object() => {
            format!("map of {}", of(&field["additionalProperties"]))
        }
        Some(word) => word.to_owned(),
        None if field["x-kubernetes-int-or-string"] == true => "number or string".to_owned(),
        None => "any".to_owned(),
    };
    if let Some(values) = field["enum"].as_array() {
        let values: Vec<String> =
            values.iter().filter_map(Value::as_str).map(|value| format!("`{value}`")).collect();
        words = values.join(", ");
    }
    if let Some(default) = field.get("default") {
        let _ = write!(
            words,
            ", default `{}`",
            default.as_str().map_or_else(|| default.to_string(), str::to_owned)
        );
    }
    words
}

/// The page about the command line, from what `help(path)` answers for a command, such as `["release", "list"]`.
///
/// # Errors
/// Those of `help`.
pub fn cli_page(mut help: impl FnMut(&[String]) -> Result<String>) -> Result<String> {
    let mut page = String::from(
        "# Command line\n\n<!-- Written by `cargo xtask reference` from what `--help` prints. -->\n\n\
         Exit codes are on [a page of their own](exit-codes.md).\n",
    );
    let everywhere = trimmed_lines(&help(&[])?);
    let everywhere: BTreeSet<&str> = sections(&everywhere).into_iter().collect();
    command_section(&mut Vec::new(), &everywhere, &mut help, &mut page)?;
    Ok(page)
}

fn command_section(
    path: &mut Vec<String>,
    everywhere: &BTreeSet<&str>,
    help: &mut impl FnMut(&[String]) -> Result<String>,
    page: &mut String,
) -> Result<()> {
    let text = trimmed_lines(&help(path)?);
    let name =
        std::iter::once("trimtab").chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    // What `trimtab --help` says is not repeated for every command.
    let own = sections(&text).into_iter().filter(|section| path.is_empty() || !everywhere.contains(section));
    let _ = write!(page, "\n## `{name}`\n\n```text\n{}\n```\n", own.collect::<Vec<_>>().join("\n\n"));
    if path.len() == COMMAND_DEPTH_MAX {
        return Ok(());
    }
    for command in commands(&text) {
        path.push(command);
        command_section(path, everywhere, help, page)?;
        path.pop();
    }
    Ok(())
}

/// Parts of a help text, each from a line that is not indented to the next such line after a blank one.
fn sections(text: &str) -> Vec<&str> {
    let mut starts = vec![0];
    for (blank, _) in text.match_indices("\n\n") {
        let next = blank + 2;
        if text[next..].starts_with(|c: char| !c.is_whitespace()) {
            starts.push(next);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts.iter().zip(ends).map(|(start, end)| text[*start..end].trim_end()).collect()
}

fn trimmed_lines(text: &str) -> String {
    text.trim().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The names under `Commands:` in a help text; `help` itself is left out.
fn commands(text: &str) -> Vec<String> {
    let listed = text.lines().skip_while(|line| line.trim() != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.trim().is_empty());
    // Names are indented by two columns; the continuation of a long description by more.
    let names = listed.filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')));
    names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_followed_to_the_leaves() {
        let page = cli_page(|path| {
            Ok(match path.join(" ").as_str() {
                "" => "Ships\n\nCommands:\n  release  Show\n           more\n  help     Print\n\nOptions:\n  -h\n\n  -V\n".to_owned(),
                "release" => "Show   \n\nCommands:\n  list  All\n\nOptions:\n  -h\n\n  -V\n".to_owned(),
                other => format!("help of {other}"),
            })
        });
        let page = page.expect("help always answers");
        let headings: Vec<&str> = page.lines().filter(|line| line.starts_with("## ")).collect();
        assert_eq!(headings, ["## `trimtab`", "## `trimtab release`", "## `trimtab release list`"]);
        assert_eq!(page.matches("  -V").count(), 1, "what every command shares is said once: {page}");
        assert!(page.contains("\nShow\n"), "trailing blanks are kept out of the page: {page}");
    }

    #[test]
    fn fields_are_listed_with_type_and_meaning() {
        let schema = serde_json::json!({
            "required": ["a"],
            "properties": {
                "a": {"type": "string", "enum": ["X", "Y"], "description": "One | other"},
                "b": {"type": "array", "items": {"type": "object", "properties": {"c": {"type": "integer", "default": 3}}}},
            },
        });
        let mut page = String::new();
        field_rows(&schema, "spec", 0, &mut page);
        let expected = "| `spec.a` | `X`, `Y` | Required. One \\| other. |\n\
                        | `spec.b` | list of object |  |\n\
                        | `spec.b[].c` | integer, default `3` |  |\n";
        assert_eq!(page, expected);
    }
}
