//! The front of Table and Blob storage: tokens, roles, and the limits that Azurite does not keep.
//! Then Azurite answers.

use hyper::{Method, Request, header};

use super::{
    Answer, Bytes, Inner, answer,
    identity::{Identity, Refused, Right},
    table,
    upstream::Upstream,
};

/// Which of the two it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Table,
    Blob,
}

/// What the account's host says of itself: its name, and the service.
pub fn service(host: &str) -> Option<(&str, Service)> {
    let (account, rest) = host.split_once('.')?;
    match rest.split_once('.')? {
        ("table", domain) if domain.starts_with("core.") => Some((account, Service::Table)),
        ("blob", domain) if domain.starts_with("core.") => Some((account, Service::Blob)),
        _ => None,
    }
}

impl Service {
    /// The bodies that the services really answer with.
    pub fn error(self, status: u16, code: &str, message: &str) -> Answer {
        let message = format!(
            "{message}\nRequestId:0f0d9a5e-0002-0011-0000-00000000000f\nTime:2026-11-24T00:00:00.0000000Z"
        );
        let (kind, body) = match self {
            Self::Table => {
                let message = serde_json::json!({ "lang": "en-US", "value": message });
                let body =
                    serde_json::json!({ "odata.error": { "code": code, "message": message } });
                (
                    "application/json;odata=minimalmetadata;streaming=true;charset=utf-8",
                    body.to_string(),
                )
            }
            Self::Blob => (
                "application/xml",
                format!(
                    "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code>\
                     <Message>{message}</Message></Error>"
                ),
            ),
        };
        let mut answer = answer(status, kind, body);
        answer
            .headers_mut()
            .insert("x-ms-error-code", code.parse().unwrap());
        answer
    }

    /// For an injected status.
    pub fn refusal(self, status: u16) -> Answer {
        match status {
            503 => self.error(503, "ServerBusy", "The server is busy."),
            429 => self.error(429, "TooManyRequests", "Too many requests."),
            500 => self.error(
                500,
                "InternalError",
                "The server encountered an internal error. Please retry the request.",
            ),
            408 => self.error(
                408,
                "OperationTimedOut",
                "The operation could not be completed within the permitted time.",
            ),
            409 => self.error(
                409,
                "Conflict",
                "The request conflicts with the state of the resource.",
            ),
            412 => self.error(
                412,
                "ConditionNotMet",
                "The condition specified using HTTP conditional header(s) is not met.",
            ),
            403 => self.error(
                403,
                "AuthorizationFailure",
                "This request is not authorized to perform this operation.",
            ),
            404 => self.error(
                404,
                "ResourceNotFound",
                "The specified resource does not exist.",
            ),
            other => self.error(other, "InjectedFault", "A test asked for this."),
        }
    }

    /// Who asks, if a bearer token says so. Shared keys, SAS and anonymous reads are Azurite's to
    /// judge.
    fn caller(
        self,
        inner: &Inner,
        request: &Request<Bytes>,
        tls: bool,
    ) -> Result<Option<Identity>, Box<Answer>> {
        let Some(token) = bearer(request) else {
            return Ok(None);
        };
        if !tls {
            let message = "Authentication scheme Bearer is not allowed with HTTP.";
            return Err(Box::new(self.error(403, "AuthenticationFailed", message)));
        }
        let host = host(request);
        let own = format!("https://{host}");
        inner.identities.check(token, &["https://storage.azure.com", &own]).map(Some).map_err(|refused| {
            let message = match refused {
                Refused::Audience(_) => "Audience validation failed. Audience did not match.",
                Refused::Expired => "Lifetime validation failed. The token is expired.",
                Refused::Forged => "Signature validation failed. Signature verification failed.",
            };
            let mut answer = self.error(401, "InvalidAuthenticationInfo", &format!("Server failed to authenticate the request. {message}"));
            let challenge = format!(
                "Bearer authorization_uri=https://login.microsoftonline.com/{}/oauth2/authorize \
                 resource_id=https://storage.azure.com",
                super::identity::TENANT
            );
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge.parse().unwrap());
            Box::new(answer)
        })
    }

    fn right(self, method: &Method) -> Right {
        match (self, *method == Method::GET || *method == Method::HEAD) {
            (Self::Table, true) => Right::TableRead,
            (Self::Table, false) => Right::TableWrite,
            (Self::Blob, true) => Right::BlobRead,
            (Self::Blob, false) => Right::BlobWrite,
        }
    }

    /// Answers a request to `account` as the service would.
    pub(super) async fn handle(
        self,
        account: &str,
        inner: &Inner,
        upstream: &Upstream,
        mut request: Request<Bytes>,
        tls: bool,
    ) -> Answer {
        if account != inner.account.name {
            let message = format!(
                "There is no account {account}; this test has {}.",
                inner.account.name
            );
            return self.error(404, "ResourceNotFound", &message);
        }
        let caller = match self.caller(inner, &request, tls) {
            Ok(caller) => caller,
            Err(refusal) => return *refusal,
        };
        if caller.is_some_and(|caller| !caller.rights.contains(&self.right(request.method()))) {
            let message =
                "This request is not authorized to perform this operation using this permission.";
            return self.error(403, "AuthorizationPermissionMismatch", message);
        }
        if self == Self::Table {
            match table::checked(request, &inner.account, *inner.page.lock().unwrap()) {
                Ok(next) => request = next,
                Err(broken) => {
                    if let Some(rule) = broken.rule {
                        inner.violations.lock().unwrap().push(rule);
                    }
                    return broken.answer;
                }
            }
        }
        let anonymous = !request.headers().contains_key(header::AUTHORIZATION)
            && !request
                .uri()
                .query()
                .is_some_and(|query| query.contains("sig="));
        let answer = forward(upstream, self, request).await;
        // Azurite says 403; the service does not tell strangers what exists.
        match self == Self::Blob && anonymous && answer.status() == 403 {
            true => self.error(
                404,
                "ResourceNotFound",
                "The specified resource does not exist.",
            ),
            false => answer,
        }
    }
}

async fn forward(upstream: &Upstream, service: Service, request: Request<Bytes>) -> Answer {
    match upstream.send(service, request).await {
        Ok(answer) => answer,
        Err(error) => answer(
            502,
            "text/plain",
            format!("Azurite does not answer: {error}"),
        ),
    }
}

/// The token of a request.
pub fn bearer(request: &Request<Bytes>) -> Option<&str> {
    let value = request
        .headers()
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// The host that a request is for, without a port.
pub fn host(request: &Request<Bytes>) -> String {
    let value = request
        .headers()
        .get(header::HOST)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value
        .split(':')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase()
}
