//! What a person reads of a run: one line for each thing that happens, made only when somebody listens.

/// The lines so far.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// The lines, or nothing when nobody listens.
    lines: Option<Vec<String>>,
}

impl Story {
    /// A story that is listened to, or not.
    #[must_use]
    pub(crate) fn new(heard: bool) -> Story {
        Story { lines: heard.then(Vec::new) }
    }

    pub(crate) fn tell(&mut self, now_ms: u64, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>9.3} {}", now_ms as f64 / 1000.0, line()));
        }
    }

    /// What was told.
    #[must_use]
    pub(crate) fn lines(&self) -> &[String] {
        self.lines.as_deref().unwrap_or_default()
    }
}
