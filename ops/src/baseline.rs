//! Writing gray pixels as a baseline JPEG (ITU-T T.81), with whatever quantization table the source had.
//!
//! Of its own because it is where the time went: a general encoder spends three times as long on gray, and the
//! interface of libjpeg-turbo takes a quality but no table. Eight blocks are worked on side by side, in plain loops
//! that become vector instructions; [`dct`] turns pixels into coefficients, [`huffman`] those into bits.
//!
//! No colour, no progressive scans, and the code tables are the standard's typical ones: as other encoders do unless asked.

mod dct;
mod huffman;

use dct::{Divisors, LANES};
use huffman::Bits;

use crate::jpeg::Quantization;

/// Where the values of a block in zigzag order stand in rows (ITU-T T.81, figure A.6).
const ZIGZAG: [usize; 64] = zigzag();

/// Marker, length and content of a file's first segment, JFIF 1.02: no thumbnail, pixels as wide as they are high.
const JFIF: &[u8] = b"\xFF\xE0\x00\x10JFIF\x00\x01\x02\x00\x00\x01\x00\x01\x00\x00";

/// Writes `width` x `height` samples in rows. Values of the table are of one byte in a baseline file, and clamped to that.
///
/// # Panics
/// When there are fewer samples than the sides say, or none.
pub(crate) fn encode(gray: &[u8], width: u16, height: u16, table: &Quantization) -> Vec<u8> {
    let table = table.map(|value| value.clamp(1, 255) as u8);
    let mut out = Vec::with_capacity(gray.len() / 4 + 1024);
    write_headers(&mut out, width, height, &table);
    let mut bits = Bits::new(out);
    let rows = gray.chunks_exact(width.into()).take(height.into()).collect::<Vec<_>>();
    let divisors = dct::divisors(&table);
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi2") && is_x86_feature_detected!("lzcnt") {
        // SAFETY: the processor has just said that it has what the function is compiled for.
        #[expect(unsafe_code, reason = "the same loops, in half the time")]
        unsafe {
            write_blocks_avx2(&mut bits, &rows, &divisors);
        }
        return bits.finish();
    }
    write_blocks(&mut bits, &rows, &divisors);
    bits.finish()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn write_blocks_avx2(bits: &mut Bits, rows: &[&[u8]], divisors: &Divisors) {
    write_blocks(bits, rows, divisors);
}

#[inline(always)]
fn write_blocks(bits: &mut Bits, rows: &[&[u8]], divisors: &Divisors) {
    let width = rows[0].len();
    let mut before = 0;
    for strip in rows.chunks(8) {
        for left in (0..width).step_by(LANES) {
            let coefficients = dct::coefficients(&pixels(strip, left), divisors);
            for block in coefficients.iter().take((width - left).div_ceil(8)) {
                before = bits.put_block(block, before);
            }
        }
    }
}

/// Eight rows of a strip from `left` on; beyond its edges the last pixels are repeated, which costs the fewest bits.
#[inline(always)]
fn pixels(strip: &[&[u8]], left: usize) -> [[u8; LANES]; 8] {
    let mut pixels = [[0; LANES]; 8];
    for (y, to) in pixels.iter_mut().enumerate() {
        let from = &strip[y.min(strip.len() - 1)][left..];
        if let Some(whole) = from.first_chunk() {
            *to = *whole;
        } else {
            to[..from.len()].copy_from_slice(from);
            to[from.len()..].fill(from[from.len() - 1]);
        }
    }
    pixels
}

fn write_headers(out: &mut Vec<u8>, width: u16, height: u16, table: &[u8; 64]) {
    let ([h1, h0], [w1, w0]) = (height.to_be_bytes(), width.to_be_bytes());
    out.extend(b"\xFF\xD8");
    out.extend(JFIF);
    out.extend(b"\xFF\xDB\x00\x43\x00");
    out.extend(table);
    // Eight bits a sample, one component, which is not subsampled and uses table 0.
    out.extend([0xFF, 0xC0, 0x00, 0x0B, 8, h1, h0, w1, w0, 1, 1, 0x11, 0]);
    huffman::write_tables(out);
    out.extend(b"\xFF\xDA\x00\x08\x01\x01\x00\x00\x3F\x00");
}

