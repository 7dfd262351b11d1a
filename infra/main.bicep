// rescind on Azure: a publisher that may use the CA key, a responder that may not, and what both need.
// Deploy it twice: first without issuers, which makes the vault; then, with the CA certificate in it, with issuers.
// docs/azure.md tells the whole story.

targetScope = 'resourceGroup'

@description('A key and subject name that sign CRLs. A new key under an old name is another issuer.')
type issuerType = {
  // Its name in the index, on the shelf and in URLs: lower-case letters, digits and hyphens.
  name: string
  // The Key Vault certificate's name.
  certificate: string
  // The Key Vault certificate's version. Pin it before making a version with a new key; left out, the latest.
  version: string?
  // The secret with the OCSP responder's key and certificate; left out, the issuer's name and "-ocsp".
  credential: string?
  // More settings of this issuer, such as { CRL__VALIDITY: '7d', OCSP__MAX_STALENESS: '10m' }.
  settings: object?
}

@description('Begins the name of all that is made: lower-case letters and digits. A hash makes names unique.')
@minLength(2)
@maxLength(8)
param name string = 'rescind'

@description('The Azure region.')
param location string = resourceGroup().location

@description('Tags for everything that takes tags.')
param tags object = {}

@description('The issuers. Empty at the first deployment, when there is no vault yet.')
param issuers issuerType[] = []

@description('Addresses of Vault to go on serving: { mount: "pki_int", issuer: "issuing-1" } serves /v1/pki_int/….')
param aliases array = []

@description('An existing vault with Azure RBAC that has the CA certificate. Empty: one is made.')
param vaultName string = ''

@description('The resource group of the existing vault.')
param vaultResourceGroup string = resourceGroup().name

@description('Key Vault tier, if one is made: premium is for keys in an HSM.')
@allowed(['standard', 'premium'])
param vaultSku string = 'premium'

@description('A host name for CRLs and OCSP that is already a CNAME of the responder. Empty: the one that Azure gives.')
param domain string = ''

@description('Whether relying parties may also fetch CRLs straight from storage, over plain HTTP.')
param shelfIsPublic bool = true

@description('Replication of index, archive and shelf.')
@allowed(['Standard_LRS', 'Standard_ZRS', 'Standard_GRS', 'Standard_GZRS'])
param storageSku string = 'Standard_ZRS'

@description('When the publisher looks whether something is due: six fields, seconds first, UTC.')
param publishSchedule string = '0 * * * * *'

@description('Functions that the responder serves. Leave out what nobody needs.')
param responderFunctions array = ['ocsp', 'crl', 'ca', 'hashicorp', 'status', 'healthz', 'metrics']

@description('Responder instances that never sleep. With 0, the first request after a pause waits for a cold start.')
@minValue(0)
param responderAlwaysReady int = 1

@description('The most instances the responder may grow to.')
@minValue(40)
@maxValue(1000)
param responderMaximum int = 100

@description('Memory of an instance in MB. 512 holds a million revoked certificates.')
@allowed([512, 2048, 4096])
param instanceMemory int = 512

@description('More settings of both apps, such as { RESCIND__ISSUER__CRL__REFRESH: \'12h\' }.')
param settings object = {}

@description('Object id of an Entra group whose members may revoke from the command line. Empty: nobody but the API.')
param revokers string = ''

@description('Mail addresses that hear of alerts.')
param alertAddresses array = []

@description('Resource ids of existing action groups that hear of alerts.')
param actionGroups array = []

@description('Days for which logs are kept.')
@minValue(30)
@maxValue(730)
param logRetention int = 90

var token = take(uniqueString(resourceGroup().id, name), 8)
var makesVault = empty(vaultName)
var vault = makesVault ? '${name}-${token}' : vaultName
var vaultGroup = makesVault ? resourceGroup().name : vaultResourceGroup
var responderName = '${name}-responder-${token}'
var publisherName = '${name}-publisher-${token}'

