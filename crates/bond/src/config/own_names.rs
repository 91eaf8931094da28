//! Altnames in `links`: replaced by the links' own names, which records, results and rules are about.

use podbond_cni::{NetConf, is_key};
use podbond_kernel::bond::table::{self, BondOption};
use podbond_names::LinkName;
use serde_json::Value;

/// Returns a configuration in which `links`, and the ports that have a role, are called by their own names.
/// `own_name` finds a link by a name or an altname; what it does not find stays as it is written.
pub(crate) fn with_own_names<E>(
    conf: &NetConf,
    mut own_name: impl FnMut(&str) -> Result<Option<LinkName>, E>,
) -> Result<NetConf, E> {
    let mut conf = conf.clone();
    for name in names(&mut conf) {
        let Value::String(written) = name else { continue };
        if let Some(own) = own_name(written)?.filter(|own| own.as_str() != written.as_str()) {
            *name = Value::String(own.to_string());
        }
    }
    Ok(conf)
}

/// Returns every value of a configuration that is the name of a link.
fn names(conf: &mut NetConf) -> Vec<&mut Value> {
    let mut names = Vec::new();
    for (key, value) in &mut conf.raw {
        if is_key(key, "links") {
            let objects =
                value.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut);
            let entries = objects.flatten().filter(|(key, _)| is_key(key, "name"));
            names.extend(entries.map(|(_, name)| name));
        } else if [&table::PRIMARY, &table::ACTIVE_SLAVE].iter().any(|role| is_of(role, key)) {
            names.push(value);
        }
    }
    names
}

fn is_of(option: &BondOption, key: &str) -> bool {
    [option.key].iter().chain(option.aliases).any(|name| is_key(key, name))
}

#[cfg(test)]
mod tests {
    use podbond_cni::Args;
    use serde_json::json;

    use super::*;
    use crate::config::Config;
    use crate::error::Error;

    /// A configuration as it is read where vf0 has two altnames, one longer than a name can be.
    fn parse(changes: &Value) -> Result<Config, Error> {
        let mut conf = json!({"type": "bond", "name": "n", "mode": "active-backup",
            "links": [{"name": "vf0"}, {"name": "vf1"}]});
        for (key, value) in changes.as_object().unwrap() {
            conf[key] = value.clone();
        }
        let conf = NetConf::parse(conf.to_string().as_bytes()).unwrap();
        let own_name = |written: &str| {
            let is_vf0 = ["vf0", "first", "enp3s16-the-first-of-pf0"].contains(&written);
            Ok::<_, Error>(is_vf0.then(|| "vf0".parse().unwrap()))
        };
        Config::parse(&with_own_names(&conf, own_name)?, &Args::default())
    }

    /// Promise: link-by-altname
    #[test]
    fn link_is_called_by_its_own_name() {
        let wanted = parse(&json!({"primary": "vf0"})).unwrap();
        for altname in ["first", "enp3s16-the-first-of-pf0"] {
            for (links, role) in [("links", "primary"), ("Links", "PRIMARY")] {
                let changes = json!({links: [{"Name": altname}, {"name": "vf1"}], role: altname});
                assert_eq!(parse(&changes).unwrap(), wanted, "{changes}");
            }
        }
        let error = parse(&json!({"links": [{"name": "vf0"}, {"name": "first"}]})).unwrap_err();
        let expected: LinkName = "vf0".parse().unwrap();
        assert!(matches!(error, Error::LinkTwice { name } if name == expected));
    }

    #[test]
    fn unknown_names_and_what_is_no_name_are_left_to_the_reader() {
        for links in [json!([{"name": "none"}, {"name": 7}]), json!("vf0"), json!([["first"], 1])] {
            let conf = json!({"type": "bond", "name": "n", "links": links, "primary": ["first"]});
            let conf = NetConf::parse(conf.to_string().as_bytes()).unwrap();
            let none = |_: &str| Ok::<_, Error>(None);
            assert_eq!(with_own_names(&conf, none).unwrap(), conf);
        }
    }
}
