//! Certificates: the user's own, or one we make.

use std::{
    collections::BTreeSet,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};

use crate::{
    config::TlsConfig,
    data_dir::{DataDir, DataDirError},
};

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("cannot read {path}")]
    Pem { path: PathBuf, source: pem::Error },
    #[error("{0} holds no certificate")]
    Empty(PathBuf),
    #[error("certificate and key do not fit together")]
    Mismatch(#[from] rustls::Error),
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    #[error(transparent)]
    DataDir(#[from] DataDirError),
}

/// Certificate we make, and its key, in the data directory.
const CERT_FILE: &str = "tls-self.pem";
const KEY_FILE: &str = "tls-self.key";
/// The names the kept certificate was made for, one a line.
const NAMES_FILE: &str = "tls-self.names";
/// How long a certificate of ours lasts: browsers refuse TLS certificates that live longer.
const LIFETIME: Duration = Duration::from_secs(397 * 86_400);
/// It is made anew at the first start after this age, well before it ends.
const RENEW_AFTER: Duration = Duration::from_secs(330 * 86_400);

/// What the configuration asks for; `None` without TLS.
///
/// # Errors
/// [`TlsError`] naming the file at fault.
pub(crate) fn server_config(
    config: &TlsConfig,
    data: &DataDir,
) -> Result<Option<Arc<ServerConfig>>, TlsError> {
    let (cert, key) = match (&config.cert, &config.key) {
        (Some(cert), Some(key)) => (cert.clone(), key.clone()),
        _ if config.self_signed => own_certificate(data)?,
        _ => return Ok(None),
    };
    let wrong = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Pem { path, source }
    };
    let chain = CertificateDer::pem_file_iter(&cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(wrong(&cert))?;
    if chain.is_empty() {
        return Err(TlsError::Empty(cert));
    }
    let key = PrivateKeyDer::from_pem_file(&key).map_err(wrong(&key))?;
    let mut server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // WebSockets ride on HTTP/1.1; offering h2 would cost every browser a second connection.
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(Arc::new(server)))
}

/// The kept certificate, made anew when it is missing, old, or lacks one of this machine's names.
fn own_certificate(data: &DataDir) -> Result<(PathBuf, PathBuf), TlsError> {
    let (cert, key) = (data.file(CERT_FILE), data.file(KEY_FILE));
    let names = names();
    let kept = std::fs::read_to_string(data.file(NAMES_FILE)).unwrap_or_default();
    let kept: BTreeSet<&str> = kept.lines().collect();
    let covered = names.iter().all(|name| kept.contains(name.as_str()));
    if covered && key.exists() && is_young(&cert) {
        return Ok((cert, key));
    }
    let key_pair = KeyPair::generate()?;
    let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "SparkRTC self-signed");
    let now = SystemTime::now();
    // A day back, for clients whose clock lags.
    params.not_before = (now - Duration::from_secs(86_400)).into();
    params.not_after = (now + LIFETIME - Duration::from_secs(86_400)).into();
    let certificate = params.self_signed(&key_pair)?;
    data.write(KEY_FILE, key_pair.serialize_pem().as_bytes())?;
    data.write(CERT_FILE, certificate.pem().as_bytes())?;
    let lines: Vec<&str> = names.iter().map(String::as_str).collect();
    data.write(NAMES_FILE, lines.join("\n").as_bytes())?;
    Ok((cert, key))
}

fn is_young(path: &Path) -> bool {
    let age = || path.metadata()?.modified()?.elapsed().map_err(io::Error::other);
    age().is_ok_and(|age| age < RENEW_AFTER)
}

/// Every name and address under which a browser may look for this machine.
fn names() -> BTreeSet<String> {
    let mut names = BTreeSet::from(["localhost".to_owned(), "*.localhost".to_owned()]);
    if let Ok(host) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
        let host = host.trim().to_ascii_lowercase();
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        if !host.is_empty() && host.chars().all(is_name) {
            names.insert(format!("{host}.local"));
            names.insert(host);
        }
    }
    names.extend(interface_addresses().iter().map(IpAddr::to_string));
    names
}

/// Addresses of this machine's interfaces, loopback included, link-local IPv6 not (no URL can name
/// their zone).
pub(crate) fn interface_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    let addresses: BTreeSet<IpAddr> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip())))
        })
        .filter(|address| !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()))
        .collect();
    addresses.into_iter().collect()
}
