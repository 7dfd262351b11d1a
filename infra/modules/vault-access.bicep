// Who may do what in the vault. The publisher signs with the issuers' keys and keeps the OCSP credentials; the
// responder reads the credentials, and has no right to any key. It runs in the vault's resource group.

param vaultName string
@description('Names of the issuers\' certificates, each once; their keys have the same names.')
param certificates array
@description('Names of the secrets with OCSP credentials, each once.')
param credentials array
@description('Principal id.')
param publisher string
@description('Principal id.')
param responder string
@description('Object id of an Entra group, or empty.')
param revokers string

// Names of custom roles are unique in a tenant.
var suffix = '(${uniqueString(resourceGroup().id)})'

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' existing = {
  name: vaultName
}

resource keys 'Microsoft.KeyVault/vaults/keys@2026-02-01' existing = [for name in certificates: {
  parent: vault
  name: name
}]

resource secrets 'Microsoft.KeyVault/vaults/secrets@2026-02-01' existing = [for name in credentials: {
  parent: vault
  name: name
}]

// The built-in Key Vault Crypto User may also decrypt, unwrap, and make keys.
resource signer 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'rescind signer')
  properties: {
    roleName: 'rescind signer ${suffix}'
    description: 'Reads a public key and signs with the private one.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        dataActions: [
          'Microsoft.KeyVault/vaults/keys/read'
          'Microsoft.KeyVault/vaults/keys/sign/action'
        ]
      }
    ]
  }
}

// The built-in Key Vault Certificate User may also read a certificate's secret: its private key, if that is exportable.
resource certificateReader 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'rescind certificate reader')
  properties: {
    roleName: 'rescind certificate reader ${suffix}'
    description: 'Reads the public part of certificates.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        dataActions: [
          'Microsoft.KeyVault/vaults/certificates/read'
        ]
      }
    ]
  }
}

// The built-in Key Vault Secrets Officer may also delete and purge.
resource credentialKeeper 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'rescind credential keeper')
  properties: {
    roleName: 'rescind credential keeper ${suffix}'
    description: 'Reads a secret and sets new versions of it.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        dataActions: [
          'Microsoft.KeyVault/vaults/secrets/getSecret/action'
          'Microsoft.KeyVault/vaults/secrets/setSecret/action'
        ]
      }
    ]
  }
}

var secretsUser = '4633458b-17de-408a-b874-0445c86b69e6' // Key Vault Secrets User: reads a secret

resource sign 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (name, at) in certificates: {
  scope: keys[at]
  name: guid(keys[at].id, signer.id, publisher)
  properties: {
    principalId: publisher
    principalType: 'ServicePrincipal'
    roleDefinitionId: signer.id
  }
}]

resource renew 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (name, at) in credentials: {
  scope: secrets[at]
  name: guid(secrets[at].id, credentialKeeper.id, publisher)
  properties: {
    principalId: publisher
    principalType: 'ServicePrincipal'
    roleDefinitionId: credentialKeeper.id
  }
}]

resource respond 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (name, at) in credentials: {
  scope: secrets[at]
  name: guid(secrets[at].id, secretsUser, responder)
  properties: {
    principalId: responder
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', secretsUser)
  }
}]

// On the vault, because Bicep knows no type for one certificate. What it gives is public.
resource publisherReads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, certificateReader.id, publisher)
  properties: {
    principalId: publisher
    principalType: 'ServicePrincipal'
    roleDefinitionId: certificateReader.id
  }
}

resource responderReads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, certificateReader.id, responder)
  properties: {
    principalId: responder
    principalType: 'ServicePrincipal'
    roleDefinitionId: certificateReader.id
  }
}

resource revokersRead 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(revokers)) {
  scope: vault
  name: guid(vault.id, certificateReader.id, revokers)
  properties: {
    principalId: revokers
    principalType: 'Group'
    roleDefinitionId: certificateReader.id
  }
}
