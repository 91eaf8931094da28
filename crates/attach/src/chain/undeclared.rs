//! `[networks]` of the administrator's file: what becomes of keys of the networks annotation for which no
//! plugin declares a capability.

use std::path::Path;

use podbond_api::ObjectKey;
use podbond_state::settings::{Error as SettingsError, Settings};
use serde::Deserialize;

use super::attachment::Chain;
use crate::error::Error;
use crate::passed_over::PassedOver;

/// What becomes of a key of the annotation for which no plugin declares a capability.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Undeclared {
    /// It is passed over with a warning, where Multus passes it over in silence.
    #[default]
    PassOver,
    /// "If no plugin has the … capability set to true the entire attachment request must fail"
    /// (multi-net-spec 1.3, sections 4.1.2.1.3.2 and following).
    Refuse,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Table {
    undeclared_capability: Undeclared,
}

impl Undeclared {
    /// Reads the administrator's file. One that is not there says nothing.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        Settings::read(path)?.map_or(Ok(Self::default()), |settings| Self::of(&settings))
    }

    fn of(settings: &Settings) -> Result<Self, SettingsError> {
        let table: Table = settings.table("networks")?.unwrap_or_default();
        Ok(table.undeclared_capability)
    }

    /// Refuses a chain with such a key, where the administrator has them refused.
    pub fn check(self, pod: &ObjectKey, chain: &Chain) -> Result<(), Error> {
        if self == Self::PassOver {
            return Ok(());
        }
        for attachment in &chain.attachments {
            let mut passed_over = attachment.passed_over.iter();
            let undeclared = passed_over.find(|it| {
                matches!(it, PassedOver::Undeclared { .. } | PassedOver::ArgsOnly { .. })
            });
            if let Some(passed_over) = undeclared.cloned() {
                let (pod, ifname) = (pod.clone(), attachment.ifname.clone());
                let (nad, passed_over) = (attachment.name(), Box::new(passed_over));
                return Err(Error::Undeclared { pod, ifname, nad, passed_over });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Undeclared, String> {
        let settings = Settings::of(Path::new("config.toml"), text.to_owned());
        Undeclared::of(&settings).map_err(|error| error.to_string())
    }

    #[test]
    fn administrator_chooses() {
        for text in ["", "[networks]\n", "[networks]\nundeclared-capability = \"pass-over\"\n"] {
            assert_eq!(read(text), Ok(Undeclared::PassOver), "{text}");
        }
        let refuse = "[networks]\nundeclared-capability = \"refuse\"\n";
        assert_eq!(read(refuse), Ok(Undeclared::Refuse));
        for wrong in ["[networks]\nundeclared-capability = true\n", "[networks]\nrefuse = 1\n"] {
            let error = read(wrong).unwrap_err();
            assert!(error.starts_with("config.toml, line 2, column "), "{error}");
        }
    }
}
