//! The names and addresses that the controller's certificate is for.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, SockaddrLike};

/// `localhost`, this machine's name, the address that is listened on (all of the machine's where it is none in particular), and
/// what `--advertise` adds.
pub(crate) fn own_names(listen: SocketAddr, advertised: &[String]) -> Vec<String> {
    let mut names: BTreeSet<String> = advertised.iter().cloned().collect();
    names.insert("localhost".into());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    names.extend(Some(host).filter(|host| is_host_name(host)));
    let addresses = if listen.ip().is_unspecified() { addresses() } else { vec![listen.ip()] };
    names.extend(addresses.iter().map(ToString::to_string));
    names.into_iter().collect()
}

/// Whether a text can stand in a certificate: an address, or a name in the sense of DNS.
pub(crate) fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    text.parse::<IpAddr>().is_ok() || (text.len() <= 253 && text.split('.').all(label))
}

/// The addresses of all interfaces. Those that come later need `--advertise`.
fn addresses() -> Vec<IpAddr> {
    let interfaces = getifaddrs().into_iter().flatten().filter_map(|interface| interface.address);
    let address = |address: nix::sys::socket::SockaddrStorage| match address.family()? {
        AddressFamily::Inet => Some(IpAddr::V4(address.as_sockaddr_in()?.ip())),
        AddressFamily::Inet6 => Some(IpAddr::V6(address.as_sockaddr_in6()?.ip())),
        _ => None,
    };
    interfaces.filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_for_all_by_which_the_controller_can_be_reached() {
        let advertised = ["ctl.example".to_owned()];
        let names = own_names("127.0.0.1:6817".parse().expect("an address"), &advertised);
        assert!(["localhost", "127.0.0.1", "ctl.example"].iter().all(|name| names.iter().any(|own| own == name)));
        let everywhere = own_names("0.0.0.0:6817".parse().expect("an address"), &[]);
        assert!(everywhere.contains(&"127.0.0.1".into()) && !everywhere.contains(&"0.0.0.0".into()), "{everywhere:?}");
        for (text, good) in
            [("a.b-c", true), ("10.0.0.1", true), ("::1", true), ("a..b", false), ("", false), ("a b", false)]
        {
            assert_eq!(is_host_name(text), good, "{text}");
        }
    }
}
