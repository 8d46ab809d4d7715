//! The wire: messages, checked conversions, dialling and serving.
