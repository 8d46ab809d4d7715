//! Makes the Rust code of the `.proto` files, with protox in the place of protoc.

use std::path::PathBuf;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=covey");
    let files = ["controller", "errors", "link", "membership"].map(|name| format!("covey/v1/{name}.proto"));
    let files = protox::compile(files, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    std::fs::write(out.join("descriptor.bin"), prost::Message::encode_to_vec(&files))?;
    tonic_prost_build::configure()
        .bytes(".covey.v1.JobBrief")
        .bytes(".covey.v1.SubmitPart")
        .bytes(".covey.v1.BackupPart")
        // Most rows have none, and it is as large as the rest of them.
        .boxed(".covey.v1.JobRow.detail")
        // Those that hold a secret print without it (`secret.rs`).
        .skip_debug(
            ["JoinRequest", "CreateNodeTokenReply", "CreateUserTokenReply", "SignedRequest", "StartStep", "StepdHello"]
                .map(|name| format!(".covey.v1.{name}")),
        )
        .compile_fds(files)?;
    Ok(())
}
