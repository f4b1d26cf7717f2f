//! Which addresses may be connected to.
//!
//! A host that an operator wrote down may be anywhere: registries are often private. A host that came
//! from elsewhere, in a redirect or in an answer, must be public, or this server becomes the way into
//! the network behind it. What an operator has told this server to tell, with words that come from elsewhere,
//! lies in between.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Who named a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The configuration.
    Configured,
    /// A redirect, a registry's answer, a caller.
    Remote,
    /// The configuration, of what is told something. It may be at a private address if that is allowed, and never
    /// where a machine tells who it is.
    Told {
        /// Is a private address allowed?
        private: bool,
    },
}

/// What hosts named by others may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddressPolicy {
    /// Private, local and reserved addresses too. For registries that hand out addresses of a private
    /// object store; off by default.
    pub allow_private: bool,
}

impl AddressPolicy {
    pub(crate) fn allows(self, address: IpAddr, trust: Trust) -> bool {
        match trust {
            Trust::Configured => true,
            Trust::Remote => is_public(address) || (self.allow_private && !is_metadata(address)),
            Trust::Told { private } => is_public(address) || (private && !is_metadata(address)),
        }
    }
}

/// Is it one of this link alone, or where a cloud tells its machines their names and credentials? Nothing that
/// anybody would name lies there.
pub(crate) fn is_metadata(address: IpAddr) -> bool {
    let v4 = match address {
        IpAddr::V4(it) => Some(it),
        IpAddr::V6(it) => inner_v4(it),
    };
    if let Some(it) = v4 {
        // Alibaba's and Oracle's are not link-local.
        return it.is_link_local()
            || it == Ipv4Addr::new(100, 100, 100, 200)
            || it == Ipv4Addr::new(192, 0, 0, 192);
    }
    match address {
        // Amazon's, for machines that have no other protocol.
        IpAddr::V6(it) => {
            it.is_unicast_link_local() || it == Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)
        }
        IpAddr::V4(_) => false,
    }
}

/// Is it an address of the public internet? By IANA's registries of special-purpose addresses.
pub(crate) fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127, _, _) // this network, private, loopback
            | (100, 64..=127, _) // carrier-grade NAT
            | (169, 254, _) // link-local, with the clouds' metadata services
            | (172, 16..=31, _)
            | (192, 168, _)
            | (192, 0, 0 | 2) // protocol assignments, documentation
            | (192, 88, 99) // 6to4 relays
            | (198, 18 | 19, _) // benchmarks
            | (198, 51, 100)
            | (203, 0, 113)
            | (224.., _, _) // multicast, reserved, broadcast
    );
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inner) = inner_v4(address) {
        return is_public_v4(inner);
    }
    let [first, second, ..] = address.segments();
    // Only 2000::/3 is given out; of it, these are special.
    let special = matches!(
        (first, second),
        (0x2001, 0x0000..=0x01ff) // protocol assignments, Teredo
            | (0x2001, 0x0db8)
            | (0x3fff, _) // documentation
    );
    first & 0xe000 == 0x2000 && !special
}

/// The IPv4 address that an IPv6 address stands for: mapped, compatible, NAT64, 6to4.
fn inner_v4(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, g, h] = address.segments();
    let of = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        Some(Ipv4Addr::new(a, b, c, d))
    };
    match (a, b, c, d, e, f) {
        (0, 0, 0, 0, 0, 0 | 0xffff) | (0x64, 0xff9b, 0, 0, 0, 0) => of(g, h),
        (0x2002, high, low, ..) => of(high, low),
        _ => None,
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
