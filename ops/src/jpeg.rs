//! Reading JPEG: the markers of the file, then its pixels through zune-jpeg.
//!
//! The walk over the markers ([`Jpeg::read`]) finds what the decoder does not give: whether the file reaches its end, the
//! quantization table to write the result with, and a colour space that the decoder would mistake. Decoding is strict,
//! with nothing to fall back to, because a lenient decoder fills the missing half of a picture with gray. What is not
//! noticed, here or by any decoder, is a picture cut short whose end was then put on by some other program.

use image::{DynamicImage, GrayImage, RgbImage, metadata::Orientation};
use zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions};
use zune_jpeg::{JpegDecoder, errors::DecodeErrors};

use crate::{error::OpError, format::Format};

/// A quantization table in zigzag order, as it stands in the file.
pub(crate) type Quantization = [u16; 64];

/// Scans that a picture may have; over it the decoder refuses. Encoders write about ten, and a file of a few kilobytes
/// could otherwise ask for thousands of passes over a large picture.
pub(crate) const SCANS_MAX: usize = 100;

const TRUNCATED: OpError = OpError::Truncated { format: Format::Jpeg };

/// What the markers of a JPEG file say.
pub(crate) struct Jpeg<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) width: u16,
    pub(crate) height: u16,
    pub(crate) orientation: Orientation,
    components: Vec<Component>,
    tables: [Option<Quantization>; 4],
    /// Whether coefficients of the whole picture are kept until the last scan.
    buffered: bool,
    /// Where the Adobe segment says how colours are coded.
    transform_at: Option<usize>,
    has_jfif: bool,
    /// Passes over the pixels.
    pub(crate) scans: usize,
}

struct Component {
    id: u8,
    /// Blocks across and down in each unit of the picture.
    sampling: (u8, u8),
    /// Which quantization table it uses.
    table: u8,
}

impl<'a> Jpeg<'a> {
    /// Walks the markers from the first to the end of the picture (ITU-T T.81, annex B).
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, OpError> {
        let mut jpeg = Self {
            bytes,
            width: 0,
            height: 0,
            orientation: Orientation::NoTransforms,
            components: Vec::new(),
            tables: [None; 4],
            buffered: false,
            transform_at: None,
            has_jfif: false,
            scans: 0,
        };
        let mut at = 2;
        loop {
            let (marker, start) = next_marker(bytes, at).ok_or(TRUNCATED)?;
            if marker == 0xD9 {
                return Ok(jpeg);
            }
            let (segment, end) = segment(bytes, start).ok_or(TRUNCATED)?;
            match marker {
                0xC4 | 0xC8 | 0xCC => {}
                0xC0..=0xCF => jpeg.on_frame(marker, segment)?,
                // A table that comes after pixels is not the first component's.
                0xDB if jpeg.scans == 0 => jpeg.on_tables(segment),
                0xDA => {
                    jpeg.scans += 1;
                    jpeg.buffered |= segment.first().is_some_and(|n| usize::from(*n) < jpeg.components.len());
                }
                0xE0 => jpeg.has_jfif |= segment.starts_with(b"JFIF\0"),
                0xE1 => jpeg.on_exif(segment),
                0xEE if segment.starts_with(b"Adobe") && segment.len() >= 12 => {
                    jpeg.transform_at = Some(start + 2 + 11)
                }
                _ => {}
            }
            at = end;
        }
    }

    fn on_frame(&mut self, marker: u8, segment: &[u8]) -> Result<(), OpError> {
        let [precision, h1, h0, w1, w0, _count, components @ ..] = segment else { return Err(TRUNCATED) };
        if *precision != 8 || !matches!(marker, 0xC0..=0xC2) {
            return Err(OpError::Unsupported {
                what: format!(
                    "JPEG with {precision} bits and process {} (baseline and progressive are)",
                    marker - 0xC0
                ),
            });
        }
        (self.width, self.height) = (u16::from_be_bytes([*w1, *w0]), u16::from_be_bytes([*h1, *h0]));
        self.buffered = marker == 0xC2;
        self.components = components
            .as_chunks()
            .0
            .iter()
            .map(|&[id, sampling, table]| Component { id, sampling: (sampling >> 4, sampling & 15), table })
            .collect();
        Ok(())
    }

