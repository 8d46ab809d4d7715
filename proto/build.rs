//! Makes the Rust code of the `.proto` files, with protox in the place of protoc.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=covey");
    let files =
        protox::compile(["covey/v1/controller.proto", "covey/v1/link.proto", "covey/v1/membership.proto"], ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptor.bin"), prost::Message::encode_to_vec(&files))?;
    tonic_prost_build::configure()
        .bytes(".covey.v1.JobBrief")
        .bytes(".covey.v1.SubmitPart")
        // Those that hold a secret print without it (`secret.rs`).
        .skip_debug([".covey.v1.JoinRequest", ".covey.v1.CreateNodeTokenReply", ".covey.v1.CreateUserTokenReply"])
        .compile_fds(files)?;
    Ok(())
}
