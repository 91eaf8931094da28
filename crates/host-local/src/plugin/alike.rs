//! Whatever is done to leases, by us and by others: an index makes no difference.

use std::fs;

use proptest::prelude::*;
use serde_json::json;

use super::HostLocal;
use super::indexed::Scene;

/// What is done to leases.
#[derive(Debug, Clone)]
enum Turn {
    Add(u8),
    Ask(u8, u8),
    Del(u8),
    Check(u8),
    Status,
    Gc(u8),
    /// Another plugin leases an address.
    Lease(u8, u8),
    /// It does for a container alone, as old versions did.
    OldLease(u8, u8),
    /// It dies before it has said to whom.
    Empty(u8),
    Unlease(u8),
    Last(u8),
    /// The directory goes.
    Replace,
}

fn turn() -> impl Strategy<Value = Turn> {
    let (who, ip) = (0..8_u8, 0..16_u8);
    prop_oneof![
        8 => who.clone().prop_map(Turn::Add),
        2 => (who.clone(), ip.clone()).prop_map(|(who, ip)| Turn::Ask(who, ip)),
        6 => who.clone().prop_map(Turn::Del),
        3 => who.clone().prop_map(Turn::Check),
        2 => Just(Turn::Status),
        1 => who.clone().prop_map(Turn::Gc),
        3 => (who.clone(), ip.clone()).prop_map(|(who, ip)| Turn::Lease(who, ip)),
        1 => (who.clone(), ip.clone()).prop_map(|(who, ip)| Turn::OldLease(who, ip)),
        1 => ip.clone().prop_map(Turn::Empty),
        2 => ip.clone().prop_map(Turn::Unlease),
        1 => ip.prop_map(Turn::Last),
        1 => Just(Turn::Replace),
    ]
}

impl Scene {
    /// What comes of it.
    fn take(&self, turn: &Turn) -> Result<Vec<String>, String> {
        let nothing = Vec::new();
        let new_lease = |ip: u8, content: String| {
            let path = self.leases().join(format!("10.56.217.{ip}"));
            // An existing one is another's: nobody writes there.
            if !path.exists() {
                fs::write(path, content).unwrap();
            }
        };
        match *turn {
            Turn::Add(who) => return self.add(&format!("c{who}")),
            Turn::Ask(who, ip) => {
                let mut request = self.request(&format!("c{who}"));
                request.args.0.insert("IP".to_owned(), format!("10.56.217.{ip}"));
                return self.add_by(&request);
            }
            Turn::Del(who) => self.del(&format!("c{who}")),
            Turn::Check(who) => return self.check(&format!("c{who}")).map(|()| nothing),
            Turn::Status => return self.status().map(|()| nothing),
            Turn::Gc(who) => self.gc(&format!("c{who}")),
            Turn::Lease(who, ip) => new_lease(ip, format!("c{who}\r\nnet3")),
            Turn::OldLease(who, ip) => new_lease(ip, format!("c{who}")),
            Turn::Empty(ip) => new_lease(ip, String::new()),
            Turn::Unlease(ip) => {
                let _ = fs::remove_file(self.leases().join(format!("10.56.217.{ip}")));
            }
            Turn::Last(ip) => {
                self.lease("last_reserved_ip.0", &format!("10.56.217.{ip}"));
            }
            Turn::Replace => {
                fs::remove_dir_all(self.leases()).unwrap();
                fs::create_dir(self.leases()).unwrap();
            }
        }
        Ok(nothing)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn with_an_index_all_comes_out_as_without(turns in prop::collection::vec(turn(), 1..80)) {
        let ranges = json!([[{"subnet": "10.56.217.0/28"}], [{"subnet": "fd00::/124"}]]);
        let (mut with, mut without) = (Scene::new(), Scene::new());
        without.plugin = HostLocal::with_indexes("/proc".into());
        for scene in [&mut with, &mut without] {
            scene.ipam = json!({ "ranges": ranges });
        }
        for turn in turns {
            // The directory is named in some messages.
            let told = |scene: &Scene| {
                let dir = scene.dir.path().to_str().unwrap().to_owned();
                scene.take(&turn).map_err(|message| message.replace(&dir, ""))
            };
            prop_assert_eq!(told(&with), told(&without), "{:?}", turn);
            prop_assert_eq!(with.files(), without.files(), "{:?}", turn);
        }
    }
}
