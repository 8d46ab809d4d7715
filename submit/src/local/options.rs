//! How large a cluster on this machine is: what was asked for, what it was first started with, and what fits.
//!
//! The first options are kept in `up.toml`, so that a cluster of which a part died comes back as it was.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sched::spec::constraint::{self, FeaturesError};
use sched::spec::gres::{Gres, GresError};
use sched::spec::size::{Mebibytes, SizeError};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::layout::Layout;

/// The nodes of a cluster when nobody says otherwise: those of the lab that Covey comes from.
const NODES_DEFAULT: u32 = 9;

/// The most nodes that one machine starts; each is two processes.
const NODES_MAX: u32 = 500;

/// The most CPUs that a node may claim to have.
const CPUS_MAX: u32 = 1024;

/// The part of the machine's memory that nodes leave to everything else: one in so many.
const MEMORY_SPARED: u64 = 10;

/// The options that `up` and `demo` take.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Asked {
    /// How many nodes, called linux0, linux1, ... [default: 9]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(NODES_MAX)))]
    pub(crate) nodes: Option<u32>,
    /// CPUs of each node [default: the machine's, divided among the nodes, and at least 1]
    #[arg(long, value_name = "C", value_parser = clap::value_parser!(u32).range(1..=i64::from(CPUS_MAX)))]
    pub(crate) cpus: Option<u32>,
    /// Memory of each node, such as 4G [default: nine tenths of the machine's, divided among the nodes]
    #[arg(long, value_name = "SIZE", value_parser = read_memory)]
    pub(crate) memory: Option<Mebibytes>,
    /// What each node is, for --constraint of jobs, such as fast,ssd
    #[arg(long, value_name = "LIST", value_parser = read_features)]
    pub(crate) features: Option<String>,
    /// What else each node has, as NAME[:TYPE][:COUNT],... such as gpu:a100:2,fpga:1
    #[arg(long, value_name = "LIST", value_parser = read_gres)]
    pub(crate) gres: Option<String>,
    /// Settings to use instead of DIR/covey.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// What a cluster is started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Options {
    pub(crate) nodes: u32,
    pub(crate) cpus: u32,
    pub(crate) memory_mib: u64,
    pub(crate) config: Option<PathBuf>,
    #[serde(default)]
    pub(crate) features: String,
    #[serde(default)]
    pub(crate) gres: String,
}

/// Why the options cannot be followed.
#[derive(Debug, Error)]
pub(crate) enum OptionsError {
    #[error("cannot find the settings {}", path.display())]
    Config { path: PathBuf, source: io::Error },
    #[error("cannot tell how much memory this machine has from /proc/meminfo: give --memory")]
    Memory,
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} holds no options of covey up: remove it to choose them anew", path.display())]
    Parse { path: PathBuf, source: Box<toml::de::Error> },
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the cluster runs with {option} {first}, and {asked} was asked for: stop it first, with covey down")]
    Differs { option: &'static str, first: String, asked: String },
}

impl Asked {
    /// What to start: what was asked for, over what the cluster was first started with, over what fits the machine.
    ///
    /// # Errors
    /// When the cluster is `alive` and was started otherwise, or a file cannot be read.
    pub(crate) fn resolve(&self, layout: &Layout, alive: bool) -> Result<Options, OptionsError> {
        let asked = self.absolute()?;
        match Options::read(&layout.options())? {
            Some(first) if alive => asked.agree(first),
            Some(first) => Ok(asked.over(first)),
            None => Ok(asked.over(Options::of_machine(self)?)),
        }
    }

    /// The same with a settings file that daemons find from elsewhere.
    fn absolute(&self) -> Result<Asked, OptionsError> {
        let readable = |path: PathBuf| match path.to_str() {
            Some(_) => Ok(path),
            None => Err(io::Error::new(io::ErrorKind::InvalidFilename, "its path is not UTF-8")),
        };
        let found = |path: &PathBuf| {
            let found = fs::canonicalize(path).and_then(readable);
            found.map_err(|source| OptionsError::Config { path: path.clone(), source })
        };
        Ok(Asked { config: self.config.as_ref().map(found).transpose()?, ..self.clone() })
    }

    fn over(self, base: Options) -> Options {
        Options {
            nodes: self.nodes.unwrap_or(base.nodes),
            cpus: self.cpus.unwrap_or(base.cpus),
            memory_mib: self.memory.map_or(base.memory_mib, |memory| memory.0),
            config: self.config.or(base.config),
            features: self.features.unwrap_or(base.features),
            gres: self.gres.unwrap_or(base.gres),
        }
    }

    fn agree(self, first: Options) -> Result<Options, OptionsError> {
        let asked = self.over(first.clone());
        let shown = |options: &Options| {
            let config = options.config.as_ref().map_or("DIR/covey.toml".into(), |path| path.display().to_string());
            let memory = Mebibytes(options.memory_mib).to_string();
            let listed = |list: &String| if list.is_empty() { "none".to_owned() } else { list.clone() };
            let (features, gres) = (listed(&options.features), listed(&options.gres));
            [options.nodes.to_string(), options.cpus.to_string(), memory, config, features, gres]
        };
        let names = ["--nodes", "--cpus", "--memory", "--config", "--features", "--gres"].into_iter();
        match names.zip(shown(&first).into_iter().zip(shown(&asked))).find(|(_, (first, asked))| first != asked) {
            Some((option, (first, asked))) => Err(OptionsError::Differs { option, first, asked }),
            None => Ok(first),
        }
    }
}

