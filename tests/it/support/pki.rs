//! Keys and certificates, made by the `openssl` command.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use super::Output;

/// Runs `openssl` in `dir`, whatever comes of it.
pub fn openssl(dir: &Path, args: &[&str]) -> Output {
    let output = Command::new("openssl").args(args).current_dir(dir).output();
    Output::of(output.unwrap_or_else(|error| {
        panic!(
            "these tests need the `openssl` command (Debian: apt-get install openssl), which \
                cannot be run: {error}"
        )
    }))
}

/// Runs `openssl` in `dir`, which must succeed.
pub fn openssl_ok(dir: &Path, args: &[&str]) -> Output {
    let output = openssl(dir, args);
    assert_eq!(output.code, 0, "openssl {}: {output:?}", args.join(" "));
    output
}

/// The kinds of keys that CAs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    P256,
    P384,
    P521,
    Rsa2048,
    Rsa3072,
    Rsa4096,
    /// 2048 bits, and id-RSASSA-PSS in its SubjectPublicKeyInfo.
    RsaPss,
}

impl Key {
    fn options(self) -> [&'static str; 3] {
        match self {
            Self::P256 => ["EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            Self::P384 => ["EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
            Self::P521 => ["EC", "-pkeyopt", "ec_paramgen_curve:P-521"],
            Self::Rsa2048 => ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
            Self::Rsa3072 => ["RSA", "-pkeyopt", "rsa_keygen_bits:3072"],
            Self::Rsa4096 => ["RSA", "-pkeyopt", "rsa_keygen_bits:4096"],
            Self::RsaPss => ["RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"],
        }
    }

    /// A new key, PKCS #8 PEM.
    pub fn generate(self) -> String {
        let args = [&["genpkey", "-algorithm"][..], &self.options()].concat();
        openssl_ok(Path::new("."), &args).stdout
    }

    /// A key that all tests share: making RSA keys is slow.
    pub fn shared(self) -> &'static str {
        static KEYS: [OnceLock<String>; 7] = [const { OnceLock::new() }; 7];
        KEYS[self as usize].get_or_init(|| self.generate())
    }
}

/// How a private key is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Pkcs8,
    /// PKCS #1 for RSA, SEC 1 for curves.
    Traditional,
}

/// Writes a PKCS #8 key into `path` in another form.
pub fn write_key(path: &Path, pkcs8: &str, form: Form) {
    fs::write(path, pkcs8).unwrap();
    if form == Form::Traditional {
        let (dir, file) = (path.parent().unwrap(), path.to_str().unwrap());
        let text = openssl_ok(dir, &["pkey", "-in", file, "-traditional"]).stdout;
        assert!(!text.contains("BEGIN PRIVATE KEY"), "{text}");
        fs::write(path, text).unwrap();
    }
}

/// A certificate to be made.
#[derive(Clone, Copy, Debug)]
pub struct Cert<'a> {
    pub subject: &'a str,
    /// Hexadecimal.
    pub serial: &'a str,
    pub days: u32,
    /// Lines of an OpenSSL extension section.
    pub extensions: &'a str,
}

/// What a CA certificate needs to be one that may sign CRLs.
pub const CA_EXTENSIONS: &str = "basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
";

/// What an ordinary certificate has.
pub const LEAF_EXTENSIONS: &str = "basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
";

/// A self-signed certificate for the key in `key`; `mask` is OpenSSL's `string_mask`.
pub fn self_signed(key: &Path, out: &Path, cert: Cert<'_>, mask: &str) {
    let config = out.with_extension("cnf");
    let text = format!(
        "[req]\nstring_mask = {mask}\ndistinguished_name = dn\n[dn]\n[x]\n{}",
        cert.extensions
    );
    fs::write(&config, text).unwrap();
    let days = cert.days.to_string();
    let serial = format!("0x{}", cert.serial);
    let files = [&config, key, out].map(|path| path.to_str().unwrap());
    let mut args = vec![
        "req",
        "-x509",
        "-new",
        "-config",
        files[0],
        "-extensions",
        "x",
        "-key",
        files[1],
    ];
    args.extend([
        "-out",
        files[2],
        "-subj",
        cert.subject,
        "-days",
        &days,
        "-set_serial",
        &serial,
    ]);
    args.extend(signature_options(key));
    openssl_ok(out.parent().unwrap(), &args);
}

