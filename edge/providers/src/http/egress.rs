//! Which addresses a request may reach. Pure: decides on parsed values, dials nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::TransportError;

/// An address range such as `10.0.0.0/8` or `fd00::/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    prefix_bits: u8,
}

/// Why a text is not a [`Network`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network: write an address and a prefix length, such as 10.0.0.0/8")]
pub struct NetworkError(String);

impl Network {
    const fn v4(octets: [u8; 4], prefix_bits: u8) -> Self {
        Self { base: IpAddr::V4(Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3])), prefix_bits }
    }

    const fn v6(head: [u16; 2], tail: u16, prefix_bits: u8) -> Self {
        Self { base: IpAddr::V6(Ipv6Addr::new(head[0], head[1], 0, 0, 0, 0, 0, tail)), prefix_bits }
    }

    /// Whether `address` lies in this range. An IPv4 range never contains an IPv4-mapped IPv6 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let differing = u32::from(base) ^ u32::from(address);
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let differing = u128::from(base) ^ u128::from(address);
                differing.leading_zeros() >= u32::from(self.prefix_bits)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let error = || NetworkError(text.to_owned());
        let (address, prefix) = text.split_once('/').ok_or_else(error)?;
        let base: IpAddr = address.parse().map_err(|_| error())?;
        let prefix_bits: u8 = prefix.parse().map_err(|_| error())?;
        let longest = if base.is_ipv4() { 32 } else { 128 };
        if prefix_bits > longest {
            return Err(error());
        }
        Ok(Self { base, prefix_bits })
    }
}

/// Ranges that lead back into a node, a cloud's metadata service, or around a check on the embedded IPv4
/// address.
const DENIED: &[(Network, &str)] = &[
    (Network::v4([0, 0, 0, 0], 8), "an unspecified address"),
    (Network::v4([127, 0, 0, 0], 8), "a loopback address"),
    (Network::v4([169, 254, 0, 0], 16), "a link-local or metadata address"),
    (Network::v4([100, 100, 100, 200], 32), "a cloud metadata address"),
    (Network::v4([168, 63, 129, 16], 32), "a cloud metadata address"),
    (Network::v4([192, 0, 0, 0], 24), "a protocol assignment or metadata address"),
    (Network::v4([224, 0, 0, 0], 4), "a multicast address"),
    (Network::v4([240, 0, 0, 0], 4), "a reserved or broadcast address"),
    (Network::v6([0, 0], 0, 96), "an unspecified, loopback or IPv4-compatible address"),
    (
        Network { base: IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0)), prefix_bits: 96 },
        "an IPv4-mapped address",
    ),
    (Network::v6([0x64, 0xff9b], 0, 32), "a NAT64 address"),
    (Network::v6([0x2001, 0], 0, 32), "a Teredo address"),
    (Network::v6([0x2002, 0], 0, 16), "a 6to4 address"),
    (Network::v6([0xfd00, 0xec2], 0x254, 128), "a cloud metadata address"),
    (Network::v6([0xfe80, 0], 0, 10), "a link-local address"),
    (Network::v6([0xfec0, 0], 0, 10), "a site-local address"),
    (Network::v6([0xff00, 0], 0, 8), "a multicast address"),
];

/// Where requests of one transport may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EgressPolicy {
    /// Anywhere: for addresses that the platform's operator configured.
    Unrestricted,
    /// For URLs that a tenant can write.
    Guarded {
        /// Exceptions to every denial, such as `127.0.0.0/8` in a lab.
        allowed: Vec<Network>,
        /// Ranges denied beside the built-in ones: pods, services, the API server.
        denied: Vec<Network>,
        /// Ports that may be reached; empty allows all.
        ports: Vec<u16>,
    },
}

impl EgressPolicy {
    /// The policy for tenants' URLs without exceptions.
    #[must_use]
    pub fn guarded() -> Self {
        Self::Guarded { allowed: Vec::new(), denied: Vec::new(), ports: Vec::new() }
    }

    /// Checks *every* address that a name resolved to: one forbidden address refuses the name.
    pub(super) fn check_addresses(&self, host: &str, addresses: &[IpAddr]) -> Result<(), TransportError> {
        let Self::Guarded { allowed, denied, .. } = self else { return Ok(()) };
        for &address in addresses {
            if allowed.iter().any(|network| network.contains(address)) {
                continue;
            }
            let built_in = DENIED.iter().find(|(network, _)| network.contains(address)).map(|(_, why)| *why);
            let why = match built_in {
                Some(why) => why,
                None if denied.iter().any(|network| network.contains(address)) => "in a denied network",
                None => continue,
            };
            return Err(refused(host, format!("{address} is {why}, where nothing is sent for a service")));
        }
        Ok(())
    }

