//! The fields of a network selection element in JSON. Null counts as absent, and so does an empty text
//! or a zero where it cannot be meant: Go programs write them.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::selection::{Bandwidth, PortMapping, Protocol};
use crate::error::ElementError;
use crate::json::show;

/// How many bytes an InfiniBand GUID has.
const GUID_BYTES: usize = 8;

/// An object of the annotation's JSON form, whose errors name the field with its path.
pub(crate) struct Element<'a> {
    /// Path of this object within the element, empty or ending in a dot.
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Element<'a> {
    /// Returns an element of the annotation's list.
    pub(crate) fn new(value: &'a Value) -> Result<Self, ElementError> {
        match value {
            Value::Object(map) => Ok(Self { path: String::new(), map }),
            _ => Err(ElementError::NoObject),
        }
    }

    fn unexpected(&self, field: &str, value: &Value, expected: &'static str) -> ElementError {
        let field = format!("{}{field}", self.path);
        ElementError::Unexpected { field, value: show(value), expected }
    }

    fn get(&self, field: &str) -> Option<&'a Value> {
        self.map.get(field).filter(|value| !value.is_null())
    }

    /// Returns a text; none where it is absent or empty.
    pub(crate) fn text(&self, field: &str) -> Result<Option<&'a str>, ElementError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Some(other) => Err(self.unexpected(field, other, "a text in quotes")),
        }
    }

    /// Returns an object; none where it is absent.
    pub(crate) fn object(
        &self,
        field: &str,
    ) -> Result<Option<&'a Map<String, Value>>, ElementError> {
        match self.get(field) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(self.unexpected(field, other, "an object in braces")),
        }
    }

    fn list(&self, field: &str) -> Result<&'a [Value], ElementError> {
        match self.get(field) {
            None => Ok(&[]),
            Some(Value::Array(items)) => Ok(items),
            Some(other) => Err(self.unexpected(field, other, "a list in brackets")),
        }
    }

    /// Returns the items of a list of texts, each as `parse` returns it.
    fn texts<T>(
        &self,
        field: &str,
        expected: &'static str,
        parse: fn(&str) -> Option<T>,
    ) -> Result<Vec<T>, ElementError> {
        let mut items = Vec::new();
        for (position, item) in self.list(field)?.iter().enumerate() {
            let parsed = item.as_str().and_then(parse);
            items.push(
                parsed.ok_or_else(|| {
                    self.unexpected(&format!("{field}[{position}]"), item, expected)
                })?,
            );
        }
        Ok(items)
    }

    /// Returns `ips`: addresses with or without a prefix length, as given.
    pub(crate) fn ips(&self) -> Result<Vec<String>, ElementError> {
        let expected = "an address, as \"10.56.217.5\" or \"10.56.217.5/24\"";
        self.texts("ips", expected, |text| {
            let is_address = text.parse::<IpNet>().is_ok() || text.parse::<IpAddr>().is_ok();
            is_address.then(|| text.to_owned())
        })
    }

    /// Returns the gateways of `default-route`, at most one of each family.
    pub(crate) fn default_route(&self) -> Result<Vec<IpAddr>, ElementError> {
        let expected = "a gateway's address";
        let gateways: Vec<IpAddr> =
            self.texts("default-route", expected, |text| text.parse().ok())?;
        let of_v4 = gateways.iter().filter(|gateway| gateway.is_ipv4()).count();
        if of_v4 > 1 || gateways.len() - of_v4 > 1 {
            return Err(ElementError::Gateways);
        }
        Ok(gateways)
    }

    /// Returns `infiniband-guid` in lower case.
    pub(crate) fn infiniband_guid(&self) -> Result<Option<String>, ElementError> {
        let field = "infiniband-guid";
        let Some(text) = self.text(field)? else { return Ok(None) };
        if text.split(':').count() == GUID_BYTES && text.split(':').all(is_hex_byte) {
            Ok(Some(text.to_ascii_lowercase()))
        } else {
            let expected = "eight bytes, as \"24:8a:07:03:00:8d:ae:2f\"";
            Err(self.unexpected(field, &Value::from(text), expected))
        }
    }

    /// Returns `portMappings`.
    pub(crate) fn port_mappings(&self) -> Result<Vec<PortMapping>, ElementError> {
        let field = "portMappings";
        let mut mappings = Vec::new();
        for (position, item) in self.list(field)?.iter().enumerate() {
            let field = format!("{field}[{position}]");
            let Value::Object(map) = item else {
                return Err(self.unexpected(&field, item, "an object in braces"));
            };
            let path = format!("{}{field}.", self.path);
            mappings.push(Element { path, map }.port_mapping()?);
        }
        Ok(mappings)
    }

    fn port_mapping(&self) -> Result<PortMapping, ElementError> {
        let expected = "tcp, udp or sctp";
        let protocol = match self.text("protocol")?.map(str::to_ascii_lowercase).as_deref() {
            None => Protocol::default(),
            Some("tcp") => Protocol::Tcp,
            Some("udp") => Protocol::Udp,
            Some("sctp") => Protocol::Sctp,
            Some(other) => return Err(self.unexpected("protocol", &other.into(), expected)),
        };
        let host_ip = self.text("hostIP")?.map(|text| {
            text.parse().map_err(|_| self.unexpected("hostIP", &text.into(), "an address"))
        });
        Ok(PortMapping {
            host_port: self.port("hostPort")?,
            container_port: self.port("containerPort")?,
            protocol,
            host_ip: host_ip.transpose()?,
        })
    }

    fn port(&self, field: &str) -> Result<u16, ElementError> {
        let value = self.get(field).unwrap_or(&Value::Null);
        value
            .as_u64()
            .and_then(|port| u16::try_from(port).ok())
            .filter(|port| *port != 0)
            .ok_or_else(|| self.unexpected(field, value, "a port, from 1 to 65535"))
    }

    /// Returns `bandwidth`.
    pub(crate) fn bandwidth(&self) -> Result<Option<Bandwidth>, ElementError> {
        let Some(map) = self.object("bandwidth")? else { return Ok(None) };
        let inner = Element { path: format!("{}bandwidth.", self.path), map };
        let bandwidth = Bandwidth {
            ingress_rate: inner.amount("ingressRate", "a number of bit/s")?,
            ingress_burst: inner.amount("ingressBurst", "a number of bits")?,
            egress_rate: inner.amount("egressRate", "a number of bit/s")?,
            egress_burst: inner.amount("egressBurst", "a number of bits")?,
        };
        for (field, burst, rate) in [
            ("ingressRate", bandwidth.ingress_burst, bandwidth.ingress_rate),
            ("egressRate", bandwidth.egress_burst, bandwidth.egress_rate),
        ] {
            if burst.is_some() && rate.is_none() {
                let expected = "a number of bit/s beside the burst";
                return Err(inner.unexpected(field, &Value::Null, expected));
            }
        }
        Ok(Some(bandwidth))
    }

    fn amount(&self, field: &str, expected: &'static str) -> Result<Option<u64>, ElementError> {
        let Some(value) = self.get(field) else { return Ok(None) };
        let amount = value.as_u64().ok_or_else(|| self.unexpected(field, value, expected))?;
        Ok(Some(amount).filter(|amount| *amount != 0))
    }
}

fn is_hex_byte(text: &str) -> bool {
    text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
