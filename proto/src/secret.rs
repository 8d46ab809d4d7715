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
