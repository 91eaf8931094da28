//! Errors in networks annotations and in the CNI configurations of NADs.

use podbond_api::FieldError;
use podbond_cni::Failure;
use podbond_names::OneLine;

/// What is wrong with a networks annotation, as the end of a sentence that begins with its name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworksError {
    /// It looks like JSON and is not.
    #[error("is not JSON: {problem}; correct it there")]
    Json {
        /// The parser's message, with line and column.
        problem: String,
    },
    /// JSON, but no list.
    #[error("is JSON but not a list: write [{{\"name\": …}}, …]")]
    NoList,
    /// "Only one network attachment may specify the `default-route` key" (multi-net-spec 1.3,
    /// section 4.1.2.1.9).
    #[error(
        "elements {first} and {second} both have default-route: keep it on the one that shall have the \
         pod's default route"
    )]
    TwoDefaultRoutes {
        /// Place in the list of the earlier one, from 1.
        first: usize,
        /// Place in the list of the later one, from 1.
        second: usize,
    },
    /// A pod has one default network.
    #[error("names {number} networks, and a pod has one default network: name one")]
    NotOne {
        /// How many it names.
        number: usize,
    },
    /// An element is wrong.
    #[error("element {number} ({text}): {reason}")]
    Element {
        /// Place in the list, from 1.
        number: usize,
        /// The element as given.
        text: String,
        /// What is wrong with it.
        #[source]
        reason: ElementError,
    },
}

/// What is wrong with an element of a networks annotation, as the end of a sentence that begins with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElementError {
    /// Nothing between two commas.
    #[error("it is empty: write [namespace/]name[@interface], or remove the comma")]
    Empty,
    /// An entry of the JSON list is not an object.
    #[error("it is not an object: write {{\"name\": …}}")]
    NoObject,
    /// A character that separates parts is there twice.
    #[error("it has more than one `{separator}`: write [namespace/]name[@interface]")]
    Separator {
        /// `/` or `@`.
        separator: char,
    },
    /// `namespace/name` in `name`, as in the short form.
    #[error(
        "field name is \"{}/{}\": in JSON write \"namespace\": \"{}\", \"name\": \"{}\"",
        OneLine(namespace),
        OneLine(name),
        OneLine(namespace),
        OneLine(name)
    )]
    NamespaceInName {
        /// Before the `/`.
        namespace: String,
        /// After it.
        name: String,
    },
    /// Addresses are asked for in two ways.
    #[error("it has both ips and ipam-claim-reference: leave one of them out")]
    IpsAndClaim,
    /// A default route has one next hop.
    #[error("field default-route has two gateways of one family: write one for IPv4, one for IPv6")]
    Gateways,
    /// A part or a field is wrong.
    #[error("field {0}")]
    Field(#[from] FieldError),
}

/// What is wrong with a network's configuration, as the end of a sentence that begins with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// It does not parse.
    #[error("is not JSON: {problem}; correct it there")]
    Json {
        /// The parser's message, with line and column.
        problem: String,
    },
    /// It is empty.
    #[error("is empty: write the network's CNI configuration, a JSON object with name and type")]
    Empty,
    /// Neither of one plugin nor of a list.
    #[error("names no plugin: give it `type`, or `plugins`, a list of objects with `type`")]
    NoPlugin,
    /// A field that must be an object is not.
    #[error("is wrong in field {field}, which is not an object: write {{…}}")]
    Field {
        /// The field, with its path.
        field: String,
    },
    /// It is that of a meta-plugin, which attaches networks itself.
    #[error(
        "is that of a meta-plugin, which would attach the pod's networks again: name the primary network's \
         own file"
    )]
    MetaPlugin,
    /// A plugin's configuration is invalid.
    #[error("is invalid: {failure}")]
    Plugin {
        /// Why.
        #[source]
        failure: Box<Failure>,
    },
}