// The responder is told its own address, which its resource cannot say of itself.
var siteSuffixes = {
  AzureCloud: 'azurewebsites.net'
  AzureUSGovernment: 'azurewebsites.us'
  AzureChinaCloud: 'chinacloudsites.cn'
}
var responderHost = '${responderName}.${siteSuffixes[environment().name]}'
// Plain HTTP on purpose (RFC 5280 section 8): a client that checks a CRL to make a TLS connection must not need one.
var publicUrl = 'http://${empty(domain) ? responderHost : domain}'

var credentials = [for issuer in issuers: issuer.?credential ?? '${issuer.name}-ocsp']
// Where an issuer has a second credential, it is beside the first.
var hasTwo = filter(issuers, issuer => (issuer.?settings.?OCSP__CREDENTIAL_KEY ?? '') == 'p256+rsa2048')
var rsaCredentials = map(hasTwo, issuer => '${issuer.?credential ?? '${issuer.name}-ocsp'}-rsa')

// User-assigned, so that all rights are there before an app starts, and stay when an app is made anew.
resource publisherIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: publisherName
  location: location
  tags: tags
}

resource responderIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: responderName
  location: location
  tags: tags
}

module monitor 'modules/monitor.bicep' = {
  name: 'monitor'
  params: {
    name: '${name}-${token}'
    location: location
    tags: tags
    retention: logRetention
    writers: [
      publisherIdentity.properties.principalId
      responderIdentity.properties.principalId
    ]
  }
}

module newVault 'modules/vault.bicep' = if (makesVault) {
  name: 'vault'
  params: {
    name: vault
    location: location
    tags: tags
    sku: vaultSku
    workspaceId: monitor.outputs.workspaceId
  }
}

module vaultAccess 'modules/vault-access.bicep' = {
  name: 'vault-access'
  scope: resourceGroup(vaultGroup)
  params: {
    vaultName: vault
    // Two issuers may share a certificate's name (two versions of it), and an assignment must not be made twice.
    certificates: union(map(issuers, issuer => issuer.certificate), [])
    credentials: union(credentials, rsaCredentials)
    publisher: publisherIdentity.properties.principalId
    responder: responderIdentity.properties.principalId
    revokers: revokers
  }
  dependsOn: [
    newVault
  ]
}

// An account of its own for what is public. The shelf is the only one that may speak plain HTTP.
module shelf 'modules/storage.bicep' = {
  name: 'shelf'
  params: {
    name: '${name}shelf${token}'
    location: location
    tags: tags
    sku: storageSku
    containers: ['crl']
    isPublic: shelfIsPublic
  }
}

module data 'modules/storage.bicep' = {
  name: 'data'
  params: {
    name: '${name}data${token}'
    location: location
    tags: tags
    sku: storageSku
    containers: ['archive', 'state']
    tables: ['revocations']
    isLocked: true
  }
}

module storageAccess 'modules/storage-access.bicep' = {
  name: 'storage-access'
  params: {
    shelfName: shelf.outputs.name
    dataName: data.outputs.name
    publisher: publisherIdentity.properties.principalId
    responder: responderIdentity.properties.principalId
    revokers: revokers
  }
}

// Said here rather than asked of the vault: what goes into a list must be known when the deployment starts.
var vaultUri = 'https://${vault}${environment().suffixes.keyvaultDns}'

