//! Where the tables and pictures of `cargo xtask bench` go.

use std::{fs, path::Path};

use podbond_bench::{
    Budget, Document, Growth, budget_table, calls_table, growth_table, svg, table,
};

use crate::{
    error::{Error, FileContext},
    workspace::{root, target},
};

/// The page whose tables this command writes.
const PAGE: &str = "PERFORMANCE.md";

/// The directory of its pictures, relative to the page.
const PICTURES: &str = "docs";

/// Everything as text: the rows, and a table for each growth.
pub(crate) fn text(document: &Document) -> String {
    let rows = (!document.rows.is_empty())
        .then(|| [table(&document.rows), calls_table(&document.rows)].join("\n\n"));
    let growth = document.growth.iter().map(|one| format!("{}\n{}", one.name, growth_table(one)));
    let budgets = budget_table(&Budget::all(document));
    rows.into_iter().chain(growth).chain([budgets]).collect::<Vec<_>>().join("\n\n")
}

/// Keeps what was measured, and its pictures, beside what was built. Gives it with what is kept of
/// the parts that were not measured this time.
pub(crate) fn keep(measured: &Document) -> Result<Document, Error> {
    let directory = target().join("bench");
    fs::create_dir_all(&directory).file("make", &directory)?;
    let file = directory.join("bench.json");
    let kept = fs::read(&file).ok().and_then(|text| serde_json::from_slice(&text).ok());
    let document = join(measured, kept.unwrap_or_default());
    fs::write(&file, serde_json::to_string_pretty(&document)?).file("write", &file)?;
    draw(&document.growth, &directory)?;
    Ok(document)
}

/// What was measured; of each part that was not, what is known from earlier.
fn join(measured: &Document, kept: Document) -> Document {
    let Document { rows, growth } = measured;
    Document {
        rows: if rows.is_empty() { kept.rows } else { rows.clone() },
        growth: if growth.is_empty() { kept.growth } else { growth.clone() },
    }
}

/// Writes what was measured into the page and its pictures beside it. A part that was never measured
/// stays.
pub(crate) fn write(document: &Document) -> Result<(), Error> {
    draw(&document.growth, &root().join(PICTURES))?;
    let page = root().join(PAGE);
    let mut text = fs::read_to_string(&page).file("read", &page)?;
    if !document.rows.is_empty() {
        text = between(&text, "rows", &table(&document.rows))?;
        text = between(&text, "calls", &calls_table(&document.rows))?;
    }
    if !document.growth.is_empty() {
        let parts: Vec<String> = document.growth.iter().map(section).collect();
        text = between(&text, "growth", &parts.join("\n\n"))?;
    }
    text = between(&text, "budget", &budget_table(&Budget::all(document)))?;
    fs::write(&page, text).file("write", &page)
}

/// Writes a table into the page, between its marks.
pub(crate) fn write_part(name: &str, table: &str) -> Result<(), Error> {
    let page = root().join(PAGE);
    let text = fs::read_to_string(&page).file("read", &page)?;
    fs::write(&page, between(&text, name, table)?).file("write", &page)
}

fn draw(all: &[Growth], directory: &Path) -> Result<(), Error> {
    all.iter().try_for_each(|growth| {
        let file = directory.join(format!("{}.svg", growth.file_name()));
        fs::write(&file, svg(growth)).file("write", &file)
    })
}

fn section(growth: &Growth) -> String {
    let (name, of, file) = (&growth.name, &growth.of, growth.file_name());
    format!("### {name}\n\n![{name} over {of}]({PICTURES}/{file}.svg)\n\n{}", growth_table(growth))
}

/// The text with what is between two marks of this name replaced.
fn between(text: &str, name: &str, new: &str) -> Result<String, Error> {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let parts = text.split_once(&begin).and_then(|(before, rest)| {
        let (_, after) = rest.split_once(&end)?;
        Some((before, after))
    });
    let (before, after) =
        parts.ok_or_else(|| Error::Marks { page: PAGE, name: name.to_owned() })?;
    Ok(format!("{before}{begin}\n{new}\n\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let text = "a\n<!-- rows: begin -->\nold\n<!-- rows: end -->\nb\n";
        let once = between(text, "rows", "new").unwrap();
        assert_eq!(once, "a\n<!-- rows: begin -->\n\nnew\n\n<!-- rows: end -->\nb\n");
        assert_eq!(between(&once, "rows", "new").unwrap(), once);
        assert!(between(text, "growth", "new").is_err());
    }

    #[test]
    fn what_was_not_measured_is_known_from_earlier() {
        let rows = |name| vec![podbond_bench::Row::timed(name, "floor", vec![Duration::ZERO])];
        let growth = Growth { name: "g".into(), of: "x".into(), lines: Vec::new() };
        let kept = Document { rows: rows("old"), growth: vec![growth] };
        let measured = Document { rows: rows("new"), growth: Vec::new() };
        let both = join(&measured, kept);
        assert_eq!((both.rows[0].name.as_str(), both.growth.len()), ("new", 1));
    }

    #[test]
    fn the_page_has_the_marks() {
        let text = fs::read_to_string(root().join(PAGE)).unwrap();
        assert!(
            ["rows", "calls", "instructions", "growth", "budget"]
                .iter()
                .all(|name| between(&text, name, "").is_ok())
        );
    }
}
