//! The hands: link to the controller, launcher of processes, blob staging and ops.

pub mod launcher;
