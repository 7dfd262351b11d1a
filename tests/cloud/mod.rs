//! Azure on the wire, for tests of the shipping configuration.
//!
//! The product talks to `https://contoso.vault.azure.net`, `https://ACCOUNT.table.core.windows.net`
//! and `https://ACCOUNT.blob.core.windows.net`, over TLS and with bearer tokens, exactly as it does
//! in production. It gets there through `HTTPS_PROXY`, trusts us through `SSL_CERT_FILE`, and gets
//! its tokens from `IDENTITY_ENDPOINT`. Behind the proxy stand Azurite and a Key Vault of ours;
//! roles, limits that Azurite lacks, and faults are the proxy's.

pub mod ask;
mod azurite;
mod faults;
mod identity;
pub mod process;
mod proxy;
mod storage;
mod table;
mod tls;
mod upstream;
mod vault;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use hyper::{HeaderMap, Response, header};
use tokio::{net::TcpListener, runtime::Runtime, task::JoinHandle};

pub use faults::{Call, Fault};
pub use hyper::body::Bytes;
pub use identity::{Identity, Right};
pub use storage::Service;
pub use vault::{CaPlan, Kind, Vault};

/// The vault that every test has.
pub const VAULT_HOST: &str = "contoso.vault.azure.net";

type Answer = Response<Bytes>;

fn answer(status: u16, kind: &str, body: impl Into<Bytes>) -> Answer {
    let answer = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, kind)
        .header("x-ms-request-id", "0");
    answer.body(body.into()).expect("an answer")
}

struct Inner {
    account: azurite::Account,
    identities: identity::Identities,
    vault: Vault,
    faults: faults::Faults,
    /// What a client did that the real services would not have taken.
    violations: Mutex<Vec<String>>,
    /// How many rows a page of a table query has, if not as many as the service gives.
    page: Mutex<Option<usize>>,
    token_calls: AtomicUsize,
}

/// One test's Azure: an account, a vault and a proxy of its own. Azurite itself is shared by all.
pub struct Cloud {
    inner: Arc<Inner>,
    port: u16,
    dir: tempfile::TempDir,
    task: JoinHandle<()>,
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where the servers run, whatever the tests themselves run on.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let build = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
    };
    RUNTIME.get_or_init(|| build().expect("a runtime for the servers"))
}

/// Waits for something that runs with the servers; works in asynchronous tests, too.
pub fn wait<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    runtime().spawn(async move {
        let _ = sender.send(work.await);
    });
    receiver.recv().expect("the servers answer")
}

impl Cloud {
    pub fn start() -> Self {
        azurite::shared();
        Self::without_storage()
    }

    /// The vault and the identities alone: Azurite, which storage needs, is not started.
    pub fn without_storage() -> Self {
        let inner = Arc::new(Inner {
            account: azurite::account(),
            identities: identity::Identities::new(),
            vault: Vault::default(),
            faults: faults::Faults::default(),
            violations: Mutex::default(),
            page: Mutex::default(),
            token_calls: AtomicUsize::default(),
        });
        let listener = wait(TcpListener::bind("127.0.0.1:0")).expect("a port for the proxy");
        let port = listener.local_addr().expect("a port").port();
        let task = runtime().spawn(proxy::serve(listener, inner.clone()));
        let dir = tempfile::tempdir().expect("a temporary folder");
        fs::write(dir.path().join("ca.pem"), &tls::shared().ca).expect("the CA file");
        Self {
            inner,
            port,
            dir,
            task,
        }
    }

    // --- What the product is told
    // -----------------------------------------------------------------------------------

    /// The environment of a Function app with the publisher's identity.
    pub fn env(&self) -> Vec<(String, String)> {
        self.env_as("publisher")
    }

    /// The environment of a Function app with this managed identity: `publisher`, `responder`, or
    /// an added one.
    pub fn env_as(&self, name: &str) -> Vec<(String, String)> {
        let mut env = self.network();
        let endpoint = format!("http://127.0.0.1:{}/msi/token", self.port);
        env.push(("IDENTITY_ENDPOINT".into(), endpoint));
        env.push((
            "IDENTITY_HEADER".into(),
            self.inner.identities.get(name).header,
        ));
        env
    }

