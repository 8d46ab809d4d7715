//! Where a controller is: `unix:///path/to/controller.sock`, `https://host:6817`, `http://127.0.0.1:6817`, or a list of them.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

/// One place where a controller may listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A socket on this machine: the fast way, and the only one that is always open.
    Unix(PathBuf),
    /// Plain TCP, `host:port`.
    Tcp(String),
    /// TCP with TLS, `host:port`: the way from elsewhere.
    Tls(String),
}

impl Endpoint {
    /// The `host:port` of a place that is reached by TLS.
    #[must_use]
    pub fn tls_host(&self) -> Option<&str> {
        match self {
            Endpoint::Tls(host) => Some(host),
            Endpoint::Unix(_) | Endpoint::Tcp(_) => None,
        }
    }
}

/// The places to try, in their order. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints(Vec<Endpoint>);

impl Endpoints {
    /// The socket at this path alone.
    #[must_use]
    pub fn socket(path: &Path) -> Endpoints {
        Endpoints(vec![Endpoint::Unix(path.to_owned())])
    }

    /// Of these, the places that are reached by TLS: where alone a secret may be sent.
    #[must_use]
    pub fn secure(&self) -> Option<Endpoints> {
        let secure: Vec<Endpoint> = self.0.iter().filter(|place| place.tls_host().is_some()).cloned().collect();
        (!secure.is_empty()).then_some(Endpoints(secure))
    }

    /// The places, first choice first.
    pub fn iter(&self) -> impl Iterator<Item = &Endpoint> {
        self.0.iter()
    }
}

/// Why a text names no place.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "{0:?} is no controller address: write unix:///path/to/controller.sock, https://host:port or, on the same machine, http://127.0.0.1:port"
)]
pub struct EndpointError(String);

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Endpoint, EndpointError> {
        let bad = || EndpointError(text.to_owned());
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.starts_with('/') { Ok(Endpoint::Unix(path.into())) } else { Err(bad()) };
        }
        if text.starts_with('/') {
            return Ok(Endpoint::Unix(text.into()));
        }
        let secret = text.strip_prefix("https://");
        let host = secret.or_else(|| text.strip_prefix("http://")).unwrap_or(text).trim_end_matches('/');
        let (name, port) = host.rsplit_once(':').ok_or_else(bad)?;
        if name.is_empty() || name.contains('/') || port.parse::<u16>().is_err() {
            return Err(bad());
        }
        Ok(if secret.is_some() { Endpoint::Tls(host.to_owned()) } else { Endpoint::Tcp(host.to_owned()) })
    }
}

impl FromStr for Endpoints {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Endpoints, EndpointError> {
        let places = text.split(',').map(str::trim).filter(|place| !place.is_empty());
        let places = places.map(str::parse).collect::<Result<Vec<Endpoint>, _>>()?;
        if places.is_empty() { Err(EndpointError(text.to_owned())) } else { Ok(Endpoints(places)) }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix://{}", path.display()),
            Endpoint::Tcp(host) => write!(f, "http://{host}"),
            Endpoint::Tls(host) => write!(f, "https://{host}"),
        }
    }
}

impl fmt::Display for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, place) in self.0.iter().enumerate() {
            write!(f, "{}{place}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_printed() {
        for (text, printed) in [
            ("unix:///run/c.sock", "unix:///run/c.sock"),
            ("/run/c.sock", "unix:///run/c.sock"),
            ("http://127.0.0.1:6817", "http://127.0.0.1:6817"),
            ("localhost:1, unix:/a", "http://localhost:1,unix:///a"),
            ("https://ctl.example:6817/,https://[::1]:1", "https://ctl.example:6817,https://[::1]:1"),
        ] {
            assert_eq!(text.parse::<Endpoints>().map(|e| e.to_string()), Ok(printed.to_owned()), "{text}");
        }
        for text in ["", "nowhere", "unix:relative", "http://host", "http://:1", "h:99999", "https://h", "https://h:x"]
        {
            assert!(text.parse::<Endpoints>().is_err(), "{text}");
        }
    }
}
