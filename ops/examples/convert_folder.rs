//! Converts every picture of a folder to gray and prints pictures per second, reading and writing left out.
//!
//! `cargo run --release -p ops --example convert_folder -- FROM TO [THREADS]`

use std::{env, error::Error, fs, io, path::PathBuf, time::Instant};

use ops::{Limits, Op, memory};
use rayon::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    memory::keep_freed();
    let mut words = env::args_os().skip(1);
    let (Some(from), Some(to)) = (words.next().map(PathBuf::from), words.next().map(PathBuf::from)) else {
        return Err("usage: convert_folder FROM TO [THREADS]".into());
    };
    let threads = words.next().map_or(Ok(0), |n| n.to_string_lossy().parse())?;
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global()?;

    let mut paths = fs::read_dir(&from)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    let inputs = paths.iter().map(fs::read).collect::<io::Result<Vec<_>>>()?;

    let start = Instant::now();
    let outputs: Vec<_> = inputs.par_iter().map(|input| ops::run(Op::Grayscale, input, &Limits::default())).collect();
    let seconds = start.elapsed().as_secs_f64();

    fs::create_dir_all(&to)?;
    let (mut converted, mut bytes) = (0_u32, 0);
    for (path, output) in paths.iter().zip(outputs) {
        match output {
            Ok(output) => {
                converted += 1;
                bytes += output.len();
                fs::write(to.join(path.file_name().ok_or("a file has a name")?), output)?;
            }
            Err(refusal) => eprintln!("{}: {refusal}", path.display()),
        }
    }
    println!(
        "{converted} of {} pictures, {bytes} bytes, {:.1} pictures/s",
        paths.len(),
        f64::from(converted) / seconds
    );
    Ok(())
}
