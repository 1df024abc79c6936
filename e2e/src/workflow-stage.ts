import type { RunningStack } from '@omium/dev'
import { eventually } from '@omium/dev/testing'

/** The whole product behind its HTTP API. */
export interface Reply {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: bodies are what the assertions are about
  readonly body: any
}

export class Stage {
  readonly stack: RunningStack
  readonly url: string

  constructor(stack: RunningStack) {
    this.stack = stack
    this.url = stack.environment['OMIUM_URL'] ?? ''
  }

  async call(method: string, path: string, body?: unknown, apiKey = this.stack.apiKey): Promise<Reply> {
    const response = await fetch(`${this.url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${apiKey}`,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, body: text ? JSON.parse(text) : null }
  }

  /** The body of a good answer. */
  async good(method: string, path: string, body?: unknown): Promise<Reply['body']> {
    const reply = await this.call(method, path, body)
    if (reply.status >= 300) throw new Error(`${method} ${path}: ${reply.status} ${JSON.stringify(reply.body)}`)
    return reply.body
  }

  /** The pool announces its agents through engines: until then no workflow can be run. */
  async ready(): Promise<void> {
    await eventually(
      async () => {
        const { items } = await this.good('GET', '/v1/agents')
        return items.some(({ agent }: { agent: string }) => agent === 'omium.workflow')
      },
      { timeoutMs: 60_000, intervalMs: 100 },
    )
  }

  async publish(id: string, nodes: object, more: object = {}): Promise<number> {
    const definition = { name: id, nodes, ...more }
    return (await this.good('POST', `/v1/workflows/${id}`, { definition, publish: true })).version
  }

  async run(id: string, parameters: object = {}, more: object = {}): Promise<string> {
    return (await this.good('POST', `/v1/workflows/${id}/runs`, { parameters, ...more })).executionId
  }

  /** How an execution ended. */
  async ended(executionId: string, timeoutMs = 60_000): Promise<Reply['body']> {
    return eventually(
      async () => {
        const { status, body } = await this.call('GET', `/v1/executions/${executionId}/result?wait_ms=5000`)
        return status === 200 && body
      },
      { timeoutMs },
    )
  }

  async firings(schedule: string): Promise<Reply['body'][]> {
    return (await this.good('GET', `/v1/schedules/${schedule}/firings?limit=200`)).items
  }

  async runs(workflow: string): Promise<Reply['body'][]> {
    return (await this.good('GET', `/v1/workflows/${workflow}/runs?limit=200`)).items
  }

  /** The process of a service now. */
  pid(service: string): number {
    const found = this.stack.state.services.find(({ name }) => name === service)
    if (!found) throw new Error(`there is no service ${service}`)
    return found.process.pid
  }
}
