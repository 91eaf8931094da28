//! podbond
fn main() {}
