//! Is a file all there? Asked before decoding, of the formats whose decoders stop reading at the last pixel.
//!
//! Only the frame of the file is walked, chunk by chunk; what is inside is the decoder's to judge. JPEG has a walk of its
//! own ([`jpeg`](crate::jpeg)); TIFF, BMP and PNM end with their pixels, so that their decoders notice.

use crate::{error::OpError, format::Format};

/// Refuses a PNG, GIF or WebP file that stops before its end.
pub(crate) fn check(format: Format, bytes: &[u8]) -> Result<(), OpError> {
    let end = match format {
        Format::Png => png_end(bytes),
        Format::Gif => gif_end(bytes),
        Format::WebP => riff_end(bytes),
        Format::Jpeg | Format::Tiff | Format::Bmp | Format::Pnm => Some(()),
    };
    end.ok_or(OpError::Truncated { format })
}

/// PNG, 5.3: chunks of length, type, content and checksum, the last of type IEND.
fn png_end(bytes: &[u8]) -> Option<()> {
    let mut rest = bytes.get(8..)?;
    loop {
        let (length, after) = rest.split_first_chunk()?;
        let (kind, after) = after.split_first_chunk::<4>()?;
        let content_and_checksum = usize::try_from(u32::from_be_bytes(*length)).ok()?.checked_add(4)?;
        rest = after.get(content_and_checksum..)?;
        if kind == b"IEND" {
            return Some(());
        }
    }
}

/// GIF89a, section 12 and following: header, colour table, then extensions and frames up to a trailer byte.
fn gif_end(bytes: &[u8]) -> Option<()> {
    let mut rest = after_colours(bytes.get(13..)?, *bytes.get(10)?)?;
    loop {
        let (introducer, after) = rest.split_first()?;
        rest = match introducer {
            0x21 => after_blocks(after.get(1..)?)?,
            0x2C => after_blocks(after_colours(after.get(9..)?, *after.get(8)?)?.get(1..)?)?,
            // The trailer, or nothing that GIF knows, for which the decoder has the better message.
            _ => return Some(()),
        };
    }
}

/// Skips the colour table that the flags announce.
fn after_colours(rest: &[u8], flags: u8) -> Option<&[u8]> {
    let colours = if flags & 0x80 == 0 { 0 } else { 2 << (flags & 7) };
    rest.get(3 * colours..)
}

/// Skips sub-blocks, up to and with the empty one that ends them.
fn after_blocks(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (length, after) = rest.split_first()?;
        rest = after.get(usize::from(*length)..)?;
        if *length == 0 {
            return Some(rest);
        }
    }
}

/// RIFF: the length of all that follows stands behind the first four bytes.
fn riff_end(bytes: &[u8]) -> Option<()> {
    let (length, content) = bytes.get(4..)?.split_first_chunk()?;
    (content.len() >= usize::try_from(u32::from_le_bytes(*length)).ok()?).then_some(())
}