impl Options {
    fn of_machine(asked: &Asked) -> Result<Options, OptionsError> {
        let nodes = asked.nodes.unwrap_or(NODES_DEFAULT);
        let cores =
            std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(CPUS_MAX));
        let memory_mib = match asked.memory {
            Some(memory) => memory.0,
            None => memory_share_mib(&fs::read_to_string("/proc/meminfo").unwrap_or_default(), nodes)?,
        };
        let cpus = (cores / nodes).clamp(1, CPUS_MAX);
        Ok(Options { nodes, cpus, memory_mib, config: None, features: String::new(), gres: String::new() })
    }

    /// The names of the nodes.
    pub(crate) fn node_names(&self) -> Vec<String> {
        (0..self.nodes).map(|number| format!("linux{number}")).collect()
    }

    /// What was kept, if something was.
    pub(crate) fn read(path: &Path) -> Result<Option<Options>, OptionsError> {
        match fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text)
                .map(Some)
                .map_err(|source| OptionsError::Parse { path: path.to_owned(), source: Box::new(source) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(OptionsError::Read { path: path.to_owned(), source }),
        }
    }

    /// Keeps the options.
    pub(crate) fn write(&self, path: &Path) -> Result<(), OptionsError> {
        let written = toml::to_string(self).expect("numbers and an UTF-8 path are TOML");
        let text = format!(
            "# What covey up first started this cluster with; it starts missing parts with the same.\n{written}"
        );
        fs::write(path, text).map_err(|source| OptionsError::Write { path: path.to_owned(), source })
    }
}

fn read_memory(text: &str) -> Result<Mebibytes, String> {
    let memory = text.parse::<Mebibytes>().map_err(|error: SizeError| error.to_string())?;
    if memory.0 == 0 { Err("a node needs memory: write a size such as 4G".into()) } else { Ok(memory) }
}

fn read_features(text: &str) -> Result<String, FeaturesError> {
    constraint::read_features(text).map(|_| text.to_owned())
}

fn read_gres(text: &str) -> Result<String, GresError> {
    Gres::list(text).map(|_| text.to_owned())
}

/// What each of `nodes` gets of the memory that `/proc/meminfo` tells of.
fn memory_share_mib(meminfo: &str, nodes: u32) -> Result<u64, OptionsError> {
    let total_kib = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    let total_mib = total_kib.ok_or(OptionsError::Memory)? / 1024;
    Ok(((total_mib - total_mib / MEMORY_SPARED) / u64::from(nodes)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, Layout) {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::find(Some(folder.path())).expect("a path");
        (folder, layout)
    }

    #[test]
    fn memory_is_shared_and_a_tenth_is_spared() {
        let meminfo = "MemTotal:       24684000 kB\nMemFree:         1 kB\n";
        assert_eq!(memory_share_mib(meminfo, 9).expect("told"), 2410);
        assert_eq!(memory_share_mib("MemTotal: 1024 kB\n", 500).expect("told"), 1);
        assert!(matches!(memory_share_mib("", 9), Err(OptionsError::Memory)));
    }

    #[test]
    fn a_machine_gives_each_node_something() {
        let (_folder, layout) = folder();
        let options = Asked::default().resolve(&layout, false).expect("this machine has memory");
        assert_eq!(options.node_names().len(), 9);
        assert!(options.cpus >= 1 && options.memory_mib >= 1);
        assert_eq!(options.node_names()[8], "linux8");
    }

    #[test]
    fn the_first_options_are_kept_for_what_lives_and_a_base_for_what_does_not() {
        let (folder, layout) = folder();
        let config = folder.path().join("it's \"mine\".toml");
        fs::write(&config, "").expect("written");
        let asked = Asked {
            nodes: Some(3),
            cpus: Some(2),
            memory: Some(Mebibytes(512)),
            config: Some(config),
            ..Asked::default()
        };
        let first = asked.resolve(&layout, false).expect("good");
        first.write(&layout.options()).expect("written");
        assert_eq!(asked.resolve(&layout, true).expect("the same"), first);
        assert_eq!(Asked::default().resolve(&layout, true).expect("nothing else asked"), first);
        let more = Asked { nodes: Some(4), ..Asked::default() };
        assert_eq!(more.resolve(&layout, false).expect("all are dead"), Options { nodes: 4, ..first });
        let refusal = more.resolve(&layout, true).expect_err("another number");
        assert_eq!(
            refusal.to_string(),
            "the cluster runs with --nodes 3, and 4 was asked for: stop it first, with covey down"
        );
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let (_folder, layout) = folder();
        fs::write(layout.options(), "nodes = \"many\"\n").expect("written");
        assert!(matches!(Asked::default().resolve(&layout, false), Err(OptionsError::Parse { .. })));
        let asked = Asked { config: Some("/nowhere/covey.toml".into()), ..Asked::default() };
        assert!(matches!(asked.resolve(&layout, false), Err(OptionsError::Config { .. })));
        assert!(read_memory("0").is_err() && read_memory("4X").is_err() && read_memory("4G").is_ok());
    }
}
