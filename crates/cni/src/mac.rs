//! The MAC address that an interface is asked to have: by capability, `CNI_ARGS` or configuration.

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
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MacError {
    /// Not a MAC address.
    #[error("{field}: {source}")]
    Malformed {
        /// Where it was given.
        field: MacSource,
        /// What is wrong with it.
        source: NameError,
    },
    /// All zeros, or a group's address.
    #[error(
        "{field}: {mac} is not a unicast address: give one whose first byte is even, not all zeros"
    )]
    NotUnicast {
        /// Where it was given.
        field: MacSource,
        /// The address.
        mac: Mac,
    },
}

impl NetConf {
    /// Returns the address that the interface shall have, and where that was asked for:
    /// `runtimeConfig.mac` takes precedence over `MAC` of `CNI_ARGS`, and both over `own`, the text of
    /// the plugin's own key `mac`. Only the one that takes precedence is validated.
    pub fn wanted_mac(
        &self,
        args: &Args,
        own: Option<&str>,
    ) -> Result<Option<(MacSource, Mac)>, MacError> {
        // An empty text counts as absent, as Go programs write it.
        let from_args = args.get("MAC").filter(|text| !text.is_empty());
        let own = own.filter(|text| !text.is_empty());
        let (field, mac) = match (self.runtime.mac, from_args, own) {
            (Some(mac), ..) => (MacSource::Runtime, mac),
            (None, Some(text), _) => (MacSource::Args, parse(MacSource::Args, text)?),
            (None, None, Some(text)) => (MacSource::Config, parse(MacSource::Config, text)?),
            (None, None, None) => return Ok(None),
        };
        if mac.is_unicast() {
            Ok(Some((field, mac)))
        } else {
            Err(MacError::NotUnicast { field, mac })
        }
    }
}

fn parse(field: MacSource, text: &str) -> Result<Mac, MacError> {
    text.parse().map_err(|source| MacError::Malformed { field, source })
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
    fn capability_takes_precedence_over_args_and_args_over_configuration() {
        let [first, second, third] = ["02:00:00:00:00:01", "02:00:00:00:00:02", "nonsense"];
        assert_eq!(wanted(first, second, Some(third)), Ok(first.to_owned()));
        assert_eq!(wanted("", second, Some(third)), Ok(second.to_owned()));
        assert_eq!(wanted("", "", Some(first)), Ok(first.to_owned()));
        assert_eq!(wanted("", "", Some("")), Ok(String::new()));
        assert_eq!(wanted("", "", None), Ok(String::new()));
    }

    #[test]
    fn unusable_address_is_refused_with_its_place() {
        for (runtime, args, own, expected) in [
            (
                "01:00:5e:00:00:01",
                "",
                None,
                "runtimeConfig.mac: 01:00:5e:00:00:01 is not a unicast",
            ),
            ("", "00:00:00:00:00:00", None, "CNI_ARGS: MAC: 00:00:00:00:00:00 is not a unicast"),
            ("", "", Some("nonsense"), "mac: MAC address \"nonsense\" is malformed"),
        ] {
            let message = wanted(runtime, args, own).unwrap_err();
            assert!(message.starts_with(expected), "{message}");
        }
    }
}
