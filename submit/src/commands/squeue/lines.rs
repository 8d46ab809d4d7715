//! The lines of a table of jobs: made of each page while the controller makes the next one, and put in order at the end. So a
//! row is gone when its line is there, and what is kept of it beside that is what it is sorted by.

use std::io::{BufWriter, Write};
use std::rc::Rc;

use proto::error::WireError;
use proto::job_columns::visit;
use proto::v1::JobRow;

use super::columns::{Listed, rows_of};
use super::options::Asked;
use super::order::{Key, Order};
use super::{Head, Page};
use crate::failure::Outcome;
use crate::table::Format;

/// What is written at once where lines do not stand in their order, in bytes.
const WRITE_BYTES: usize = 64 * 1024;

/// The lines of one listing.
pub(super) struct Lines<'a> {
    asked: &'a Asked,
    format: &'a Format<Listed>,
    order: Order<'a>,
    /// The row whose lines are made.
    listed: Listed,
    made: Made,
}

/// All lines so far.
#[derive(Default)]
struct Made {
    text: String,
    /// Where the lines of each row end.
    ends: Vec<usize>,
    cell: String,
}

impl<'a> Lines<'a> {
    pub(super) fn new(asked: &'a Asked, format: &'a Format<Listed>, keys: &'a [Key]) -> Lines<'a> {
        let listed = Listed { row: JobRow::default(), shown: Rc::default() };
        Lines { asked, format, order: Order::by(keys), listed, made: Made::default() }
    }

    /// Makes the lines of a page. What all rows are shown with is known with the first one.
    pub(super) fn add(&mut self, head: &Head, page: Page) -> Result<(), WireError> {
        let shown = &self.listed.shown;
        if shown.now_ms != head.now_ms || shown.cluster != head.cluster {
            self.listed.shown = Rc::new(self.asked.shown(head));
        }
        for row in page.rows {
            self.listed.row = row;
            self.made.add(self.asked, self.format, &mut self.order, &self.listed);
        }
        let Some(columns) = page.columns else { return Ok(()) };
        let (asked, format, order, made) = (self.asked, self.format, &mut self.order, &mut self.made);
        visit(&columns, &mut self.listed, |listed| &mut listed.row, |listed| made.add(asked, format, order, listed))
    }

    /// Writes all of them in their order.
    pub(super) fn write(self, heading: &[String], out: &mut impl Write) -> Outcome<()> {
        let mut out = BufWriter::with_capacity(WRITE_BYTES, out);
        for line in heading {
            writeln!(out, "{line}")?;
        }
        // Neighbours are written together: mostly it is few pieces.
        let mut piece = 0..0;
        for row in self.order.places() {
            let start = if row == 0 { 0 } else { self.made.ends[row - 1] };
            if piece.end != start {
                out.write_all(&self.made.text.as_bytes()[piece])?;
                piece = start..start;
            }
            piece.end = self.made.ends[row];
        }
        out.write_all(&self.made.text.as_bytes()[piece])?;
        Ok(out.flush()?)
    }
}

impl Made {
    /// Adds the lines of a row that is wanted.
    fn add(&mut self, asked: &Asked, format: &Format<Listed>, order: &mut Order<'_>, listed: &Listed) {
        if !asked.keeps(&listed.row) {
            return;
        }
        order.add(&listed.row);
        if asked.by_task || asked.by_partition {
            for one in rows_of(listed.row.clone(), &listed.shown, asked.by_task, asked.by_partition) {
                self.line(format, &one);
            }
        } else {
            self.line(format, listed);
        }
        self.ends.push(self.text.len());
    }

    fn line(&mut self, format: &Format<Listed>, listed: &Listed) {
        format.add_row(listed, &mut self.text, &mut self.cell);
        self.text.push('\n');
    }
}
