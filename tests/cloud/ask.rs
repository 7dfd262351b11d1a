//! Asking the services without the product.

use serde_json::Value;

use super::Cloud;

/// A request with a token of `name` for Storage or the vault, sent the way the product sends.
pub async fn send(
    cloud: &Cloud,
    name: &str,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let audience = if url.contains(".vault.") {
        "https://vault.azure.net"
    } else {
        "https://storage.azure.com"
    };
    let mut request = cloud
        .client()
        .request(method.parse().unwrap(), url)
        .bearer_auth(cloud.token(name, audience));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Reply::of(request.body(body.to_owned()).send().await.unwrap()).await
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Reply {
    pub async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self {
            status,
            headers,
            body: response.text().await.unwrap(),
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}
