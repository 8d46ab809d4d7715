//! `covey user`: lets users call from elsewhere.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use proto::v1;
use proto::v1::admission_client::AdmissionClient;
use serde_json::{Value, json};

use crate::call::{CallError, Channel, block_on, connect};
use crate::commands::tokens::{Said, seconds};
use crate::failure::{Failure, ended};
use crate::local::arguments::parsed;
use crate::show;

/// Makes the tokens by which users call from other machines, and ends them.
///
/// On the controller's machine nobody needs one. Users make tokens for themselves, administrators for anybody; a token that is not made
/// with --admin carries no more than a user's rights.
#[derive(Debug, Parser)]
#[command(
    name = "covey user",
    after_help = "Examples:\n  (umask 077; covey user token create --ttl 7d > token)\n  covey user token create --user ada > ada.token\n  covey user token revoke 3\n\n\
                  Elsewhere: put the token into ~/.config/covey/token with mode 600 (or name its file in COVEY_TOKEN_FILE), the cluster's\n\
                  ca.pem beside it (or name it in COVEY_CA_FILE), and set COVEY_CONTROLLER=https://HOST:PORT."
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
    /// Seconds to look for the controller
    #[arg(long, value_name = "SECONDS", global = true)]
    connect_timeout: Option<u32>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make, list and revoke tokens
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token, and print it: the only time that it can be seen
    Create {
        /// Whose it is: a name or uid that the controller's machine knows [default: the caller]
        #[arg(long, value_name = "USER")]
        user: Option<String>,
        /// How long it is good: 90s, 30m, 8h, 7d
        #[arg(long, value_name = "TIME", default_value = "8h", value_parser = seconds)]
        ttl: u64,
        /// With all that its user may do here, for administrators and operators
        #[arg(long)]
        admin: bool,
        /// For programs: one JSON object with id, user, token and until_ms
        #[arg(long)]
        json: bool,
    },
    /// List tokens, without their text: the caller's own, and for administrators all
    List {
        /// For programs: a JSON array with id, user, uid, state, made_ms, until_ms, admin and made_by_uid
        #[arg(long)]
        json: bool,
    },
    /// End a token at once
    Revoke {
        /// Its number in the list
        #[arg(value_name = "ID")]
        id: u32,
    },
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|args| {
        let Command::Token { command } = args.command;
        let done = block_on(async { ask(connect(args.connect_timeout).await?, &command).await });
        done.map_err(|error| Failure::call("covey user", "covey user: error: ", &error))?.print()
    }))
}

/// Makes a token: what `scontrol token` asks for, too.
pub(crate) async fn create(
    channel: Channel,
    request: v1::CreateUserTokenRequest,
) -> Result<v1::CreateUserTokenReply, CallError> {
    Ok(AdmissionClient::new(channel).create_user_token(request).await?.into_inner())
}

async fn ask(channel: Channel, command: &TokenCommand) -> Result<Said, CallError> {
    Ok(match command {
        TokenCommand::Create { user, ttl, admin, json } => {
            let user = user.clone().unwrap_or_default();
            let request = v1::CreateUserTokenRequest { user, ttl_s: *ttl, admin: *admin };
            created(&create(channel, request).await?, *json)
        }
        TokenCommand::List { json } => {
            let request = v1::ListUserTokensRequest {};
            let tokens = AdmissionClient::new(channel).list_user_tokens(request).await?.into_inner().tokens;
            if *json { Said::json(rows(&tokens)) } else { Said::plain(table(&tokens)) }
        }
        TokenCommand::Revoke { id } => {
            AdmissionClient::new(channel).revoke_user_token(v1::RevokeUserTokenRequest { id: *id }).await?;
            Said::plain(format!("user token {id} is revoked\n"))
        }
    })
}

fn created(reply: &v1::CreateUserTokenReply, json: bool) -> Said {
    let v1::CreateUserTokenReply { id, token, user, until_ms } = reply;
    if json {
        return Said::json(json!({ "id": id, "user": user, "token": token, "until_ms": until_ms }));
    }
    let until = show::time(*until_ms).unwrap_or_default();
    let note = format!(
        "user token {id}: {user}, until {until}. Put it into ~/.config/covey/token with chmod 600 where it is to be used"
    );
    Said::token(token, note)
}

fn table(tokens: &[v1::UserTokenRow]) -> String {
    let mut lines = format!(
        "{:>4} {:<8} {:<16} {:>6} {:<19} {:<19} {:<5}\n",
        "ID", "STATE", "USER", "UID", "MADE", "UNTIL", "ADMIN"
    );
    for token in tokens {
        let [made, until] = [token.made_ms, token.until_ms].map(|ms| show::time(ms).unwrap_or_default());
        let admin = if token.admin { "yes" } else { "no" };
        let v1::UserTokenRow { id, state, user, uid, .. } = token;
        lines.push_str(&format!("{id:>4} {state:<8} {user:<16} {uid:>6} {made:<19} {until:<19} {admin}\n"));
    }
    lines
}

fn rows(tokens: &[v1::UserTokenRow]) -> Vec<Value> {
    let row = |token: &v1::UserTokenRow| {
        let v1::UserTokenRow { id, user, uid, made_ms, until_ms, admin, made_by_uid, state } = token;
        json!({ "id": id, "user": user, "uid": uid, "state": state, "made_ms": made_ms, "until_ms": until_ms, "admin": admin, "made_by_uid": made_by_uid })
    };
    tokens.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_alone_on_stdout_and_the_list_has_none() {
        let reply =
            v1::CreateUserTokenReply { id: 3, token: "a.b.c".into(), user: "ada".into(), until_ms: 1_800_000_000_000 };
        let Said { out, note } = created(&reply, false);
        assert_eq!(out, "a.b.c\n");
        assert!(note.is_some_and(|note| note.starts_with("user token 3: ada, until ") && !note.contains("a.b.c")));
        assert!(!format!("{reply:?}").contains("a.b.c"));
        let json = "{\"id\":3,\"token\":\"a.b.c\",\"until_ms\":1800000000000,\"user\":\"ada\"}\n";
        assert_eq!(created(&reply, true), Said { out: json.into(), note: None });
        let row = v1::UserTokenRow { id: 3, state: "VALID".into(), user: "ada".into(), ..Default::default() };
        assert!(table(&[row]).lines().nth(1).is_some_and(|line| line.starts_with("   3 VALID    ada ")));
    }
}
