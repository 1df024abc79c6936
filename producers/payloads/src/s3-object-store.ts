import {
  CreateBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadBucketCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
  type S3ClientConfig,
} from '@aws-sdk/client-s3'
import { createOutsideCalls } from '@omium/resilience'
import { OmiumError } from '@omium/schemas'
import type { ObjectStore } from './object-store.ts'

export interface S3Options {
  /** absent: AWS itself */
  readonly endpoint?: string | undefined
  readonly region: string
  readonly bucket: string
  /** both absent: the environment's default chain */
  readonly accessKeyId?: string | undefined
  readonly secretAccessKey?: string | undefined
  /** limit of one request, ms */
  readonly timeoutMs?: number
}

const statusOf = (error: unknown): number | undefined =>
  (error as { $metadata?: { httpStatusCode?: number } } | null)?.$metadata?.httpStatusCode

const isMissing = (error: unknown): boolean => statusOf(error) === 404
/** the store answered and will answer the same again */
const isFinal = (error: unknown): boolean => {
  const status = statusOf(error)
  return status !== undefined && status >= 400 && status < 500 && status !== 429 && status !== 408
}

/**
 * An S3 bucket (created when missing). Its requests have a time limit, retries within a budget and a breaker: every one of
 * them may be made twice.
 */
export const createS3ObjectStore = async (options: S3Options): Promise<ObjectStore> => {
  const { bucket, timeoutMs = 10_000 } = options
  const config: S3ClientConfig = {
    region: options.region,
    forcePathStyle: true,
    maxAttempts: 1,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...(options.endpoint !== undefined && { endpoint: options.endpoint }),
    ...(options.accessKeyId !== undefined &&
      options.secretAccessKey !== undefined && {
        credentials: { accessKeyId: options.accessKeyId, secretAccessKey: options.secretAccessKey },
      }),
  }
  const client = new S3Client(config)
  const store = createOutsideCalls({ target: 'object store', timeoutMs, tries: 3, minimumCalls: 10, isFinal })

  const ask = async <T>(what: string, request: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    try {
      return await store.call(request)
    } catch (error) {
      if (isMissing(error)) throw new OmiumError('object_missing', `${what}: there is no such object`, { cause: error })
      throw new OmiumError('unavailable', `${what}: the object store failed`, {
        cause: error,
        retryable: !isFinal(error),
      })
    }
  }

  try {
    await ask(`bucket ${bucket}`, (abortSignal) =>
      client.send(new HeadBucketCommand({ Bucket: bucket }), { abortSignal }),
    )
  } catch (error) {
    if (!(error instanceof OmiumError && error.code === 'object_missing')) {
      client.destroy()
      store.close()
      throw error
    }
    await ask(`bucket ${bucket}`, (abortSignal) =>
      client.send(new CreateBucketCommand({ Bucket: bucket }), { abortSignal }).catch((error: unknown) => {
        // several processes may start at once
        if (statusOf(error) !== 409) throw error
      }),
    )
  }

  async function* pages(prefix: string, size = 1000): AsyncIterable<readonly string[]> {
    for (let after: string | undefined; ; ) {
      // from the last key on, not by the store's token: what is removed in between moves nothing
      const { Contents = [], IsTruncated } = await ask(`list ${prefix}`, (abortSignal) =>
        client.send(
          new ListObjectsV2Command({
            Bucket: bucket,
            Prefix: prefix,
            MaxKeys: size,
            ...(after !== undefined && { StartAfter: after }),
          }),
          { abortSignal },
        ),
      )
      const keys = Contents.flatMap(({ Key }) => (Key === undefined ? [] : [Key]))
      if (keys.length > 0) yield keys
      after = keys.at(-1)
      if (!IsTruncated || after === undefined) return
    }
  }

  return {
    async put(key, body) {
      await ask(`put ${key}`, (abortSignal) =>
        client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }), { abortSignal }),
      )
    },
    get: (key) =>
      ask(`get ${key}`, async (abortSignal) => {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: key }), { abortSignal })
        return Body ? Buffer.from(await Body.transformToByteArray()) : Buffer.alloc(0)
      }),
    async list(prefix) {
      const keys: string[] = []
      for await (const page of pages(prefix)) keys.push(...page)
      return keys
    },
    pages,
    async remove(key) {
      await ask(`remove ${key}`, (abortSignal) =>
        client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }), { abortSignal }),
      ).catch((error: unknown) => {
        if (!(error instanceof OmiumError && error.code === 'object_missing')) throw error
      })
    },
    async close() {
      store.close()
      client.destroy()
    },
  }
}
