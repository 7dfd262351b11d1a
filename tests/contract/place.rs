//! Where the drivers are.

use rescind::facade::{
    ca::Ca,
    core::{
        crl::{
            Crl, CrlPlan,
            lint::{CrlBefore, CrlSource},
            scope::{Contains, Scope},
        },
        digest::Digest,
        journal::replica::Replica,
        seal::Checked,
        serial::{CrlNumber, Serial},
        time::Window,
    },
    store::content::Label,
    stories::replicate,
};

use crate::support::{self, at, pki::Key};

/// A place with an issuer, and what can be done there without the drivers.
pub trait Place: Sized {
    fn with(key: Key, signature: &str) -> Self;

    async fn ca(&self) -> Ca;

    /// The CA certificate, DER.
    fn ca_der(&self) -> Vec<u8>;

    fn archived(&self, number: u64) -> Option<Vec<u8>>;

    /// Puts other bytes on the shelf under the metadata that is there.
    fn alter_shelf(&self, bytes: &[u8], label: &Label);

    /// Puts a certificate's row under another key, beside its own.
    fn copy_status(&self, serial: &Serial, key: &str);

    /// Puts a file into the archive, of whatever name.
    fn litter_archive(&self, name: &str);

    fn new() -> Self {
        Self::with(Key::P256, "auto")
    }
}

/// All that the index says, followed to its head.
pub async fn level(ca: &Ca) -> Replica {
    replicate::level(ca, None).await.unwrap()
}

/// A CRL with this number, made from the index as it is.
pub async fn made(ca: &Ca, number: u64) -> (Checked<Crl>, Label) {
    let replica = level(ca).await;
    let now = at(support::now());
    let plan = CrlPlan {
        window: Window::new(now.before(ca.crl.backdate), now.after(ca.crl.validity)).unwrap(),
        scope: Scope::Full,
        distribution_points: vec![],
        contains: Contains::All,
        freshest: None,
        delta: None,
        expired_since: None,
        previous: None,
    };
    let source = CrlSource {
        issuer: &ca.issuer,
        replica: &replica,
        now,
    };
    let draft = plan
        .numbered(CrlNumber::known(number))
        .draft(&ca.issuer, &replica);
    let before = CrlBefore {
        previous: None,
        replica: &replica,
        neighbours: None,
        accepted: None,
    };
    let compared = draft.lint(&source).unwrap().compare(&before).unwrap();
    let signed = ca.signer().unwrap().sign(compared).await.unwrap();
    let checked = signed.check(ca.issuer.key(), &source, &before).unwrap();
    let head = replica.head();
    let label = Label {
        number: CrlNumber::known(number),
        seq: head.seq,
        hash: head.hash,
        sha256: Digest::of(checked.bytes()),
    };
    (checked, label)
}