    /// Only the way to the cloud, without an identity. `curl` understands it as well.
    pub fn network(&self) -> Vec<(String, String)> {
        let proxy = format!("http://127.0.0.1:{}", self.port);
        let ca = self.ca_file().to_string_lossy().into_owned();
        let none = self.dir.path().join("none").to_string_lossy().into_owned();
        let here = "127.0.0.1,localhost".to_owned();
        let proxies = [
            ("HTTPS_PROXY", &proxy),
            ("HTTP_PROXY", &proxy),
            ("https_proxy", &proxy),
            ("http_proxy", &proxy),
        ];
        let exceptions = [("NO_PROXY", &here), ("no_proxy", &here)];
        // curl's own variable comes before OpenSSL's.
        let roots = [
            ("SSL_CERT_FILE", &ca),
            ("SSL_CERT_DIR", &none),
            ("CURL_CA_BUNDLE", &ca),
        ];
        let all = proxies.into_iter().chain(exceptions).chain(roots);
        all.map(|(name, value)| (name.to_owned(), value.clone()))
            .collect()
    }

    /// A laptop on which a person ran `az login`: an `az` command on the PATH, no managed identity.
    pub fn laptop(&self, upn: &str, rights: &[Right]) -> Vec<(String, String)> {
        let person = self.inner.identities.add(upn, Some(upn), rights);
        let folder = self.dir.path().join(upn);
        fs::create_dir_all(&folder).expect("a folder for az");
        fs::write(folder.join("az"), self.az(&person)).expect("az");
        fs::set_permissions(folder.join("az"), fs::Permissions::from_mode(0o755))
            .expect("az can be run");
        let mut env = self.network();
        env.push((
            "PATH".into(),
            format!("{}:/usr/local/bin:/usr/bin:/bin", folder.display()),
        ));
        env
    }

    /// `az account get-access-token -o json --scope SCOPE`, or `--resource RESOURCE`.
    fn az(&self, person: &Identity) -> String {
        let answer = |audience: &str| {
            let (token, expires) = self.inner.identities.token(person, audience);
            serde_json::json!({
                "accessToken": token, "expires_on": expires, "expiresOn": "2036-01-01 00:00:00.000000",
                "subscription": "11111111-1111-4111-8111-111111111111", "tenant": identity::TENANT, "tokenType": "Bearer",
            })
        };
        format!(
            "#!/bin/sh\ncase \"$*\" in\n*vault.azure.net*) echo '{}' ;;\n*storage.azure.com*) echo \
             '{}' ;;\n\
             *) echo 'ERROR: nobody needs a token for this' >&2; exit 1 ;;\nesac\n",
            answer("https://vault.azure.net"),
            answer("https://storage.azure.com")
        )
    }

    /// The environment of a workload identity (Kubernetes, GitHub): a federated token in a file.
    pub fn workload(&self, name: &str) -> Vec<(String, String)> {
        let file = self.dir.path().join(format!("{name}.jwt"));
        fs::write(&file, "federated").expect("the federated token");
        let mut env = self.network();
        let identity = self.inner.identities.get(name);
        env.push(("AZURE_TENANT_ID".into(), identity::TENANT.into()));
        env.push(("AZURE_CLIENT_ID".into(), identity.client_id));
        env.push((
            "AZURE_FEDERATED_TOKEN_FILE".into(),
            file.to_string_lossy().into_owned(),
        ));
        env.push((
            "AZURE_AUTHORITY_HOST".into(),
            "https://login.microsoftonline.com/".into(),
        ));
        env
    }

