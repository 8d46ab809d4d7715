//! `covey node`: lets nodes in over the network, and shuts them out.

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

/// Makes join tokens for nodes on other machines, and shuts out nodes that are no longer to be trusted.
///
/// A node joins once with a token: from then on its certificate, which it renews by itself, is proof enough.
#[derive(Debug, Parser)]
#[command(
    name = "covey node",
    after_help = "Examples:\n  covey node token create --ttl 1d --uses 9 > join.txt\n  covey noded --name n1 --controller https://ctl:6817 --token-file join.txt --dir /srv/n1\n  \
                  covey node token revoke 3\n  covey node revoke n1"
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
    /// Make, list and revoke join tokens
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// Shut a node out: its link is cut at once, and its certificate counts no more
    Revoke {
        /// The node
        #[arg(value_name = "NAME")]
        name: String,
    },
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token, and print it: the only time that it can be seen
    Create {
        /// How long it is good: 90s, 30m, 1h, 7d
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
        ttl: u64,
        /// How many nodes may join by it [default: any number]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
        uses: Option<u32>,
        /// For programs: one JSON object with id, token and until_ms
        #[arg(long)]
        json: bool,
    },
    /// List the tokens, without their secrets
    List {
        /// For programs: a JSON array with id, state, made_ms, until_ms, uses, uses_max and uid
        #[arg(long)]
        json: bool,
    },
    /// Let nobody else join by a token; who has joined stays
    Revoke {
        /// Its number in the list
        #[arg(value_name = "ID")]
        id: u32,
    },
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|args| {
        let done = block_on(async {
            let client = AdmissionClient::new(connect(args.connect_timeout).await?);
            ask(client, &args.command).await
        });
        done.map_err(|error| Failure::call("covey node", "covey node: error: ", &error))?.print()
    }))
}

async fn ask(mut client: AdmissionClient<Channel>, command: &Command) -> Result<Said, CallError> {
    Ok(match command {
        Command::Token { command: TokenCommand::Create { ttl, uses, json } } => {
            let request = v1::CreateNodeTokenRequest { ttl_s: *ttl, uses: uses.unwrap_or(0) };
            created(&client.create_node_token(request).await?.into_inner(), *uses, *json)
        }
        Command::Token { command: TokenCommand::List { json } } => {
            let tokens = client.list_node_tokens(v1::ListNodeTokensRequest {}).await?.into_inner().tokens;
            if *json { Said::json(rows(&tokens)) } else { Said::plain(table(&tokens)) }
        }
        Command::Token { command: TokenCommand::Revoke { id } } => {
            client.revoke_node_token(v1::RevokeNodeTokenRequest { id: *id }).await?;
            Said::plain(format!("join token {id} is revoked; nodes that have joined by it stay\n"))
        }
        Command::Revoke { name } => {
            let reply = client.revoke_node(v1::RevokeNodeRequest { name: name.clone() }).await?.into_inner();
            shut_out(name, reply.token_still_valid)
        }
    })
}

fn created(reply: &v1::CreateNodeTokenReply, uses: Option<u32>, json: bool) -> Said {
    let v1::CreateNodeTokenReply { id, token, until_ms } = reply;
    if json {
        return Said::json(json!({ "id": id, "token": token, "until_ms": until_ms }));
    }
    let until = show::time(*until_ms).unwrap_or_default();
    let uses = uses
        .map_or("any number of nodes".into(), |uses| if uses == 1 { "1 node".into() } else { format!("{uses} nodes") });
    let note = format!(
        "join token {id}: for {uses}, until {until}. Put it into a file, and start noded with --controller https://HOST:PORT --token-file FILE"
    );
    Said::token(token, note)
}

fn shut_out(name: &str, token_still_valid: u32) -> Said {
    let mut out = format!("node {name} is revoked\n");
    if token_still_valid != 0 {
        out.push_str(&format!(
            "the join token by which it came is still good: covey node token revoke {token_still_valid}\n"
        ));
    }
    Said::plain(out)
}

fn table(tokens: &[v1::NodeTokenRow]) -> String {
    let mut lines = format!("{:>4} {:<8} {:<19} {:<19} {:>9} {:>6}\n", "ID", "STATE", "MADE", "UNTIL", "USES", "UID");
    for token in tokens {
        let most = if token.uses_max == 0 { "any".into() } else { token.uses_max.to_string() };
        let [made, until] = [token.made_ms, token.until_ms].map(|ms| show::time(ms).unwrap_or_default());
        let uses = format!("{}/{most}", token.uses);
        lines.push_str(&format!(
            "{:>4} {:<8} {made:<19} {until:<19} {uses:>9} {:>6}\n",
            token.id, token.state, token.uid
        ));
    }
    lines
}

fn rows(tokens: &[v1::NodeTokenRow]) -> Vec<Value> {
    let row = |token: &v1::NodeTokenRow| {
        let v1::NodeTokenRow { id, made_ms, until_ms, uses_max, uses, uid, state } = token;
        let uses_max = (*uses_max != 0).then_some(uses_max);
        json!({ "id": id, "state": state, "made_ms": made_ms, "until_ms": until_ms, "uses": uses, "uses_max": uses_max, "uid": uid })
    };
    tokens.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_alone_on_stdout_and_explained_beside_it() {
        let reply = v1::CreateNodeTokenReply { id: 3, token: "COVEY-1-a-b".into(), until_ms: 1_800_000_000_000 };
        let said = created(&reply, Some(9), false);
        assert_eq!(said.out, "COVEY-1-a-b\n");
        assert!(
            said.note
                .is_some_and(|note| note.starts_with("join token 3: for 9 nodes, until ") && !note.contains("COVEY-1"))
        );
        let json = created(&reply, None, true);
        assert_eq!(
            (json.out.as_str(), json.note),
            ("{\"id\":3,\"token\":\"COVEY-1-a-b\",\"until_ms\":1800000000000}\n", None)
        );
    }

    #[test]
    fn the_list_has_a_line_for_each_token() {
        let token = v1::NodeTokenRow { id: 3, state: "VALID".into(), uses: 2, ..v1::NodeTokenRow::default() };
        let text = table(std::slice::from_ref(&token));
        assert!(
            text.lines().nth(1).is_some_and(|line| line.starts_with("   3 VALID ") && line.contains(" 2/any ")),
            "{text}"
        );
        assert!(Said::json(rows(&[token])).out.contains("\"uses_max\":null"));
        assert!(
            shut_out("n1", 3).out.ends_with("covey node token revoke 3\n") && !shut_out("n1", 0).out.contains("token")
        );
    }
}
