import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { which } from '../prerequisites.mjs'
import { waitUntilReady } from '../ready.ts'
import { installOnce, type Progress, runCommand } from '../tools.ts'
import type { Component, RunningComponent } from './component.ts'

export interface S3Access {
  endpoint: string
  region: string
  bucket: string
  accessKeyId: string
  secretAccessKey: string
}
export interface RunningS3 extends RunningComponent {
  access: S3Access
}

const goModule = 'github.com/versity/versitygw/cmd/versitygw'
const version = 'v1.8.0'

const binary = async (tools: string, progress: Progress): Promise<string> => {
  const installed = which('versitygw')
  if (installed) return installed
  const folder = await installOnce(
    tools,
    `versitygw-${version}`,
    () => progress(`building the S3 server versitygw ${version} with Go (about a minute, once)`),
    async (into) => {
      await runCommand('go', ['install', '-trimpath', '-ldflags=-s -w', `${goModule}@${version}`], {
        env: { ...process.env, GOBIN: into, GOFLAGS: '' },
      })
    },
  )
  return join(folder, 'versitygw')
}

const region = 'us-east-1'
const bucket = 'omium'

/** S3 on a folder: snapshots and large payloads. */
export const s3: Component<RunningS3> = {
  name: 's3',
  prepare: async ({ tools, progress }) => void (await binary(tools, progress)),
  start: async ({ layout, tools, ports, credentials, supervisor, progress }) => {
    const data = join(layout.data, 's3/objects')
    const sidecar = join(layout.data, 's3/metadata')
    for (const folder of [data, sidecar]) mkdirSync(folder, { recursive: true })
    const process_ = supervisor.start({
      name: 's3',
      command: await binary(tools, progress),
      // metadata beside the objects instead of in extended attributes, which not every file system has
      args: ['--port', `127.0.0.1:${ports.s3}`, '--region', region, '--quiet', 'posix', '--sidecar', sidecar, data],
      env: { ROOT_ACCESS_KEY_ID: credentials.s3AccessKeyId, ROOT_SECRET_ACCESS_KEY: credentials.s3SecretAccessKey },
      cwd: layout.home,
      logFile: join(layout.logs, 's3.log'),
    })
    const access = {
      endpoint: `http://127.0.0.1:${ports.s3}`,
      region,
      bucket,
      accessKeyId: credentials.s3AccessKeyId,
      secretAccessKey: credentials.s3SecretAccessKey,
    }
    const { S3Client, CreateBucketCommand, HeadBucketCommand } = await import('@aws-sdk/client-s3')
    const client = new S3Client({
      endpoint: access.endpoint,
      region,
      forcePathStyle: true,
      credentials: { accessKeyId: access.accessKeyId, secretAccessKey: access.secretAccessKey },
      maxAttempts: 1,
    })
    try {
      await waitUntilReady(process_, async () => {
        if (existsSync(join(data, bucket))) await client.send(new HeadBucketCommand({ Bucket: bucket }))
        else await client.send(new CreateBucketCommand({ Bucket: bucket }))
      })
    } finally {
      client.destroy()
    }
    return { processes: [process_], access }
  },
}
