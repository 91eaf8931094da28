use std::fmt;

use podbond_names::{Mac, NameError};

use crate::{Args, NetConf};

/// Where a MAC address was asked for, the first place before the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacSource {
    /// Capability `mac`.
    Runtime,
    /// Key `MAC` of `CNI_ARGS`.
    Args,
    /// Key `mac` of the configuration.
    Config,
}

impl fmt::Display for MacSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Runtime => "runtimeConfig.mac",
            Self::Args => "CNI_ARGS: MAC",
            Self::Config => "mac",
        })
    }
}

/// Why a MAC address that was asked for cannot be an interface's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrongMac {
    /// Not a MAC address.
    Malformed {
        /// Where it was given.
        field: MacSource,
        /// What is wrong with it.
        reason: NameError,
    },
    /// All zeros, or the address of a group.
    Unusable {
        /// Where it was given.
        field: MacSource,
        /// The address.
        mac: Mac,
    },
}

impl fmt::Display for WrongMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed { field, reason } => write!(f, "{field}: {reason}"),
            Self::Unusable { field, mac } => write!(
                f,
                "{field}: {mac} is no station's address: give one whose first byte is even, not \
                 all zeros"
            ),
        }
    }
}

impl std::error::Error for WrongMac {}

impl NetConf {
    /// The address that the interface shall have, and where that was asked for: `runtimeConfig.mac`
    /// goes before `MAC` of `CNI_ARGS`, and both before `own`, the text of the plugin's own key
    /// `mac`. What stands behind is not looked at.
    pub fn wanted_mac(
        &self,
        args: &Args,
        own: Option<&str>,
    ) -> Result<Option<(MacSource, Mac)>, WrongMac> {
        let written = || {
            let from_args = args.get("MAC").map(|text| (MacSource::Args, text));
            let own = own.map(|text| (MacSource::Config, text));
            // An empty text is none, as Go programs write it.
            from_args.into_iter().chain(own).find(|(_, text)| !text.is_empty())
        };
        let given = match self.runtime.mac {
            Some(mac) => Some((MacSource::Runtime, mac)),
            None => match written() {
                Some((field, text)) => {
                    let mac = text.parse();
                    let mac = mac.map_err(|reason| WrongMac::Malformed { field, reason })?;
                    Some((field, mac))
                }
                None => None,
            },
        };
        match given {
            Some((field, mac)) if !mac.is_unicast() => Err(WrongMac::Unusable { field, mac }),
            given => Ok(given),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn wanted(runtime: &str, args: &str, own: Option<&str>) -> Result<String, String> {
        let conf = json!({"name": "n", "type": "t", "runtimeConfig": {"mac": runtime}});
        let conf = NetConf::parse(conf.to_string().as_bytes()).unwrap();
        let args = Args(BTreeMap::from([("MAC".to_owned(), args.to_owned())]));
        match conf.wanted_mac(&args, own) {
            Ok(given) => Ok(given.map(|(_, mac)| mac.to_string()).unwrap_or_default()),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn the_runtimes_wish_goes_before_args_and_these_before_the_configuration() {
        let [first, second, third] = ["02:00:00:00:00:01", "02:00:00:00:00:02", "nonsense"];
        assert_eq!(wanted(first, second, Some(third)), Ok(first.to_owned()));
        assert_eq!(wanted("", second, Some(third)), Ok(second.to_owned()));
        assert_eq!(wanted("", "", Some(first)), Ok(first.to_owned()));
        assert_eq!(wanted("", "", Some("")), Ok(String::new()));
        assert_eq!(wanted("", "", None), Ok(String::new()));
    }

    #[test]
    fn what_no_interface_can_have_is_refused_with_its_place() {
        for (runtime, args, own, expected) in [
            ("01:00:5e:00:00:01", "", None, "runtimeConfig.mac: 01:00:5e:00:00:01 is no station's"),
            ("", "00:00:00:00:00:00", None, "CNI_ARGS: MAC: 00:00:00:00:00:00 is no station's"),
            ("", "", Some("nonsense"), "mac: MAC address \"nonsense\" is malformed"),
        ] {
            let message = wanted(runtime, args, own).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
