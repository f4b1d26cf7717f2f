//! JSON from the front to the back, in the form in which machines write it.
//!
//! Every method reads one thing or says that it is not there in its plain form: no escapes in
//! texts, no number beyond the common types. It never says why: whoever is given `None` asks
//! somebody who knows all of JSON.

/// Powers of ten that a double holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// Whole numbers up to here are exact in a double.
const EXACT_WHOLE_MAX: u64 = 1 << 53;

/// As many digits always fit 64 bits.
const DIGITS_MAX: usize = 19;

/// A number as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    /// Without point and exponent.
    Whole { negative: bool, digits: u64 },
    /// The nearest double.
    Broken(f64),
}

impl Number {
    /// The nearest double.
    pub(super) fn to_f64(self) -> f64 {
        match self {
            Number::Whole { negative: false, digits } => digits as f64,
            Number::Whole { negative: true, digits } => -(digits as f64),
            Number::Broken(it) => it,
        }
    }

    /// The number itself, if it is whole. Minus zero is not.
    pub(super) fn whole(self) -> Option<i128> {
        match self {
            Number::Whole { negative: false, digits } => Some(i128::from(digits)),
            Number::Whole { negative: true, digits: 0 } | Number::Broken(_) => None,
            Number::Whole { negative: true, digits } => Some(-i128::from(digits)),
        }
    }
}

