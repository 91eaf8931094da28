//! Validated names become names of files: none may lead out of its directory.

use std::path::Path;

use podbond_names::{
    LinkName, Namespace, ObjectKey, ObjectName, ObjectUid, OneLine, PciAddress, ResourceName,
};
use proptest::prelude::*;

/// Whether a text that was taken as a name is one file in a directory.
fn is_one_file(name: &str) -> bool {
    let path = Path::new("/d").join(name);
    path.parent() == Some(Path::new("/d")) && path.file_name().is_some_and(|last| last == name)
}

proptest! {
    #[test]
    fn one_line_has_no_control_characters(text in "[\u{0}-\u{9f}\u{2020}-\u{2070}]{0,16}") {
        let line = OneLine(&text).to_string();
        prop_assert_eq!(line.chars().find(|c| c.is_control()), None);
        prop_assert_eq!(OneLine(&line).to_string(), line);
    }

    /// Promise: names-stay-in-directory
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

    /// Promise: names-stay-in-directory
    #[test]
    fn names_of_objects_are_one_file(
        text in prop_oneof!["[./a-z\\\\\u{0}]{0,8}", "\\PC{0,12}", "[a-z0-9.-]{0,20}"]
    ) {
        if let Ok(name) = text.parse::<Namespace>() {
            prop_assert!(is_one_file(name.as_str()));
        }
        if let Ok(name) = text.parse::<ObjectName>() {
            prop_assert!(is_one_file(name.as_str()));
        }
        if let Ok(uid) = text.parse::<ObjectUid>() {
            prop_assert!(is_one_file(uid.as_str()));
        }
        if let Ok(name) = text.parse::<ResourceName>() {
            prop_assert!(is_one_file(name.as_str()));
        }
        if let Ok(key) = text.parse::<ObjectKey>() {
            prop_assert!(is_one_file(key.namespace.as_str()) && is_one_file(key.name.as_str()));
        }
    }
}
