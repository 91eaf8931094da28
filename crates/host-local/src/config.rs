//! host-local's keys of a network configuration: ranges, routes, the resolver's file, and where the
//! leases are.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use podbond_cni::{Failure, NetConf, Route, Version};
use serde::Deserialize;

use crate::error::{Error, joined};
use crate::range::{Problem, Range, RangeSet, RawRange};

/// Where the reference plugin keeps its files when `dataDir` is not given.
pub(crate) const DATA_DIR: &str = "/var/lib/cni/networks";

/// The most range sets that a configuration may have: an attachment gets an address of each, and writes a file
/// for it while it holds the lock of the network, for which others wait.
const MAX_SETS: usize = 64;

/// The most ranges in all sets: each is compared with every other one.
const MAX_RANGES: usize = 4096;

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

/// A range set as configuration writes it.
struct RawSet {
    /// The path to it in the configuration.
    field: String,
    /// Each with the path to it.
    ranges: Vec<(String, RawRange)>,
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
        let ranges = ranges.unwrap_or_default();

        let mut raw_sets = raw_sets("runtimeConfig.ipRanges", from_runtime);
        // Without any other range, the one that is missing is the error to show.
        if own.subnet.as_deref().is_some_and(|subnet| !subnet.is_empty()) || ranges.is_empty() {
            let ranges = vec![("ipam".to_owned(), own)];
            raw_sets.push(RawSet { field: "ipam".to_owned(), ranges });
        }
        raw_sets.extend(self::raw_sets("ipam.ranges", ranges));

        let ranges: usize = raw_sets.iter().map(|set| set.ranges.len()).sum();
        for (count, max, what) in
            [(raw_sets.len(), MAX_SETS, "range sets"), (ranges, MAX_RANGES, "ranges")]
        {
            if count > max {
                return Err(Error::TooMany { network: config.name.clone(), count, max, what });
            }
        }
        let mut sets: Vec<RangeSet> = Vec::new();
        for raw in raw_sets {
            let set = range_set(raw, &sets).map_err(|(field, problem)| Error::Field {
                network: config.name.clone(),
                field,
                problem,
            })?;
            sets.push(set);
        }
        let ipv4 = sets.iter().filter(|set| set.is_ipv4()).count();
        if config.version < Version::V0_3_0 && (ipv4 > 1 || sets.len() - ipv4 > 1) {
            let (network, version) = (config.name.clone(), config.version);
            return Err(Error::OnePerFamily { network, version });
        }
        let resolv_conf = resolv_conf.filter(|path| !path.as_os_str().is_empty());
        Ok(Self { sets, routes: routes.unwrap_or_default(), resolv_conf })
    }

    /// Returns whether an address is a range's gateway, which is never given.
    pub(crate) fn is_gateway(&self, address: IpAddr) -> bool {
        self.sets.iter().flat_map(|set| &set.ranges).any(|range| range.gateway == address)
    }

    /// Returns the set that an address is of.
    pub(crate) fn set_of(&self, address: IpAddr) -> Option<&RangeSet> {
        self.sets.iter().find(|set| set.range_of(address).is_some())
    }

    /// Returns all ranges, for messages.
    pub(crate) fn ranges(&self) -> String {
        joined(&self.sets, "; ")
    }

    /// Returns the addresses of a set that may be given, in the order in which they are tried after
    /// the one that was given last.
    pub(crate) fn candidates(
        &self,
        set: &RangeSet,
        last: Option<IpAddr>,
    ) -> impl Iterator<Item = IpAddr> {
        set.addresses_after(last).filter(|&address| !self.is_gateway(address))
    }
}

/// Gives each range set of a list, and each range of it, the path to it.
fn raw_sets(field: &str, sets: Vec<Vec<RawRange>>) -> Vec<RawSet> {
    let mut raw_sets = Vec::new();
    for (position, ranges) in sets.into_iter().enumerate() {
        let field = format!("{field}[{position}]");
        let ranges = ranges.into_iter().enumerate();
        let ranges = ranges.map(|(position, raw)| (format!("{field}[{position}]"), raw)).collect();
        raw_sets.push(RawSet { field, ranges });
    }
    raw_sets
}

/// Checks a range set, also against the sets before it. The error names the field that is wrong.
fn range_set(raw: RawSet, others: &[RangeSet]) -> Result<RangeSet, (String, Problem)> {
    let RawSet { field, ranges: raw_ranges } = raw;
    let mut ranges = Vec::new();
    for (field, raw) in raw_ranges {
        let range = Range::new(&raw);
        ranges.push(range.map_err(|(key, problem)| (format!("{field}.{key}"), problem))?);
    }
    let set = RangeSet::new(field.clone(), ranges).map_err(|problem| (field.clone(), problem))?;
    match others.iter().find_map(|other| set.overlap(other)) {
        Some(problem) => Err((field, problem)),
        None => Ok(set),
    }
}

/// Returns the directory of a network's leases. Nothing else of the configuration is read: DEL
/// releases what an ADD with other ranges took.
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
    fn documented_configuration_is_read() {
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
    fn range_sets_are_in_the_reference_plugins_order() {
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
    fn error_names_network_field_and_value() {
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
    fn old_versions_allow_one_address_of_each_family() {
        let four = json!([[{"subnet": "10.0.1.0/24"}], [{"subnet": "10.0.2.0/24"}]]);
        let both = json!([[{"subnet": "10.0.1.0/24"}], [{"subnet": "fd00::/64"}]]);
        let parse = |ranges: &Value| {
            Config::new(&net_conf("0.2.0", &json!({"ranges": ranges}), &Value::Null))
        };
        assert!(parse(&both).is_ok());
        assert!(matches!(parse(&four), Err(Error::OnePerFamily { .. })));
    }

    /// Promise: input-limits
    #[test]
    fn number_of_ranges_is_limited() {
        let subnets = |count: usize| -> Vec<Value> {
            let subnet =
                |n: usize| format!("10.{}.{}.{}/30", n >> 14, (n >> 6) & 255, (n & 63) * 4);
            (0..count).map(|n| json!({"subnet": subnet(n)})).collect()
        };
        let sets =
            |count| json!({"ranges": subnets(count).into_iter().map(|s| [s]).collect::<Vec<_>>()});
        assert_eq!(parse(&sets(64)).unwrap().sets.len(), 64);
        let message = parse(&sets(65)).unwrap_err();
        assert_eq!(
            message,
            "network \"bond-net1\": ipam has 65 range sets: at most 64 are possible"
        );
        let message = parse(&json!({"ranges": [subnets(4097)]})).unwrap_err();
        assert_eq!(
            message,
            "network \"bond-net1\": ipam has 4097 ranges: at most 4096 are possible"
        );
    }

    #[test]
    fn directory_needs_no_valid_range() {
        let directory = |ipam: &Value| directory(&net_conf("1.0.0", ipam, &Value::Null)).unwrap();
        let wrong = json!({"subnet": "garbage"});
        assert_eq!(directory(&wrong), Path::new("/var/lib/cni/networks/bond-net1"));
        let moved = json!({"dataDir": "/run/cni"});
        assert_eq!(directory(&moved), Path::new("/run/cni/bond-net1"));
    }
}
