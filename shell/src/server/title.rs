//! The title of the process, made of the settings.

use abi::config::{ConfigStore, id};

use super::settings::{endpoints, text};
use crate::client::limits::number;
use crate::process::title;
use crate::worker::shared::ServerShared;

/// Shows the title that the settings give the process, unless they say that it keeps its own.
pub fn show(server: &ServerShared) {
    let config = server.config();
    if number(config, id::SET_PROC_TITLE) == 0 {
        return;
    }
    let file = server.config_file().map(|path| path.display().to_string()).unwrap_or_default();
    title::set(|name| {
        expand(&text(config, id::PROC_TITLE_TEMPLATE), &variables(config, name, file))
    });
}

/// What stands for the names in braces.
fn variables(config: &ConfigStore, name: &str, file: String) -> [(&'static str, String); 7] {
    let endpoints = endpoints(config);
    let unix_path = endpoints.unix_path.map(|path| path.display().to_string()).unwrap_or_default();
    let address = match endpoints.port {
        0 => unix_path.clone(),
        port => format!("{}:{port}", endpoints.bind.first().map_or("*", String::as_str)),
    };
    [
        ("{title}", name.to_owned()),
        ("{listen-addr}", address),
        // Neither a cluster nor a sentinel.
        ("{server-mode}", String::new()),
        ("{port}", endpoints.port.to_string()),
        ("{tls-port}", "0".to_owned()),
        ("{unixsocket}", unix_path),
        ("{config-file}", file),
    ]
}

/// The template with what the variables stand for, from left to right: what that is, is not looked
/// at again.
fn expand(template: &str, variables: &[(&str, String)]) -> String {
    let (mut title, mut rest) = (String::new(), template);
    while let Some(next) = rest.chars().next() {
        let found = variables.iter().find(|(name, _)| rest.starts_with(name));
        let len = match found {
            Some((name, value)) => {
                title.push_str(value);
                name.len()
            }
            None => {
                title.push(next);
                next.len_utf8()
            }
        };
        rest = &rest[len..];
    }
    title.trim_end_matches(' ').to_owned()
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn variables_stand_for_their_values() {
        let variables = [("{a}", "{b}".to_owned()), ("{b}", String::new())];
        for (template, expect) in [
            ("{a} {b} x", "{b}  x"),
            ("x {b} ", "x"),
            ("{a}{a}", "{b}{b}"),
            ("{c} é{", "{c} é{"),
            ("", ""),
        ] {
            assert_eq!(expand(template, &variables), expect, "{template}");
        }
    }
}
