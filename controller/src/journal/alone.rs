//! The election of a controller that has no rivals: whoever opens the journal leads.
//!
//! The lock on the journal's folder keeps a second controller out; the epoch fences what an earlier one left behind.

use std::sync::Arc;

use super::{Election, Journal, JournalError, Leader};

/// Leads by taking the next epoch of its own journal.
pub struct Alone {
    journal: Arc<dyn Journal>,
    endpoints: Vec<String>,
}

impl Alone {
    /// An election on this journal by the controller that answers at `endpoints`.
    pub fn new(journal: Arc<dyn Journal>, endpoints: Vec<String>) -> Alone {
        Alone { journal, endpoints }
    }
}

impl Election for Alone {
    fn campaign(&self) -> Result<u64, JournalError> {
        let epoch = self.journal.epoch() + 1;
        self.journal.fence(epoch)?;
        Ok(epoch)
    }

    fn leader(&self) -> Result<Option<Leader>, JournalError> {
        let epoch = self.journal.epoch();
        Ok((epoch > 0).then(|| Leader { epoch, endpoints: self.endpoints.clone() }))
    }
}
