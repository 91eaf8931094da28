//! STATUS: whether an ADD could be served.

use podbond_cni::NodeRequest;

use crate::config::{Config, directory};
use crate::error::Error;
use crate::lease::LeaseDir;

/// Fails with code 50 where no lease can be written, or a range set is exhausted.
pub(crate) fn status(request: &NodeRequest) -> Result<(), Error> {
    let config = Config::new(&request.config)?;
    let path = directory(&request.config)?;
    let dir = LeaseDir::open(&path);
    // Before the first ADD there is no directory, and STATUS makes none.
    if let Some(existing) = path.ancestors().find(|path| path.is_dir()) {
        podbond_state::writable(existing).map_err(|source| Error::NotWritable {
            network: request.config.name.clone(),
            source,
        })?;
    }
    let Some(dir) = dir? else { return Ok(()) };
    for set in &config.sets {
        if dir.first_free(config.candidates(set, None))?.is_none() {
            return Err(Error::Full {
                network: request.config.name.clone(),
                field: set.field.clone(),
                ranges: set.to_string(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use podbond_cni::{Code, Failure};
    use serde_json::json;

    use super::*;
    use crate::testing::Scene;

    fn failure(scene: &Scene) -> Failure {
        status(&scene.status_request()).unwrap_err().into()
    }

    #[test]
    fn code_is_50_where_no_lease_can_be_written() {
        let failure = failure(&Scene::with(json!({"subnet": "10.0.0.0/24", "dataDir": "/proc"})));
        assert_eq!(failure.code, Code::NOT_AVAILABLE);
        assert!(failure.msg.contains("no lease can be recorded: cannot write /proc/"), "{failure}");
    }

    #[test]
    fn code_is_50_when_a_set_is_exhausted() {
        let scene =
            Scene::with_ranges(&json!([[{"subnet": "10.0.0.0/24"}], [{"subnet": "10.1.0.0/30"}]]));
        status(&scene.status_request()).unwrap();
        assert!(!scene.leases().exists());
        scene.add("c1").unwrap();
        let failure = failure(&scene);
        assert_eq!(failure.code, Code::NOT_AVAILABLE);
        assert!(failure.msg.contains("in ipam.ranges[1], 10.1.0.1-10.1.0.2: delete"), "{failure}");
        scene.del("c1").unwrap();
        status(&scene.status_request()).unwrap();
    }
}
