//! The desk: driver, journal on sled and gRPC services.
