//! Coefficients as bits: run lengths and sizes in Huffman codes (ITU-T T.81, F.1.2), with the typical tables of annex K.

use super::dct::{Block, ZIGZAG_IN_COLUMNS};

/// How many codes of 1 to 16 bits there are, and what they stand for, in order.
struct Table<const N: usize> {
    lengths: [u8; 16],
    symbols: [u8; N],
}

/// Bits of the difference to the block before (table K.3).
const DC: Table<12> = Table {
    lengths: [0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0],
    symbols: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
};

/// Zeros before a value in the upper, bits of the value in the lower half (table K.5).
#[rustfmt::skip]
const AC: Table<162> = Table {
    lengths: [0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 125],
    symbols: [
        0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
        0x14, 0x32, 0x81, 0x91, 0xA1, 0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33, 0x62, 0x72,
        0x82, 0x09, 0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x34, 0x35, 0x36, 0x37,
        0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
        0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x83,
        0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3,
        0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3,
        0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2,
        0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
    ],
};

/// No value is left but zeros.
const END_OF_BLOCK: usize = 0x00;
/// Sixteen zeros, with more to come.
const SIXTEEN_ZEROS: usize = 0xF0;

/// A code and how many bits it has.
#[derive(Clone, Copy)]
struct Code {
    code: u16,
    bits: u8,
}

static DC_CODES: [Code; 256] = codes(&DC);
static AC_CODES: [Code; 256] = codes(&AC);

/// Numbers the codes as the standard does (annex C): in order, and one bit longer where the lengths say so.
const fn codes<const N: usize>(table: &Table<N>) -> [Code; 256] {
    let mut codes = [Code { code: 0, bits: 0 }; 256];
    let (mut next, mut symbol, mut bits) = (0, 0, 1);
    while bits <= 16 {
        let mut left = table.lengths[bits - 1];
        while left > 0 {
            codes[table.symbols[symbol] as usize] = Code { code: next, bits: bits as u8 };
            (next, symbol, left) = (next + 1, symbol + 1, left - 1);
        }
        (next, bits) = (next << 1, bits + 1);
    }
    codes
}

/// Appends the segment that defines both tables.
pub(super) fn write_tables(out: &mut Vec<u8>) {
    for (class, lengths, symbols) in [(0x00, DC.lengths, &DC.symbols[..]), (0x10, AC.lengths, &AC.symbols[..])] {
        out.extend([0xFF, 0xC4, 0x00, (2 + 1 + 16 + symbols.len()) as u8, class]);
        out.extend(lengths);
        out.extend(symbols);
    }
}

/// A file whose last bits have not been written yet.
pub(super) struct Bits {
    out: Vec<u8>,
    /// The last 64 - `free` bits, in the lowest places.
    held: u64,
    free: u32,
}

impl Bits {
    /// Goes on behind the headers.
    pub(super) fn new(out: Vec<u8>) -> Self {
        Self { out, held: 0, free: 64 }
    }

    /// Appends a block, and gives its first coefficient, of which the next one says the difference.
    #[inline(always)]
    pub(super) fn put_block(&mut self, block: &Block, before: i16) -> i16 {
        self.put_value(&DC_CODES, 0, block[0] - before);
        let mut left = positions(block);
        let mut last = 0;
        while left != 0 {
            let at = left.trailing_zeros();
            let mut zeros = at - last - 1;
            while zeros >= 16 {
                self.put_bits(AC_CODES[SIXTEEN_ZEROS].code.into(), AC_CODES[SIXTEEN_ZEROS].bits.into());
                zeros -= 16;
            }
            let value = block[ZIGZAG_IN_COLUMNS[at as usize]];
            self.put_value(&AC_CODES, zeros, value);
            last = at;
            left &= left - 1;
        }
        if last < 63 {
            self.put_bits(AC_CODES[END_OF_BLOCK].code.into(), AC_CODES[END_OF_BLOCK].bits.into());
        }
        block[0]
    }

    /// Appends the code of a value, and its bits: negative values are one less, so that their first bit is zero.
    #[inline(always)]
    fn put_value(&mut self, codes: &[Code; 256], zeros: u32, value: i16) {
        let size = 16 - value.unsigned_abs().leading_zeros();
        let value_bits = i32::from(value) + i32::from(value >> 15);
        let Code { code, bits } = codes[(zeros << 4 | size) as usize & 255];
        let value_bits = value_bits as u32 & ((1 << size) - 1);
        self.put_bits(u64::from(code) << size | u64::from(value_bits), u32::from(bits) + size);
    }

