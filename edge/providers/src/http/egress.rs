//! Which addresses a request may reach. Pure: decides on parsed values, dials nothing.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::TransportError;

/// Ranges that are no place on the internet: the node, the cluster and its networks, a cloud's metadata service, and the
/// ways around a check on an embedded IPv4 address. The first range that fits names the reason.
const DENIED: &[(IpNet, &str)] = &[
    (v4([0, 0, 0, 0], 8), "an unspecified address"),
    (v4([127, 0, 0, 0], 8), "a loopback address"),
    (v4([169, 254, 0, 0], 16), "a link-local or metadata address"),
    (v4([100, 100, 100, 200], 32), "a cloud metadata address"),
    (v4([168, 63, 129, 16], 32), "a cloud metadata address"),
    (v4([192, 0, 0, 0], 24), "a protocol assignment or metadata address"),
    (v4([10, 0, 0, 0], 8), "a private address"),
    (v4([172, 16, 0, 0], 12), "a private address"),
    (v4([192, 168, 0, 0], 16), "a private address"),
    (v4([100, 64, 0, 0], 10), "a shared address of a provider's own network"),
    (v4([198, 18, 0, 0], 15), "an address for measurements inside a network"),
    (v4([224, 0, 0, 0], 4), "a multicast address"),
    (v4([240, 0, 0, 0], 4), "a reserved or broadcast address"),
    (v6([0, 0, 0], 96), "an unspecified, loopback or IPv4-compatible address"),
    (v6([0, 0, 0xffff], 96), "an IPv4-mapped address"),
    (v6([0x64, 0xff9b, 0], 32), "a NAT64 address"),
    (v6([0x2001, 0, 0], 32), "a Teredo address"),
    (v6([0x2002, 0, 0], 16), "a 6to4 address"),
    (v6([0xfc00, 0, 0], 7), "a private or metadata address"),
    (v6([0xfe80, 0, 0], 10), "a link-local address"),
    (v6([0xfec0, 0, 0], 10), "a site-local address"),
    (v6([0xff00, 0, 0], 8), "a multicast address"),
];

/// Domains that a cluster, a machine or a cloud answers for itself.
const INNER_DOMAINS: [&str; 5] = ["svc", "local", "localhost", "internal", "home.arpa"];

/// Why a name of a cluster is refused, whether it exists or not: the answer tells nobody which services there are.
const INNER_NAME: &str = "a name inside the cluster or its network, where nothing is sent for a service";

const fn v4(octets: [u8; 4], prefix_bits: u8) -> IpNet {
    let [a, b, c, d] = octets;
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix_bits))
}

/// The first two groups of an address, and the sixth.
const fn v6(groups: [u16; 3], prefix_bits: u8) -> IpNet {
    let [a, b, f] = groups;
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, f, 0, 0), prefix_bits))
}

/// Where requests of one transport may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EgressPolicy {
    /// Anywhere: for addresses that the platform's operator configured.
    Unrestricted,
    /// For URLs that a tenant can write.
    Guarded {
        /// Exceptions to every denial, such as the one address of a receiver inside the cluster.
        allowed: Vec<IpNet>,
    },
}

impl EgressPolicy {
    /// The policy for tenants' URLs without exceptions.
    #[must_use]
    pub fn guarded() -> Self {
        Self::Guarded { allowed: Vec::new() }
    }

    /// Checks *every* address that a name resolved to: one forbidden address refuses the name. The address is not
    /// repeated: who writes a URL is not told what a name means inside.
    pub(super) fn check_addresses(&self, host: &str, addresses: &[IpAddr]) -> Result<(), TransportError> {
        let Self::Guarded { allowed } = self else { return Ok(()) };
        for &address in addresses {
            if allowed.iter().any(|network| network.contains(&address)) {
                continue;
            }
            if is_inner(host) {
                return Err(refused(host, format!("it is {INNER_NAME}")));
            }
            if let Some((_, why)) = DENIED.iter().find(|(network, _)| network.contains(&address)) {
                return Err(refused(
                    host,
                    format!("it is or leads to {why}, where nothing is sent for a service"),
                ));
            }
        }
        Ok(())
    }

    /// What to ask a resolver for `host`. A name of the internet is asked for from the root: the resolver of a pod tries
    /// a cluster's own domains first, and `db.shop` would be a service.
    pub(super) fn name_to_resolve(&self, host: &str) -> String {
        let as_written = matches!(self, Self::Unrestricted) || is_inner(host) || host.ends_with('.');
        if as_written || host.parse::<IpAddr>().is_ok() { host.to_owned() } else { format!("{host}.") }
    }

    /// What a name that does not resolve is told.
    pub(super) fn unresolved(&self, host: &str, cause: String) -> TransportError {
        match self {
            Self::Guarded { .. } if is_inner(host) => refused(host, format!("it is {INNER_NAME}")),
            _ => TransportError::Connect { host: host.to_owned(), cause },
        }
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
        match self {
            // With an exception, the addresses behind the name decide.
            Self::Guarded { allowed } if allowed.is_empty() && is_inner(&host) => {
                Err(refused(&host, format!("it is {INNER_NAME}")))
            }
            _ => Ok((host, authority.port_u16().unwrap_or(default_port))),
        }
    }
}

