//! The networks annotation of a pod, and a network's configuration to which it is applied.

use podbond_attach::parse_networks;

/// Parses a pod's networks annotation, and lays it over a network's configuration.
///
/// # Panics
/// When the short form is another once it is written and read again.
pub(crate) fn read(text: &str) {
    match parse_networks(text.split('\0').next().unwrap_or_default()) {
        Ok(selections) => {
            // The short form is equivalent when it is written again.
            let short = selections.iter().map(|one| {
                let namespace = one.namespace.as_ref().map_or(String::new(), |n| format!("{n}/"));
                let interface = one.interface.as_ref().map_or(String::new(), |i| format!("@{i}"));
                format!("{namespace}{}{interface}", one.name)
            });
            // A name may have characters that only the JSON form can express.
            let plain = |name: &str| !name.contains(['@', ',', '[', '{', '"']);
            if selections.iter().all(|one| one.interface.as_ref().is_none_or(|i| plain(i.as_str())))
            {
                let again = parse_networks(&short.collect::<Vec<_>>().join(", "));
                let again = again.expect("selections written in the short form");
                assert_eq!(again.len(), selections.len());
                for (a, b) in again.iter().zip(&selections) {
                    assert_eq!(
                        (&a.name, &a.namespace, &a.interface),
                        (&b.name, &b.namespace, &b.interface)
                    );
                }
            }
        }
        Err(error) => {
            let _ = error.to_string();
        }
    }
    podbond_attach::fuzzing::network(text);
}
