//! Properties of every networks annotation: both forms are equivalent, and no text makes the parser panic.
#![expect(clippy::unwrap_used, reason = "a test's panic is its report")]

use podbond_attach::parse_networks;
use proptest::prelude::*;
use serde_json::{Value, json};

type Network = (Option<String>, String, Option<String>);

fn network() -> impl Strategy<Value = Network> {
    let interface = "[a-zA-Z0-9._-]{1,14}[a-z0-9]";
    let label = "[a-z]([a-z0-9-]{0,10}[a-z0-9])?";
    let name = "[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?(\\.[a-z0-9]{1,4}){0,2}";
    (prop::option::of(label), name, prop::option::of(interface))
}

fn read(text: &str) -> Vec<Network> {
    let one = |one: podbond_attach::Selection| {
        let namespace = one.namespace.map(|namespace| namespace.as_str().to_owned());
        (namespace, one.name.as_str().to_owned(), one.interface.map(|name| name.to_string()))
    };
    parse_networks(text).unwrap().into_iter().map(one).collect()
}

proptest! {
    #[test]
    fn both_forms_are_equivalent(
        networks in prop::collection::vec(network(), 1..5), space in "[ \n]{0,2}"
    ) {
        let short: Vec<String> = networks.iter().map(|(namespace, name, interface)| {
            let namespace = namespace.as_ref().map_or(String::new(), |text| format!("{text}/"));
            let interface = interface.as_ref().map_or(String::new(), |text| format!("@{text}"));
            format!("{space}{namespace}{name}{interface}{space}")
        }).collect();
        let long: Value = networks.iter().map(|(namespace, name, interface)| {
            json!({"namespace": namespace, "name": name, "interface": interface})
        }).collect();
        prop_assert_eq!(&read(&short.join(",")), &networks);
        prop_assert_eq!(&read(&long.to_string()), &networks);
    }

    #[test]
    fn any_text_is_read_or_refused_with_a_message(text in "[\\[\\]{}\",:@/ a-z0-9.]{0,60}|\\PC{0,40}") {
        if let Err(error) = parse_networks(&text) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}

#[test]
fn too_deep_nesting_is_refused() {
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let text = format!(r#"[{{"name": "a", "cni-args": {{"x": {open}{close}}}}}]"#);
    let message = parse_networks(&text).unwrap_err().to_string();
    assert!(message.contains("recursion limit exceeded"), "{message}");
}