    /// Checks what the URL says before anything is resolved, and returns its host and port.
    pub(super) fn check_uri(&self, uri: &http::Uri) -> Result<(String, u16), TransportError> {
        let authority = uri.authority().ok_or_else(|| refused("the URL", "it names no host".to_owned()))?;
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        // The text before the `@` may be a password, so the error repeats the host alone.
        if authority.as_str().contains('@') {
            return Err(refused(&host, "user names and passwords in a URL are not accepted".to_owned()));
        }
        let default_port = match uri.scheme_str() {
            Some("http") => 80,
            Some("https") => 443,
            _ => return Err(refused(&host, "only http and https URLs are accepted".to_owned())),
        };
        if host.is_empty() {
            return Err(refused("the URL", "it names no host".to_owned()));
        }
        let port = authority.port_u16().unwrap_or(default_port);
        match self {
            Self::Guarded { ports, .. } if !ports.is_empty() && !ports.contains(&port) => {
                Err(refused(&host, format!("port {port} is not among the allowed ports {ports:?}")))
            }
            _ => Ok((host, port)),
        }
    }
}

fn refused(host: &str, why: String) -> TransportError {
    TransportError::Refused { host: host.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn forbidden_addresses_are_refused_and_public_ones_pass() {
        let policy = EgressPolicy::Guarded {
            allowed: networks(&["127.9.0.0/16"]),
            denied: networks(&["10.96.0.0/12", "fd12::/16"]),
            ports: Vec::new(),
        };
        let table: &[(&str, bool)] = &[
            ("8.8.8.8", true),
            ("1.0.0.1", true),
            ("192.168.1.1", true),
            ("2606:4700::1111", true),
            ("fd13::1", true),
            ("127.0.0.1", false),
            ("127.255.255.254", false),
            ("127.9.3.4", true),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("169.254.169.254", false),
            ("169.253.255.255", true),
            ("100.100.100.200", false),
            ("100.100.100.201", true),
            ("168.63.129.16", false),
            ("192.0.0.192", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("10.100.0.1", false),
            ("10.112.0.1", true),
            ("::", false),
            ("::1", false),
            ("::7f00:1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:8.8.8.8", false),
            ("64:ff9b::7f00:1", false),
            ("64:ff9b:1::1", false),
            ("2002:7f00:1::", false),
            ("2001::1", false),
            ("2001:db8::1", true),
            ("fd00:ec2::254", false),
            ("fd12::1", false),
            ("fe80::1", false),
            ("febf::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ];
        for (address, expect) in table {
            let verdict = policy.check_addresses("host", &[address.parse().unwrap()]);
            assert_eq!(verdict.is_ok(), *expect, "{address}: {verdict:?}");
        }
    }

    #[test]
    fn one_forbidden_address_among_many_refuses_the_name() {
        let addresses = ["8.8.8.8", "127.0.0.1"].map(|address| address.parse().unwrap());
        assert!(EgressPolicy::guarded().check_addresses("two-faced.example", &addresses).is_err());
        assert!(EgressPolicy::Unrestricted.check_addresses("two-faced.example", &addresses).is_ok());
    }

    #[test]
    fn urls() {
        let policy = EgressPolicy::Guarded { allowed: vec![], denied: vec![], ports: vec![80, 443, 8443] };
        type Expect = Result<(&'static str, u16), &'static str>;
        let table: [(&str, Expect); 7] = [
            ("http://a.example/x", Ok(("a.example", 80))),
            ("https://a.example", Ok(("a.example", 443))),
            ("https://[2001:db8::1]:8443/x", Ok(("2001:db8::1", 8443))),
            ("http://a.example:22/", Err("port 22")),
            ("https://user:hunter2@a.example/", Err("passwords")),
            ("ftp://a.example/", Err("only http and https")),
            ("/relative", Err("names no host")),
        ];
        for (url, expect) in table {
            let got = policy.check_uri(&url.parse().unwrap());
            match (&got, expect) {
                (Ok((host, port)), Ok(expect)) => assert_eq!((host.as_str(), *port), expect, "{url}"),
                (Err(error), Err(part)) => {
                    let text = error.to_string();
                    assert!(text.contains(part) && !text.contains("hunter2"), "{url}: {text}");
                }
                _ => panic!("{url}: {got:?}"),
            }
        }
    }

    #[test]
    fn network_texts() {
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0/8", "::/129", "::1", "a/8", "10.0.0.0/-1"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        assert!("0.0.0.0/0".parse::<Network>().unwrap().contains("9.9.9.9".parse().unwrap()));
        assert!("::/0".parse::<Network>().unwrap().contains("9::9".parse().unwrap()));
    }
}
