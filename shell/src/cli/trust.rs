//! `shell keygen` and `shell sign`: for those who have no `minisign`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use minisign::{KeyPair, PublicKey, SecretKeyBox};
use serde::Serialize;

use super::output;
use crate::logic::trust;
use crate::refusal::{Code, Refusal};
use crate::worker::clock::unix_ms;

/// Arguments of `shell keygen`.
#[derive(clap::Args)]
pub struct KeygenArgs {
    /// Where the secret key goes; the public one goes to FILE.pub. Neither may exist.
    #[arg(value_name = "FILE")]
    key: PathBuf,
    /// Keep the secret key without a password: whoever can read the file can sign.
    #[arg(long)]
    no_password: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Arguments of `shell sign`.
#[derive(clap::Args)]
pub struct SignArgs {
    /// The library. Its signature goes to a file of its name with .minisig behind it.
    library: PathBuf,
    /// The secret key, of `shell keygen` or `minisign -G`.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The oldest version that it may replace, as 1.2.0. Then it replaces none that is newer than
    /// itself either.
    #[arg(long, value_name = "VERSION")]
    oldest: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Made {
    secret_key: PathBuf,
    public_key: PathBuf,
    trusted: String,
}

#[derive(Serialize)]
struct Signed {
    signature: PathBuf,
    comment: String,
}

/// Runs `shell keygen`.
pub fn keygen(args: &KeygenArgs) -> ExitCode {
    finish(args.json, make_keys(args), |made| {
        format!(
            "secret key {}\npublic key {}\nTo let in only what it has signed:\n  logic-trusted-keys {}",
            made.secret_key.display(),
            made.public_key.display(),
            made.trusted
        )
    })
}

/// Runs `shell sign`.
pub fn sign(args: &SignArgs) -> ExitCode {
    finish(args.json, sign_library(args), |signed| {
        format!("signature {}\ncomment   {}", signed.signature.display(), signed.comment)
    })
}

fn finish<T: Serialize>(
    json: bool,
    outcome: Result<T, Refusal>,
    text: impl FnOnce(&T) -> String,
) -> ExitCode {
    match outcome {
        Ok(value) => {
            output::print(json, &value, text);
            ExitCode::SUCCESS
        }
        Err(refusal) => output::refuse(json, &refusal),
    }
}

fn make_keys(args: &KeygenArgs) -> Result<Made, Refusal> {
    let mut public_key = args.key.as_os_str().to_owned();
    public_key.push(".pub");
    let public_key = PathBuf::from(public_key);
    let pair = match args.no_password {
        true => KeyPair::generate_unencrypted_keypair(),
        false => KeyPair::generate_encrypted_keypair(None),
    };
    let pair = pair.map_err(|error| {
        let message = format!("no key was made: {error}; --no-password asks for none");
        Refusal::new(Code::Io, message)
    })?;
    let text = |boxed: Result<String, minisign::PError>| boxed.map_err(broken);
    let secret = text(pair.sk.to_box(None).map(|boxed| boxed.into_string()))?;
    let public = text(pair.pk.to_box().map(|boxed| boxed.into_string()))?;
    write_new(&args.key, 0o600, &secret)?;
    write_new(&public_key, 0o644, &public)?;
    Ok(Made { secret_key: args.key.clone(), public_key, trusted: pair.pk.to_base64() })
}

fn sign_library(args: &SignArgs) -> Result<Signed, Refusal> {
    if let Some(version) = args.oldest.as_deref().filter(|version| !trust::is_version(version)) {
        let message = format!("'{version}' is no version; give it as 1.2.0");
        return Err(Refusal::new(Code::BadRequest, message));
    }
    let library = File::open(&args.library).map_err(|error| at(&args.library, &error))?;
    let key = std::fs::read_to_string(&args.key).map_err(|error| at(&args.key, &error))?;
    let unreadable = |error: minisign::PError| {
        let message = format!("{} is no secret key that can be used: {error}", args.key.display());
        Refusal::new(Code::BadRequest, message)
    };
    let boxed = || SecretKeyBox::from_string(&key).map_err(unreadable);
    // One without a password is not asked for one.
    let secret = match boxed()?.into_unencrypted_secret_key() {
        Ok(secret) => secret,
        Err(_) => boxed()?.into_secret_key(None).map_err(unreadable)?,
    };
    let public = PublicKey::from_secret_key(&secret).map_err(unreadable)?;
    let name = args.library.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let comment = trust::comment(&name, unix_ms() / 1000, args.oldest.as_deref());
    let signed = minisign::sign(Some(&public), &secret, library, Some(&comment), None);
    let signature = trust::beside(&args.library);
    std::fs::write(&signature, signed.map_err(broken)?.into_string())
        .map_err(|error| at(&signature, &error))?;
    Ok(Signed { signature, comment })
}

fn write_new(path: &Path, mode: u32, text: &str) -> Result<(), Refusal> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    })
    .map_err(|error| at(path, &error))
}

fn at(path: &Path, error: &io::Error) -> Refusal {
    let code = match error.kind() {
        io::ErrorKind::NotFound => Code::NotFound,
        io::ErrorKind::AlreadyExists => Code::FileExists,
        io::ErrorKind::PermissionDenied => Code::PermissionDenied,
        _ => Code::Io,
    };
    Refusal::new(code, format!("{}: {error}", path.display()))
}

fn broken(error: minisign::PError) -> Refusal {
    Refusal::new(Code::Internal, error.to_string())
}
