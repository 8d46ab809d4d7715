//! Whatever the bytes are, the answer is a picture or a refusal, and never a panic.

use std::io::Cursor;

use image::{DynamicImage, ImageFormat};
use ops::{Limits, Op};
use proptest::prelude::*;

use crate::paint;

/// Small, so that a flipped size costs no time.
const LIMITS: Limits = Limits { side_pixels_max: 512, picture_bytes_max: 16 << 20 };

fn valid(format: ImageFormat) -> Vec<u8> {
    let picture: DynamicImage = match format {
        ImageFormat::Jpeg => paint::colours(40, 30).into(),
        _ => paint::see_through(40, 30).into(),
    };
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).unwrap();
    out.into_inner()
}

fn formats() -> impl Strategy<Value = ImageFormat> {
    prop::sample::select(vec![
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::Gif,
        ImageFormat::WebP,
        ImageFormat::Tiff,
        ImageFormat::Bmp,
        ImageFormat::Pnm,
    ])
}

/// Runs everything that takes bytes, and checks what has to hold whatever they are.
fn try_all(bytes: &[u8]) -> Result<(), TestCaseError> {
    let cost = ops::cost_bytes(Op::Grayscale, bytes, &LIMITS);
    if let Ok(output) = ops::run(Op::Grayscale, bytes, &LIMITS) {
        prop_assert!(cost.is_ok_and(|bytes| bytes <= LIMITS.picture_bytes_max));
        prop_assert!(ops::inspect(&output).is_ok_and(|facts| facts.gray));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        try_all(&bytes)?;
    }

    #[test]
    fn any_bytes_behind_a_true_beginning(format in formats(), keep in 4_usize..64, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut input = valid(format);
        input.truncate(keep);
        input.extend(bytes);
        try_all(&input)?;
    }

    #[test]
    fn pictures_with_bits_flipped(format in formats(), flips in prop::collection::vec((any::<prop::sample::Index>(), 0..8_u32), 1..12)) {
        let mut input = valid(format);
        for (at, bit) in flips {
            let at = at.index(input.len());
            input[at] ^= 1_u8 << bit;
        }
        try_all(&input)?;
    }

    #[test]
    fn pictures_cut_short(format in formats(), end in any::<prop::sample::Index>()) {
        let input = valid(format);
        let part = &input[..end.index(input.len())];
        try_all(part)?;
        if matches!(format, ImageFormat::Jpeg | ImageFormat::Png) {
            prop_assert!(ops::run(Op::Grayscale, part, &LIMITS).is_err());
        }
    }
}
