//! The wire.
pub mod v1 {
    //! x
    #![allow(missing_docs, clippy::all)]
    tonic::include_proto!("covey.v1");
}
