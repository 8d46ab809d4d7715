//! The picture formats that are read and written, told apart by their first bytes.

use std::fmt;

use image::ImageFormat;

use crate::error::OpError;

/// A picture format. A blob's name says nothing: pictures called `.png` that are JPEG are common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names say it all")]
pub enum Format {
    Jpeg,
    Png,
    Gif,
    WebP,
    Tiff,
    Bmp,
    Pnm,
}

impl Format {
    /// Every format, in the order in which messages list them.
    pub const ALL: [Self; 7] = [Self::Jpeg, Self::Png, Self::Gif, Self::WebP, Self::Tiff, Self::Bmp, Self::Pnm];

    /// Looks at the first bytes.
    ///
    /// # Errors
    /// [`OpError::Unsupported`] for a picture of another format, [`OpError::NotAPicture`] for anything else.
    pub fn of(bytes: &[u8]) -> Result<Self, OpError> {
        let guess = image::guess_format(bytes).map_err(|_| OpError::NotAPicture)?;
        Self::ALL
            .into_iter()
            .find(|format| format.image_format() == guess)
            .ok_or_else(|| OpError::Unsupported { what: format!("the picture format {guess:?}") })
    }

    /// The name as people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "JPEG",
            Self::Png => "PNG",
            Self::Gif => "GIF",
            Self::WebP => "WebP",
            Self::Tiff => "TIFF",
            Self::Bmp => "BMP",
            Self::Pnm => "PNM",
        }
    }

    pub(crate) const fn image_format(self) -> ImageFormat {
        match self {
            Self::Jpeg => ImageFormat::Jpeg,
            Self::Png => ImageFormat::Png,
            Self::Gif => ImageFormat::Gif,
            Self::WebP => ImageFormat::WebP,
            Self::Tiff => ImageFormat::Tiff,
            Self::Bmp => ImageFormat::Bmp,
            Self::Pnm => ImageFormat::Pnm,
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
