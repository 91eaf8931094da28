//! The CNI configuration in a NetworkAttachmentDefinition's `spec.config`: from its text to the
//! configuration of each plugin, with what the pod asks for.

use podbond_cni::{NetConf, Version, field, set_field};
use podbond_names::PciAddress;
use serde_json::{Map, Value, json};

use crate::error::ConfigError;
use crate::passed_over::PassedOver;
use crate::selections::Selection;

/// Whether GC is to be called for a network (`disableGC` of its list, CNI 1.1.0).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GcCalls {
    /// It is.
    Allowed,
    /// "If `disableGC` is true, runtimes must not call GC for this network configuration list."
    Disabled,
}

/// A network as its configuration text describes it: a plugin, or several that are called in order.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Network {
    pub(crate) name: String,
    pub(crate) gc: GcCalls,
    /// The configuration of each plugin, with `name` and `cniVersion` in it.
    pub(crate) plugins: Vec<Map<String, Value>>,
}

impl Network {
    /// Reads a configuration, or a list of them in `plugins`.
    ///
    /// A NAD's "CNI configuration may omit the 'name' field which will be populated by the
    /// implementation" (multi-net-spec 1.3, section 3.2): then it is `default_name`.
    pub(crate) fn parse(text: &str, default_name: Option<&str>) -> Result<Self, ConfigError> {
        if text.trim().is_empty() {
            return Err(ConfigError::Empty);
        }
        let mut object: Map<String, Value> = serde_json::from_str(text)
            .map_err(|error| ConfigError::Json { problem: error.to_string() })?;
        if let Some(name) = default_name.filter(|_| is_blank(object.get("name"))) {
            object.insert("name".to_owned(), name.into());
        }
        let plugins = if is_blank(object.get("type")) {
            plugins_of_list(&object)?
        } else {
            vec![object.clone()]
        };
        let is_disabled = field(&object, "disableGC") == Some(&Value::Bool(true));
        let gc = if is_disabled { GcCalls::Disabled } else { GcCalls::Allowed };
        let network = Self { name: String::new(), gc, plugins };
        // The name is that of the first plugin: all have the same one, and there is at least one.
        let first = network.configs()?.into_iter().next().ok_or(ConfigError::NoPlugin)?;
        Ok(Self { name: first.name, ..network })
    }

    /// Returns the validated configurations.
    pub(crate) fn configs(&self) -> Result<Vec<NetConf>, ConfigError> {
        let configs = self.plugins.iter().map(|plugin| NetConf::from_map(plugin.clone()));
        let configs: Result<_, _> = configs.collect();
        configs.map_err(|failure| ConfigError::Plugin { failure: Box::new(failure) })
    }

    /// Adds to the configurations what a pod asks for. Returns what has no effect. The specification would
    /// refuse keys for which no plugin declares a capability; Multus ignores them, and so does podbond where
    /// the administrator does not have them refused, since pods run that way.
    pub(crate) fn apply_selection(
        &mut self,
        selection: &Selection,
    ) -> Result<Vec<PassedOver>, ConfigError> {
        let mut passed_over = Vec::new();
        for (key, capability, value) in capabilities_of(selection) {
            if !self.set_runtime_config(capability, &value) {
                passed_over.push(PassedOver::Undeclared { key, capability });
            }
        }
        passed_over.extend(selection.ipam_claim.iter().map(|_| PassedOver::ClaimReference));
        passed_over.extend(selection.unknown.iter().cloned().map(PassedOver::Unknown));
        self.add_cni_args(&selection.cni_args)?;
        Ok(passed_over)
    }

    /// Adds to the configurations what a runtime asks of a meta-plugin: of `runtimeConfig` what each
    /// plugin declares a capability for.
    pub(crate) fn pass_on_runtime_config(&mut self, config: &Map<String, Value>) {
        let runtime = config.get("runtimeConfig").and_then(Value::as_object);
        for (capability, value) in runtime.into_iter().flatten() {
            self.set_runtime_config(capability, value);
        }
    }

    /// As [`Self::pass_on_runtime_config`], and `args.cni`.
    pub(crate) fn pass_on(&mut self, config: &Map<String, Value>) -> Result<(), ConfigError> {
        self.pass_on_runtime_config(config);
        let cni = config.get("args").and_then(|args| args.get("cni")).and_then(Value::as_object);
        cni.map_or(Ok(()), |cni| self.add_cni_args(cni))
    }

    /// Puts a value into the `runtimeConfig` of each plugin that declares the capability. Returns whether
    /// any does.
    fn set_runtime_config(&mut self, capability: &str, value: &Value) -> bool {
        let mut is_set = false;
        for plugin in &mut self.plugins {
            is_set |= set_runtime_config(plugin, capability, value);
        }
        is_set
    }

    fn add_cni_args(&mut self, cni_args: &Map<String, Value>) -> Result<(), ConfigError> {
        if cni_args.is_empty() {
            return Ok(());
        }
        for plugin in &mut self.plugins {
            let args = object_at(plugin, "args", "args")?;
            object_at(args, "cni", "args.cni")?.extend(cni_args.clone());
        }
        Ok(())
    }

