//! The modules of one crate, and which of them needs which.

use std::collections::{BTreeMap, BTreeSet};

use syn::visit::{self, Visit};
use syn::{Attribute, ImplItemFn, Item, ItemMod, ItemUse, Macro, Path, UseTree, Visibility};

/// Names from the root of the crate; the root is empty.
pub(crate) type Name = Vec<String>;

/// Re-exports that are followed one after the other before a name counts as defined where it was found.
const HOPS_MAX: usize = 16;

/// The modules of one crate.
#[derive(Default)]
pub(crate) struct Crate {
    modules: BTreeMap<Name, Module>,
}

#[derive(Default)]
struct Module {
    /// What `use` binds here; `None` when another crate defines it.
    bound: BTreeMap<String, Option<Name>>,
    /// What `use ...::*` takes in.
    globs: Vec<Name>,
    /// What is defined here.
    defined: BTreeSet<String>,
    needs: Vec<Need>,
}

struct Need {
    path: Name,
    /// Whether it is passed on to others: a parent that passes its children's items on does not need them itself.
    passed_on: bool,
}

impl Crate {
    /// The modules of these files: their paths below `src/`, and their texts.
    pub(crate) fn read<'f>(files: impl IntoIterator<Item = (&'f str, &'f str)>) -> syn::Result<Self> {
        let mut found = Self::default();
        let files: Vec<(Name, syn::File)> = files
            .into_iter()
            .map(|(path, text)| Ok((name_of(path), syn::parse_file(text)?)))
            .collect::<syn::Result<_>>()?;
        for (name, file) in &files {
            found.declare(name, &file.items);
        }
        for (name, file) in &files {
            found.collect(name, &file.items);
        }
        Ok(found)
    }

    fn declare(&mut self, name: &Name, items: &[Item]) {
        self.modules.entry(name.clone()).or_default();
        for item in items {
            if let Item::Mod(ItemMod { attrs, ident, content: Some((_, items)), .. }) = item
                && !is_test(attrs)
            {
                self.declare(&below(name, ident), items);
            }
        }
    }

    fn collect(&mut self, name: &Name, items: &[Item]) {
        for item in items {
            match item {
                Item::Mod(ItemMod { attrs, ident, content: Some((_, items)), .. }) => {
                    if !is_test(attrs) {
                        self.collect(&below(name, ident), items);
                    }
                }
                other => {
                    let mut visitor = Visitor { within: self, name: name.clone(), found: Module::default() };
                    visitor.visit_item(other);
                    let found = visitor.found;
                    let module = self.modules.entry(name.clone()).or_default();
                    module.bound.extend(found.bound);
                    module.globs.extend(found.globs);
                    module.defined.extend(defined_name(other));
                    module.needs.extend(found.needs);
                }
            }
        }
    }

    /// Groups of modules of which each needs, over some way, every other one of its group.
    pub(crate) fn circles(&self) -> Vec<Vec<String>> {
        let edges = self.edges();
        let reached: BTreeMap<&Name, BTreeSet<&Name>> =
            edges.keys().map(|from| (from, reachable(&edges, from))).collect();
        let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
        for (from, all) in &reached {
            if all.contains(*from) {
                let back = |other: &&&Name| reached.get(**other).is_some_and(|back| back.contains(*from));
                circles.insert(all.iter().filter(back).map(|name| shown(name)).collect());
            }
        }
        circles.into_iter().collect()
    }

    /// Which module needs which others.
    pub(crate) fn edges(&self) -> BTreeMap<Name, BTreeSet<Name>> {
        let edge = |name: &Name, need: &Need| {
            let target = self.definer(&need.path)?;
            let own_child = need.passed_on && target.starts_with(name);
            (target != *name && !own_child).then_some(target)
        };
        self.modules
            .iter()
            .map(|(name, module)| {
                (name.clone(), module.needs.iter().filter_map(|need| edge(name, need)).collect())
            })
            .collect()
    }

    /// The module that defines what `path` names, through re-exports; `None` when another crate does.
    fn definer(&self, path: &Name) -> Option<Name> {
        let (mut module, mut rest) = (Name::new(), path.clone());
        for _ in 0..HOPS_MAX {
            while let Some(first) = rest.first()
                && self.modules.contains_key(&below(&module, first))
            {
                module.push(rest.remove(0));
            }
            let Some(first) = rest.first().cloned() else { return Some(module) };
            let here = self.modules.get(&module)?;
            let next = match here.bound.get(&first) {
                _ if here.defined.contains(&first) => return Some(module),
                Some(bound) => bound.clone()?,
                None => match here.globs.iter().find(|glob| self.has(glob, &first)) {
                    Some(glob) => below(glob, &first),
                    None => return Some(module),
                },
            };
            rest = next.into_iter().chain(rest.drain(1..)).collect();
            module.clear();
        }
        Some(module)
    }

    fn has(&self, module: &Name, name: &str) -> bool {
        self.modules
            .get(module)
            .is_some_and(|module| module.defined.contains(name) || module.bound.contains_key(name))
    }

    /// `path` as written in `module`, from the root of the crate; `None` when it leads to another crate.
    fn absolute(&self, module: &Name, path: &[String]) -> Option<Name> {
        let (first, rest) = path.split_first()?;
        let mut from = match first.as_str() {
            "crate" => Name::new(),
            "self" => module.clone(),
            "super" => module.split_last()?.1.to_vec(),
            child if self.modules.contains_key(&below(module, child)) => below(module, child),
            _ => return None,
        };
        let mut rest = rest;
        while let Some(("super", tail)) = rest.split_first().map(|(first, tail)| (first.as_str(), tail)) {
            from.pop();
            rest = tail;
        }
        from.extend_from_slice(rest);
        Some(from)
    }
}

