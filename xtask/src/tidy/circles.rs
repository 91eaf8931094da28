//! Circles of modules: modules of a crate that import each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::Finding;
use crate::{
    error::Error,
    metadata::Package,
    source::{self, File},
};
/// A module, by the names that lead to it from the crate's root.
type Module = Vec<String>;

/// Which modules import which. Those of one folder are compared, each with all that is below it;
/// a module and the modules inside it are one subject and may use each other.
type Imports = BTreeMap<Module, BTreeMap<String, BTreeSet<String>>>;

/// Finds the circles of each crate.
pub(super) fn check(root: &Path, packages: &[Package]) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for package in packages {
        let files = source::files(&root.join(&package.directory).join("src"))?;
        for (folder, siblings) in imports(&files) {
            let path = format!("{}/src/{}", package.directory, folder.join("/"));
            let path = path.trim_end_matches('/');
            for_each_circle(siblings, |circle| {
                let message = format!("modules import each other: {}", circle.join(" -> "));
                findings.push(Finding::new(path, message));
            });
        }
    }
    Ok(findings)
}

/// Hands on the shortest circle, then looks for the next without its modules.
fn for_each_circle(
    mut siblings: BTreeMap<String, BTreeSet<String>>,
    mut found: impl FnMut(&[String]),
) {
    loop {
        let circles = siblings.keys().filter_map(|start| circle(&siblings, start));
        let Some(shortest) = circles.min_by_key(Vec::len) else { return };
        found(&shortest);
        siblings.retain(|module, _| !shortest.contains(module));
    }
}

/// Returns the shortest circle through `start`, which begins and ends it.
fn circle(siblings: &BTreeMap<String, BTreeSet<String>>, start: &str) -> Option<Vec<String>> {
    let mut paths = vec![vec![start.to_owned()]];
    let mut seen = BTreeSet::new();
    while !paths.is_empty() {
        let mut longer = Vec::new();
        for path in paths {
            for next in path.last().and_then(|last| siblings.get(last)).into_iter().flatten() {
                let path = [path.as_slice(), std::slice::from_ref(next)].concat();
                if next == start {
                    return Some(path);
                }
                if seen.insert(next) {
                    longer.push(path);
                }
            }
        }
        paths = longer;
    }
    None
}

/// The modules of a crate, each with the names that its `use` items bring in and where those lead.
type Names = BTreeMap<Module, Vec<(String, Module)>>;

/// Returns what the modules of the files import of each other.
fn imports(files: &[File]) -> Imports {
    let mut names: Names = files.iter().map(|file| (file.module.clone(), Vec::new())).collect();
    for file in files {
        let imported = named(file, &names);
        names.entry(file.module.clone()).or_default().extend(imported);
    }
    let mut imports = Imports::new();
    for file in files {
        for path in paths(file, &names) {
            let (own, used) = (&file.module, resolve(&path, &names, 0));
            let common = own.iter().zip(&used).take_while(|(a, b)| a == b).count();
            if let (Some(from), Some(to)) = (own.get(common), used.get(common)) {
                let siblings = imports.entry(own[..common].to_vec()).or_default();
                siblings.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    imports
}

/// Returns the module in which the item of this path is, by way of what modules import by name.
fn resolve(path: &[String], names: &Names, depth: usize) -> Module {
    let mut module = Module::new();
    for (i, name) in path.iter().enumerate() {
        let inner = [module.as_slice(), std::slice::from_ref(name)].concat();
        if names.contains_key(&inner) {
            module = inner;
            continue;
        }
        let imported = names.get(&module).into_iter().flatten();
        let source = imported
            .filter(|(_, source)| source[..] != path[..=i])
            .find(|(alias, _)| alias == name);
        // Imports by name in a circle do not compile; the limit is for what is misread.
        return match source {
            Some((_, source)) if depth < 10 => {
                resolve(&[source.as_slice(), &path[i + 1..]].concat(), names, depth + 1)
            }
            _ => module,
        };
    }
    module
}

/// Returns the names that the file's `use` items bring in, each with its path from the root.
fn named(file: &File, names: &Names) -> Vec<(String, Module)> {
    let mut trees = Vec::new();
    for tree in use_trees(&file.code.skeleton) {
        expand(&[], tree, &mut trees);
    }
    let path =
        |(path, name): (Vec<&str>, &str)| Some((name.to_owned(), absolute(&path, file, names)?));
    trees.into_iter().filter_map(path).collect()
}

/// Returns the paths from the crate's root that the file names, in `use` items and elsewhere.
fn paths(file: &File, names: &Names) -> Vec<Module> {
    let text = &file.code.skeleton;
    let mut found: Vec<Module> = named(file, names).into_iter().map(|(_, path)| path).collect();
    for (at, _) in text.match_indices("crate::").chain(text.match_indices("super::")) {
        if text[..at].ends_with(is_in_path) {
            continue;
        }
        let path = text[at..].split(|c| !is_in_path(c)).next().unwrap_or_default();
        found.extend(absolute(&path.split("::").collect::<Vec<_>>(), file, names));
    }
    found
}

fn is_in_path(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == ':'
}

/// Returns what stands between `use` and `;` in the items of a file.
fn use_trees(text: &str) -> impl Iterator<Item = &str> {
    let starts = text.match_indices("use ").filter(|&(at, _)| {
        let before = text[..at].trim_end_matches(' ');
        before.is_empty()
            || before.ends_with(['\n', '{', '}', ';', ')', ']'])
            || before.ends_with("pub")
    });
    starts.filter_map(|(at, word)| text[at + word.len()..].split(';').next())
}

/// Adds each path of a tree `a::{b, c as d}`, with the name that it gets.
fn expand<'a>(prefix: &[&'a str], tree: &'a str, found: &mut Vec<(Vec<&'a str>, &'a str)>) {
    let tree = tree.trim();
    if let Some((head, list)) = tree.split_once('{') {
        let head = head.split("::").map(str::trim).filter(|part| !part.is_empty());
        let prefix: Vec<&str> = prefix.iter().copied().chain(head).collect();
        let list = list.trim_end().strip_suffix('}').unwrap_or(list);
        for part in split_at_commas(list) {
            expand(&prefix, part, found);
        }
    } else if !tree.is_empty() {
        let (path, alias) =
            tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias)));
        let mut path: Vec<&str> =
            prefix.iter().copied().chain(path.split("::").map(str::trim)).collect();
        if path.len() > 1 && path.last().is_some_and(|last| matches!(*last, "self" | "*")) {
            path.pop();
        }
        let name = alias.map(str::trim).or(path.last().copied()).unwrap_or_default();
        found.push((path, name));
    }
}

