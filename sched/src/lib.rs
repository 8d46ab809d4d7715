//! The thinking: a pure, deterministic scheduler core.
