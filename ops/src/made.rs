//! Colour pictures drawn on the spot, for a first try, for tests and for benchmarks without anybody's photographs.
//!
//! They are built to be like a folder from a web site in number, size and kind: [`COUNT`] pictures of some 40 megapixels,
//! photographs as JPEG, cut-outs with alpha and palette pictures as PNG. The same bytes come out each time. Nothing in
//! them is random, and no file is read; `canvas` paints, this file chooses what and encodes it.

mod canvas;

use jpeg_encoder::{ColorType, Encoder, EncodingError, SamplingFactor};
use png::{BitDepth, Compression, Filter};

use canvas::Canvas;

use crate::jpeg::exif;

/// How many pictures there are.
pub const COUNT: usize = 49;

/// The pictures before this one are JPEG, the others PNG.
const FIRST_PNG: usize = 34;

const JPEG_SIZES: [(u16, u16); 6] = [(1920, 1080), (960, 540), (1600, 900), (1280, 720), (1366, 768), (480, 320)];
const PNG_SIZES: [(u16, u16); 5] = [(640, 480), (1400, 720), (480, 300), (960, 400), (1024, 512)];

/// A picture, ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MadePicture {
    /// A file name that is unique among the pictures.
    pub name: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// All pictures in order, each drawn when it is asked for.
pub fn pictures() -> impl ExactSizeIterator<Item = MadePicture> {
    (0..COUNT).map(picture)
}

/// Draws one picture; those who have several cores call it for each index below [`COUNT`] in parallel.
///
/// # Panics
/// When `index` is not below [`COUNT`].
#[must_use]
pub fn picture(index: usize) -> MadePicture {
    assert!(index < COUNT, "there are {COUNT} made pictures, and {index} is none of them");
    let number = index + 1;
    let (kind, bytes) = match index.checked_sub(FIRST_PNG) {
        None => ("photo", photo(index).expect("memory takes every byte")),
        Some(png) if png % 5 == 4 => ("poster", poster(index).expect("memory takes every byte")),
        Some(_) => ("cutout", cutout(index).expect("memory takes every byte")),
    };
    let extension = if index < FIRST_PNG { "jpg" } else { "png" };
    MadePicture { name: format!("{number:02}-{kind}.{extension}"), bytes }
}

fn photo(index: usize) -> Result<Vec<u8>, EncodingError> {
    let (width, height) = JPEG_SIZES[index % JPEG_SIZES.len()];
    let canvas = Canvas::landscape(width, height, index as u64).grained();
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, [85, 75, 95, 90][index % 4]);
    // Most pictures keep all of their colour; phones and cameras halve it one way or both.
    encoder.set_sampling_factor(match index {
        7 => SamplingFactor::F_2_2,
        18 => SamplingFactor::F_2_1,
        _ => SamplingFactor::F_1_1,
    });
    encoder.set_progressive(matches!(index, 9 | 26));
    if index == 15 {
        encoder.add_exif_metadata(&exif(6))?;
    }
    encoder.encode(canvas.rgb(), width, height, ColorType::Rgb)?;
    Ok(out)
}

fn cutout(index: usize) -> Result<Vec<u8>, png::EncodingError> {
    let (width, height) = png_size(index);
    let canvas = Canvas::landscape(width, height, index as u64);
    png(width, height, png::ColorType::Rgba, &canvas.cut_out(), |_| {})
}

/// Shifts the sizes by one in each round, so that posters, which come once a round, differ too.
fn png_size(index: usize) -> (u16, u16) {
    PNG_SIZES[(index + index / PNG_SIZES.len()) % PNG_SIZES.len()]
}

fn poster(index: usize) -> Result<Vec<u8>, png::EncodingError> {
    let (width, height) = png_size(index);
    let poster = Canvas::landscape(width, height, index as u64).poster();
    png(width, height, png::ColorType::Indexed, &poster.indices, |encoder| {
        encoder.set_palette(poster.palette);
        encoder.set_trns(poster.alphas);
    })
}

fn png(
    width: u16,
    height: u16,
    colours: png::ColorType,
    samples: &[u8],
    complete: impl FnOnce(&mut png::Encoder<'_, &mut Vec<u8>>),
) -> Result<Vec<u8>, png::EncodingError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width.into(), height.into());
    encoder.set_color(colours);
    encoder.set_depth(BitDepth::Eight);
    // The fast compression knows only runs of zeros, which filtered colours have and indices do not.
    let (compression, filter) = match colours {
        png::ColorType::Indexed => (Compression::Balanced, Filter::NoFilter),
        _ => (Compression::Fast, Filter::Paeth),
    };
    encoder.set_compression(compression);
    encoder.set_filter(filter);
    complete(&mut encoder);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(samples)?;
    writer.finish()?;
    Ok(out)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{Format, facts::inspect};

    #[test]
    fn they_are_what_the_module_says() {
        let mut names = BTreeSet::new();
        let (mut pixels, mut bytes, mut alphas) = (0, 0, 0);
        for (index, picture) in pictures().enumerate() {
            let facts = inspect(&picture.bytes).expect("a made picture is a picture");
            assert_eq!(facts.format == Format::Jpeg, index < FIRST_PNG, "{}", picture.name);
            assert_eq!(facts.has_alpha, index >= FIRST_PNG, "{}", picture.name);
            assert!(!facts.gray, "{} has no colour to lose", picture.name);
            assert!(facts.width * facts.height >= 100_000, "{} is too small", picture.name);
            pixels += facts.width * facts.height;
            bytes += picture.bytes.len();
            alphas += usize::from(facts.has_alpha);
            assert!(names.insert(picture.name), "a name came twice");
        }
        assert_eq!((names.len(), alphas), (COUNT, COUNT - FIRST_PNG));
        assert!((38_000_000..46_000_000).contains(&pixels), "{pixels} pixels");
        assert!((8_000_000..20_000_000).contains(&bytes), "{bytes} bytes");
    }

    #[test]
    fn they_come_out_the_same_each_time_and_differ_among_each_other() {
        assert_eq!(picture(5), picture(5));
        assert_ne!(picture(5).bytes, picture(11).bytes);
    }

    #[test]
    fn one_of_them_lies_on_its_side() {
        let facts = inspect(&picture(15).bytes).expect("a made picture is a picture");
        assert_eq!((facts.width, facts.height), (720, 1280));
    }
}