    /// An HTTP client that goes the same way, for drivers inside the test process.
    pub fn client(&self) -> reqwest::Client {
        let proxy =
            reqwest::Proxy::all(format!("http://127.0.0.1:{}", self.port)).expect("a proxy");
        let ca = reqwest::Certificate::from_pem(tls::shared().ca.as_bytes()).expect("the CA");
        let exceptions = reqwest::NoProxy::from_string("127.0.0.1");
        let builder = reqwest::Client::builder()
            .proxy(proxy.no_proxy(exceptions))
            .tls_certs_only([ca]);
        builder
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client")
    }

    /// The certificate that clients must trust.
    pub fn ca_file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    pub fn account(&self) -> &str {
        &self.inner.account.name
    }

    /// Base64, for connection strings.
    pub fn account_key(&self) -> &str {
        &self.inner.account.key
    }

    /// `https://ACCOUNT.table.core.windows.net`.
    pub fn table_url(&self) -> String {
        format!("https://{}", self.host(Service::Table))
    }

    /// `https://ACCOUNT.blob.core.windows.net/CONTAINER`.
    pub fn container_url(&self, container: &str) -> String {
        format!("https://{}/{container}", self.host(Service::Blob))
    }

    pub fn vault_url(&self) -> String {
        format!("https://{VAULT_HOST}")
    }

    fn host(&self, service: Service) -> String {
        let service = if service == Service::Table {
            "table"
        } else {
            "blob"
        };
        format!("{}.{service}.core.windows.net", self.account())
    }

    // --- Identities
    // -------------------------------------------------------------------------------------------------

    /// Adds a managed identity.
    pub fn add_identity(&self, name: &str, rights: &[Right]) -> Identity {
        self.inner.identities.add(name, None, rights)
    }

    pub fn identity(&self, name: &str) -> Identity {
        self.inner.identities.get(name)
    }

    /// A bearer token; the audience is `https://storage.azure.com` or `https://vault.azure.net`.
    pub fn token(&self, name: &str, audience: &str) -> String {
        self.inner
            .identities
            .token(&self.identity(name), audience)
            .0
    }

    /// How long tokens live that are issued from now on.
    pub fn set_token_lifetime(&self, lifetime: Duration) {
        self.inner.identities.set_lifetime(lifetime);
    }

    /// How often the managed identity's endpoint was asked.
    pub fn token_calls(&self) -> usize {
        self.inner.token_calls.load(Ordering::Relaxed)
    }

    // --- Faults and counts; patterns are described in `faults`
    // ------------------------------------------------------

    /// The next `times` calls that match have this fault.
    pub fn fail(&self, pattern: &str, fault: Fault, times: usize) {
        self.inner.faults.inject(0, pattern, fault, times);
    }

    /// As [`Cloud::fail`], but the first `skip` calls that match are spared.
    pub fn fail_later(&self, skip: usize, pattern: &str, fault: Fault, times: usize) {
        self.inner.faults.inject(skip, pattern, fault, times);
    }

    /// Forgets the faults that have not happened yet.
    pub fn heal(&self) {
        self.inner.faults.clear();
    }

    /// Whether every fault has happened.
    pub fn all_failed(&self) -> bool {
        self.inner.faults.spent()
    }

    /// Everything that was asked since the beginning, or since [`Cloud::forget_calls`].
    pub fn calls(&self) -> Vec<Call> {
        self.inner.faults.calls()
    }

    pub fn forget_calls(&self) {
        self.inner.faults.forget();
    }

    pub fn count(&self, pattern: &str) -> usize {
        self.calls()
            .iter()
            .filter(|call| call.matches(pattern))
            .count()
    }

    /// What a client did that the real services would not have taken: batches over their limits,
    /// strange hosts.
    pub fn violations(&self) -> Vec<String> {
        self.inner.violations.lock().unwrap().clone()
    }

    /// Makes table queries come in pages of so many rows, an empty one first.
    pub fn set_page_size(&self, rows: usize) {
        *self.inner.page.lock().unwrap() = Some(rows);
    }

    pub fn vault(&self) -> &Vault {
        &self.inner.vault
    }

    // --- What lies in storage, by a way that neither faults nor counts see
    // ------------------------------------------