/// Splits a list at the commas that are in no braces.
fn split_at_commas(list: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (i, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&list[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&list[start..]);
    parts
}

/// Returns a path from the crate's root; `None` where it leads into another crate.
fn absolute(path: &[&str], file: &File, names: &Names) -> Option<Module> {
    let ups = path.iter().take_while(|part| **part == "super").count();
    let module = &file.module;
    let (start, rest) = match *path.first()? {
        "crate" => (&[][..], &path[1..]),
        "self" => (module.as_slice(), &path[1..]),
        "super" => (&module[..module.len().checked_sub(ups)?], &path[ups..]),
        first => {
            let inner = [module.as_slice(), &[first.to_owned()]].concat();
            names.contains_key(&inner).then_some((module.as_slice(), path))?
        }
    };
    Some(start.iter().cloned().chain(rest.iter().map(ToString::to_string)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Code;

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        let file = |&(module, text): &(&str, &str)| File {
            module: module.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect(),
            code: Code::parse(text),
        };
        let files: Vec<File> = files.iter().map(file).collect();
        let mut found = Vec::new();
        for (folder, siblings) in imports(&files) {
            for_each_circle(siblings, |circle| {
                found.push(format!("{}: {}", folder.join("::"), circle.join(" -> ")));
            });
        }
        found
    }

    #[test]
    fn two_modules_that_import_each_other_are_a_circle() {
        let files = [("", "mod a;"), ("a", "use crate::b::X;"), ("b", "fn f() { super::a::g() }")];
        assert_eq!(circles(&files), [": a -> b -> a"]);
        let files =
            [("", ""), ("a", "use crate::{b::{self, X}, c};"), ("b", "use crate::c;"), ("c", "")];
        assert_eq!(circles(&files), [""; 0]);
    }

    #[test]
    fn a_circle_by_way_of_names_at_the_root_is_found() {
        let files = [
            ("", "pub use a::Error;\npub(crate) use self::b::X as Y;"),
            ("a", "use crate::Y;"),
            ("b", "use crate::Error;"),
        ];
        assert_eq!(circles(&files), [": a -> b -> a"]);
    }

    #[test]
    fn modules_count_with_all_that_is_below_them() {
        let files = [
            ("", ""),
            ("x", ""),
            ("x::a", "use super::b;"),
            ("x::a::deep", ""),
            ("x::b", "use super::c;"),
            ("x::c", "use crate::x::a::deep::D;"),
        ];
        assert_eq!(circles(&files), ["x: a -> b -> c -> a"]);
    }

    #[test]
    fn a_module_and_the_modules_inside_it_may_use_each_other() {
        assert_eq!(
            circles(&[
                ("", "use a::X;"),
                ("a", "use crate::Y; use b::Z;"),
                ("a::b", "use super::*;")
            ]),
            [""; 0]
        );
    }

    #[test]
    fn tests_make_no_circle() {
        let files = [
            ("", ""),
            ("a", "use crate::b;"),
            ("b", "#[cfg(test)]\nmod tests {\n use crate::a;\n}"),
        ];
        assert_eq!(circles(&files), [""; 0]);
    }
}
