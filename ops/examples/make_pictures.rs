//! Draws the made pictures into a folder, to have something to convert.
//!
//! `cargo run --release -p ops --example make_pictures -- FOLDER`

use std::{env, error::Error, fs, path::PathBuf, time::Instant};

use ops::made;
use rayon::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os().nth(1).map(PathBuf::from).ok_or("usage: make_pictures FOLDER")?;
    let start = Instant::now();
    let pictures: Vec<_> = (0..made::COUNT).into_par_iter().map(made::picture).collect();
    let seconds = start.elapsed().as_secs_f64();
    fs::create_dir_all(&folder)?;
    for picture in &pictures {
        fs::write(folder.join(&picture.name), &picture.bytes)?;
    }
    let bytes: usize = pictures.iter().map(|picture| picture.bytes.len()).sum();
    println!("{} pictures, {bytes} bytes, drawn in {seconds:.2} s", pictures.len());
    Ok(())
}
