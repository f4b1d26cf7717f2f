//! A digest of what a `model.toml` says of how a version is loaded, fixed for all releases.
//!
//! SHA-256, in hex, of the file's table without the keys that say only when and beside whom a version is loaded. What
//! it does not say is not in it: a default may differ from machine to machine. Values are written as a letter for
//! their type, their length in bytes, `:` and their text; tables and arrays as the number of their entries, and
//! these, of tables each with its key before it, in the order of the keys' bytes.

use std::collections::BTreeMap;

use toml::{Table, Value};

use crate::digest::sha256;

/// Changes to these load nothing anew.
const ASIDE: &[&str] = &[
    "version_policy",
    "fallback_version",
    "transition",
    "load",
    "idle_unload_s",
    "labels",
    "traffic",
    "rollout",
    "rollback_window_s",
];

/// Of a text that has been read without a fault.
pub(crate) fn settings(text: &str) -> String {
    let mut table: Table = text.parse().unwrap_or_default();
    table.retain(|key, _| !ASIDE.contains(&key));
    let mut out = String::new();
    write(&Value::Table(table), &mut out);
    sha256(out.as_bytes())
}

fn write(value: &Value, out: &mut String) {
    let mut leaf = |kind: char, text: &str| out.push_str(&format!("{kind}{}:{text}", text.len()));
    match value {
        Value::String(it) => leaf('s', it),
        Value::Integer(it) => leaf('i', &it.to_string()),
        Value::Float(it) => leaf('f', &format!("{:016x}", it.to_bits())),
        Value::Boolean(it) => leaf('b', &it.to_string()),
        Value::Datetime(it) => leaf('d', &it.to_string()),
        Value::Array(all) => {
            leaf('a', &all.len().to_string());
            all.iter().for_each(|it| write(it, out));
        }
        Value::Table(table) => {
            leaf('t', &table.len().to_string());
            let sorted: BTreeMap<&String, &Value> = table.iter().collect();
            for (key, it) in sorted {
                out.push_str(&format!("k{}:{key}", key.len()));
                write(it, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Do both say the same of a load?
    #[track_caller]
    fn check(one: &str, two: &str, same: bool) {
        assert_eq!(settings(one) == settings(two), same, "{one} / {two}");
    }

    #[test]
    fn what_says_the_same_of_a_load_has_one_digest() {
        check("a = 1\nb = 'x'", "b = \"x\" # why\na = 0x1", true);
        check("[instances]\ncount = 2", "instances = { count = 2 }", true);
        check("", "version_policy = { specific = [3] }\n[rollout]\nsteps = '5,100'", true);
        check("", "load = 'lazy'\nidle_unload_s = 3\nlabels = { a = 1 }", true);
        check("", "rollback_window_s = 600", true);
        check("a = 1", "a = '1'", false);
        check("a = 1", "a = 1.0", false);
        check("a = [1, 2]", "a = [12]", false);
        check("a = ['x', 'y']", "a = ['xs1:y']", false);
        check("a = { b = 1 }\nc = 2", "a = { b = 1, c = 2 }", false);
    }

    /// It is written down, and must be the same in a year.
    #[test]
    fn the_digest_is_fixed() {
        let text = "max_batch_size = 4\n[instances]\ncount = 2";
        let expect = "t1:2k9:instancest1:1k5:counti1:2k14:max_batch_sizei1:4";
        assert_eq!(settings(text), sha256(expect.as_bytes()));
        assert_eq!(
            settings(""),
            "da4b67039c7ca8ed14115bb85bc65f336f31da1753be32d6e411519e5998c971",
            "of `t1:0`"
        );
    }
}
