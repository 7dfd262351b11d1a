//! The product on Azure, as it ships: against the services on the wire, under the Functions host on
//! the wire.

mod azure_only;
mod contract;
mod e2e;
mod faults;
mod history;
mod package;
mod races;
mod responder;

use std::{collections::BTreeMap, fs, path::PathBuf, process::Stdio, sync::Arc};

use rescind::facade::{
    azure::Azure,
    ca::Ca,
    config::{Config, values::Values},
    core::chain::Chain,
};

use crate::{
    cloud::{Cloud, Kind, process},
    support::{Output, crl::Crl, ocsp::IssuerId},
};

/// The name of every test's issuer, in the configuration and in the vault.
const ISSUER: &str = "issuing-1";

/// A cloud with a CA in its vault and the containers that the infrastructure makes; everything is
/// configured by environment, as in a Function app.
struct Deployment {
    cloud: Cloud,
    dir: tempfile::TempDir,
    settings: Vec<(String, String)>,
}

impl Deployment {
    fn new() -> Self {
        Self::with(Kind::P256, &[])
    }

    /// With another kind of key, and settings such as `("ISSUER__0__SIGNATURE", "PS256")`.
    fn with(kind: Kind, more: &[(&str, &str)]) -> Self {
        let cloud = Cloud::start();
        let certificate = cloud.vault().create_ca(ISSUER, kind);
        for (container, is_public) in [("crl", true), ("archive", false), ("state", false)] {
            cloud.create_container(container, is_public);
        }
        let [index, vault] = [cloud.table_url(), cloud.vault_url()];
        let [shelf, archive, state] =
            ["crl", "archive", "state"].map(|name| cloud.container_url(name));
        let usual = [
            ("STORAGE__INDEX", index),
            ("STORAGE__SHELF", shelf),
            ("STORAGE__ARCHIVE", archive),
            ("STORAGE__STATE", state),
            ("ISSUER__0__NAME", ISSUER.to_owned()),
            ("ISSUER__0__CERTIFICATE", certificate.certificate_url()),
            (
                "ISSUER__0__CREDENTIAL",
                format!("{vault}/secrets/{ISSUER}-ocsp"),
            ),
        ];
        let more = more
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let settings = usual.into_iter().chain(more);
        let settings = settings
            .map(|(name, value)| (format!("RESCIND__{name}"), value))
            .collect();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("ca.pem"), &certificate.pem).unwrap();
        Self {
            cloud,
            dir,
            settings,
        }
    }

    /// What the app settings of a Function app would be, with an identity's own environment.
    fn app(&self, identity: Vec<(String, String)>) -> Vec<(String, String)> {
        let schedule = (
            "RESCIND_PUBLISH_SCHEDULE".to_owned(),
            "0 * * * * *".to_owned(),
        );
        [identity, self.settings.clone(), vec![schedule]].concat()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The path as text, for command lines.
    fn file(&self, name: &str) -> String {
        self.path(name).into_os_string().into_string().unwrap()
    }

    /// Runs the binary with this identity's environment and nothing of the tests' own.
    fn run_as(&self, identity: Vec<(String, String)>, args: &[&str]) -> Output {
        let mut command = process::command(env!("CARGO_BIN_EXE_rescind"));
        command
            .args(args)
            .current_dir(self.dir.path())
            .env_clear()
            .envs(self.settings.clone())
            .envs(identity);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Output::of(command.output().unwrap())
    }

    fn run(&self, args: &[&str]) -> Output {
        self.run_as(self.cloud.env(), args)
    }

    fn ok(&self, args: &[&str]) -> Output {
        let output = self.run(args);
        assert_eq!(output.code, 0, "rescind {}: {output:#?}", args.join(" "));
        output
    }

    fn json(&self, args: &[&str]) -> serde_json::Value {
        self.ok(&[args, &["--json"]].concat()).json()
    }

    fn revoke(&self, serial: &str) {
        self.ok(&[
            "revoke",
            "--issuer",
            ISSUER,
            "--serial",
            serial,
            "--reason",
            "superseded",
        ]);
    }

    /// One pass; returns what it says of the issuer.
    fn publish(&self, options: &[&str]) -> serde_json::Value {
        self.json(&[&["publish"], options].concat())["issuers"][0].clone()
    }

    /// The issuer as the library sees it in a process of its own: nothing is cached, and it signs
    /// in anew.
    async fn ca(&self) -> Result<Ca, String> {
        // The SDK's other identities read the environment of the process themselves.
        let mut identity: std::collections::HashMap<_, _> =
            self.cloud.workload("publisher").into_iter().collect();
        identity.remove("AZURE_FEDERATED_TOKEN_FILE");
        identity.insert(
            "AZURE_CLIENT_SECRET".to_owned(),
            "the secret of the tests".to_owned(),
        );
        let values = Values::collect(None, self.settings.clone()).unwrap();
        let config = Config::from_values(&values, self.dir.path()).unwrap();
        let azure: Arc<Azure> = Azure::new(&identity, self.cloud.client())
            .map_err(|error| Chain(&error).to_string())?;
        let cas = Ca::open_all(&config, Some(&azure))
            .await
            .map_err(|error| Chain(&error).to_string())?;
        Ok(cas.into_iter().next().unwrap())
    }

    fn issuer_id(&self) -> IssuerId {
        IssuerId::of(&self.cloud.vault().ca(ISSUER).der)
    }

    /// What relying parties get.
    fn crl(&self) -> Crl {
        Crl::read(&self.crl_bytes().expect("a CRL is on the shelf"))
    }

    fn crl_bytes(&self) -> Option<Vec<u8>> {
        self.cloud.blob("crl", &format!("{ISSUER}.crl"))
    }

    /// Every archived CRL by number.
    fn archive(&self) -> BTreeMap<u64, Vec<u8>> {
        let names = self.cloud.blobs("archive");
        let numbers = names.iter().map(|name| {
            let number = name
                .strip_prefix(&format!("{ISSUER}/"))
                .and_then(|name| name.strip_suffix(".crl"));
            number
                .unwrap_or_else(|| panic!("{name} does not belong into the archive"))
                .parse()
                .unwrap()
        });
        numbers
            .map(|number: u64| {
                (
                    number,
                    self.cloud
                        .blob("archive", &format!("{ISSUER}/{number}.crl"))
                        .unwrap(),
                )
            })
            .collect()
    }

    /// Nothing was asked of the services that the real ones would not have taken.
    fn behaved(&self) {
        assert_eq!(self.cloud.violations(), Vec::<String>::new());
    }
}
