//! How a map names its outputs: a template over the name of the input blob.
//!
//! `{name}` is the whole name, `{stem}` the name without its extension, `{ext}` the extension with its dot (empty when there
//! is none), `{job}` the job's number, `{index}` the task's. Folders in a blob's name stay part of `{name}` and `{stem}`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A checked template; filling it cannot fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputName {
    text: String,
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Name,
    Stem,
    Ext,
    Job,
    Index,
}

/// Why a template is none.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OutputNameError {
    /// A word in braces that has no meaning.
    #[error("{{{0}}} has no meaning in an output name: use {{name}}, {{stem}}, {{ext}}, {{job}} or {{index}}")]
    Unknown(String),
    /// A brace that is never closed.
    #[error("{0:?} opens a brace and does not close it")]
    Open(String),
    /// The same name for every blob.
    #[error("{0:?} gives every output the same name: use {{name}}, {{stem}} or {{index}} in it")]
    Constant(String),
}

impl Default for OutputName {
    /// The input's own name.
    fn default() -> OutputName {
        OutputName { text: "{name}".into(), pieces: vec![Piece::Name] }
    }
}

impl FromStr for OutputName {
    type Err = OutputNameError;

    fn from_str(text: &str) -> Result<OutputName, OutputNameError> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            pieces.push(Piece::Text(before.to_owned()));
            let (word, after) = after.split_once('}').ok_or_else(|| OutputNameError::Open(text.to_owned()))?;
            pieces.push(match word {
                "name" => Piece::Name,
                "stem" => Piece::Stem,
                "ext" => Piece::Ext,
                "job" => Piece::Job,
                "index" => Piece::Index,
                other => return Err(OutputNameError::Unknown(other.to_owned())),
            });
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        let tells_blobs_apart = |piece: &Piece| matches!(piece, Piece::Name | Piece::Stem | Piece::Index);
        if !pieces.iter().any(tells_blobs_apart) {
            return Err(OutputNameError::Constant(text.to_owned()));
        }
        Ok(OutputName { text: text.to_owned(), pieces })
    }
}

impl fmt::Display for OutputName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl OutputName {
    /// The output's name for one blob.
    #[must_use]
    pub fn fill(&self, blob: &str, job: u32, index: u32) -> String {
        let file_at = blob.rfind('/').map_or(0, |slash| slash + 1);
        // A dot at the start of a file's name begins no extension.
        let dot = blob[file_at..].rfind('.').filter(|at| *at > 0).map_or(blob.len(), |at| file_at + at);
        let piece = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Name => blob.to_owned(),
            Piece::Stem => blob[..dot].to_owned(),
            Piece::Ext => blob[dot..].to_owned(),
            Piece::Job => job.to_string(),
            Piece::Index => index.to_string(),
        };
        self.pieces.iter().map(piece).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled() {
        for (template, blob, filled) in [
            ("{name}", "a b.png", "a b.png"),
            ("{stem}.{job}{ext}", "cat.small.jpg", "cat.small.7.jpg"),
            ("{stem}.{job}{ext}", "dir.x/plain", "dir.x/plain.7"),
            ("gray/{index}{ext}", ".hidden", "gray/3"),
        ] {
            let template: OutputName = template.parse().expect("a template");
            assert_eq!(template.fill(blob, 7, 3), filled);
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        assert_eq!("{nam}".parse::<OutputName>(), Err(OutputNameError::Unknown("nam".into())));
        assert_eq!("a{name".parse::<OutputName>(), Err(OutputNameError::Open("a{name".into())));
        assert_eq!("out{ext}".parse::<OutputName>(), Err(OutputNameError::Constant("out{ext}".into())));
    }
}
