//! Runs the simulator from the command line: one seed, many seeds, or a script.
//!
//! `sim --seed 7 --trace` tells the story of one; `sim --seeds 10000` tries many; `sim --script FILE` plays a script.

use std::error::Error;
use std::process::ExitCode;

use sim::run::run;

const USAGE: &str = "usage: sim --seed N [--trace] | --seeds COUNT | --script FILE";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text}: {error}\n{USAGE}"));
    let ran = match words[..] {
        ["--seed", seed] => number(seed).and_then(|seed| one(seed, false)),
        ["--seed", seed, "--trace"] | ["--trace", "--seed", seed] => number(seed).and_then(|seed| one(seed, true)),
        ["--seeds", count] => number(count).and_then(many),
        ["--script", path] => play(path),
        _ => Err(USAGE.to_owned()),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn one(seed: u64, trace: bool) -> Result<(), String> {
    let ran = run(seed, None, trace);
    let (Ok(story) | Err(story)) = ran.as_ref().map(|figures| &figures.story).map_err(|failure| &failure.story);
    story.iter().for_each(|line| println!("{line}"));
    let figures = ran.map_err(|failure| chain(&failure))?;
    println!("seed {seed}: {} steps, {} attempts, {} virtual s", figures.steps, figures.begun, figures.now_ms / 1000);
    Ok(())
}

fn many(count: u64) -> Result<(), String> {
    let failed: Vec<String> =
        (0..count).filter_map(|seed| run(seed, None, false).err()).map(|failure| chain(&failure)).collect();
    failed.iter().for_each(|failure| println!("{failure}"));
    if failed.is_empty() { Ok(()) } else { Err(format!("{} of {count} seeds failed", failed.len())) }
}

fn play(path: &str) -> Result<(), String> {
    let script = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    print!("{}", sim::script::play(&script).map_err(|error| format!("{path}: {}", chain(&error)))?);
    Ok(())
}

/// An error with its causes, in one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