    /// Returns the PCI device that the configuration itself names. A device that is not on the PCI bus
    /// concerns the plugin alone.
    pub(crate) fn device(&self) -> Option<PciAddress> {
        self.plugins.iter().find_map(|plugin| plugin.get("deviceID")?.as_str()?.parse().ok())
    }

    /// Sets the address of the attachment's device in each plugin's configuration.
    pub(crate) fn set_device(&mut self, device: PciAddress) {
        for plugin in &mut self.plugins {
            set_device(plugin, &device.to_string());
        }
    }
}

/// Sets the ID of the attachment's device, which is its address for one on the PCI bus, under both keys, as
/// Multus does: some plugins read one, some the other.
pub(crate) fn set_device(plugin: &mut Map<String, Value>, device: &str) {
    let text = Value::from(device);
    set_field(plugin, "deviceID", Some(text.clone()));
    set_field(plugin, "pciBusID", Some(text.clone()));
    set_runtime_config(plugin, "deviceID", &text);
}

/// Puts a value into a plugin's `runtimeConfig` if the plugin declares the capability, and returns
/// whether it does. A plugin must only get what it declares (CNI conventions, "Dynamic Plugin specific
/// Fields").
pub(crate) fn set_runtime_config(
    plugin: &mut Map<String, Value>,
    capability: &str,
    value: &Value,
) -> bool {
    let declared = field(plugin, "capabilities").and_then(|all| all.get(capability));
    if declared != Some(&Value::Bool(true)) {
        return false;
    }
    // What is not an object was refused when the configuration was read.
    let Ok(runtime) = object_at(plugin, "runtimeConfig", "runtimeConfig") else { return false };
    runtime.insert(capability.to_owned(), value.clone());
    true
}

/// Returns what a selection asks of plugins: the annotation's key, the capability, and the value.
fn capabilities_of(
    selection: &Selection,
) -> impl Iterator<Item = (&'static str, &'static str, Value)> {
    let all = [
        ("ips", "ips", json!(selection.ips)),
        ("mac", "mac", json!(selection.mac)),
        ("infiniband-guid", "infinibandGUID", json!(selection.infiniband_guid)),
        ("portMappings", "portMappings", json!(selection.port_mappings)),
        ("bandwidth", "bandwidth", json!(selection.bandwidth)),
    ];
    let is_asked = |value: &Value| !value.is_null() && *value != json!([]);
    all.into_iter().filter(move |(_, _, value)| is_asked(value))
}

/// Returns the entries of `plugins`, each with the list's `name` and `cniVersion`: the runtime "must"
/// insert them (CNI specification, "Deriving execution configuration from plugin configuration").
fn plugins_of_list(list: &Map<String, Value>) -> Result<Vec<Map<String, Value>>, ConfigError> {
    let entries = list.get("plugins").and_then(Value::as_array);
    let entries = entries.filter(|entries| !entries.is_empty()).ok_or(ConfigError::NoPlugin)?;
    let version = version_of_list(list);
    let mut plugins = Vec::new();
    for (position, entry) in entries.iter().enumerate() {
        let Value::Object(mut plugin) = entry.clone() else {
            return Err(ConfigError::Field { field: format!("plugins[{position}]") });
        };
        for (key, value) in [("name", list.get("name")), ("cniVersion", version.as_ref())] {
            if let Some(value) = value {
                plugin.insert(key.to_owned(), value.clone());
            }
        }
        plugins.push(plugin);
    }
    Ok(plugins)
}

/// Returns the newest version that both the list and podbond speak; where there is none the list's own,
/// for the error about it.
fn version_of_list(list: &Map<String, Value>) -> Option<Value> {
    let own = list.get("cniVersion");
    let more = list.get("cniVersions").and_then(Value::as_array).into_iter().flatten();
    let versions = own.into_iter().chain(more).filter_map(Value::as_str).filter_map(Version::parse);
    versions.max().map(|version| version.as_str().into()).or_else(|| own.cloned())
}

fn is_blank(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    }
}

