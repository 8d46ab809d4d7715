//! What a user may ask for: the texts of Slurm's options, read into checked values and printed back.
//!
//! Every reader here takes text and limits as arguments and answers with a value or with an error that names the bad
//! text and what is allowed; the outer wording (`sbatch: error: ...`) belongs to the commands. Nothing here knows a job,
//! a node or a clock. Start at [`array`](mod@array) for what makes Covey worth having.

pub mod array;
pub mod begin;
pub mod constraint;
pub mod dependency;
pub mod directives;
pub mod duration;
pub mod gres;
pub mod hostlist;
pub mod index_set;
pub mod inject;
pub mod job;
pub mod labels;
pub mod licenses;
pub mod output_name;
pub mod pattern;
pub mod programs;
pub mod request;
pub mod retry;
pub mod rlimit;
pub mod signal;
pub mod size;
pub mod step;
pub mod words;
