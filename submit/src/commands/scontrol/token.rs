//! `token`: what a user shows who calls from elsewhere, as the line that Slurm prints.

use std::process::ExitCode;

use proto::v1::CreateUserTokenRequest;

use crate::call::{CallError, connect};
use crate::commands::user::create;
use crate::failure::{Failure, Outcome, print};

/// How long a token is good of which nobody says otherwise, in seconds, as in Slurm.
const LIFESPAN_S: u64 = 1_800;

/// Makes and prints a token.
pub(super) async fn token(timeout: Option<u32>, words: &[&str]) -> Outcome<ExitCode> {
    let request = read(words)?;
    let made = async { create(connect(timeout).await?, request).await };
    let reply = made.await.map_err(|error: CallError| Failure::call("scontrol", "scontrol: error: ", &error))?;
    print(format_args!("SLURM_JWT={}\n", reply.token))
}

fn read(words: &[&str]) -> Outcome<CreateUserTokenRequest> {
    let mut request = CreateUserTokenRequest { ttl_s: LIFESPAN_S, ..CreateUserTokenRequest::default() };
    for word in words {
        match word.split_once('=') {
            Some((name, user)) if name.eq_ignore_ascii_case("username") => request.user = user.to_owned(),
            Some((name, text)) if name.eq_ignore_ascii_case("lifespan") => {
                let read = text.parse().ok().filter(|seconds| *seconds > 0);
                request.ttl_s = read.ok_or_else(|| {
                    Failure::new(format_args!("invalid lifespan {text}: write seconds, at most a year"))
                })?;
            }
            _ => return Err(Failure::new(format_args!("token takes lifespan=SECONDS and username=USER, not {word}"))),
        }
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_words_are_read_as_slurm_reads_them() {
        let read_ok = |words: &[&str]| read(words).map(|request| (request.ttl_s, request.user)).ok();
        assert_eq!(read_ok(&[]), Some((1_800, String::new())));
        assert_eq!(read_ok(&["Lifespan=60", "username=ada"]), Some((60, "ada".into())));
        for word in ["lifespan=0", "lifespan=infinite", "user=ada", "ada"] {
            assert_eq!(read_ok(&[word]), None, "{word}");
        }
    }
}
