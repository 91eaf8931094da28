//! The cluster's own certificate authority, the certificates that it signs, and the kubeconfigs that
//! name them: as kubeadm makes them, one identity for each component and node.

use std::{
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use serde_json::{Value, json};

use crate::{
    error::{Error, FileContext},
    network::PORT,
};

/// Whom a certificate is for.
pub(crate) enum Identity<'a> {
    /// A client by this name in this group.
    Client { name: &'a str, group: Option<&'a str> },
    /// A server by this name, reached by these names and addresses.
    Server { name: &'a str, reached: Vec<String> },
}

/// A certificate authority and the folder that its files and those of what it signs are in.
pub(crate) struct Authority {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Makes one, with `ca.crt` and `ca.key` in the folder.
    pub(crate) fn new(dir: PathBuf) -> Result<Self, Error> {
        let name = "podbond-lab";
        let failed = |source| Error::Certificate { name: name.into(), source };
        let key = KeyPair::generate().map_err(failed)?;
        let mut params = params(name, None, Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let certificate = params.self_signed(&key).map_err(failed)?;
        write(&dir.join("ca.crt"), &certificate.pem())?;
        write(&dir.join("ca.key"), &key.serialize_pem())?;
        Ok(Self { dir, issuer: Issuer::new(params, key) })
    }

    /// Signs a certificate for a new key: `<file>.crt` and `<file>.key`.
    pub(crate) fn sign(&self, file: &str, identity: &Identity<'_>) -> Result<(), Error> {
        let (mut params, name, usage) = match identity {
            Identity::Client { name, group } => {
                (params(name, *group, Vec::new())?, name, ExtendedKeyUsagePurpose::ClientAuth)
            }
            Identity::Server { name, reached } => {
                (params(name, None, reached.clone())?, name, ExtendedKeyUsagePurpose::ServerAuth)
            }
        };
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        let failed = |source| Error::Certificate { name: (*name).into(), source };
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed)?;
        write(&self.path(file, "crt"), &certificate.pem())?;
        write(&self.path(file, "key"), &key.serialize_pem())
    }

    /// Makes the key that tokens of service accounts are signed with: `<file>.key` and `<file>.pub`.
    pub(crate) fn token_key(&self, file: &str) -> Result<(), Error> {
        let failed = |source| Error::Certificate { name: file.into(), source };
        let key = KeyPair::generate().map_err(failed)?;
        write(&self.path(file, "key"), &key.serialize_pem())?;
        write(&self.path(file, "pub"), &key.public_key_pem())
    }

    /// Returns the path of a file of this name and kind, as `crt` or `key`.
    pub(crate) fn path(&self, file: &str, kind: &str) -> PathBuf {
        self.dir.join(format!("{file}.{kind}"))
    }
}

fn params(
    name: &str,
    group: Option<&str>,
    reached: Vec<String>,
) -> Result<CertificateParams, Error> {
    let params = CertificateParams::new(reached);
    let mut params = params.map_err(|source| Error::Certificate { name: name.into(), source })?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    Ok(params)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).file("write", path)
}

/// Returns a kubeconfig for the API server at an address, with the certificates of the folder `pki`:
/// `ca.crt` and those of the client `file`. JSON is YAML.
pub(crate) fn kubeconfig(address: Ipv4Addr, port: u16, pki: &Path, file: &str) -> String {
    let path = |name: String| pki.join(name);
    let port = if port == PORT { String::new() } else { format!(":{port}") };
    let config: Value = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": "lab", "cluster": {
            "server": format!("https://{address}{port}"),
            "certificate-authority": path("ca.crt".into()),
        }}],
        "users": [{ "name": file, "user": {
            "client-certificate": path(format!("{file}.crt")),
            "client-key": path(format!("{file}.key")),
        }}],
        "contexts": [{ "name": "lab", "context": { "cluster": "lab", "user": file }}],
        "current-context": "lab",
    });
    format!("{config:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_and_keys_are_written() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path().to_owned()).unwrap();
        let name = "system:node:node1";
        let client = Identity::Client { name, group: Some("system:nodes") };
        authority.sign("node1", &client).unwrap();
        let reached = vec!["192.168.77.1".into(), "kubernetes.default.svc".into()];
        authority.sign("server", &Identity::Server { name: "x", reached }).unwrap();
        authority.token_key("tokens").unwrap();
        for (file, begin) in [
            ("ca.crt", "CERTIFICATE"),
            ("node1.crt", "CERTIFICATE"),
            ("server.key", "PRIVATE KEY"),
            ("tokens.pub", "PUBLIC KEY"),
        ] {
            let text = fs::read_to_string(dir.path().join(file)).unwrap();
            assert!(text.starts_with(&format!("-----BEGIN {begin}-----")), "{file}: {text}");
        }
    }

    #[test]
    fn kubeconfig_names_its_own_client_alone() {
        let text = kubeconfig(Ipv4Addr::LOCALHOST, 4321, Path::new("/pki"), "node1");
        let config: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(config["clusters"][0]["cluster"]["server"], "https://127.0.0.1:4321");
        assert_eq!(config["users"][0]["user"]["client-key"], "/pki/node1.key");
        let text = kubeconfig(Ipv4Addr::LOCALHOST, PORT, Path::new("/pki"), "node1");
        assert!(text.contains("\"https://127.0.0.1\""), "{text}");
    }
}
