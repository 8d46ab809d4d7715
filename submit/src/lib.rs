//! The counter: one file per command.