/// A certificate for `public`, issued by the CA whose certificate and key are in `ca`.
pub fn issue(ca: (&Path, &Path), public: &Path, out: &Path, cert: Cert<'_>) {
    let config = out.with_extension("cnf");
    fs::write(&config, format!("[x]\n{}", cert.extensions)).unwrap();
    let days = cert.days.to_string();
    let serial = format!("0x{}", cert.serial);
    let files = [ca.0, ca.1, public, out, &config].map(|path| path.to_str().unwrap());
    let mut args = vec![
        "x509",
        "-new",
        "-CA",
        files[0],
        "-CAkey",
        files[1],
        "-force_pubkey",
        files[2],
    ];
    args.extend(["-out", files[3], "-extfile", files[4], "-extensions", "x"]);
    args.extend([
        "-subj",
        cert.subject,
        "-days",
        &days,
        "-set_serial",
        &serial,
    ]);
    args.extend(signature_options(ca.1));
    openssl_ok(out.parent().unwrap(), &args);
}

/// The hash that is usual for the key. OpenSSL's own salt length is as long as the key allows;
/// ours, and everybody's, is that of the hash.
fn signature_options(key: &Path) -> Vec<&'static str> {
    let file = key.to_str().unwrap();
    let text = openssl_ok(
        Path::new("."),
        &["pkey", "-in", file, "-noout", "-text_pub"],
    )
    .stdout;
    let has = |word: &str| text.contains(word);
    match () {
        () if has("PSS") => vec!["-sha256", "-sigopt", "rsa_pss_saltlen:digest"],
        () if has("P-384") => vec!["-sha384"],
        () if has("P-521") => vec!["-sha512"],
        () => vec!["-sha256"],
    }
}

/// The public half of a key, for [`issue`].
pub fn public_key(key: &Path) -> PathBuf {
    let out = key.with_extension("pub");
    let args = [
        "pkey",
        "-in",
        key.to_str().unwrap(),
        "-pubout",
        "-out",
        out.to_str().unwrap(),
    ];
    openssl_ok(key.parent().unwrap(), &args);
    out
}

/// The DER of a PEM certificate.
pub fn der_of(pem: &Path) -> Vec<u8> {
    let out = pem.with_extension("der");
    let args = [
        "x509",
        "-in",
        pem.to_str().unwrap(),
        "-outform",
        "DER",
        "-out",
        out.to_str().unwrap(),
    ];
    openssl_ok(pem.parent().unwrap(), &args);
    fs::read(out).unwrap()
}

/// A CA certificate that ended yesterday. OpenSSL 3.0 takes dates only from `openssl ca`.
pub fn expired_self_signed(key: &Path, out: &Path, subject: &str) {
    let dir = out.parent().unwrap();
    let file = key.to_str().unwrap();
    fs::write(dir.join("expired.txt"), "").unwrap();
    let config = format!(
        "[ca]\ndefault_ca = d\n[d]\ndatabase = expired.txt\nnew_certs_dir = .\nrand_serial = \
         yes\npolicy = p\n\
         default_md = sha256\nemail_in_dn = no\n[p]\ncommonName = supplied\n\
         [req]\ndistinguished_name = dn\n[dn]\n[x]\n{CA_EXTENSIONS}"
    );
    fs::write(dir.join("expired.cnf"), config).unwrap();
    let request = [
        "req",
        "-new",
        "-config",
        "expired.cnf",
        "-key",
        file,
        "-subj",
        subject,
        "-out",
        "expired.csr",
    ];
    openssl_ok(dir, &request);
    let mut args = vec![
        "ca",
        "-batch",
        "-selfsign",
        "-config",
        "expired.cnf",
        "-keyfile",
        file,
        "-in",
        "expired.csr",
    ];
    args.extend(["-out", out.to_str().unwrap(), "-extensions", "x", "-notext"]);
    args.extend([
        "-startdate",
        "20200101000000Z",
        "-enddate",
        "20210101000000Z",
    ]);
    openssl_ok(dir, &args);
}