    /// Makes a container, as the infrastructure does; `public` if everybody may read its blobs.
    pub fn create_container(&self, name: &str, public: bool) {
        let headers: &[_] = if public {
            &[("x-ms-blob-public-access", "blob")]
        } else {
            &[]
        };
        let answer = self.direct(
            Service::Blob,
            "PUT",
            &format!("/{name}?restype=container"),
            headers,
            vec![],
        );
        assert_eq!(answer.status(), 201, "{answer:?}");
    }

    pub fn blob(&self, container: &str, name: &str) -> Option<Vec<u8>> {
        let answer = self.direct(
            Service::Blob,
            "GET",
            &format!("/{container}/{name}"),
            &[],
            vec![],
        );
        (answer.status() == 200).then(|| answer.body().to_vec())
    }

    /// The blobs' names, sorted.
    pub fn blobs(&self, container: &str) -> Vec<String> {
        let answer = self.direct(
            Service::Blob,
            "GET",
            &format!("/{container}?restype=container&comp=list"),
            &[],
            vec![],
        );
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        let names = text
            .split("<Name>")
            .skip(1)
            .filter_map(|rest| rest.split("</Name>").next());
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        names
    }

    /// Puts a blob behind the product's back.
    pub fn put_blob(&self, container: &str, name: &str, body: &[u8]) {
        let headers = [("x-ms-blob-type", "BlockBlob")];
        let answer = self.direct(
            Service::Blob,
            "PUT",
            &format!("/{container}/{name}"),
            &headers,
            body.to_vec(),
        );
        assert_eq!(answer.status(), 201, "{answer:?}");
    }

    pub fn delete_blob(&self, container: &str, name: &str) {
        let answer = self.direct(
            Service::Blob,
            "DELETE",
            &format!("/{container}/{name}"),
            &[],
            vec![],
        );
        assert_eq!(answer.status(), 202, "{answer:?}");
    }

    /// All rows of a table, in the order of their keys.
    pub fn rows(&self, table: &str) -> Vec<serde_json::Value> {
        let mut rows = vec![];
        let mut next = String::new();
        loop {
            let path = format!(
                "/{table}(){}",
                if next.is_empty() {
                    String::new()
                } else {
                    format!("?{next}")
                }
            );
            let answer = self.direct(Service::Table, "GET", &path, &[], vec![]);
            assert_eq!(answer.status(), 200, "{answer:?}");
            let page: serde_json::Value = serde_json::from_slice(answer.body()).expect("JSON");
            rows.extend(page["value"].as_array().expect("rows").iter().cloned());
            let token = |name: &str| {
                answer
                    .headers()
                    .get(name)
                    .and_then(|value| value.to_str().ok())
                    .map(encoded)
            };
            let Some(partition) = token("x-ms-continuation-nextpartitionkey") else {
                return rows;
            };
            let row = token("x-ms-continuation-nextrowkey").unwrap_or_default();
            next = format!("NextPartitionKey={partition}&NextRowKey={row}");
        }
    }

    /// Any request to the storage services, with all rights.
    pub fn direct(
        &self,
        service: Service,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Response<Bytes> {
        let token = format!(
            "Bearer {}",
            self.token("publisher", "https://storage.azure.com")
        );
        let host = self.host(service);
        let version = if service == Service::Table {
            "2019-02-02"
        } else {
            "2021-12-02"
        };
        let mut all = HeaderMap::new();
        let usual = [
            ("host", host.as_str()),
            ("authorization", &token),
            ("x-ms-version", version),
        ];
        let table = [
            ("accept", "application/json;odata=nometadata"),
            ("content-type", "application/json"),
        ];
        let table = table.into_iter().filter(|_| service == Service::Table);
        for (name, value) in usual
            .into_iter()
            .chain(table)
            .chain(headers.iter().copied())
        {
            let name: header::HeaderName = name.parse().expect("a header's name");
            all.insert(name, value.parse().expect("a header's value"));
        }
        let request = proxy::direct(method, path, all, body);
        wait(async move { upstream::Upstream::default().send(service, request).await })
            .expect("Azurite answers")
    }
}

pub fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
