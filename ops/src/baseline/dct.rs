//! The forward cosine transform and the division by the quantization table, for eight blocks at a time.
//!
//! The transform is that of Arai, Agui and Nakajima (1988) in floating point, as in libjpeg's `jfdctflt.c`: five
//! multiplications for eight values, and what is left out of them is put into the divisors.

use super::ZIGZAG;

/// Blocks that are worked on together.
pub(super) const BLOCKS: usize = 8;

/// Pixels across them.
pub(super) const LANES: usize = 8 * BLOCKS;

/// What to multiply the transformed values of a block by, column by column.
pub(super) type Divisors = [f32; 64];

/// The quantized coefficients of a block, column by column: as the transform leaves them.
pub(super) type Block = [i16; 64];

/// Where a block in zigzag order has its values in columns.
pub(super) const ZIGZAG_IN_COLUMNS: [usize; 64] = {
    let mut columns = ZIGZAG;
    let mut i = 0;
    while i < 64 {
        columns[i] = ZIGZAG[i] % 8 * 8 + ZIGZAG[i] / 8;
        i += 1;
    }
    columns
};

/// Added to a number below 2^22, this leaves it rounded to an integer in the lowest bits (1.5 x 2^23).
const ROUNDING: f32 = 12_582_912.0;

/// Inverts a table in zigzag order, together with the factors that the transform leaves out.
pub(super) fn divisors(table: &[u8; 64]) -> Divisors {
    let left_out = |k: usize| match k {
        0 => 1.0,
        _ => std::f64::consts::SQRT_2 * (k as f64 * std::f64::consts::PI / 16.0).cos(),
    };
    let mut divisors = [0.0; 64];
    for (value, at) in table.iter().zip(ZIGZAG_IN_COLUMNS) {
        divisors[at] = (1.0 / (8.0 * f64::from(*value) * left_out(at / 8) * left_out(at % 8))) as f32;
    }
    divisors
}

/// Transforms and quantizes blocks that stand side by side.
#[inline(always)]
pub(super) fn coefficients(pixels: &[[u8; LANES]; 8], divisors: &Divisors) -> [Block; BLOCKS] {
    // Samples are centred on zero (ITU-T T.81, A.3.1).
    let mut centred = [[0.0; LANES]; 8];
    for (row, to) in pixels.iter().zip(&mut centred) {
        for (pixel, to) in row.iter().zip(to) {
            *to = f32::from(*pixel) - 128.0;
        }
    }
    let down = transformed(&centred);
    let mut turned = [[0.0; LANES]; 8];
    for block in 0..BLOCKS {
        for x in 0..8 {
            for y in 0..8 {
                turned[x][8 * block + y] = down[y][8 * block + x];
            }
        }
    }
    let across = transformed(&turned);
    let mut blocks = [[0; 64]; BLOCKS];
    for (i, block) in blocks.iter_mut().enumerate() {
        for (x, column) in block.as_chunks_mut::<8>().0.iter_mut().enumerate() {
            for (y, value) in column.iter_mut().enumerate() {
                let rounded = across[x][8 * i + y] * divisors[8 * x + y] + ROUNDING;
                *value = rounded.to_bits() as i16;
            }
        }
    }
    blocks
}

/// Transforms each lane: eight values that stand in eight rows.
#[inline(always)]
fn transformed(rows: &[[f32; LANES]; 8]) -> [[f32; LANES]; 8] {
    let mut out = [[0.0; LANES]; 8];
    for lane in 0..LANES {
        let (a, b, c, d) = (rows[0][lane], rows[1][lane], rows[2][lane], rows[3][lane]);
        let (e, f, g, h) = (rows[4][lane], rows[5][lane], rows[6][lane], rows[7][lane]);
        let (sum0, sum1, sum2, sum3) = (a + h, b + g, c + f, d + e);
        let (even0, even1, even2, even3) = (sum0 + sum3, sum1 + sum2, sum1 - sum2, sum0 - sum3);
        let turned = (even2 + even3) * 0.707_106_77;
        out[0][lane] = even0 + even1;
        out[4][lane] = even0 - even1;
        out[2][lane] = even3 + turned;
        out[6][lane] = even3 - turned;

        let (less0, less1, less2, less3) = (a - h, b - g, c - f, d - e);
        let (odd0, odd1, odd2) = (less3 + less2, less2 + less1, less1 + less0);
        let shared = (odd0 - odd2) * 0.382_683_43;
        let (low, high) = (0.541_196_1 * odd0 + shared, 1.306_563 * odd2 + shared);
        let middle = odd1 * 0.707_106_77;
        let (more, fewer) = (less0 + middle, less0 - middle);
        out[5][lane] = fewer + low;
        out[3][lane] = fewer - low;
        out[1][lane] = more + high;
        out[7][lane] = more - high;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The transform as the standard defines it (ITU-T T.81, A.3.3), divided and rounded.
    fn reference(block: &[[f64; 8]; 8], value: f64) -> Vec<f64> {
        let scale = |k: usize| if k == 0 { 0.5_f64.sqrt() } else { 1.0 };
        let wave = |at: usize, k: usize| ((2 * at + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos();
        let coefficient = |u: usize, v: usize| {
            let sum: f64 = (0..64).map(|i| (block[i / 8][i % 8] - 128.0) * wave(i % 8, u) * wave(i / 8, v)).sum();
            sum * scale(u) * scale(v) / 4.0 / value
        };
        (0..64).map(|i| coefficient(i / 8, i % 8)).collect()
    }

    #[test]
    fn coefficients_are_those_of_the_definition() {
        let mut pixels = [[0; LANES]; 8];
        let mut noise = 7_u32;
        for pixel in pixels.iter_mut().flatten() {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *pixel = if noise >> 30 == 0 { 255 } else { (noise >> 24) as u8 };
        }
        for value in [1, 2, 7, 99, 255] {
            let found = coefficients(&pixels, &divisors(&[value; 64]));
            for (i, block) in found.iter().enumerate() {
                let square = pixels.map(|row| std::array::from_fn(|x| f64::from(row[8 * i + x])));
                for (found, exact) in block.iter().zip(reference(&square, value.into())) {
                    assert!((f64::from(*found) - exact).abs() < 0.501, "{found} is not {exact}");
                }
            }
        }
    }

    #[test]
    fn no_pixels_make_more_than_the_codes_can_say() {
        for u in 0..8 {
            for v in 0..8 {
                let wave = |at: usize, k: usize| ((2 * at + 1) as f64 * k as f64 * std::f64::consts::PI / 16.0).cos();
                let light = |x: usize, y: usize| wave(x, u) * wave(y, v) >= 0.0;
                for on in [true, false] {
                    let pixels =
                        std::array::from_fn(|y| std::array::from_fn(|x| if light(x % 8, y) == on { 255 } else { 0 }));
                    let worst = coefficients(&pixels, &divisors(&[1; 64]))[0];
                    assert!(worst[1..].iter().all(|value| value.abs() < 1024), "{worst:?}");
                    assert!(worst[0].abs() <= 1024);
                }
            }
        }
    }
}
