//! Counts requests in the API server's audit log, by who sent them. Pure but for reading the file.

use std::{fs, path::Path};

use serde_json::Value;

use crate::error::Error;

/// The requests of one client within a part of the log.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Requests {
    /// Single objects read, and lists.
    pub(crate) reads: u32,
    /// Watches that were begun or have ended.
    pub(crate) watches: u32,
    /// Pods' status written.
    pub(crate) status_patches: u32,
    /// Events written.
    pub(crate) events: u32,
    /// Anything else.
    pub(crate) others: u32,
}

/// Returns how long the log is, in bytes.
pub(crate) fn length(log: &Path) -> Result<usize, Error> {
    let metadata = fs::metadata(log).map_err(Error::file("read", log))?;
    Ok(usize::try_from(metadata.len()).unwrap_or(usize::MAX))
}

/// Counts the requests of a user that were logged from this length on.
pub(crate) fn requests(log: &Path, from: usize, user: &str) -> Result<Requests, Error> {
    let bytes = fs::read(log).map_err(Error::file("read", log))?;
    Ok(count(&String::from_utf8_lossy(bytes.get(from..).unwrap_or_default()), user))
}

fn count(lines: &str, user: &str) -> Requests {
    let mut requests = Requests::default();
    // The last line may be half written.
    let events = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    for event in events.filter(|event| event["user"]["username"] == user) {
        let resource = &event["objectRef"]["resource"];
        let counter = match event["verb"].as_str().unwrap_or_default() {
            "get" | "list" => &mut requests.reads,
            "watch" => &mut requests.watches,
            "patch" if *resource == "pods" && event["objectRef"]["subresource"] == "status" => {
                &mut requests.status_patches
            }
            "create" | "patch" if *resource == "events" => &mut requests.events,
            _ => &mut requests.others,
        };
        *counter += 1;
    }
    requests
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_of_the_user_are_counted_by_kind() {
        let line = |user: &str, verb: &str, resource: &str, subresource: Option<&str>| {
            let object = json!({ "resource": resource, "subresource": subresource });
            json!({ "user": { "username": user }, "verb": verb, "objectRef": object }).to_string()
        };
        let lines = [
            line("agent", "get", "pods", None),
            line("agent", "watch", "pods", None),
            line("agent", "patch", "pods", Some("status")),
            line("agent", "create", "events", None),
            line("agent", "patch", "events", None),
            line("agent", "update", "pods", Some("status")),
            line("kubelet", "get", "pods", None),
            "{\"user".to_owned(),
        ];
        let expected = Requests { reads: 1, watches: 1, status_patches: 1, events: 2, others: 1 };
        assert_eq!(count(&lines.join("\n"), "agent"), expected);
    }
}