/// Returns the object in field `key`, which is inserted where it is absent or null.
fn object_at<'a>(
    map: &'a mut Map<String, Value>,
    key: &str,
    path: &str,
) -> Result<&'a mut Map<String, Value>, ConfigError> {
    let value = map.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().ok_or_else(|| ConfigError::Field { field: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selections::parse_networks;

    fn network(config: &Value) -> Network {
        Network::parse(&config.to_string(), Some("nad")).unwrap()
    }

    fn selection(element: &Value) -> Selection {
        parse_networks(&json!([element]).to_string()).unwrap().remove(0)
    }

    fn plugins(network: &Network) -> Value {
        json!(network.plugins)
    }

    #[test]
    fn single_configuration_is_kept() {
        let config = json!({"type": "bond", "cniVersion": "0.3.1", "name": "n", "miimon": "100"});
        let network = network(&config);
        assert_eq!(network.name, "n");
        assert_eq!(plugins(&network), json!([config]));
    }

    #[test]
    fn name_defaults_to_that_of_the_nad() {
        for config in [json!({"type": "bond"}), json!({"plugins": [{"type": "bond"}], "name": ""})]
        {
            let network = network(&config);
            assert_eq!(network.name, "nad");
            assert_eq!(plugins(&network), json!([{"type": "bond", "name": "nad"}]));
        }
    }

    #[test]
    fn plugins_of_a_list_get_its_name_and_version() {
        let list = json!({
            "name": "n", "cniVersion": "0.4.0", "cniVersions": ["0.3.1", "1.0.0", "9.0.0"],
            "plugins": [{"type": "sriov", "name": "x"}, {"type": "tuning", "cniVersion": "0.1.0"}],
        });
        let expected = json!([
            {"type": "sriov", "name": "n", "cniVersion": "1.0.0"},
            {"type": "tuning", "name": "n", "cniVersion": "1.0.0"},
        ]);
        assert_eq!(plugins(&network(&list)), expected);
    }

    #[test]
    fn malformed_configuration_is_refused() {
        for (text, start) in [
            (" ", "is empty"),
            ("{\n \"type\" 1}", "is not JSON: expected `:` at line 2 column 9"),
            ("[]", "is not JSON: invalid type: sequence, expected a map at line 1"),
            ("{}", "names no plugin"),
            (r#"{"plugins": []}"#, "names no plugin"),
            (r#"{"plugins": "bond"}"#, "names no plugin"),
            (
                r#"{"plugins": [{"type": "bond"}, 1]}"#,
                "is wrong in field plugins[1], which is not an object",
            ),
            (r#"{"plugins": [{"type": "bond"}, {}]}"#, "is invalid: network \"nad\": field type"),
            (r#"{"type": "../bond"}"#, "is invalid: network \"nad\": field type"),
            (r#"{"type": "bond", "name": "a/b"}"#, "is invalid: the network configuration: field"),
            (r#"{"type": "bond", "cniVersion": "9.9.9"}"#, "is invalid: field cniVersion"),
        ] {
            let message = Network::parse(text, Some("nad")).unwrap_err().to_string();
            assert!(message.starts_with(start), "{text}: {message}");
        }
    }

    #[test]
    fn plugin_gets_declared_capabilities_only() {
        let mut network = network(&json!({"plugins": [
            {"type": "a", "capabilities": {"ips": true, "mac": false}},
            {"type": "b", "capabilities": {"ips": true, "portMappings": true},
             "runtimeConfig": {"x": 1}},
        ]}));
        let ignored = network.apply_selection(&selection(&json!({
            "name": "n", "ips": ["10.0.0.1"], "mac": "02:00:00:00:00:01",
            "portMappings": [{"hostPort": 1, "containerPort": 2}],
            "bandwidth": {"ingressRate": 8}, "infiniband-guid": "24:8a:07:03:00:8d:ae:2f",
        })));
        let undeclared =
            [("mac", "mac"), ("infiniband-guid", "infinibandGUID"), ("bandwidth", "bandwidth")];
        let undeclared =
            undeclared.map(|(key, capability)| PassedOver::Undeclared { key, capability });
        assert_eq!(ignored.unwrap(), undeclared);
        assert_eq!(network.plugins[0]["runtimeConfig"], json!({"ips": ["10.0.0.1"]}));
        let mappings = json!([{"hostPort": 1, "containerPort": 2}]);
        let expected = json!({"x": 1, "ips": ["10.0.0.1"], "portMappings": mappings});
        assert_eq!(network.plugins[1]["runtimeConfig"], expected);
    }

    #[test]
    fn cni_args_of_the_pod_take_precedence() {
        let wish = selection(&json!({"name": "n", "cni-args": {"a": 1, "b": 2}}));
        let mut network = network(&json!({"type": "x", "args": {"cni": {"a": 0, "c": 3}}}));
        assert_eq!(network.apply_selection(&wish).unwrap(), []);
        assert_eq!(network.plugins[0]["args"], json!({"cni": {"a": 1, "b": 2, "c": 3}}));
        let mut wrong = Network { plugins: vec![Map::new()], ..network };
        wrong.plugins[0].insert("args".to_owned(), json!([]));
        assert_eq!(
            wrong.apply_selection(&wish),
            Err(ConfigError::Field { field: "args".to_owned() })
        );
    }

    #[test]
    fn device_is_set_under_both_keys() {
        let mut network = network(&json!({"plugins": [
            {"type": "a", "deviceID": "x"},
            {"type": "b", "capabilities": {"deviceID": true}},
        ]}));
        assert_eq!(network.device(), None);
        let device = "0000:03:10.1";
        network.set_device(device.parse().unwrap());
        assert_eq!(network.device(), Some(device.parse().unwrap()));
        for plugin in &network.plugins {
            assert_eq!(
                (&plugin["deviceID"], &plugin["pciBusID"]),
                (&device.into(), &device.into())
            );
        }
        assert!(!network.plugins[0].contains_key("runtimeConfig"));
        assert_eq!(network.plugins[1]["runtimeConfig"], json!({"deviceID": device}));
    }
}
