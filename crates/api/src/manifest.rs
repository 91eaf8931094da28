//! Reads Kubernetes manifests: YAML documents, lists and JSON to objects.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::fields::{Fields, excerpt};
use crate::{
    Error, FieldError, Nad, Namespace, ObjectKey, Pod, Reason, SriovNetwork, SriovNetworkNodePolicy,
};

/// One object of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// Kind `NetworkAttachmentDefinition`.
    Nad(Nad),
    /// Kind `Pod`.
    Pod(Pod),
    /// Kind `SriovNetworkNodePolicy`.
    SriovNetworkNodePolicy(SriovNetworkNodePolicy),
    /// Kind `SriovNetwork`.
    SriovNetwork(SriovNetwork),
    /// Any other kind, not looked at: manifests often hold a Namespace or a Deployment too.
    Other {
        /// Its kind.
        kind: String,
        /// `namespace/name`, or `name` where it gives no namespace.
        name: String,
    },
}

/// The kinds that podbond reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nad,
    Pod,
    SriovNetworkNodePolicy,
    SriovNetwork,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Nad, Self::Pod, Self::SriovNetworkNodePolicy, Self::SriovNetwork];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nad => "NetworkAttachmentDefinition",
            Self::Pod => "Pod",
            Self::SriovNetworkNodePolicy => "SriovNetworkNodePolicy",
            Self::SriovNetwork => "SriovNetwork",
        }
    }

    pub(crate) fn api_version(self) -> &'static str {
        match self {
            Self::Nad => "k8s.cni.cncf.io/v1",
            Self::Pod => "v1",
            Self::SriovNetworkNodePolicy | Self::SriovNetwork => "sriovnetwork.openshift.io/v1",
        }
    }
}

/// Reads the objects of a manifest, in order: YAML of any number of documents, or JSON; lists
/// (`kind: List`, `PodList`, …) give their items, empty documents nothing.
///
/// `origin` is the file's name, for the errors. An object without a namespace is in `default`.
pub fn read_manifests(text: &str, origin: &str) -> Result<Vec<Object>, Error> {
    let place = |position| Place { origin, document: position + 1, path: String::new() };
    // The whole text is parsed first: a syntax error explains what would be missing after it.
    let documents: Vec<Value> = yaml_serde::Deserializer::from_str(text)
        .enumerate()
        .map(|(position, document)| json_of(document, &place(position)))
        .collect::<Result<_, _>>()?;
    let mut objects = Vec::new();
    for (position, value) in documents.iter().enumerate().filter(|(_, value)| !value.is_null()) {
        place(position).read(value, &mut objects)?;
    }
    Ok(objects)
}

/// Returns one document as JSON. It is read as YAML first, which finds keys that are given twice.
fn json_of(document: yaml_serde::Deserializer<'_>, place: &Place<'_>) -> Result<Value, Error> {
    let syntax = |error: yaml_serde::Error| {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        let whole = error.to_string();
        let at = format!(" at line {line} column {column}");
        let problem = whole.replacen(&at, "", 1);
        Error::Syntax { origin: place.origin.to_owned(), line, column, problem }
    };
    let mut value = yaml_serde::Value::deserialize(document).map_err(syntax)?;
    value.apply_merge().map_err(syntax)?;
    serde_json::to_value(value).map_err(|error| {
        let given = format!("YAML that JSON cannot express ({error})");
        place.error("content", Reason::unexpected(given, "maps whose keys are texts"))
    })
}

/// The place of an object in a stream of documents, for errors before its name is read.
struct Place<'a> {
    origin: &'a str,
    document: usize,
    /// Empty, or the path to a list's item.
    path: String,
}

impl Place<'_> {
    fn error(&self, field: &str, reason: Reason) -> Error {
        let path =
            if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) };
        Error::Document {
            origin: self.origin.to_owned(),
            document: self.document,
            error: FieldError { path, reason: Box::new(reason) },
        }
    }

    fn read(&self, value: &Value, objects: &mut Vec<Object>) -> Result<(), Error> {
        let Value::Object(map) = value else {
            let expected = "a Kubernetes object with apiVersion, kind and metadata";
            return Err(self.error("content", Reason::unexpected(excerpt(value), expected)));
        };
        let kind = self.header(map, "kind", "the kind of object, as Pod")?;
        let api_version = self.header(map, "apiVersion", "the kind's version, as v1")?;
        match map.get("items") {
            Some(Value::Array(items)) if kind.ends_with("List") => {
                for (position, item) in items.iter().enumerate() {
                    Place { path: format!("items[{position}]"), ..*self }.read(item, objects)?;
                }
            }
            _ => objects.push(self.object(map, kind, api_version)?),
        }
        Ok(())
    }

    fn header<'m>(
        &self,
        map: &'m Map<String, Value>,
        field: &str,
        expected: &str,
    ) -> Result<&'m str, Error> {
        let given = map.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
        given.ok_or_else(|| self.error(field, Reason::missing(expected)))
    }

    fn object(
        &self,
        map: &Map<String, Value>,
        kind: &str,
        api_version: &str,
    ) -> Result<Object, Error> {
        // Read before the name is validated, since the error about the name shows it as given.
        let given = |field: &str| map.get("metadata").and_then(|m| m.get(field)?.as_str());
        let name = match (given("namespace"), given("name")) {
            (Some(namespace), Some(name)) => format!("{namespace}/{name}"),
            (None, Some(name)) => name.to_owned(),
            (_, None) => format!("in document {} without a name", self.document),
        };
        let Some(kind_of) = Kind::ALL.into_iter().find(|one| one.name() == kind) else {
            return Ok(Object::Other { kind: kind.to_owned(), name });
        };
        kind_of.read(&Fields::root(map), api_version).map_err(|error| Error::Field {
            origin: self.origin.to_owned(),
            object: format!("{kind} {name}"),
            error,
        })
    }
}

impl Kind {
    fn read(self, root: &Fields<'_>, api_version: &str) -> Result<Object, FieldError> {
        if api_version != self.api_version() {
            let reason = Reason::unexpected(format!("{api_version:?}"), self.api_version());
            return Err(root.error("apiVersion", reason));
        }
        let metadata = root.object("metadata")?;
        let key = ObjectKey {
            namespace: metadata.parsed::<Namespace>("namespace")?.unwrap_or_default(),
            name: metadata.required("name", "the object's name")?,
        };
        let spec = || root.object("spec");
        Ok(match self {
            Self::Nad => Object::Nad(Nad::read(key, &metadata, &spec()?)?),
            Self::Pod => Object::Pod(Pod::read(key, &metadata)?),
            Self::SriovNetworkNodePolicy => {
                Object::SriovNetworkNodePolicy(SriovNetworkNodePolicy::read(key, &spec()?)?)
            }
            Self::SriovNetwork => Object::SriovNetwork(SriovNetwork::read(key, &spec()?)?),
        })
    }
}
