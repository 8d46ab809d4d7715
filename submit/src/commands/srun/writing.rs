//! The thread that writes what nodes say, as fast as the reader takes it, and tells the session how far it is.

use std::io::ErrorKind;

use proto::v1::StepSaid;
use proto::v1::step_said::Kind as Said;
use tokio::sync::mpsc;

use super::printer::Printer;

/// Writes what comes, and tells how far it is. Where that fails, nothing more is written, and the step goes on if somebody may
/// still want it.
pub(super) fn write_all(
    mut printer: Printer,
    mut writes: mpsc::Receiver<Write>,
    tell: &mpsc::UnboundedSender<Written>,
) {
    let mut broken = false;
    while let Some(Write { node, said }) = writes.blocking_recv() {
        let written = match &said.kind {
            Some(Said::Output(output)) if !broken => printer.write(output.task, output.error, &output.bytes),
            Some(Said::TaskEnded(end)) if !broken => printer.end(end.task),
            Some(Said::Message(text)) => {
                eprintln!("{text}");
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(error) = written {
            broken = true;
            match error.kind() {
                ErrorKind::BrokenPipe => drop(tell.send(Written::Unread)),
                _ => eprintln!("srun: error: cannot write the output: {error}"),
            }
        }
        // Nobody asks any more when srun leaves.
        tell.send(Written::Upto(node, said.seq)).ok();
    }
}

/// For the thread that writes.
pub(super) struct Write {
    pub(super) node: String,
    pub(super) said: StepSaid,
}

/// What the thread that writes has to tell.
pub(super) enum Written {
    /// All of a node up to this number is written.
    Upto(String, u64),
    /// Nobody reads the output any more.
    Unread,
}
