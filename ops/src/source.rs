//! A picture of which only the header was read.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageReader, metadata::Orientation};

use crate::{
    error::OpError,
    format::Format,
    jpeg::{Jpeg, Quantization},
    limits::Limits,
    luma,
    op::Op,
    whole,
};

/// A picture that is whole and within the limits, ready to be decoded.
pub(crate) struct Source<'a> {
    pub(crate) format: Format,
    /// How the pixels have to be turned to stand upright.
    pub(crate) orientation: Orientation,
    width: u32,
    height: u32,
    op: Op,
    coding: Coding<'a>,
}

enum Coding<'a> {
    Jpeg(Box<Jpeg<'a>>),
    Other(Box<dyn ImageDecoder + 'a>),
}

impl<'a> Source<'a> {
    /// Reads the header of what an operation will be done to.
    pub(crate) fn open(op: Op, bytes: &'a [u8], limits: &Limits) -> Result<Self, OpError> {
        let source = match Format::of(bytes)? {
            Format::Jpeg => Self::open_jpeg(op, bytes),
            format => Self::open_other(op, format, bytes, limits),
        }?;
        limits.admit(source.width, source.height, source.cost_bytes())?;
        Ok(source)
    }

    fn open_jpeg(op: Op, bytes: &'a [u8]) -> Result<Self, OpError> {
        let jpeg = Jpeg::read(bytes)?;
        Ok(Self {
            format: Format::Jpeg,
            orientation: jpeg.orientation,
            width: jpeg.width.into(),
            height: jpeg.height.into(),
            op,
            coding: Coding::Jpeg(Box::new(jpeg)),
        })
    }

    fn open_other(op: Op, format: Format, bytes: &'a [u8], limits: &Limits) -> Result<Self, OpError> {
        whole::check(format, bytes)?;
        let refused = |error| OpError::decoding(format, error);
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format.image_format());
        // The sides are ours to refuse, with our message; this bounds what a decoder allocates for itself.
        let mut allocations = image::Limits::no_limits();
        allocations.max_alloc = Some(limits.picture_bytes_max);
        reader.limits(allocations);
        let mut decoder = reader.into_decoder().map_err(refused)?;
        let orientation = decoder.orientation().map_err(refused)?;
        let (width, height) = decoder.dimensions();
        Ok(Self { format, orientation, width, height, op, coding: Coding::Other(Box::new(decoder)) })
    }

    /// The JPEG whose brightness is taken out as it is, if that is what the operation does to this picture.
    pub(crate) fn lossless(&self) -> Option<&Jpeg<'a>> {
        match (&self.coding, self.op) {
            (Coding::Jpeg(jpeg), Op::GrayscaleLossless) if jpeg.has_luma() => Some(jpeg),
            _ => None,
        }
    }

    /// The table to write a JPEG with, so that it keeps the quality that it came with.
    pub(crate) fn quantization(&self) -> Option<Quantization> {
        match &self.coding {
            Coding::Jpeg(jpeg) => jpeg.quantization(),
            Coding::Other(_) => None,
        }
    }

    /// Bytes of memory from here to the written result: the most of what reading, converting and writing hold at a time.
    /// `tests/memory.rs` measures that it is enough.
    pub(crate) fn cost_bytes(&self) -> u64 {
        if let Some(jpeg) = self.lossless() {
            return jpeg.lossless_bytes().saturating_add(FIXED_BYTES);
        }
        let (colour_bytes, gray_bytes) = self.pixel_bytes();
        let pixels = u64::from(self.width) * u64::from(self.height);
        let (colour, gray) = (pixels.saturating_mul(colour_bytes), pixels.saturating_mul(gray_bytes));
        let scratch = match &self.coding {
            Coding::Jpeg(jpeg) => jpeg.scratch_bytes(),
            // A second copy in the sample type of the file; frames and planes before they become pixels.
            Coding::Other(_) => match self.format {
                Format::Tiff => colour,
                Format::WebP | Format::Gif => pixels.saturating_mul(8),
                Format::Jpeg | Format::Png | Format::Bmp | Format::Pnm => 0,
            },
        };
        // Gray pixels, turned ones, those in the colours or byte order of the format, and an output that grows by doubling.
        // A JPEG's is about as long as its source's share for the brightness.
        let written = match &self.coding {
            Coding::Jpeg(jpeg) => gray * 2 + jpeg.component_bytes() * 4,
            Coding::Other(_) => gray.saturating_mul(match self.format {
                Format::Pnm => 3,
                Format::Jpeg | Format::Tiff | Format::Bmp => 5,
                Format::Png | Format::WebP => 7,
                Format::Gif => 9,
            }),
        };
        colour.saturating_add(scratch.max(gray)).max(written).saturating_add(FIXED_BYTES)
    }

    /// Bytes of a pixel as decoded, and when it is gray.
    fn pixel_bytes(&self) -> (u64, u64) {
        match &self.coding {
            Coding::Jpeg(jpeg) => (if jpeg.is_gray() { 1 } else { 3 }, 1),
            Coding::Other(decoder) => {
                let colour = decoder.color_type();
                let sample = colour.bytes_per_pixel() / colour.channel_count();
                (colour.bytes_per_pixel().into(), (sample * if colour.has_alpha() { 2 } else { 1 }).into())
            }
        }
    }

    /// Decodes and drops the colours.
    pub(crate) fn gray(self) -> Result<DynamicImage, OpError> {
        luma::grayscale(self.decode()?)
    }

    pub(crate) fn decode(self) -> Result<DynamicImage, OpError> {
        match self.coding {
            Coding::Jpeg(jpeg) => jpeg.decode(),
            Coding::Other(decoder) => {
                DynamicImage::from_decoder(decoder).map_err(|error| OpError::decoding(self.format, error))
            }
        }
    }
}

/// What decoders and encoders take whatever the picture's size: tables, windows, a few rows.
const FIXED_BYTES: u64 = 1 << 19;
