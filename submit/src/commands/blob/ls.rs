//! `covey blob ls`: names, one a line, with sizes or as JSON on demand. What a service lists is printed as it comes, in its order,
//! which is by name; folders are sorted first.

use std::io::Write;
use std::path::Path;

use blobs::{Blob, Scheme};
use serde::Serialize;

use super::select::{Meant, meant};
use super::{BlobCommandError, counted};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A prefix, a glob or a blob
    #[arg(value_name = "URL")]
    url: String,
    /// Sizes in bytes before the names, and the sum at the end
    #[arg(short, long)]
    long: bool,
    /// A JSON array of objects with name and `size_bytes`
    #[arg(long, conflicts_with = "long")]
    json: bool,
}

pub(super) async fn run(args: &Args, cwd: &Path, out: &mut impl Write) -> Result<(), BlobCommandError> {
    let mut lines = Lines { json: args.json, printed: 0, out };
    match meant(&args.url, cwd).await? {
        Meant::One(_, blob) if args.long => return long(&[blob], lines.out),
        Meant::One(_, blob) => lines.print(&[blob])?,
        // The numbers are as wide as their sum.
        Meant::All(store) if args.long => return long(&store.list().await?, lines.out),
        Meant::All(store) if store.url().scheme() == Scheme::File => lines.print(&store.list().await?)?,
        Meant::All(store) => store.list_pages(|page| lines.print(&page)).await?,
    }
    lines.end()
}

fn long(blobs: &[Blob], out: &mut impl Write) -> Result<(), BlobCommandError> {
    let sum = blobs.iter().map(|blob| blob.size_bytes).sum::<u64>();
    let width = sum.to_string().len();
    let lines = blobs.iter().map(|blob| format!("{:>width$}  {}\n", blob.size_bytes, blob.name));
    let text: String = lines.chain([format!("{sum:>width$}  in {}\n", counted(blobs.len()))]).collect();
    out.write_all(text.as_bytes()).map_err(BlobCommandError::Output)
}

/// Names, or the elements of a JSON array.
struct Lines<'a, W> {
    json: bool,
    printed: usize,
    out: &'a mut W,
}

impl<W: Write> Lines<'_, W> {
    fn print(&mut self, blobs: &[Blob]) -> Result<(), BlobCommandError> {
        let mut text = String::new();
        for blob in blobs {
            if self.json {
                let entry = Entry { name: blob.name.as_str(), size_bytes: blob.size_bytes };
                text.push_str(if self.printed == 0 { "[" } else { ",\n " });
                text.push_str(&serde_json::to_string(&entry).expect("text and a number are JSON"));
            } else {
                text.push_str(blob.name.as_str());
                text.push('\n');
            }
            self.printed += 1;
        }
        self.out.write_all(text.as_bytes()).map_err(BlobCommandError::Output)
    }

    fn end(self) -> Result<(), BlobCommandError> {
        if self.json { self.out.write_all(b"]\n").map_err(BlobCommandError::Output) } else { Ok(()) }
    }
}

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    size_bytes: u64,
}
