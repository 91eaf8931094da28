//! Rust source files as the tasks look at them: without comments and without tests.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::error::{Error, FileContext};

/// A file of a crate's `src` folder that is no test.
#[derive(Debug)]
pub(crate) struct File {
    /// The path of its module in the crate; empty for `lib.rs` and `main.rs`.
    pub(crate) module: Vec<String>,
    pub(crate) code: Code,
}

/// The text of a file, line by line as in the file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Code {
    /// Without comments and without what is under `#[cfg(test)]`.
    pub(crate) text: String,
    /// Besides, without what is in strings.
    pub(crate) skeleton: String,
    /// The modules under `#[cfg(test)]` that are files of their own.
    test_modules: Vec<String>,
    /// Whether the whole file is under `#![cfg(test)]`.
    is_test: bool,
}

/// Returns the `.rs` files below a `src` folder that are no tests, sorted by path.
pub(crate) fn files(src: &Path) -> Result<Vec<File>, Error> {
    let mut found = Vec::new();
    for path in paths(src)? {
        let code = Code::parse(&fs::read_to_string(&path).file("read", &path)?);
        found.push(File { module: module(path.strip_prefix(src).unwrap_or(&path)), code });
    }
    let mut tests = Vec::new();
    for File { module, code, .. } in &found {
        tests.extend(code.is_test.then(|| module.clone()));
        for name in &code.test_modules {
            tests.push([module.as_slice(), std::slice::from_ref(name)].concat());
        }
    }
    found.retain(|file| !tests.iter().any(|test| file.module.starts_with(test)));
    Ok(found)
}

