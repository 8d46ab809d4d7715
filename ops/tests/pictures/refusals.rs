//! What is refused before a pixel is looked at.

use ops::{Bound, Limits, Op, OpError};
use png::{Encoder, Info, chunk};

use crate::{paint, png::png};

#[test]
fn what_is_no_picture() {
    for bytes in
        [&b""[..], b"\xFF", b"hello, world", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.7", &[0; 4096]]
    {
        let refusal = ops::run(Op::Grayscale, bytes, &Limits::default()).unwrap_err();
        assert!(matches!(refusal, OpError::NotAPicture) && refusal.is_permanent(), "{refusal}");
    }
}

#[test]
fn pictures_of_other_formats_are_named() {
    let refusal = ops::inspect(b"\0\0\x01\0\x01\0\x10\x10").unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the picture format Ico is not supported: convert the picture to an ordinary JPEG or PNG first"
    );
}

#[cfg(not(feature = "turbojpeg"))]
#[test]
fn an_operation_that_was_left_out() {
    let input = ops::made::picture(0).bytes;
    let refusal = ops::run(Op::GrayscaleLossless, &input, &Limits::default()).unwrap_err();
    assert!(refusal.is_permanent() && refusal.to_string().contains("build it with --features turbojpeg"), "{refusal}");
}

/// A PNG of a few bytes that announces a size.
fn bomb(width: u32, height: u32) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = Encoder::new(&mut out, width, height).write_header().unwrap();
    writer.write_chunk(chunk::IDAT, b"").unwrap();
    drop(writer);
    out
}

#[test]
fn sides_over_the_limit() {
    let refusal = ops::cost_bytes(Op::Grayscale, &bomb(60_000, 60_000), &Limits::default()).unwrap_err();
    let limit = Bound::Side { pixels_max: 30_000 };
    assert!(matches!(refusal, OpError::TooLarge { width: 60_000, height: 60_000, limit: over } if over == limit));
    assert_eq!(
        refusal.to_string(),
        "the picture of 60000x60000 pixels is too large: a side may have 30000 pixels; make it smaller or raise the limit"
    );
}

#[test]
fn sides_within_the_limit_that_make_too_many_pixels() {
    let refusal = ops::run(Op::Grayscale, &bomb(29_999, 29_999), &Limits::default()).unwrap_err();
    assert!(matches!(refusal, OpError::TooLarge { limit: Bound::Memory { .. }, .. }), "{refusal}");
}

#[test]
fn limits_are_the_callers() {
    let gray: Vec<u8> = paint::colours(64, 64).pixels().map(|pixel| pixel.0[0]).collect();
    let input = png(Info::with_size(64, 64), &gray);
    let limits = Limits::default();
    let cost_bytes = ops::cost_bytes(Op::Grayscale, &input, &limits).unwrap();
    ops::run(Op::Grayscale, &input, &Limits { picture_bytes_max: cost_bytes, ..limits }).unwrap();
    ops::run(Op::Grayscale, &input, &Limits { picture_bytes_max: cost_bytes - 1, ..limits }).unwrap_err();
    ops::run(Op::Grayscale, &input, &Limits { side_pixels_max: 63, ..limits }).unwrap_err();
}
