//! The gray pixels, before anything is encoded, against what `image` makes of the same file.

use std::{fs, path::Path};

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use crate::{Limits, Op, made, source::Source};

/// How far the pixels of a picture are from those of `image`, which rounds down where this crate rounds to the nearest.
fn steps_off(name: &str, bytes: &[u8]) -> u8 {
    let ours = Source::open(Op::Grayscale, bytes, &Limits::default()).expect(name).gray().expect(name);
    let theirs = image::load_from_memory(bytes).expect(name).grayscale();
    assert_eq!(
        (ours.width(), ours.height(), ours.color()),
        (theirs.width(), theirs.height(), theirs.color()),
        "{name}"
    );
    let off = ours.as_bytes().iter().zip(theirs.as_bytes()).map(|(ours, theirs)| ours.abs_diff(*theirs));
    off.max().expect("a picture has pixels")
}

#[test]
fn made_pictures_are_within_one() {
    for picture in made::pictures() {
        let off = steps_off(&picture.name, &picture.bytes);
        assert!(off <= 1, "{} is off by {off}", picture.name);
    }
}

#[test]
fn the_labs_pictures_are_within_one() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/lab-images"));
    let Ok(files) = fs::read_dir(folder) else {
        println!("{} is not here: nothing is compared", folder.display());
        return;
    };
    for path in files.map(|file| file.expect("a folder is listed").path()) {
        let name = path.display().to_string();
        let off = steps_off(&name, &fs::read(&path).expect(&name));
        assert!(off <= 1, "{name} is off by {off}");
    }
}

#[test]
fn steep_and_clipped_colours_are_within_one() {
    let (width, height) = (131_u16, 77_u16);
    let shapes: [fn(usize) -> u8; 3] =
        [|i| (i * i / 97 % 256) as u8, |i| (i / 24 * 91) as u8, |i| ((i * 7919) >> 5) as u8];
    let samplings = [SamplingFactor::F_1_1, SamplingFactor::F_2_1, SamplingFactor::F_1_2, SamplingFactor::F_2_2];
    for (shape, samples) in shapes.into_iter().enumerate() {
        for (coding, of_pixel) in [(ColorType::Rgb, 3), (ColorType::Luma, 1)] {
            let pixels = (0..usize::from(width) * usize::from(height) * of_pixel).map(samples).collect::<Vec<_>>();
            for (sampling, quality) in samplings.into_iter().flat_map(|s| [40, 80, 100].map(|quality| (s, quality))) {
                for progressive in [false, true] {
                    let mut bytes = Vec::new();
                    let mut encoder = Encoder::new(&mut bytes, quality);
                    encoder.set_sampling_factor(sampling);
                    encoder.set_progressive(progressive);
                    encoder.encode(&pixels, width, height, coding).expect("memory takes every byte");
                    let name =
                        format!("shape {shape}, {coding:?}, {sampling:?}, {quality}, progressive: {progressive}");
                    let off = steps_off(&name, &bytes);
                    assert!(off <= 1, "{name} is off by {off}");
                }
            }
        }
    }
}