/// Returns the paths of the `.rs` files below a directory, sorted; none if there is no such directory.
pub(crate) fn paths(directory: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = Vec::new();
    if directory.is_dir() {
        for entry in fs::read_dir(directory).file("read", directory)? {
            let path = entry.file("read", directory)?.path();
            if path.is_dir() {
                found.extend(paths(&path)?);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Returns the module of a file, by its path below `src`.
fn module(path: &Path) -> Vec<String> {
    let path = path.with_extension("");
    let mut parts: Vec<String> =
        path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    let is_root = parts.len() == 1 && (parts[0] == "lib" || parts[0] == "main");
    if is_root || parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

impl Code {
    pub(crate) fn parse(text: &str) -> Self {
        let mut text: Vec<char> = text.chars().collect();
        let mut skeleton = text.clone();
        for (kind, start, end) in literals(&text) {
            if kind == Literal::Comment {
                blank(&mut text[start..end]);
            }
            blank(&mut skeleton[start..end]);
        }
        let mut code = Self::default();
        let attribute: Vec<char> = "#[cfg(test)]".chars().collect();
        while let Some(start) = find(&skeleton, &attribute) {
            let end = item_end(&skeleton, start);
            code.test_modules.extend(declared_module(&skeleton[start..end]));
            blank(&mut text[start..end]);
            blank(&mut skeleton[start..end]);
        }
        code.text = text.into_iter().collect();
        code.skeleton = skeleton.into_iter().collect();
        code.is_test = code.skeleton.contains("#![cfg(test)]");
        code
    }

    /// Returns the number of lines that are not blank.
    pub(crate) fn lines(&self) -> usize {
        self.text.lines().filter(|line| !line.trim().is_empty()).count()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Literal {
    Comment,
    Text,
}

/// Returns comments, and strings and characters without their quotes, each by its start and end.
fn literals(text: &[char]) -> Vec<(Literal, usize, usize)> {
    let at = |i: usize| text.get(i).copied().unwrap_or_default();
    let mut found = Vec::new();
    let mut i = 0;
    while i < text.len() {
        let (kind, end, next) = match (at(i), at(i + 1)) {
            ('/', '/') => {
                let end = (i..text.len()).find(|&i| text[i] == '\n').unwrap_or(text.len());
                (Literal::Comment, end, end)
            }
            ('/', '*') => {
                let end = block_comment_end(text, i);
                (Literal::Comment, end, end)
            }
            ('r', '"' | '#') if !(i > 0 && is_word(at(i - 1)) && at(i - 1) != 'b') => {
                let hashes = text[i + 1..].iter().take_while(|&&c| c == '#').count();
                if at(i + 1 + hashes) != '"' {
                    // A raw identifier.
                    i += 1;
                    continue;
                }
                let close: Vec<char> = std::iter::once('"').chain(vec!['#'; hashes]).collect();
                i += hashes + 2;
                let end = find(&text[i..], &close).map_or(text.len(), |length| i + length);
                (Literal::Text, end, end + close.len())
            }
            ('"', _) => {
                i += 1;
                let end = quote_end(text, i, '"');
                (Literal::Text, end, end + 1)
            }
            // Not a lifetime: a character, or an escape.
            ('\'', c) if c == '\\' || at(i + 2) == '\'' => {
                i += 1;
                let end = quote_end(text, i, '\'');
                (Literal::Text, end, end + 1)
            }
            _ => {
                i += 1;
                continue;
            }
        };
        found.push((kind, i.min(end), end));
        i = next;
    }
    found
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment_end(text: &[char], start: usize) -> usize {
    let mut depth = 0;
    let mut i = start;
    while i < text.len() {
        match (text[i], text.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

fn quote_end(text: &[char], mut i: usize, quote: char) -> usize {
    while i < text.len() && text[i] != quote {
        i += if text[i] == '\\' { 2 } else { 1 };
    }
    i.min(text.len())
}

/// Returns the end of the item whose attribute begins at `start`: its `;`, or the `}` of its block.
fn item_end(skeleton: &[char], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut is_import = false;
    for (i, &c) in skeleton.iter().enumerate().skip(start) {
        match c {
            '{' | '(' | '[' => depth += 1,
            '}' | ')' | ']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 && c == '}' && !is_import {
                    return i + 1;
                }
            }
            ';' if depth == 0 => return i + 1,
            'u' if depth == 0 => is_import |= skeleton[i..].starts_with(&['u', 's', 'e', ' ']),
            _ => {}
        }
    }
    skeleton.len()
}

/// Returns the name in an item `mod NAME;`.
fn declared_module(item: &[char]) -> Option<String> {
    let text: String = item.iter().collect();
    let words: Vec<&str> = text.strip_suffix(';')?.split_whitespace().collect();
    match words[..] {
        [.., "mod", name] => Some(name.to_owned()),
        _ => None,
    }
}

fn find(text: &[char], wanted: &[char]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn blank(text: &mut [char]) {
    for c in text {
        if *c != '\n' {
            *c = ' ';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> usize {
        Code::parse(text).lines()
    }

    #[test]
    fn blank_lines_and_comments_are_not_counted() {
        assert_eq!(lines("a();\n\n  // x\n/* a\n /* b */\n c */\n/// d\nb(); // e\n"), 2);
    }

    #[test]
    fn comment_signs_in_literals_are_code() {
        assert_eq!(lines("a(\"/*\");\nb('\"');\nc(r#\"\"/*\"#);\nd(b\"\\\"//\");\n/* */\n"), 4);
        assert_eq!(lines("fn f<'a>(x: &'a str) {}\n// '\"\ng('\\'');\n"), 2);
    }

    #[test]
    fn test_modules_are_not_counted() {
        let text = "a();\n#[cfg(test)]\nmod tests {\n    fn b() { \"}\"; }\n}\nc();\n";
        assert_eq!(lines(text), 2);
        assert_eq!(lines("#[cfg(test)]\nuse a::{\n    b,\n};\nc();\n"), 1);
    }

    #[test]
    fn test_modules_in_files_are_left_out_with_all_below_them() {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("lib.rs", "mod a;\n");
        write("a.rs", "#[cfg(test)]\nmod tests;\n#[cfg(test)]\npub(crate) mod testing;\n");
        write("a/tests.rs", "mod more;\n");
        write("a/tests/more.rs", "fn x() {}\n");
        write("a/testing.rs", "fn x() {}\n");
        write("a/b/mod.rs", "fn x() {}\n");
        let modules: Vec<_> = files(directory.path())
            .unwrap()
            .into_iter()
            .map(|file| file.module.join("::"))
            .collect();
        assert_eq!(modules, ["a::b", "a", ""]);
    }
}