    fn on_tables(&mut self, mut rest: &[u8]) {
        while let Some((&[precision_and_slot], after)) = rest.split_first_chunk() {
            let wide = precision_and_slot >> 4 != 0;
            let Some((values, after)) = after.split_at_checked(if wide { 128 } else { 64 }) else { return };
            if let Some(table) = self.tables.get_mut(usize::from(precision_and_slot & 15)) {
                *table = Some(std::array::from_fn(|i| {
                    if wide { u16::from_be_bytes([values[2 * i], values[2 * i + 1]]) } else { values[i].into() }
                }));
            }
            rest = after;
        }
    }

    fn on_exif(&mut self, segment: &[u8]) {
        if let Some(orientation) = segment.strip_prefix(b"Exif\0\0").and_then(Orientation::from_exif_chunk) {
            self.orientation = orientation;
        }
    }

    /// The table of the first component, which carries the brightness.
    pub(crate) fn quantization(&self) -> Option<Quantization> {
        self.tables.get(usize::from(self.components.first()?.table)).copied()?
    }

    pub(crate) fn is_gray(&self) -> bool {
        self.components.len() == 1
    }

    /// Whether the first component is the brightness (Rec. 601): gray pictures and YCbCr. Red, green and blue are told by
    /// the Adobe segment, or by their initials where no segment says anything, as libjpeg does.
    pub(crate) fn has_luma(&self) -> bool {
        let ids = || self.components.iter().map(|component| component.id);
        match (self.components.len(), self.transform_at) {
            (1, _) => true,
            (3, Some(at)) => self.bytes[at] == 1,
            (3, None) => self.has_jfif || !ids().eq(*b"RGB"),
            _ => false,
        }
    }

    /// Bytes that decoding takes beside its result: coefficients of two bytes, for the whole picture or a row of blocks,
    /// and a copy of the metadata, or of the file where [`rgb_samples`] needs one.
    pub(crate) fn scratch_bytes(&self) -> u64 {
        let (across, down) = self.unit();
        let upsampled_rows = 4 * self.units().0 * across * down * 128 * self.components.len() as u64;
        let rows = if self.buffered { self.units().1 } else { 1 };
        self.bytes.len() as u64 + self.coefficient_bytes(rows) + upsampled_rows
    }

    /// Bytes of the file for each component, were they all alike.
    pub(crate) fn component_bytes(&self) -> u64 {
        self.bytes.len() as u64 / self.components.len().max(1) as u64
    }

    /// Bytes that taking the brightness out takes, result included: all coefficients, and a file that is no longer than
    /// this one but for codes that fit it less, doubled as it grows and copied.
    pub(crate) fn lossless_bytes(&self) -> u64 {
        self.coefficient_bytes(self.units().1) + 6 * self.bytes.len() as u64
    }

    fn coefficient_bytes(&self, rows: u64) -> u64 {
        let blocks = self.components.iter().map(|c| u64::from(c.sampling.0) * u64::from(c.sampling.1)).sum::<u64>();
        self.units().0 * rows * 128 * blocks
    }

    /// Blocks across and down in a unit of the picture.
    fn unit(&self) -> (u64, u64) {
        let samplings = self.components.iter().map(|c| (u64::from(c.sampling.0), u64::from(c.sampling.1)));
        samplings.fold((1, 1), |most, one| (most.0.max(one.0), most.1.max(one.1)))
    }

    /// Units across and down.
    fn units(&self) -> (u64, u64) {
        let (across, down) = self.unit();
        (u64::from(self.width).div_ceil(8 * across), u64::from(self.height).div_ceil(8 * down))
    }

    /// Decodes to gray or RGB.
    pub(crate) fn decode(&self) -> Result<DynamicImage, OpError> {
        let (width, height) = (self.width.into(), self.height.into());
        let pixels = if self.is_gray() {
            let samples = samples(self.bytes, ColorSpace::Luma)?;
            GrayImage::from_raw(width, height, samples).map(DynamicImage::ImageLuma8)
        } else {
            let samples = match self.transform_at {
                Some(at) if self.components.len() == 3 && self.bytes[at] == 0 => rgb_samples(self.bytes, at),
                _ => samples(self.bytes, ColorSpace::RGB),
            }?;
            RgbImage::from_raw(width, height, samples).map(DynamicImage::ImageRgb8)
        };
        pixels.ok_or_else(|| damaged(DecodeErrors::FormatStatic("the frame contradicts the pixels")))
    }
}

/// Decodes three components that are red, green and blue: told that they are YCbCr, and asked for YCbCr, the decoder gives
/// them as they are. It takes the Adobe segment's own word for this, 0, for CMYK.
fn rgb_samples(bytes: &[u8], transform_at: usize) -> Result<Vec<u8>, OpError> {
    let mut relabelled = bytes.to_vec();
    relabelled[transform_at] = 1;
    samples(&relabelled, ColorSpace::YCbCr)
}