// rescind is configured by environment. Each issuer has a list of settings here; the lists become one object.
var issuerSettings = [for (issuer, at) in issuers: concat([
  {
    name: 'RESCIND__ISSUER__${at}__NAME'
    value: issuer.name
  }
  {
    name: 'RESCIND__ISSUER__${at}__CERTIFICATE'
    value: '${vaultUri}/certificates/${issuer.certificate}${empty(issuer.?version) ? '' : '/${issuer.?version}'}'
  }
  {
    name: 'RESCIND__ISSUER__${at}__CREDENTIAL'
    value: '${vaultUri}/secrets/${credentials[at]}'
  }
], map(items(issuer.?settings ?? {}), setting => {
  name: 'RESCIND__ISSUER__${at}__${setting.key}'
  value: string(setting.value)
}))]
var aliasSettings = [for (alias, at) in aliases: [
  {
    name: 'RESCIND__ALIAS__${at}__MOUNT'
    value: alias.mount
  }
  {
    name: 'RESCIND__ALIAS__${at}__ISSUER'
    value: alias.issuer
  }
]]
var listedSettings = toObject(flatten(concat(issuerSettings, aliasSettings)), entry => entry.name, entry => entry.value)
var productSettings = union(listedSettings, {
  RESCIND__STORAGE__INDEX: data.outputs.tableEndpoint
  RESCIND__STORAGE__SHELF: '${shelf.outputs.blobEndpoint}/crl'
  RESCIND__STORAGE__ARCHIVE: '${data.outputs.blobEndpoint}/archive'
  RESCIND__STORAGE__STATE: '${data.outputs.blobEndpoint}/state'
  RESCIND__HTTP__PUBLIC_URL: publicUrl
  RESCIND_PUBLISH_SCHEDULE: publishSchedule
}, settings)

// One package, two apps: each disables the functions that are the other's.
module publisher 'modules/app.bicep' = {
  name: 'publisher'
  params: {
    name: publisherName
    location: location
    tags: tags
    identityName: publisherIdentity.name
    hostStorageName: '${name}hostp${token}'
    insightsName: monitor.outputs.insightsName
    functions: ['publish', 'api']
    settings: productSettings
    // Only operators and their tools come here, with function keys in their requests.
    httpsOnly: true
    instanceMemory: instanceMemory
    alwaysReady: 0
    maximumInstances: 40
  }
  dependsOn: [
    vaultAccess
    storageAccess
  ]
}

module responder 'modules/app.bicep' = {
  name: 'responder'
  params: {
    name: responderName
    location: location
    tags: tags
    identityName: responderIdentity.name
    hostStorageName: '${name}hostr${token}'
    insightsName: monitor.outputs.insightsName
    functions: responderFunctions
    settings: productSettings
    // OCSP and CRLs are signed data for clients that may not be able to make a TLS connection yet.
    httpsOnly: false
    domain: domain
    instanceMemory: instanceMemory
    alwaysReady: responderAlwaysReady
    maximumInstances: responderMaximum
  }
  dependsOn: [
    vaultAccess
    storageAccess
  ]
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    name: '${name}-${token}'
    location: location
    tags: tags
    workspaceId: monitor.outputs.workspaceId
    publisherName: publisherName
    addresses: alertAddresses
    actionGroups: actionGroups
  }
}

var shelfUrl = replace(shelf.outputs.blobEndpoint, 'https://', 'http://')

@description('What to stamp into certificates. One DistributionPoint may hold both CRL URLs; caIssuers and ocsp are for AIA.')
output urls array = [for issuer in issuers: {
  issuer: issuer.name
  crl: union(['${publicUrl}/crl/${issuer.name}.crl'], shelfIsPublic ? ['${shelfUrl}/crl/${issuer.name}.crl'] : [])
  caIssuers: '${publicUrl}/ca/${issuer.name}.cer'
  ocsp: '${publicUrl}/ocsp'
}]

@description('The vault that has, or is to get, the CA certificate.')
output vaultName string = vault

@description('What the domain name must be a CNAME of.')
output responderHost string = responderHost

@description('The API to revoke by; it wants a function key.')
output apiUrl string = 'https://${publisher.outputs.hostName}/api'

@description('Both apps, to deploy the package to.')
output apps array = [publisherName, responderName]

@description('What `rescind` needs in its environment on an operator\'s machine.')
output settings object = productSettings