/// What is left to read.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(json: &'a [u8]) -> Reader<'a> {
        Reader { rest: json }
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    /// Nothing more stands there.
    pub(super) fn end(&mut self) -> Option<()> {
        self.space();
        self.rest.is_empty().then_some(())
    }

    /// The next byte that is no space, which is taken.
    pub(super) fn next(&mut self) -> Option<u8> {
        self.space();
        let (&first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first)
    }

    /// The next byte that is no space, if it is that one.
    pub(super) fn take(&mut self, byte: u8) -> Option<()> {
        self.space();
        self.rest = self.rest.strip_prefix(&[byte])?;
        Some(())
    }

    fn space(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    /// An object; `member` reads the value behind a key.
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Reader<'a>, &'a str) -> Option<()>,
    ) -> Option<()> {
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(());
        }
        loop {
            let key = self.text()?;
            self.take(b':')?;
            member(self, key)?;
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// An array; `element` reads one of its elements.
    pub(super) fn array(
        &mut self,
        mut element: impl FnMut(&mut Reader<'a>) -> Option<()>,
    ) -> Option<()> {
        self.take(b'[')?;
        if self.take(b']').is_some() {
            return Some(());
        }
        loop {
            element(self)?;
            match self.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }

    /// A text as it stands there.
    pub(super) fn text(&mut self) -> Option<&'a str> {
        self.take(b'"')?;
        let special = |it: &u8| *it == b'"' || *it == b'\\' || *it < b' ';
        let (text, rest) = self.rest.split_at_checked(self.rest.iter().position(special)?)?;
        self.rest = rest.strip_prefix(b"\"")?;
        std::str::from_utf8(text).ok()
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self) -> Option<bool> {
        self.space();
        let (flag, word): (bool, &[u8]) = match self.rest.first()? {
            b't' => (true, b"true"),
            _ => (false, b"false"),
        };
        self.rest = self.rest.strip_prefix(word)?;
        Some(flag)
    }

    /// A whole number that is not negative.
    pub(super) fn count(&mut self) -> Option<u64> {
        match self.number()? {
            Number::Whole { negative: false, digits } => Some(digits),
            Number::Whole { .. } | Number::Broken(_) => None,
        }
    }

    /// A number. What follows it is for the caller to look at.
    pub(super) fn number(&mut self) -> Option<Number> {
        self.space();
        let text = self.rest;
        let unsigned = text.strip_prefix(b"-").unwrap_or(text);
        let negative = unsigned.len() < text.len();
        let (mut digits, mut rest) = digits(0, unsigned);
        let mut count = unsigned.len() - rest.len();
        if count == 0 || (count > 1 && unsigned.first() == Some(&b'0')) {
            return None;
        }
        if !matches!(rest.first(), Some(b'.' | b'e' | b'E')) {
            self.rest = rest;
            return (count <= DIGITS_MAX).then_some(Number::Whole { negative, digits });
        }
        let mut power = 0_i32;
        if let Some(broken) = rest.strip_prefix(b".") {
            (digits, rest) = self::digits(digits, broken);
            let places = broken.len() - rest.len();
            if places == 0 {
                return None;
            }
            count += places;
            power = -i32::try_from(places).ok()?;
        }
        if let Some(exponent) = rest.strip_prefix(b"e").or_else(|| rest.strip_prefix(b"E")) {
            let unsigned = exponent.strip_prefix(b"-").or_else(|| exponent.strip_prefix(b"+"));
            let shrinks = exponent.first() == Some(&b'-');
            let exponent = unsigned.unwrap_or(exponent);
            let value;
            (value, rest) = self::digits(0, exponent);
            if !(1..=4).contains(&(exponent.len() - rest.len())) {
                return None;
            }
            let value = i32::try_from(value).ok()?;
            power = power.checked_add(if shrinks { -value } else { value })?;
        }
        self.rest = rest;
        let written = text.get(..text.len() - rest.len())?;
        nearest(written, (negative, digits), (count, power)).map(Number::Broken)
    }
}

/// The double nearest to `digits` (as far as `count` says that they fit) times ten to the `power`.
fn nearest(
    written: &[u8],
    (negative, digits): (bool, u64),
    (count, power): (usize, i32),
) -> Option<f64> {
    let exact = EXACT_POWERS.get(usize::try_from(power.unsigned_abs()).ok()?);
    if let Some(exact) = exact
        && count <= DIGITS_MAX
        && digits <= EXACT_WHOLE_MAX
    {
        // Both are exact, so the one operation rounds to the nearest.
        let whole = digits as f64;
        let value = if power < 0 { whole / exact } else { whole * exact };
        return Some(if negative { -value } else { value });
    }
    let value: f64 = std::str::from_utf8(written).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// Goes on with the digits in front of the text. Wraps around where there are too many.
#[inline]
fn digits(mut value: u64, mut text: &[u8]) -> (u64, &[u8]) {
    while let [digit @ b'0'..=b'9', rest @ ..] = text {
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
        text = rest;
    }
    (value, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expect: Option<Number>) {
        assert_eq!(Reader::new(text.as_bytes()).number(), expect, "{text}");
    }

    #[test]
    fn numbers_are_those_of_json() {
        let whole = |negative, digits| Some(Number::Whole { negative, digits });
        check(" 12,", whole(false, 12));
        check("-9223372036854775808", whole(true, 1 << 63));
        check("9999999999999999999", whole(false, 9_999_999_999_999_999_999));
        check("1.5e2]", Some(Number::Broken(150.0)));
        check("-0.0", Some(Number::Broken(-0.0)));
        for text in
            ["", "-", "+1", "01", ".5", "1.", "1.e1", "1e", "1e+", "1e999", "nan", "Infinity"]
        {
            check(text, None);
        }
        check("18446744073709551616", None);
    }

    proptest! {
        #[test]
        fn every_double_is_itself(bits in any::<u64>()) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            for text in [format!("{value:?}"), format!("{value:e}"), format!("{value:.25}")] {
                let got = Reader::new(text.as_bytes()).number().map(|it| it.to_f64().to_bits());
                let expect = text.parse::<f64>().expect("a number").to_bits();
                // What has hundreds of digits is left to others.
                prop_assert!(got == Some(expect) || got.is_none(), "{}", text);
                prop_assert!(got.is_some() || text.len() > 20, "{}", text);
            }
        }

        #[test]
        fn what_is_written_short_is_exact(digits in any::<u64>(), places in 0_usize..25, power in -30_i32..30) {
            let digits = digits.to_string();
            let (whole, broken) = digits.split_at(digits.len().saturating_sub(places).max(1));
            let text = format!("{whole}.{broken}0e{power}");
            let got = Reader::new(text.as_bytes()).number();
            prop_assert_eq!(got.map(Number::to_f64), text.parse().ok(), "{}", text);
        }
    }
}
