//! The name of a link and the address of a PCI function become names of files.

use std::path::Path;

use podbond_names::{LinkName, PciAddress};
use proptest::prelude::*;

/// Whether a text that was taken as a name is one file in a directory.
fn is_one_file(name: &str) -> bool {
    let path = Path::new("/d").join(name);
    path.parent() == Some(Path::new("/d")) && path.file_name().is_some_and(|last| last == name)
}

proptest! {
    #[test]
    fn names_of_links_and_functions_are_one_file(
        text in prop_oneof!["[./a-z\\\\\u{0}]{0,8}", "\\PC{0,15}", "[0-9a-f:.]{0,15}"]
    ) {
        if let Ok(name) = text.parse::<LinkName>() {
            prop_assert!(is_one_file(name.as_str()));
        }
        if let Ok(pci) = text.parse::<PciAddress>() {
            prop_assert!(is_one_file(&pci.to_string()));
        }
    }
}