fn samples(bytes: &[u8], colours: ColorSpace) -> Result<Vec<u8>, OpError> {
    let side_pixels_max = usize::from(u16::MAX);
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(side_pixels_max)
        .set_max_height(side_pixels_max)
        .jpeg_set_max_scans(SCANS_MAX)
        .jpeg_set_out_colorspace(colours);
    JpegDecoder::new_with_options(ZCursor::new(bytes), options).decode().map_err(damaged)
}

fn damaged(error: DecodeErrors) -> OpError {
    OpError::Decode { format: Format::Jpeg, source: error.into() }
}

/// The smallest EXIF block that says how to turn a picture (1 to 8, TIFF 6.0 tag 274).
pub(crate) fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
    block.extend([orientation, 0, 0, 0, 0, 0, 0]);
    block
}

/// Finds the next marker from `at` on, and where its segment starts. Pixels are passed over: in them, 0xFF is followed by
/// a zero, by a restart number or by another 0xFF.
fn next_marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == 0xFF)? + 1;
        match *bytes.get(at)? {
            0x00 | 0x01 | 0xD0..=0xD8 | 0xFF => {}
            marker => return Some((marker, at + 1)),
        }
    }
}

/// The segment whose length stands at `start`, and where it ends.
fn segment(bytes: &[u8], start: usize) -> Option<(&[u8], usize)> {
    let length = u16::from_be_bytes(*bytes.get(start..)?.first_chunk()?);
    let end = start + usize::from(length);
    Some((bytes.get(start + 2..end)?, end))
}

#[cfg(test)]
mod tests {
    use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

    use super::*;
    use crate::luma::grayscale;

    /// Decoded by `image`, weighed in floating point.
    fn reference(bytes: &[u8]) -> Vec<f64> {
        let decoded = image::load_from_memory(bytes).expect("the test made it").to_rgb8();
        decoded
            .pixels()
            .map(|p| 0.2126 * f64::from(p.0[0]) + 0.7152 * f64::from(p.0[1]) + 0.0722 * f64::from(p.0[2]))
            .collect()
    }

    #[test]
    fn before_encoding_every_pixel_is_within_one_of_the_reference() {
        let (width, height) = (83_u16, 61_u16);
        // Steep enough in every colour that conversion clips.
        let rgb: Vec<u8> =
            (0..usize::from(width) * usize::from(height) * 3).map(|i| (i * i / 97 % 256) as u8).collect();
        for (sampling, progressive) in
            [(SamplingFactor::F_1_1, false), (SamplingFactor::F_2_2, false), (SamplingFactor::F_1_1, true)]
        {
            let mut bytes = Vec::new();
            let mut encoder = Encoder::new(&mut bytes, 80);
            encoder.set_sampling_factor(sampling);
            encoder.set_progressive(progressive);
            encoder.encode(&rgb, width, height, ColorType::Rgb).expect("memory takes every byte");
            let jpeg = Jpeg::read(&bytes).expect("the test made it");
            let gray = grayscale(jpeg.decode().expect("the test made it")).expect("RGB has a gray");
            for (gray, reference) in gray.as_bytes().iter().zip(reference(&bytes)) {
                assert!((f64::from(*gray) - reference).abs() <= 1.0, "{gray} is not {reference}");
            }
        }
    }

    #[test]
    fn tables_of_one_and_of_two_bytes_are_read_in_the_order_of_the_file() {
        let mut bytes = b"\xFF\xD8\xFF\xDB\x00\xC4\x00".to_vec();
        bytes.extend(1..=64);
        bytes.push(0x11);
        bytes.extend((1..=64_u16).flat_map(|value| (value * 100).to_be_bytes()));
        bytes.extend(
            b"\xFF\xC0\x00\x0B\x08\x00\x01\x00\x01\x01\x01\x11\x01\xFF\xDA\x00\x03\x01\x12\xFF\x00\xFF\xD0\x34\xFF\xD9",
        );
        let jpeg = Jpeg::read(&bytes).expect("the markers are complete");
        assert_eq!(jpeg.tables[0], Some(std::array::from_fn(|i| i as u16 + 1)));
        assert_eq!(jpeg.quantization(), Some(std::array::from_fn(|i| (i as u16 + 1) * 100)));
        assert!(Jpeg::read(&bytes[..bytes.len() - 1]).is_err(), "its end is missing");
    }
}