/// Whether a cluster, a machine or a cloud answers for this name itself: one label, or below an inner domain.
fn is_inner(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let below = |domain: &&str| name.strip_suffix(*domain).is_some_and(|rest| rest.ends_with('.'));
    name.parse::<IpAddr>().is_err() && (!name.contains('.') || INNER_DOMAINS.iter().any(below))
}

fn refused(host: &str, why: String) -> TransportError {
    TransportError::Refused { host: host.to_owned(), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowing(networks: &[&str]) -> EgressPolicy {
        EgressPolicy::Guarded { allowed: networks.iter().map(|text| text.parse().unwrap()).collect() }
    }

    #[test]
    fn forbidden_addresses_are_refused_and_public_ones_pass() {
        let policy = allowing(&["127.9.0.0/16", "10.96.7.1/32"]);
        let table: &[(&str, bool)] = &[
            ("8.8.8.8", true),
            ("1.0.0.1", true),
            ("2606:4700::1111", true),
            ("2001:db8::1", true),
            ("127.0.0.1", false),
            ("127.255.255.254", false),
            ("127.9.3.4", true),
            ("0.0.0.0", false),
            ("0.1.2.3", false),
            ("169.254.169.254", false),
            ("169.253.255.255", true),
            ("100.100.100.200", false),
            ("100.64.0.1", false),
            ("100.128.0.1", true),
            ("168.63.129.16", false),
            ("192.0.0.192", false),
            ("192.168.1.1", false),
            ("172.16.0.1", false),
            ("172.32.0.1", true),
            ("10.96.0.1", false),
            ("10.96.7.1", true),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::7f00:1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:8.8.8.8", false),
            ("64:ff9b::7f00:1", false),
            ("64:ff9b:1::1", false),
            ("2002:7f00:1::", false),
            ("2001::1", false),
            ("fd00:ec2::254", false),
            ("fd13::1", false),
            ("fe80::1", false),
            ("febf::1", false),
            ("fec0::1", false),
            ("ff02::1", false),
        ];
        for (address, expect) in table {
            let verdict = policy.check_addresses("a.example", &[address.parse().unwrap()]);
            assert_eq!(verdict.is_ok(), *expect, "{address}: {verdict:?}");
            let told = verdict.map_or_else(|error| error.to_string(), |()| String::new());
            assert!(!told.contains(address), "{told}");
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
        type Expect = Result<(&'static str, u16), &'static str>;
        let table: [(&str, Expect); 6] = [
            ("http://a.example/x", Ok(("a.example", 80))),
            ("https://a.example", Ok(("a.example", 443))),
            ("https://[2001:db8::1]:8443/x", Ok(("2001:db8::1", 8443))),
            ("https://user:hunter2@a.example/", Err("passwords")),
            ("ftp://a.example/", Err("only http and https")),
            ("/relative", Err("names no host")),
        ];
        for (url, expect) in table {
            let got = EgressPolicy::guarded().check_uri(&url.parse().unwrap());
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
    fn names_of_the_cluster_are_refused_alike_whether_they_exist_or_not() {
        let inside = ["10.96.7.9".parse().unwrap()];
        let opened = allowing(&["10.96.7.1/32"]);
        for host in [
            "db",
            "DB",
            "db.",
            "db.shop.svc",
            "db.shop.svc.",
            "db.shop.SVC.cluster.local",
            "localhost",
            "a.localhost",
            "metadata.google.internal",
            "printer.local",
            "2130706433",
        ] {
            let refusal = EgressPolicy::guarded().check_uri(&format!("http://{host}/").parse().unwrap());
            let refusal = refusal.expect_err(host);
            assert!(refusal.to_string().contains(INNER_NAME), "{refusal}");
            // With an exception, the one that exists elsewhere and the one that does not are told the same.
            assert!(opened.check_uri(&format!("http://{host}/").parse().unwrap()).is_ok());
            assert_eq!(opened.check_addresses(host, &inside).expect_err(host), refusal);
            assert_eq!(opened.unresolved(host, "no such host".to_owned()), refusal);
            assert!(opened.check_addresses(host, &["10.96.7.1".parse().unwrap()]).is_ok());
        }
        for host in ["a.example", "svc.example", "local.example", "notlocal.", "8.8.8.8", "2001:db8::1"] {
            assert_eq!(is_inner(host), host == "notlocal.", "{host}");
        }
    }

    #[test]
    fn a_name_of_the_internet_is_asked_for_from_the_root() {
        let check = |policy: EgressPolicy, host: &str, expect: &str| {
            assert_eq!(policy.name_to_resolve(host), expect);
        };
        check(EgressPolicy::guarded(), "db.shop", "db.shop.");
        check(EgressPolicy::guarded(), "db.shop.", "db.shop.");
        check(EgressPolicy::guarded(), "8.8.8.8", "8.8.8.8");
        check(EgressPolicy::guarded(), "2001:db8::1", "2001:db8::1");
        check(allowing(&["10.96.7.1/32"]), "receiver.shop.svc", "receiver.shop.svc");
        check(EgressPolicy::Unrestricted, "prometheus.monitoring", "prometheus.monitoring");
    }
}
