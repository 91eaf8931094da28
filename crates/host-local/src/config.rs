use std::path::{Path, PathBuf};

use podbond_cni::{Failure, NetConf, Route, Version};
use serde::Deserialize;

use crate::error::Error;
use crate::range::{Problem, Range, RangeSet, RawRange};

/// Where the reference plugin keeps its files when `dataDir` is not given.
pub(crate) const DATA_DIR: &str = "/var/lib/cni/networks";

/// The configuration of an ADD, checked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// One address is given from each.
    pub(crate) sets: Vec<RangeSet>,
    pub(crate) routes: Vec<Route>,
    /// A file like /etc/resolv.conf, whose content goes into the result.
    pub(crate) resolv_conf: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Keys {
    ipam: IpamKeys,
    #[serde(rename = "runtimeConfig")]
    runtime: Option<RuntimeKeys>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IpamKeys {
    subnet: Option<String>,
    range_start: Option<String>,
    range_end: Option<String>,
    gateway: Option<String>,
    ranges: Option<Vec<Vec<RawRange>>>,
    routes: Option<Vec<Route>>,
    resolv_conf: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeKeys {
    ip_ranges: Option<Vec<Vec<RawRange>>>,
}

impl Config {
    /// Reads the configuration. Range sets are in the order in which the reference plugin counts
    /// them: those of the capability `ipRanges`, the one under `ipam` itself, those of `ranges`.
    pub(crate) fn new(config: &NetConf) -> Result<Self, Error> {
        let Keys { ipam, runtime } = config.keys()?;
        let from_runtime = runtime.and_then(|runtime| runtime.ip_ranges).unwrap_or_default();
        let IpamKeys { subnet, range_start, range_end, gateway, ranges, routes, resolv_conf } =
            ipam;
        let own = RawRange { subnet, range_start, range_end, gateway };

        let wrong = |field: String, problem: Problem| Error::Field {
            network: config.name.clone(),
            field,
            problem,
        };
        let mut sets: Vec<RangeSet> = Vec::new();
        let mut add = |field: String, ranges: Vec<(String, RawRange)>| {
            let range = |(field, raw): (String, RawRange)| {
                Range::new(&raw).map_err(|(key, problem)| wrong(format!("{field}.{key}"), problem))
            };
            let ranges = ranges.into_iter().map(range).collect::<Result<_, _>>()?;
            let set = RangeSet::new(field.clone(), ranges)
                .map_err(|problem| wrong(field.clone(), problem))?;
            if let Some(problem) = sets.iter().find_map(|other| set.overlap(other)) {
                return Err(wrong(field, problem));
            }
            sets.push(set);
            Ok(())
        };
        let listed = |field: String, ranges: Vec<RawRange>| {
            let named = ranges.into_iter().enumerate();
            named.map(|(position, raw)| (format!("{field}[{position}]"), raw)).collect()
        };
        for (position, ranges) in from_runtime.into_iter().enumerate() {
            let field = format!("runtimeConfig.ipRanges[{position}]");
            add(field.clone(), listed(field, ranges))?;
        }
        let ranges = ranges.unwrap_or_default();
        // Without any other range, the one that is not there is the error to show.
        if own.subnet.as_deref().is_some_and(|subnet| !subnet.is_empty()) || ranges.is_empty() {
            add("ipam".to_owned(), vec![("ipam".to_owned(), own)])?;
        }
        for (position, ranges) in ranges.into_iter().enumerate() {
            let field = format!("ipam.ranges[{position}]");
            add(field.clone(), listed(field, ranges))?;
        }

        let of_family = |ipv4| sets.iter().filter(|set| set.is_ipv4() == ipv4).count();
        if config.version < Version::V0_3_0 && (of_family(true) > 1 || of_family(false) > 1) {
            let (network, version) = (config.name.clone(), config.version);
            return Err(Error::OnePerFamily { network, version });
        }
        let resolv_conf = resolv_conf.filter(|path| !path.as_os_str().is_empty());
        Ok(Self { sets, routes: routes.unwrap_or_default(), resolv_conf })
    }
}

/// The directory of a network's leases. Nothing else of the configuration is looked at: DEL gives
/// back what an ADD with other ranges took.
pub(crate) fn directory(config: &NetConf) -> Result<PathBuf, Failure> {
    #[derive(Deserialize)]
    struct DirectoryKeys {
        ipam: Option<DataDir>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct DataDir {
        data_dir: Option<PathBuf>,
    }
    let keys: DirectoryKeys = config.keys()?;
    let data_dir = keys.ipam.and_then(|ipam| ipam.data_dir);
    let data_dir = data_dir.filter(|path| !path.as_os_str().is_empty());
    // A network's name is a file name.
    Ok(data_dir.as_deref().unwrap_or(Path::new(DATA_DIR)).join(&config.name))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn net_conf(version: &str, ipam: &Value, ranges: &Value) -> NetConf {
        let json = json!({
            "cniVersion": version, "name": "bond-net1", "type": "bond", "ipam": ipam,
            "runtimeConfig": {"ipRanges": ranges},
        });
        NetConf::parse(json.to_string().as_bytes()).unwrap()
    }

    fn parse(ipam: &Value) -> Result<Config, String> {
        Config::new(&net_conf("1.0.0", ipam, &Value::Null)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_documented_configuration_is_read() {
        let config = parse(&json!({
            "type": "host-local", "subnet": "10.56.217.0/24",
            "routes": [{"dst": "0.0.0.0/0"}], "gateway": "10.56.217.1",
        }));
        let config = config.unwrap();
        assert_eq!(config.sets.len(), 1);
        assert_eq!(config.sets[0].to_string(), "10.56.217.1-10.56.217.254");
        assert_eq!(config.routes[0].dst, "0.0.0.0/0".parse().unwrap());
        assert_eq!(config.resolv_conf, None);
    }

    #[test]
    fn range_sets_are_counted_as_the_reference_plugin_counts_them() {
        let ipam = json!({
            "subnet": "10.0.0.0/24",
            "ranges": [[{"subnet": "10.0.1.0/24"}, {"subnet": "10.0.2.0/24"}],
                       [{"subnet": "fd00::/64"}]],
        });
        let from_runtime = json!([[{"subnet": "10.0.3.0/24"}]]);
        let config = Config::new(&net_conf("0.3.0", &ipam, &from_runtime)).unwrap();
        let fields: Vec<&str> = config.sets.iter().map(|set| set.field.as_str()).collect();
        assert_eq!(
            fields,
            ["runtimeConfig.ipRanges[0]", "ipam", "ipam.ranges[0]", "ipam.ranges[1]"]
        );
    }

    #[test]
    fn an_error_names_network_field_and_value() {
        for (ipam, expected) in [
            (json!({}), "field ipam.subnet is missing: write the subnet, like 10.56.217.0/24"),
            (
                json!({"subnet": "10.56.217.5/24"}),
                "field ipam.subnet is 10.56.217.5/24, which has host bits set: the subnet is \
                 10.56.217.0/24",
            ),
            (
                json!({"ranges": [[{"subnet": "10.0.0.0/24"}, {"subnet": "10.300.0.0/24"}]]}),
                "field ipam.ranges[0][1].subnet is \"10.300.0.0/24\", which is no subnet: write it \
                 like 10.56.217.0/24",
            ),
            (json!({"ranges": [[]]}), "field ipam.ranges[0] is an empty list: give it a range"),
            (
                json!({"subnet": "10.0.0.0/16", "ranges": [[{"subnet": "10.0.7.0/24"}]]}),
                "field ipam.ranges[0] overlaps ipam: 10.0.7.1-10.0.7.254 and \
                 10.0.0.1-10.0.255.254 have addresses in common",
            ),
            (
                json!({"subnet": 5}),
                "field ipam.subnet: invalid type: integer `5`, expected a string",
            ),
            (
                json!({"subnet": "10.0.0.0/24", "routes": [{"dst": "default"}]}),
                "field ipam.routes[0].dst: \"default\" is no address with prefix length: write it \
                 like 10.56.217.5/24",
            ),
        ] {
            assert_eq!(parse(&ipam).unwrap_err(), format!("network \"bond-net1\": {expected}"));
        }
    }

    #[test]
    fn old_versions_have_one_address_of_each_family() {
        let four = json!([[{"subnet": "10.0.1.0/24"}], [{"subnet": "10.0.2.0/24"}]]);
        let both = json!([[{"subnet": "10.0.1.0/24"}], [{"subnet": "fd00::/64"}]]);
        let parse = |ranges: &Value| {
            Config::new(&net_conf("0.2.0", &json!({"ranges": ranges}), &Value::Null))
        };
        assert!(parse(&both).is_ok());
        assert!(matches!(parse(&four), Err(Error::OnePerFamily { .. })));
    }

    #[test]
    fn the_directory_needs_no_valid_range() {
        let directory = |ipam: &Value| directory(&net_conf("1.0.0", ipam, &Value::Null)).unwrap();
        let wrong = json!({"subnet": "garbage"});
        assert_eq!(directory(&wrong), Path::new("/var/lib/cni/networks/bond-net1"));
        let moved = json!({"dataDir": "/run/cni"});
        assert_eq!(directory(&moved), Path::new("/run/cni/bond-net1"));
    }
}