    /// Appends up to 32 bits.
    #[inline(always)]
    fn put_bits(&mut self, code: u64, bits: u32) {
        if bits > self.free {
            let over = bits - self.free;
            self.put_word(self.held << self.free | code >> over);
            (self.held, self.free) = (code, 64 - over);
        } else {
            (self.held, self.free) = (self.held << bits | code, self.free - bits);
        }
    }

    /// Appends eight bytes, with a zero behind each 0xFF, which otherwise begins a marker.
    #[inline(always)]
    fn put_word(&mut self, word: u64) {
        // A byte is 0xFF only if it has its highest bit and, plus one, has it no more.
        if word & 0x8080_8080_8080_8080 & !word.wrapping_add(0x0101_0101_0101_0101) == 0 {
            self.out.extend_from_slice(&word.to_be_bytes());
        } else {
            self.put_stuffed(&word.to_be_bytes());
        }
    }

    #[cold]
    fn put_stuffed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.out.push(*byte);
            if *byte == 0xFF {
                self.out.push(0x00);
            }
        }
    }

    /// Fills the last byte with ones (F.1.2.3) and ends the file.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.put_bits(0x7F, 7);
        let whole_bytes = (64 - self.free) as usize / 8;
        let last = self.held << self.free;
        self.put_stuffed(&last.to_be_bytes()[..whole_bytes]);
        self.out.extend([0xFF, 0xD9]);
        self.out
    }
}

/// Which of the coefficients but the first are not zero: a bit for each, from the lowest on, in zigzag order.
#[inline(always)]
fn positions(block: &Block) -> u64 {
    let mut is_some = [0; 64];
    for (is_some, value) in is_some.iter_mut().zip(block) {
        *is_some = u8::from(*value != 0);
    }
    let mut positions = 0;
    for (column, in_zigzag) in is_some.as_chunks::<8>().0.iter().zip(&COLUMNS_IN_ZIGZAG) {
        // The product collects the lowest bits of eight bytes in the highest byte.
        let collected = u64::from_le_bytes(*column).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        positions |= in_zigzag[collected as usize & 255];
    }
    positions & !1
}

/// What [`positions`] has for each set of places in each column of a block.
static COLUMNS_IN_ZIGZAG: [[u64; 256]; 8] = {
    let mut table = [[0; 256]; 8];
    let mut at = 0;
    while at < 64 {
        let (column, row) = (ZIGZAG_IN_COLUMNS[at] / 8, ZIGZAG_IN_COLUMNS[at] % 8);
        let mut places = 0;
        while places < 256 {
            if places >> row & 1 == 1 {
                table[column][places] |= 1 << at;
            }
            places += 1;
        }
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_that_the_standard_prints() {
        let dc = |size: usize| (DC_CODES[size].code, DC_CODES[size].bits);
        assert_eq!((dc(0), dc(5), dc(11)), ((0b00, 2), (0b110, 3), (0b1_1111_1110, 9)));
        let ac = |symbol: usize| (AC_CODES[symbol].code, AC_CODES[symbol].bits);
        assert_eq!((ac(END_OF_BLOCK), ac(SIXTEEN_ZEROS)), ((0b1010, 4), (0b111_1111_1001, 11)));
        assert_eq!((ac(0x11), ac(0xFA)), ((0b1100, 4), (0xFFFE, 16)));
    }

    #[test]
    fn every_coefficient_has_its_place() {
        for (at, place) in ZIGZAG_IN_COLUMNS.into_iter().enumerate().skip(1) {
            let mut block = [0; 64];
            block[place] = -1;
            assert_eq!(positions(&block), 1 << at);
        }
        assert_eq!(positions(&[1; 64]), !1);
    }

    #[test]
    fn a_byte_that_would_begin_a_marker_is_followed_by_a_zero() {
        let mut bits = Bits::new(Vec::new());
        for byte in [0xFF, 0x12, 0xFE, 0xFF, 0xFF, 0x7F, 0x80, 0x00, 0xFF] {
            bits.put_bits(byte, 8);
        }
        let expected = b"\xFF\x00\x12\xFE\xFF\x00\xFF\x00\x7F\x80\x00\xFF\x00\xFF\xD9";
        assert_eq!(bits.finish(), expected);
    }
}
