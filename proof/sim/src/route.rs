//! From method, path and query to what is asked.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use percent_encoding::percent_decode_str;

/// A request as the server sees it, after authentication.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) user: String,
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) raw_query: String,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) accept: String,
    pub(crate) content_type: String,
    pub(crate) user_agent: String,
    pub(crate) body: Bytes,
}

impl Call {
    /// A request that the server makes to itself.
    pub(crate) fn internal(user: &str, manager: &str) -> Self {
        Call {
            user: user.to_owned(),
            method: Method::POST,
            path: String::new(),
            raw_query: String::new(),
            query: BTreeMap::new(),
            accept: String::new(),
            content_type: String::new(),
            user_agent: manager.to_owned(),
            body: Bytes::new(),
        }
    }

    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.parameter(name), "true" | "1")
    }

    pub(crate) fn is_dry_run(&self) -> bool {
        self.parameter("dryRun") == "All"
    }

    /// Path and query as they were sent.
    pub(crate) fn uri(&self) -> String {
        if self.raw_query.is_empty() {
            self.path.clone()
        } else {
            format!("{}?{}", self.path, self.raw_query)
        }
    }

    /// What names the writer in `managedFields`: the parameter, else the product of the user agent.
    pub(crate) fn field_manager(&self) -> String {
        let named = self.parameter("fieldManager");
        let manager = if named.is_empty() {
            self.user_agent.split('/').next().filter(|product| !product.is_empty()).unwrap_or("unknown")
        } else {
            named
        };
        manager.to_owned()
    }
}

/// Where a path under `/api` or `/apis` points to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: String,
    pub(crate) plural: String,
    pub(crate) name: String,
    pub(crate) subresource: String,
}

/// Reads a resource path; `None` when it is none (discovery, health, OpenAPI).
pub(crate) fn parse(path: &str) -> Option<Route> {
    let segments: Vec<String> =
        path.split('/').filter(|segment| !segment.is_empty()).map(decode_percent).collect();
    let texts: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (group, version, rest) = match texts.as_slice() {
        ["api", version, rest @ ..] => ("", *version, rest),
        ["apis", group, version, rest @ ..] => (*group, *version, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..]
            if !rest.is_empty() && !matches!(rest, ["status" | "finalize"]) =>
        {
            (*namespace, rest)
        }
        rest => ("", rest),
    };
    let (plural, name, subresource) = match rest {
        [plural] => (*plural, "", ""),
        [plural, name] => (*plural, *name, ""),
        [plural, name, subresource, ..] => (*plural, *name, *subresource),
        [] => return None,
    };
    Some(Route {
        group: group.to_owned(),
        version: version.to_owned(),
        namespace: namespace.to_owned(),
        plural: plural.to_owned(),
        name: name.to_owned(),
        subresource: subresource.to_owned(),
    })
}

/// Splits a query string; the last of repeated parameters wins.
pub(crate) fn parse_query(query: &str) -> BTreeMap<String, String> {
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode_form(name), decode_form(value))
        })
        .collect()
}

fn decode_form(text: &str) -> String {
    decode_percent(&text.replace('+', " "))
}

fn decode_percent(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}