struct Visitor<'c> {
    within: &'c Crate,
    name: Name,
    found: Module,
}

impl Visitor<'_> {
    fn need(&mut self, path: &[String], passed_on: bool) {
        if let Some(path) = self.within.absolute(&self.name, path) {
            self.found.needs.push(Need { path, passed_on });
        }
    }

    fn import(&mut self, tree: &UseTree, prefix: &[String], passed_on: bool) {
        let with = |name: &syn::Ident| -> Vec<String> {
            prefix.iter().cloned().chain((name != "self").then(|| name.to_string())).collect()
        };
        match tree {
            UseTree::Path(path) => {
                let deeper: Vec<String> = prefix.iter().cloned().chain([path.ident.to_string()]).collect();
                self.import(&path.tree, &deeper, passed_on);
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.import(tree, prefix, passed_on));
            }
            UseTree::Name(name) => {
                let path = with(&name.ident);
                self.bind(path.last().cloned().unwrap_or_default(), &path, passed_on);
            }
            UseTree::Rename(name) => self.bind(name.rename.to_string(), &with(&name.ident), passed_on),
            _ => {
                self.need(prefix, passed_on);
                self.found.globs.extend(self.within.absolute(&self.name, prefix));
            }
        }
    }

    fn bind(&mut self, name: String, path: &[String], passed_on: bool) {
        self.need(path, passed_on);
        self.found.bound.insert(name, self.within.absolute(&self.name, path));
    }
}

impl<'ast> Visit<'ast> for Visitor<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !attributes(item).is_some_and(is_test) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item_fn(&mut self, item: &'ast ImplItemFn) {
        if !is_test(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let passed_on = !matches!(item.vis, Visibility::Inherited);
        self.import(&item.tree, &[], passed_on);
    }

    fn visit_path(&mut self, path: &'ast Path) {
        let names: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        if names.len() > 1 && path.leading_colon.is_none() {
            self.need(&names, false);
        }
        visit::visit_path(self, path);
    }

    /// What a macro is given is no syntax tree, so paths are looked for in its text.
    fn visit_macro(&mut self, called: &'ast Macro) {
        let text = called.tokens.to_string().replace(" :: ", "::");
        let words = text.split(|letter: char| !(letter.is_alphanumeric() || letter == '_' || letter == ':'));
        for word in words.filter(|word| word.contains("::")) {
            let names: Vec<String> = word.trim_matches(':').split("::").map(str::to_owned).collect();
            self.need(&names, false);
        }
        visit::visit_macro(self, called);
    }
}

fn reachable<'g>(edges: &'g BTreeMap<Name, BTreeSet<Name>>, from: &Name) -> BTreeSet<&'g Name> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Name> = edges.get(from).into_iter().flatten().collect();
    while let Some(name) = open.pop() {
        if reached.insert(name) {
            open.extend(edges.get(name).into_iter().flatten());
        }
    }
    reached
}

fn name_of(path: &str) -> Name {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    let mut name: Name = stem.split('/').map(str::to_owned).collect();
    if matches!(name.last().map(String::as_str), Some("mod" | "lib")) {
        name.pop();
    }
    name
}

fn below(module: &Name, child: impl ToString) -> Name {
    module.iter().cloned().chain([child.to_string()]).collect()
}

fn shown(name: &Name) -> String {
    if name.is_empty() { "lib".to_owned() } else { name.join("::") }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = attribute.meta.require_list().map(|list| list.tokens.to_string());
        attribute.path().is_ident("cfg") && condition.is_ok_and(|condition| condition == "test")
    })
}

fn attributes(item: &Item) -> Option<&[Attribute]> {
    Some(match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => return None,
    })
}

fn defined_name(item: &Item) -> Option<String> {
    Some(match item {
        Item::Const(item) => item.ident.to_string(),
        Item::Enum(item) => item.ident.to_string(),
        Item::Fn(item) => item.sig.ident.to_string(),
        Item::Static(item) => item.ident.to_string(),
        Item::Struct(item) => item.ident.to_string(),
        Item::Trait(item) => item.ident.to_string(),
        Item::Type(item) => item.ident.to_string(),
        _ => return None,
    })
}
