import { join } from 'node:path'
import { OmiumError } from '@omium/schemas'
import pg from 'pg'
import { findJava, registryJava } from '../prerequisites.mjs'
import { waitUntilReady } from '../ready.ts'
import { mavenFolder } from '../tools.ts'
import type { ComponentContext, RunningComponent } from './component.ts'
import { jvmFlags } from './jvm.ts'

export interface RunningRegistry extends RunningComponent {
  url: string
}

/** Its tables live beside ours in a schema of their own, so that an external database serves too. */
const schema = 'omium_registry'

const prepareSchema = async (databaseUrl: string): Promise<void> => {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    await client.query(`CREATE SCHEMA IF NOT EXISTS ${schema}`)
  } finally {
    await client.end()
  }
}

/** Apicurio Registry with its Confluent-compatible API. It keeps schemas in PostgreSQL: their ids survive a restart. */
export const registry = {
  name: 'registry',
  prepare: async ({ tools, progress }: Pick<ComponentContext, 'tools' | 'progress'>): Promise<void> =>
    void (await mavenFolder(tools, 'registry', progress)),
  start: async (
    { layout, tools, ports, supervisor, profile, progress }: ComponentContext,
    databaseUrl: string,
  ): Promise<RunningRegistry> => {
    const java = findJava(registryJava)
    if (!java) throw new OmiumError('unavailable', `the schema registry needs Java ${registryJava} or newer`)
    const folder = await mavenFolder(tools, 'registry', progress)
    await prepareSchema(databaseUrl)
    const database = new URL(databaseUrl)
    const process_ = supervisor.start({
      name: 'registry',
      command: java.java,
      args: [...jvmFlags(java, profile, 256), '-jar', join(folder, 'quarkus-run.jar')],
      env: {
        QUARKUS_HTTP_HOST: '127.0.0.1',
        QUARKUS_HTTP_PORT: String(ports.registry),
        QUARKUS_MANAGEMENT_HOST: '127.0.0.1',
        QUARKUS_MANAGEMENT_PORT: String(ports['registry-management']),
        QUARKUS_HTTP_ACCESS_LOG_ENABLED: 'false',
        APICURIO_STORAGE_KIND: 'sql',
        APICURIO_STORAGE_SQL_KIND: 'postgresql',
        APICURIO_DATASOURCE_URL: `jdbc:postgresql://${database.host}${database.pathname}?currentSchema=${schema}`,
        APICURIO_DATASOURCE_USERNAME: decodeURIComponent(database.username),
        APICURIO_DATASOURCE_PASSWORD: decodeURIComponent(database.password),
      },
      cwd: layout.home,
      logFile: join(layout.logs, 'registry.log'),
      graceMs: 3000,
    })
    const url = `http://127.0.0.1:${ports.registry}/apis/ccompat/v7`
    await waitUntilReady(process_, async () => {
      const response = await fetch(`${url}/subjects`, { signal: AbortSignal.timeout(5000) })
      if (!response.ok) throw new Error(`HTTP ${response.status}`)
      await response.arrayBuffer()
    })
    return { processes: [process_], url }
  },
}
