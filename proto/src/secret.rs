//! How messages that hold a secret print themselves: without it.

use std::fmt;

use crate::v1;

impl fmt::Debug for v1::JoinRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinRequest").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::CreateNodeTokenReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateNodeTokenReply").field("id", &self.id).finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::CreateUserTokenReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CreateUserTokenReply").field("id", &self.id).field("user", &self.user).finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::SignedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedRequest").finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::StartStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StartStep").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for v1::StepdHello {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StepdHello").field("name", &self.name).field("node", &self.node).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_printed() {
        let shown = [
            format!("{:?}", v1::JoinRequest { secret: b"canary".to_vec(), ..Default::default() }),
            format!("{:?}", v1::CreateNodeTokenReply { token: "canary".into(), ..Default::default() }),
            format!("{:?}", v1::CreateUserTokenReply { token: "canary".into(), ..Default::default() }),
            format!("{:?}", v1::StartStep { secret: b"canary".to_vec(), ..Default::default() }),
            format!("{:?}", v1::StepdHello { secret: b"canary".to_vec(), ..Default::default() }),
        ];
        let bytes = format!("{:?}", b"canary");
        assert!(shown.iter().all(|text| !text.contains("canary") && !text.contains(&bytes)), "{shown:?}");
    }
}