const fn zigzag() -> [usize; 64] {
    let mut order = [0; 64];
    let (mut row, mut column) = (0_usize, 0_usize);
    let mut i = 0;
    while i < 64 {
        order[i] = row * 8 + column;
        // Diagonals with an even sum run up to the right, the others down to the left; both turn at the edges.
        match ((row + column).is_multiple_of(2), row, column) {
            (true, _, 7) => row += 1,
            (true, 0, _) => column += 1,
            (true, ..) => (row, column) = (row - 1, column + 1),
            (false, 7, _) => column += 1,
            (false, _, 0) => row += 1,
            (false, ..) => (row, column) = (row + 1, column - 1),
        }
        i += 1;
    }
    order
}

#[cfg(test)]
mod tests {
    use jpeg_encoder::{ColorType, Encoder, QuantizationTableType};

    use super::*;

    #[test]
    fn the_zigzag_turns_where_the_standard_does() {
        assert_eq!(ZIGZAG[..12], [0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25]);
        assert_eq!(ZIGZAG[60..], [61, 54, 47, 55, 62, 63][2..]);
        let mut sorted = ZIGZAG;
        sorted.sort_unstable();
        assert!(sorted.into_iter().eq(0..64));
    }

    /// Shapes, slopes and noise, of which every coefficient gets something.
    fn painted(width: u16, height: u16) -> Vec<u8> {
        let mut noise = 1_u32;
        let pixel = |(x, y): (u32, u32)| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let shape = if (x / 5 + y / 7).is_multiple_of(3) { 255 } else { x * 3 + y };
            if x > y { shape as u8 } else { (noise >> 24) as u8 }
        };
        (0..u32::from(height)).flat_map(|y| (0..u32::from(width)).map(move |x| (x, y))).map(pixel).collect()
    }

    fn mean_square(decoded: &[u8], original: &[u8]) -> f64 {
        assert_eq!(decoded.len(), original.len());
        let squares = decoded.iter().zip(original).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
        squares.sum::<f64>() / original.len() as f64
    }

    #[test]
    fn pictures_of_every_remainder_come_back_as_from_a_general_encoder() {
        let (mut ours_in_all, mut theirs_in_all) = (0.0, 0.0);
        for (side, value) in (1..=70_u16).zip((1..=255_u16).cycle().step_by(11)) {
            let (width, height) = (side, 71 - side);
            let (original, table) = (painted(width, height), [value; 64]);
            let ours = encode(&original, width, height, &table);
            let decoded = image::load_from_memory(&ours).expect("it is a JPEG").to_luma8();
            assert_eq!((decoded.width(), decoded.height()), (width.into(), height.into()));

            let mut theirs = Vec::new();
            let mut encoder = Encoder::new(&mut theirs, 90);
            let in_both = QuantizationTableType::Custom(Box::new(table));
            encoder.set_quantization_tables(in_both.clone(), in_both);
            encoder.encode(&original, width, height, ColorType::Luma).expect("memory takes every byte");
            let theirs = image::load_from_memory(&theirs).expect("it is a JPEG").to_luma8();
            let (ours, theirs) = (mean_square(&decoded, &original), mean_square(&theirs, &original));
            assert!(ours <= 1.1 * theirs + 0.5, "{width}x{height} by {value}: {ours} and not {theirs}");
            (ours_in_all, theirs_in_all) = (ours_in_all + ours, theirs_in_all + theirs);
        }
        // 0.1 dB: which way a half is rounded is chance.
        assert!(ours_in_all <= 1.02 * theirs_in_all, "{ours_in_all} and not {theirs_in_all}");
    }

    #[test]
    fn the_finest_table_loses_rounding_only() {
        let original = painted(203, 155);
        let decoded = image::load_from_memory(&encode(&original, 203, 155, &[1; 64])).expect("it is a JPEG");
        let off = decoded.as_bytes().iter().zip(&original).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(off <= Some(2), "off by {off:?}");
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn every_processor_writes_the_same() {
        let original = painted(133, 41);
        let table = [3; 64];
        let mut out = Vec::new();
        write_headers(&mut out, 133, 41, &table.map(|value| value as u8));
        let mut bits = Bits::new(out);
        let rows = original.chunks_exact(133).collect::<Vec<_>>();
        write_blocks(&mut bits, &rows, &dct::divisors(&[3; 64]));
        assert_eq!(bits.finish(), encode(&original, 133, 41, &table));
    }
}
