//! Link speed and duplex, from sysfs.

use std::fmt;

use podbond_names::LinkName;
use serde::Serialize;

use crate::{Result, Sysfs};

/// Duplex of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Duplex {
    /// It sends or receives.
    Half,
    /// It sends and receives at once.
    Full,
}

/// Speed and duplex that a link has negotiated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Speed {
    /// Mbit/s.
    pub mbits: u32,
    /// Duplex.
    pub duplex: Duplex,
}

impl fmt::Display for Speed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let half = if self.duplex == Duplex::Half { " half-duplex" } else { "" };
        match self.mbits {
            mbits if mbits > 0 && mbits % 1000 == 0 => write!(f, "{} Gbit/s{half}", mbits / 1000),
            mbits => write!(f, "{mbits} Mbit/s{half}"),
        }
    }
}

impl Sysfs {
    /// Returns the speed of a link of the node. None where its driver does not know it, as while it
    /// has no carrier, and for a link that is not there.
    pub fn speed_of(&self, link: &LinkName) -> Result<Option<Speed>> {
        // The kernel shows −1 for an unknown speed.
        let mbits = self.attribute_of_link(link, "speed")?.and_then(|text| text.parse().ok());
        let Some(mbits) = mbits.filter(|mbits| *mbits > 0) else { return Ok(None) };
        let duplex = match self.attribute_of_link(link, "duplex")?.as_deref() {
            Some("full") => Duplex::Full,
            Some("half") => Duplex::Half,
            _ => return Ok(None),
        };
        Ok(Some(Speed { mbits, duplex }))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn speed_needs_its_duplex() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("class/net/pf0");
        fs::create_dir_all(&directory).unwrap();
        let (sysfs, link) = (Sysfs::new(root.path()), "pf0".parse().unwrap());
        let shown = |speed: &str, duplex: &str| {
            fs::write(directory.join("speed"), speed).unwrap();
            fs::write(directory.join("duplex"), duplex).unwrap();
            sysfs.speed_of(&link).unwrap().map(|speed| speed.to_string())
        };
        assert_eq!(shown("25000\n", "full\n").as_deref(), Some("25 Gbit/s"));
        assert_eq!(shown("100\n", "half\n").as_deref(), Some("100 Mbit/s half-duplex"));
        assert_eq!(shown("-1\n", "unknown\n"), None);
        assert_eq!(shown("1000\n", "unknown\n"), None);
        assert_eq!(sysfs.speed_of(&"gone".parse().unwrap()).unwrap(), None);
    }
}
