use super::*;

#[track_caller]
fn check(public: bool, addresses: &str) {
    for text in addresses.split_whitespace() {
        let address: IpAddr = text.parse().expect("an address");
        assert_eq!(is_public(address), public, "{text}");
    }
}

#[test]
fn private_and_reserved_addresses_are_not_public() {
    check(false, "0.0.0.0 10.1.2.3 127.0.0.1 100.64.0.1 169.254.169.254 172.16.0.1 172.31.255.255");
    check(false, "192.168.1.1 192.0.0.8 192.0.2.1 198.18.0.1 198.51.100.1 203.0.113.9");
    check(false, "224.0.0.1 240.0.0.1 255.255.255.255 192.88.99.1");
    check(false, ":: ::1 fe80::1 fc00::1 fd00:ec2::254 ff02::1 2001:db8::1 2001::1 100::1 3fff::1");
    check(false, "::ffff:127.0.0.1 ::ffff:10.0.0.1 ::127.0.0.1 64:ff9b::a00:1 2002:7f00:1::");
}

#[test]
fn the_rest_is() {
    check(true, "1.1.1.1 8.8.8.8 100.63.0.1 100.128.0.1 172.15.0.1 172.32.0.1 192.169.0.1");
    check(true, "198.20.0.1 223.255.255.255 2606:4700::1111 2a00::1 2400:cb00::1");
    check(true, "::ffff:8.8.8.8 64:ff9b::808:808 2002:808:808::");
}

#[test]
fn only_what_others_name_must_be_public() {
    let private: IpAddr = "10.0.0.1".parse().expect("an address");
    let strict = AddressPolicy::default();
    assert!(strict.allows(private, Trust::Configured));
    assert!(!strict.allows(private, Trust::Remote));
    assert!(AddressPolicy { allow_private: true }.allows(private, Trust::Remote));
}

#[test]
fn nobody_is_told_where_a_machine_learns_who_it_is() {
    let of = |text: &str| text.parse::<IpAddr>().expect("an address");
    let policy = AddressPolicy { allow_private: true };
    let inside = Trust::Told { private: true };
    for text in ["169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "fe80::1"] {
        assert!(!policy.allows(of(text), inside), "{text}");
        assert!(!policy.allows(of(text), Trust::Remote), "{text}");
    }
    for text in ["fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"] {
        assert!(!policy.allows(of(text), inside), "{text}");
    }
    for text in ["127.0.0.1", "10.0.0.1", "192.168.1.1", "::1", "fd00::1", "1.1.1.1"] {
        assert!(AddressPolicy::default().allows(of(text), inside), "{text}");
    }
    let outside = Trust::Told { private: false };
    assert!(!policy.allows(of("10.0.0.1"), outside) && !policy.allows(of("::1"), outside));
    assert!(policy.allows(of("1.1.1.1"), outside));
}
