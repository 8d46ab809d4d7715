//! The built-in operations on a blob: bytes in, bytes out.
