//! Measures an op on a folder of pictures: seconds of one core from bytes in memory to bytes in memory, each picture once
//! in every round, after one round that is not counted. Prints a line a round: JPEG, the other pictures, and the bytes
//! written. `bench/pictures` sets it beside other programs.
//!
//! `cargo run --release -p ops --example per_core -- FOLDER [OP [ROUNDS]]`

use std::{env, error::Error, fs, hint::black_box, io, path::PathBuf};

use ops::{Format, Limits, Op, memory};
use rustix::time::{ClockId, clock_gettime};

fn main() -> Result<(), Box<dyn Error>> {
    memory::keep_freed();
    let mut words = env::args_os().skip(1);
    let folder = words.next().map(PathBuf::from).ok_or("usage: per_core FOLDER [OP [ROUNDS]]")?;
    let op: Op = words.next().map_or(Ok(Op::Grayscale), |op| op.to_string_lossy().parse())?;
    let rounds: usize = words.next().map_or(Ok(5), |rounds| rounds.to_string_lossy().parse())?;

    let mut paths = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    let pictures = paths.iter().map(fs::read).collect::<io::Result<Vec<_>>>()?;
    for counted in (0..=rounds).map(|round| round > 0) {
        let (mut jpeg_s, mut other_s, mut bytes) = (0.0, 0.0, 0);
        for (picture, path) in pictures.iter().zip(&paths) {
            let start_s = core_s();
            let gray = ops::run(op, black_box(picture), &Limits::default())
                .map_err(|error| format!("{}: {error}", path.display()))?;
            let spent_s = core_s() - start_s;
            *if Format::of(picture)? == Format::Jpeg { &mut jpeg_s } else { &mut other_s } += spent_s;
            bytes += black_box(gray).len();
        }
        if counted {
            println!("{jpeg_s:.6} {other_s:.6} {bytes}");
        }
    }
    Ok(())
}

/// What this thread has computed so far, in seconds.
fn core_s() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
