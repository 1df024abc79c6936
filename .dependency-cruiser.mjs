/** The dependency rules of docs/ARCHITECTURE.md: dependencies point one way, capabilities meet only on the log. */
export default {
  forbidden: [
    {
      name: 'no-cycles',
      comment: 'types may refer to each other; code that runs may not',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'only-the-log-talks-to-kafka',
      comment: '@omium/log is the only importer of kafkajs and the schema-registry client',
      severity: 'error',
      from: { pathNot: '^(producers/log/|dev/)' },
      to: { path: 'node_modules/(kafkajs|@kafkajs/)' },
    },
    {
      name: 'schemas-depend-on-nothing',
      severity: 'error',
      from: { path: '^schemas/src/' },
      to: { path: '^(producers|consumers|projections|gateway|sdk|dev|migrations)/' },
    },
    {
      name: 'the-log-knows-only-schemas',
      comment: 'and how to call what is outside',
      severity: 'error',
      from: { path: '^producers/log/src/', pathNot: '\\.spec\\.ts$' },
      to: { path: '^(consumers|projections|gateway|sdk|dev|migrations|producers/(?!log/|resilience/))' },
    },
    {
      name: 'only-named-modules-call-outside',
      comment:
        'each with limits and a breaker: the table in producers/resilience/README.md. Global fetch is in biome.json',
      severity: 'error',
      from: {
        path: '^(producers|consumers|projections|gateway|migrations|schemas)/',
        pathNot: [
          '\\.spec\\.ts$|/test/|/testing(\\.ts$|/)',
          // callers
          '^producers/(domain-proof/src/domain-proof|log/src/kafka/connection|payloads/src/s3-object-store)\\.ts$',
          '^producers/(personal-data/src/aws-kms|resilience/src/redis|safe-fetch/src/[a-z-]+)\\.ts$',
          '^(gateway/models/src/calls/transport|producers/mail/src/smtp)\\.ts$',
          // told how to call by the provider that makes them
          '^gateway/sign-in/src/providers/(oidc|github|refusals)\\.ts$',
          // called from outside
          '^(consumers/(kit/src/http-server|execution-engine/src/worker-server/server)|gateway/src/(listen|streams/upgrades))\\.ts$',
          // names of statuses, and what an address looks like
          '^gateway/(src/client-errors|sign-in/src/factors/webauthn)\\.ts$',
        ],
      },
      to: {
        path: '^(node:)?(http2?|https|net|tls|dgram|dns(/promises)?)$|node_modules/(undici|nodemailer|ioredis|ws|openid-client|@aws-sdk)/',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'domain-is-pure',
      comment: 'domain/ imports only schemas and its own domain',
      severity: 'error',
      from: { path: '^consumers/[^/]+/src/domain/', pathNot: '\\.spec\\.ts$' },
      to: { pathNot: '^(consumers/[^/]+/src/domain/|schemas/)' },
    },
    {
      name: 'capabilities-meet-on-the-log',
      severity: 'error',
      from: { path: '^consumers/((?!kit/)[^/]+)/' },
      to: { path: '^(consumers/(?!kit/|$1/)|projections/|gateway/|sdk/)', pathNot: '^sdk/typescript/' },
    },
    {
      name: 'the-gateway-never-imports-a-consumer',
      comment: 'the kit is no consumer: it is what every process of the platform shares',
      severity: 'error',
      from: { path: '^gateway/(?:src|access/src|models/src|sign-in/src)/' },
      to: { path: '^consumers/(?!kit/)' },
    },
    {
      name: 'sdks-know-only-the-contract',
      severity: 'error',
      from: { path: '^sdk/typescript/src/' },
      to: { path: '^(producers|consumers|projections|gateway|migrations|dev)/' },
    },
    {
      name: 'no-reaching-into-another-package',
      comment: "a package's public face is its index.ts, imported by package name",
      severity: 'error',
      from: {
        path: '^((?:producers|consumers|projections|sdk|examples)/[^/]+|gateway/(?:access|models|sign-in)|schemas|gateway|migrations|dev|bench|e2e)/',
      },
      to: {
        path: '^((?:producers|consumers|projections|sdk)/[^/]+|gateway/(?:access|models|sign-in)|schemas|gateway|migrations|dev)/src/',
        pathNot: ['^$1/(?:src|test)/', '/src/(index|testing|hermetic)\\.ts$', '^dev/'],
      },
    },
  ],
  options: {
    parser: 'swc',
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '(^|/)(dist|\\.omium)/|\\.d\\.mts$' },
    moduleSystems: ['es6'],
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node'],
      extensions: ['.ts', '.js', '.mjs'],
    },
  },
}
