use serde::Deserialize;

/// How much is told. Each level has what the one before it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// Operations that failed.
    Error,
    /// What will not do what it is meant to do.
    Warning,
    /// Every operation.
    Info,
}

impl Level {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }

    /// `logLevel` of a network's configuration, in the incumbent's words. It has more of them;
    /// what it does not know, and nothing at all, is info there too.
    pub(crate) fn of_network(word: Option<&str>) -> Self {
        match word {
            Some("panic" | "error") => Self::Error,
            Some("warning") => Self::Warning,
            _ => Self::Info,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_incumbents_levels_are_understood() {
        let words = ["panic", "error", "warning", "info", "debug", "verbose", "x"];
        let levels = words.map(|word| Level::of_network(Some(word)).as_str());
        assert_eq!(levels, ["error", "error", "warning", "info", "info", "info", "info"]);
        assert_eq!(Level::of_network(None), Level::Info);
    }
}
