//! Nix's base 32: little-endian digit order and an alphabet without `e`, `o`, `t`, `u`.

const ALPHABET: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

const INVALID: u8 = 0xff;

const DIGITS: [u8; 256] = {
    let mut table = [INVALID; 256];
    let mut i = 0;
    while i < ALPHABET.len() {
        table[ALPHABET[i] as usize] = i as u8;
        i += 1;
    }
    table
};

/// The number of characters that `bytes` bytes are written with.
pub const fn encoded_len(bytes: usize) -> usize {
    (bytes * 8).div_ceil(5)
}

/// Whether `c` is a digit of the alphabet.
pub fn is_digit(c: u8) -> bool {
    DIGITS[c as usize] != INVALID
}

/// Writes `bytes` in nix32, most significant digit first.
pub fn encode(bytes: &[u8]) -> String {
    let len = encoded_len(bytes.len());
    let mut text = String::with_capacity(len);
    for n in (0..len).rev() {
        let bit = n * 5;
        let (i, shift) = (bit / 8, bit % 8);
        let low = u16::from(bytes[i]);
        let high = bytes.get(i + 1).map_or(0, |&b| u16::from(b));
        let digit = ((low | high << 8) >> shift) & 0x1f;
        text.push(char::from(ALPHABET[digit as usize]));
    }
    text
}

/// Reads nix32. `None` when a character is not a digit. The result has one byte more than the text
/// should hold when its first digit is too large, so that callers find the wrong length.
pub fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity((text.len() * 5).div_ceil(8));
    for (n, &c) in text.iter().rev().enumerate() {
        let digit = DIGITS[c as usize];
        if digit == INVALID {
            return None;
        }
        let bit = n * 5;
        let (i, shift) = (bit / 8, bit % 8);
        let wide = u16::from(digit) << shift;
        let needed = if wide > 0xff { i + 2 } else { i + 1 };
        if bytes.len() < needed {
            bytes.resize(needed, 0);
        }
        bytes[i] |= wide as u8;
        if wide > 0xff {
            bytes[i + 1] |= (wide >> 8) as u8;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_text() {
        let sha1 = b"\xa9\x99\x3e\x36\x47\x06\x81\x6a\xba\x3e\x25\x71\x78\x50\xc2\x6c\x9c\xd0\xd8\x9d";
        assert_eq!(encode(sha1), "kpcd173cq987hw957sx6m0868wv3x6d9");
        assert_eq!(decode(b"kpcd173cq987hw957sx6m0868wv3x6d9").as_deref(), Some(&sha1[..]));
        assert_eq!(encode(b""), "");
        assert_eq!(decode(b"").as_deref(), Some(&b""[..]));
    }

    #[test]
    fn digits_outside_the_alphabet() {
        assert_eq!(decode(b"0e"), None);
        assert_eq!(decode(b"A"), None);
    }

    #[test]
    fn overflowing_first_digit_gives_an_extra_byte() {
        let text = [b"z".as_slice(), &[b'0'; 51]].concat();
        assert_eq!(decode(&text).map(|b| b.len()), Some(33));
    }

    proptest! {
        #[test]
        fn round_trip(bytes in proptest::collection::vec(any::<u8>(), 0..70)) {
            let mut back = decode(encode(&bytes).as_bytes()).unwrap();
            back.resize(bytes.len(), 0);
            prop_assert_eq!(back, bytes);
        }
    }
}
