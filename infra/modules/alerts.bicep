// What must wake somebody. rescind writes one JSON object a line to stdout; the Functions host makes each line a trace
// of severity Information, whatever its level, so rules look into the line itself. Messages are compared exactly,
// which keeps words that a client sent from raising an alarm; infra/lint looks them up in the source.

param name string
param location string
param tags object
param workspaceId string
param publisherName string
param addresses array
param actionGroups array

var events = [
  {
    rule: 'late-crl'
    message: 'a CRL is late'
    text: 'A CRL is late: when it goes stale, relying parties refuse every certificate of the issuer.'
    severity: 0
    window: 'PT15M'
    above: 0
  }
  {
    rule: 'failed-pass'
    message: 'nothing was published; the previous CRL stays'
    text: 'Passes fail again and again. The previous CRL stays; nothing is published until the cause is gone.'
    severity: 1
    window: 'PT15M'
    // A pass a minute and its retries: one bad moment of a service is no news.
    above: 4
  }
  {
    rule: 'stale-replica'
    message: 'OCSP cannot be kept up to date'
    text: 'A responder cannot read the index. Past max_staleness it answers tryLater.'
    severity: 1
    window: 'PT15M'
    above: 0
  }
  {
    rule: 'credential-ends'
    message: 'the OCSP credential ends soon'
    text: 'The OCSP credential was not renewed and ends soon. After that there are no OCSP answers.'
    severity: 1
    window: 'PT1H'
    above: 0
  }
  {
    rule: 'ca-ends'
    message: 'the CA certificate ends soon'
    text: 'A CA certificate ends soon. Key Vault refuses to sign after its end: the last CRL must be made before.'
    severity: 2
    window: 'P1D'
    above: 0
  }
]

// The term filter comes first because it is cheap; parsing decides.
var query = '''
AppTraces
| where Message has "{message}"
| extend line = parse_json(Message)
| where tostring(line.message) == "{message}"
| project TimeGenerated, app = AppRoleName, issuer = tostring(line.issuer), why = strcat(line.error, line.detail, line.problem)
'''

// No news from the publisher is the worst news: it could not even say that a CRL is late.
var silence = '''
AppRequests
| where AppRoleName == "{publisher}" and Name == "publish" and Success
'''

resource group 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(addresses)) {
  name: name
  location: 'global'
  tags: tags
  properties: {
    groupShortName: take(name, 12)
    enabled: true
    emailReceivers: [for (address, at) in addresses: {
      name: 'mail-${at}'
      emailAddress: address
      useCommonAlertSchema: true
    }]
  }
}

var groups = concat(actionGroups, empty(addresses) ? [] : [group.id])

resource rules 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [for event in events: {
  name: '${name}-${event.rule}'
  location: location
  tags: tags
  properties: {
    displayName: '${name}: ${event.rule}'
    description: event.text
    severity: event.severity
    enabled: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: event.window == 'P1D' ? 'PT1H' : 'PT5M'
    windowSize: event.window
    autoMitigate: true
    // The tables are empty until the first trace arrives.
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: replace(query, '{message}', event.message)
          timeAggregation: 'Count'
          operator: 'GreaterThan'
          threshold: event.above
          dimensions: [
            {
              name: 'issuer'
              operator: 'Include'
              values: ['*']
            }
          ]
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: groups
    }
  }
}]

resource silentPublisher 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = {
  name: '${name}-silent-publisher'
  location: location
  tags: tags
  properties: {
    displayName: '${name}: silent-publisher'
    description: 'No pass of the publisher succeeded for half an hour.'
    severity: 1
    enabled: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT30M'
    autoMitigate: true
    skipQueryValidation: true
    criteria: {
      allOf: [
        {
          query: replace(silence, '{publisher}', publisherName)
          timeAggregation: 'Count'
          operator: 'LessThan'
          threshold: 1
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: groups
    }
  }
}
