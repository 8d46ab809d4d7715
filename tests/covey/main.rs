//! The binary as users meet it: real processes, real folders, and what is printed.

mod accounting;
mod arrows;
mod bad_input;
mod clients;
mod commands;
mod faults;
mod figures;
mod lab;
mod literal;
mod lives;
mod maps;
mod nodes;
mod resources;
mod rig;
mod scontrol;
mod service;
mod steps;
mod surroundings;
mod tls;
mod transcripts;
mod users;
mod verbs;
mod why;
