//! The options every service has: which configuration, and whether only to look at it.
//!
//! This file must not know any service's keys.

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use crate::{
    config,
    probe::{self, Question},
    process::Settings,
};

/// What a process ends with when its configuration or its command line is wrong (`EX_USAGE`).
pub const BAD_CONFIGURATION: u8 = 64;

/// The options every service has; flatten them into a command line.
#[derive(Clone, Debug, Default, Args)]
pub struct Options {
    /// A TOML file over the built-in defaults.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Check the configuration, print its problems, and exit: 0 when it is good, 64 when it is not.
    #[arg(long)]
    pub check_config: bool,
    /// Print the configuration that results from all layers, and exit.
    #[arg(long)]
    pub dump_config: bool,
    /// Ask the process that runs with this configuration whether it is live, or ready, and exit: 0 when it is, 1 when
    /// not.
    #[arg(long, value_name = "QUESTION", num_args = 0..=1, require_equals = true, default_missing_value = "live")]
    pub health: Option<Question>,
    /// Set one key over file and environment; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub set: Vec<(String, String)>,
}

/// What came of loading a configuration.
#[derive(Clone, Debug)]
pub enum Loaded<C> {
    /// Run with this.
    Run(C),
    /// Everything that was asked for is done.
    Exit(ExitCode),
}

/// Loads the configuration that `options` ask for, and does what they ask of it.
///
/// Problems go to standard error, a dump to standard output; the code to end with is handed back, so that `main` can
/// return it. Nothing is bound or opened here.
#[must_use]
pub fn load<C: Settings>(options: &Options, defaults: &'static str, env_prefix: &str) -> Loaded<C> {
    let loaded = config::load::<C>(defaults, options.config.as_deref(), env_prefix, &options.set);
    match loaded {
        Err(error) => {
            eprintln!("{}", crate::tasks::chain(&error));
            Loaded::Exit(ExitCode::from(BAD_CONFIGURATION))
        }
        Ok(config) if options.dump_config => {
            print!("{}", config::dump(&config));
            Loaded::Exit(ExitCode::SUCCESS)
        }
        Ok(_) if options.check_config => {
            println!("the configuration is good");
            Loaded::Exit(ExitCode::SUCCESS)
        }
        Ok(config) => match options.health {
            None => Loaded::Run(config),
            Some(question) => Loaded::Exit(asked(&config, question)),
        },
    }
}

/// Asks the process that runs with `config` how it is, and says it.
fn asked(config: &impl Settings, question: Question) -> ExitCode {
    match probe::ask(config.ops().listen, question) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", crate::tasks::chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// Splits `section.key=value`.
///
/// # Errors
/// When there is no key or no equals sign.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err(String::from("expected KEY=VALUE, such as grpc.listen=127.0.0.1:7101")),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn values_may_hold_equals_signs() {
        let line = Line::try_parse_from(["x", "--set", "bus.url=nats://a?b=c", "--set", "log = debug"]).expect("valid");
        assert_eq!(
            line.options.set,
            [("bus.url".to_owned(), "nats://a?b=c".to_owned()), ("log".to_owned(), "debug".to_owned())]
        );
        assert!(Line::try_parse_from(["x", "--set", "nothing"]).is_err());
    }

    #[test]
    fn health_is_a_question_with_a_default() {
        let asks = |arguments: &[&str]| Line::try_parse_from(arguments).map(|line| line.options.health);
        assert_eq!(asks(&["x"]).expect("valid"), None);
        assert_eq!(asks(&["x", "--health"]).expect("valid"), Some(Question::Live));
        assert_eq!(asks(&["x", "--health=ready"]).expect("valid"), Some(Question::Ready));
        assert!(asks(&["x", "--health=well"]).is_err());
    }
}
