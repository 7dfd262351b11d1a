// Who may do what with index, archive, state and shelf. The publisher writes and never deletes (but for old
// checkpoints); the responder reads, and has nothing to do in the archive.

param shelfName string
param dataName string
@description('Principal id.')
param publisher string
@description('Principal id.')
param responder string
@description('Object id of an Entra group, or empty.')
param revokers string

// Names of custom roles are unique in a tenant.
var suffix = '(${uniqueString(resourceGroup().id)})'
var tableReader = '76199698-9eea-4c19-bc75-cec21354c6b6' // Storage Table Data Reader
var blobReader = '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1' // Storage Blob Data Reader
var blobContributor = 'ba92f5b4-2d11-453d-a403-e96b0029c9fe' // Storage Blob Data Contributor

resource shelf 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: shelfName
}

resource shelfBlobs 'Microsoft.Storage/storageAccounts/blobServices@2026-04-01' existing = {
  parent: shelf
  name: 'default'
}

resource crl 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-04-01' existing = {
  parent: shelfBlobs
  name: 'crl'
}

resource data 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: dataName
}

resource dataBlobs 'Microsoft.Storage/storageAccounts/blobServices@2026-04-01' existing = {
  parent: data
  name: 'default'
}

resource archive 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-04-01' existing = {
  parent: dataBlobs
  name: 'archive'
}

resource state 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-04-01' existing = {
  parent: dataBlobs
  name: 'state'
}

resource dataTables 'Microsoft.Storage/storageAccounts/tableServices@2026-04-01' existing = {
  parent: data
  name: 'default'
}

resource index 'Microsoft.Storage/storageAccounts/tableServices/tables@2026-04-01' existing = {
  parent: dataTables
  name: 'revocations'
}

// The built-in contributor may delete: nothing in the journal ever is.
resource indexWriter 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'rescind index writer')
  properties: {
    roleName: 'rescind index writer ${suffix}'
    description: 'Reads, inserts and updates table rows; deletes none.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        dataActions: [
          'Microsoft.Storage/storageAccounts/tableServices/tables/entities/read'
          'Microsoft.Storage/storageAccounts/tableServices/tables/entities/add/action'
          'Microsoft.Storage/storageAccounts/tableServices/tables/entities/update/action'
        ]
      }
    ]
  }
}

// The right to add alone would make the archive write-once, but clients send large blobs in blocks, and a block is a
// write. Who wants write-once sets a retention policy on the container.
resource crlKeeper 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'rescind CRL keeper')
  properties: {
    roleName: 'rescind CRL keeper ${suffix}'
    description: 'Reads and writes blobs; deletes none.'
    type: 'CustomRole'
    assignableScopes: [
      resourceGroup().id
    ]
    permissions: [
      {
        dataActions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
        ]
      }
    ]
  }
}

resource publisherIndex 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: index
  name: guid(index.id, indexWriter.id, publisher)
  properties: {
    principalId: publisher
    principalType: 'ServicePrincipal'
    roleDefinitionId: indexWriter.id
  }
}

resource publisherShelf 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: crl
  name: guid(crl.id, crlKeeper.id, publisher)
  properties: {
    principalId: publisher
    principalType: 'ServicePrincipal'
    roleDefinitionId: crlKeeper.id
  }
}

resource publisherArchive 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: archive
  name: guid(archive.id, crlKeeper.id, publisher)
  properties: {
    principalId: publisher
    principalType: 'ServicePrincipal'
    roleDefinitionId: crlKeeper.id
  }
}

resource publisherState 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: state
  name: guid(state.id, blobContributor, publisher)
  properties: {
    principalId: publisher
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobContributor)
  }
}

resource responderIndex 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: index
  name: guid(index.id, tableReader, responder)
  properties: {
    principalId: responder
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', tableReader)
  }
}

resource responderShelf 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: crl
  name: guid(crl.id, blobReader, responder)
  properties: {
    principalId: responder
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobReader)
  }
}

resource responderState 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: state
  name: guid(state.id, blobReader, responder)
  properties: {
    principalId: responder
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobReader)
  }
}

resource revokersIndex 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(revokers)) {
  scope: index
  name: guid(index.id, indexWriter.id, revokers)
  properties: {
    principalId: revokers
    principalType: 'Group'
    roleDefinitionId: indexWriter.id
  }
}

// On both accounts whole: status, verify and import look at CRLs, the archive and checkpoints.
resource revokersData 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(revokers)) {
  scope: data
  name: guid(data.id, blobReader, revokers)
  properties: {
    principalId: revokers
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobReader)
  }
}

resource revokersShelf 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(revokers)) {
  scope: shelf
  name: guid(shelf.id, blobReader, revokers)
  properties: {
    principalId: revokers
    principalType: 'Group'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobReader)
  }
}
