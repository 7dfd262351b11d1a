// One function app with its plan (a Flex Consumption plan holds one app) and its host's storage account.

param name string
param location string
param tags object
@description('A user-assigned identity in this resource group.')
param identityName string
@description('An account of the app\'s own: who may write it owns the app, its code and its function keys.')
param hostStorageName string
param insightsName string
@description('The functions that this app runs. All others in the package are disabled.')
param functions array
@description('Environment variables of the product.')
param settings object
param httpsOnly bool
@description('A host name that is already a CNAME of this app, or empty.')
param domain string = ''
param instanceMemory int
param alwaysReady int
param maximumInstances int

// Every folder of function/; infra/lint compares.
var packaged = ['publish', 'ocsp', 'crl', 'ca', 'hashicorp', 'status', 'healthz', 'metrics', 'api']
var switches = [for function in packaged: {
  name: 'AzureWebJobs.${function}.Disabled'
  value: contains(functions, function) ? 'false' : 'true'
}]

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

module hostStorage 'storage.bicep' = {
  name: '${name}-storage'
  params: {
    name: hostStorageName
    location: location
    tags: tags
    sku: 'Standard_LRS'
    containers: ['package']
  }
}

resource host 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: hostStorageName
}

var blobOwner = 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner

resource hostAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: host
  name: guid(host.id, blobOwner, identity.id)
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobOwner)
  }
  dependsOn: [
    hostStorage
  ]
}

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

var storageDomain = environment().suffixes.storage
// These hold values that are known only once other resources are there; the rest is known at the start.
var hostSettings = [
  {
    name: 'AzureWebJobsStorage__clientId'
    value: identity.properties.clientId
  }
  {
    name: 'APPLICATIONINSIGHTS_CONNECTION_STRING'
    value: insights.properties.ConnectionString
  }
  {
    name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING'
    value: 'ClientId=${identity.properties.clientId};Authorization=AAD'
  }
  {
    // Tells rescind which identity to use: there is no default among user-assigned ones.
    name: 'AZURE_CLIENT_ID'
    value: identity.properties.clientId
  }
]
var fixedSettings = union(settings, {
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__blobServiceUri: 'https://${hostStorageName}.blob.${storageDomain}'
  AzureWebJobsStorage__queueServiceUri: 'https://${hostStorageName}.queue.${storageDomain}'
  AzureWebJobsStorage__tableServiceUri: 'https://${hostStorageName}.table.${storageDomain}'
  AzureWebJobsDisableHomepage: 'true'
}, toObject(switches, entry => entry.name, entry => entry.value))

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: httpsOnly
    clientAffinityEnabled: false
    functionAppConfig: {
      runtime: {
        name: 'custom'
        version: '1.0'
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${hostStorage.outputs.blobEndpoint}/package'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemory
        maximumInstanceCount: maximumInstances
        alwaysReady: alwaysReady == 0 ? [] : [
          {
            name: 'http'
            instanceCount: alwaysReady
          }
        ]
        triggers: {
          http: {
            // The default for 512 MB is a handful, meant for slower languages; an answer here takes microseconds.
            perInstanceConcurrency: 500
          }
        }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      http20Enabled: true
      appSettings: concat(hostSettings, map(items(fixedSettings), setting => {
        name: setting.key
        value: setting.value
      }))
    }
  }
  dependsOn: [
    hostAccess
  ]
}

// Packages are deployed with Entra tokens only.
resource scmPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'scm'
  properties: {
    allow: false
  }
}

resource ftpPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: app
  name: 'ftp'
  properties: {
    allow: false
  }
}

resource binding 'Microsoft.Web/sites/hostNameBindings@2025-03-01' = if (!empty(domain)) {
  parent: app
  // A name must be valid even where there is no resource.
  name: empty(domain) ? 'none' : domain
  properties: {
    siteName: name
    hostNameType: 'Verified'
    customHostNameDnsRecordType: 'CName'
    sslState: 'Disabled'
  }
}

output hostName string = app.properties.defaultHostName
