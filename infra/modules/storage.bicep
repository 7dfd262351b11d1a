// A storage account that knows no keys: every request carries an Entra token, or reads what is public.

@minLength(3)
@maxLength(24)
param name string
param location string
param tags object
param sku string
param containers array = []
param tables array = []
@description('Whether anybody may read blobs by name, and over plain HTTP: CRLs are fetched without TLS (RFC 5280 section 8).')
param isPublic bool = false
@description('Whether the account is locked against deletion.')
param isLocked bool = false

resource account 'Microsoft.Storage/storageAccounts@2026-04-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: sku
  }
  properties: {
    accessTier: 'Hot'
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowBlobPublicAccess: isPublic
    supportsHttpsTrafficOnly: !isPublic
    allowCrossTenantReplication: false
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      bypass: 'None'
      defaultAction: 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2026-04-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 7
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 30
    }
  }
}

resource allContainers 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-04-01' = [for container in containers: {
  parent: blobs
  name: container
  properties: {
    // Blob: by name, without a listing.
    publicAccess: isPublic ? 'Blob' : 'None'
  }
}]

resource tableService 'Microsoft.Storage/storageAccounts/tableServices@2026-04-01' = if (!empty(tables)) {
  parent: account
  name: 'default'
  properties: {}
}

resource allTables 'Microsoft.Storage/storageAccounts/tableServices/tables@2026-04-01' = [for table in tables: {
  parent: tableService
  name: table
}]

// Tables have neither soft delete nor versions: the account must not go by accident.
resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (isLocked) {
  scope: account
  name: 'index'
  properties: {
    level: 'CanNotDelete'
    notes: 'The index says what is revoked. Without it no CRL can be made.'
  }
}

output name string = account.name
output blobEndpoint string = 'https://${account.name}.blob.${environment().suffixes.storage}'
output tableEndpoint string = 'https://${account.name}.table.${environment().suffixes.storage}'
