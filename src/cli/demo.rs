//! `rescind demo`: a CA, three certificates, a CRL and OCSP, in one minute and one folder.

mod certificates;

use std::{
    fs::OpenOptions,
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{BoxedError, Context, Failure, now, print, serve};
use crate::{
    ca::{Ca, open::read_certificate},
    core::{chain::Chain, revocation::Reason},
    stories::{
        publish::{self, Options},
        revoke::{self, Author},
        schema::{self, Revocation},
    },
};
use clap::Args;

/// `rescind demo`.
#[derive(Debug, Args)]
pub(super) struct Demo {
    /// The folder for it; an earlier demo there is continued
    #[arg(long, value_name = "FOLDER", default_value = "rescind-demo")]
    dir: PathBuf,
}

const NAME: &str = "demo";
const PORT: u16 = 8080;

impl Demo {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let dir = &self.dir;
        let file = dir.join("rescind.toml");
        let is_new = !file.exists();
        let context = Context {
            config: Some(file),
            json: false,
        };
        let listener = if is_new {
            let listener = free_port().await?;
            let address = listener.local_addr().map_err(Failure::failed)?;
            make(dir, address).map_err(|why| {
                Failure::failed(format!("couldn't make the demo: {}", Chain(&*why)))
            })?;
            listener
        } else {
            // The port stands in the demo's certificates, so it must be the same again.
            serve::bind(context.configuration()?.http.listen).await?
        };
        let ca = context.ca(NAME).await?;
        if is_new {
            revoke(&ca, dir).await?;
        }
        let outcome = publish::publish(&ca, None, Options::default(), now())
            .await
            .map_err(Failure::failed)?;
        let number = outcome.number.map_or(0, |number| number.get());
        let config = context.configuration()?;
        tell(dir, &config.http.public_url, number)?;
        serve::serve(&config, listener).await
    }
}

async fn free_port() -> Result<tokio::net::TcpListener, Failure> {
    match serve::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))).await {
        Ok(listener) => Ok(listener),
        Err(_) => serve::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await,
    }
}

/// Makes CA, certificates and configuration.
fn make(dir: &Path, address: SocketAddr) -> Result<(), BoxedError> {
    if dir.exists() && std::fs::read_dir(dir)?.next().is_some() {
        return Err(format!(
            "{} is not empty, and holds no demo; name another folder with --dir",
            dir.display()
        )
        .into());
    }
    std::fs::create_dir_all(dir)?;
    let now = now();
    let ca = certificates::root("rescind demo CA", now)?;
    put(dir, "ca.pem", &ca.certificate, 0o644)?;
    put(dir, "ca.key.pem", &ca.key, 0o600)?;
    for name in ["good", "revoked", "held"] {
        let leaf = certificates::leaf(&ca, &format!("{name}.demo.example"), address, now)?;
        put(dir, &format!("{name}.pem"), &leaf.certificate, 0o644)?;
        put(dir, &format!("{name}.key.pem"), &leaf.key, 0o600)?;
    }
    // Last, and whole: a folder with it is a whole demo.
    put(dir, "rescind.toml.new", &configuration(address), 0o644)?;
    std::fs::rename(dir.join("rescind.toml.new"), dir.join("rescind.toml"))?;
    Ok(())
}

/// Writes a file that is not there yet.
fn put(dir: &Path, name: &str, text: &str, mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(mode);
    let mut file = options.open(dir.join(name))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn configuration(address: SocketAddr) -> String {
    format!(
        "# Made by `rescind demo`. Paths start at this file's folder.\n\n\
         [http]\nlisten = \"{address}\"\npublic_url = \"http://{address}\"\n\n\
         [[issuer]]\nname = \"{NAME}\"\ncertificate = \"file:ca.pem\"\nkey = \"file:ca.key.pem\"\n"
    )
}

/// Lists the three certificates, revokes one and holds one.
async fn revoke(ca: &Ca, dir: &Path) -> Result<(), Failure> {
    let now = now();
    let mut requests = Vec::new();
    for (name, reason) in [
        ("good", None),
        ("revoked", Some(Reason::KeyCompromise)),
        ("held", Some(Reason::CertificateHold)),
    ] {
        let certificate =
            read_certificate(&dir.join(format!("{name}.pem"))).map_err(Failure::failed)?;
        let request = match reason {
            None => schema::record(ca, &certificate),
            Some(reason) => Revocation {
                reason: Some(reason.name().to_owned()),
                ..Revocation::default()
            }
            .of_certificate(ca, &certificate, now),
        };
        requests.push(request.map_err(Failure::failed)?);
    }
    let author = Author {
        actor: "rescind demo".to_owned(),
        comment: "three certificates to play with".to_owned(),
    };
    revoke::commit(ca, &requests, &author, now, |_| ())
        .await
        .map(|_| ())
        .map_err(Failure::failed)
}

/// Prints commands that work when pasted.
fn tell(dir: &Path, url: &str, number: u64) -> Result<(), Failure> {
    let d = quoted(dir);
    let rescind = std::env::args_os()
        .next()
        .map_or("rescind".to_owned(), |name| quoted(Path::new(&name)));
    print(format_args!(
        "A demo CA with three certificates is in {d}: one is good, one revoked, one on hold.\n\
         CRL number {number} is published, and OCSP is answered at {url}/ocsp until you press \
         Ctrl-C.\n\n\
         Paste these into another terminal, in this folder:\n\n\
         # OCSP by POST: good, revoked (keyCompromise), revoked (certificateHold)\n\
         for c in good revoked held; do openssl ocsp -issuer {d}/ca.pem -cert {d}/$c.pem -CAfile \
         {d}/ca.pem -url {url}/ocsp; done\n\n\
         # The same with SHA-256 CertIDs and without nonce\n\
         for c in good revoked held; do openssl ocsp -sha256 -no_nonce -issuer {d}/ca.pem -cert \
         {d}/$c.pem -CAfile {d}/ca.pem -url {url}/ocsp; done\n\n\
         # OCSP by GET, as browsers and caches do\n\
         openssl ocsp -no_nonce -issuer {d}/ca.pem -cert {d}/revoked.pem -reqout {d}/request.der\n\
         curl -s -D - -o {d}/response.der \
         {url}/ocsp/$(openssl base64 -A -in {d}/request.der | sed 's/+/%2B/g; s,/,%2F,g; \
         s/=/%3D/g')\n\
         openssl ocsp -no_nonce -respin {d}/response.der -issuer {d}/ca.pem -cert {d}/revoked.pem \
         -CAfile {d}/ca.pem\n\n\
         # The CRL: its signature, what it lists, and what a relying party makes of it\n\
         curl -s {url}/crl/{NAME}.crl -o {d}/demo.crl\n\
         openssl crl -inform DER -in {d}/demo.crl -CAfile {d}/ca.pem -verify -noout -text\n\
         curl -s {url}/crl/{NAME}.crl.pem -o {d}/demo.crl.pem\n\
         for c in good revoked held; do openssl verify -crl_check -CAfile {d}/ca.pem -CRLfile \
         {d}/demo.crl.pem {d}/$c.pem; done\n\n\
         # Revoke the good one too; OCSP tells within seconds, the CRL within a minute\n\
         {rescind} --config {d}/rescind.toml revoke --issuer {NAME} --cert {d}/good.pem --reason \
         superseded\n\
         {rescind} --config {d}/rescind.toml status\n"
    ))
}

/// For a shell.
fn quoted(dir: &Path) -> String {
    let text = dir.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
