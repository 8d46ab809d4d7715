//! The memory that an operation takes is at most what `cost_bytes` says, and a bomb takes next to none.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![expect(unsafe_code, reason = "an allocator that counts has to be one")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    io::Cursor,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use ops::{Limits, Op};

struct Counting;

static HELD_BYTES: AtomicUsize = AtomicUsize::new(0);
static PEAK_BYTES: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every call is handed to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD_BYTES.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK_BYTES.fetch_max(held, Relaxed);
        // SAFETY: the caller keeps the promises that `alloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD_BYTES.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller keeps the promises that `dealloc` asks for.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Bytes that `f` held at most beyond what was held before.
fn peak_bytes<T>(f: impl FnOnce() -> T) -> (T, u64) {
    let before = HELD_BYTES.load(Relaxed);
    PEAK_BYTES.store(before, Relaxed);
    let result = f();
    (result, (PEAK_BYTES.load(Relaxed) - before) as u64)
}

/// Noise, the worst that can be asked of a compressor.
fn noise(width: u32, height: u32) -> DynamicImage {
    let mut state = 1_u32;
    let mut picture = RgbaImage::new(width, height);
    for pixel in picture.pixels_mut() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *pixel = Rgba(state.to_be_bytes().map(|byte| byte & 0xFE));
    }
    picture.into()
}

fn jpeg(picture: &DynamicImage, progressive: bool, sampling: SamplingFactor) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, 98);
    encoder.set_progressive(progressive);
    encoder.set_sampling_factor(sampling);
    let rgb = picture.to_rgb8();
    encoder.encode(rgb.as_raw(), rgb.width() as u16, rgb.height() as u16, ColorType::Rgb).unwrap();
    out
}

fn saved(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    picture.write_to(&mut out, format).unwrap();
    out.into_inner()
}

// One test, because the count is the process's.
#[test]
fn cost_is_an_upper_bound_and_not_a_wild_one() {
    let picture = noise(900, 700);
    let mut inputs = vec![
        ("baseline", jpeg(&picture, false, SamplingFactor::F_1_1)),
        ("halved colours", jpeg(&picture, false, SamplingFactor::F_2_2)),
        ("wide, halved colours", jpeg(&noise(6000, 100), false, SamplingFactor::F_2_2)),
        ("progressive", jpeg(&picture, true, SamplingFactor::F_1_1)),
        ("progressive, halved colours", jpeg(&picture, true, SamplingFactor::F_2_2)),
    ];
    let others = [
        ("png", ImageFormat::Png),
        ("webp", ImageFormat::WebP),
        ("tiff", ImageFormat::Tiff),
        ("bmp", ImageFormat::Bmp),
        ("pnm", ImageFormat::Pnm),
    ];
    inputs.extend(others.map(|(name, format)| (name, saved(&picture, format))));
    inputs.push(("png of 16 bits", saved(&picture.to_rgba16().into(), ImageFormat::Png)));
    let gray = DynamicImage::from(picture.to_luma8());
    inputs.push(("gray jpeg", saved(&gray, ImageFormat::Jpeg)));
    // The longest file that a picture can become: black or white by chance, and nothing rounded away.
    let chance: Vec<u8> = gray.as_bytes().iter().map(|sample| if *sample < 128 { 0 } else { 255 }).collect();
    let mut longest = Vec::new();
    Encoder::new(&mut longest, 100).encode(&chance, 900, 700, ColorType::Luma).unwrap();
    inputs.push(("gray jpeg of chance", longest));
    // As many colours as fit a palette: reducing more would take seconds.
    inputs.push(("gif", saved(&gray.to_rgb8().into(), ImageFormat::Gif)));
    inputs.push(("tiff of 16 bits", saved(&picture.to_rgba16().into(), ImageFormat::Tiff)));
    for (name, input) in inputs {
        let cost_bytes = ops::cost_bytes(Op::Grayscale, &input, &Limits::default()).unwrap();
        let (output, held_bytes) = peak_bytes(|| ops::run(Op::Grayscale, &input, &Limits::default()));
        output.unwrap();
        assert!(held_bytes <= cost_bytes, "{name} held {held_bytes} bytes where {cost_bytes} were said");
        assert!(cost_bytes <= 3 * held_bytes, "{name} held {held_bytes} bytes only, and {cost_bytes} were said");
    }

    let mut bomb = Vec::new();
    let mut writer = png::Encoder::new(&mut bomb, 60_000, 60_000).write_header().unwrap();
    writer.write_chunk(png::chunk::IDAT, b"").unwrap();
    drop(writer);
    let (refused, held_bytes) = peak_bytes(|| ops::run(Op::Grayscale, &bomb, &Limits::default()));
    refused.unwrap_err();
    assert!(held_bytes < 1 << 20, "a bomb took {held_bytes} bytes");
}
