import type { LogContext } from '@omium/log'
import { eventsTopic } from '@omium/schemas'
import { Follower, type FollowerOptions, type Following } from './follower.ts'

const partitionsOf = ({ transport, topicPrefix, definition }: LogContext): Promise<number> =>
  transport.partitionCount(eventsTopic(topicPrefix, definition.name))

/**
 * The followers of one process. Whoever owns partition p of its own context follows the partitions of another context that
 * are p modulo the number of its own: so each is followed by one process, whatever the numbers.
 */
export class Followers {
  readonly #followings: readonly { readonly following: Following; readonly partitions: number }[]
  readonly #own: number
  readonly #options: FollowerOptions
  readonly #running = new Map<number, readonly Follower[]>()

  private constructor(
    followings: readonly { readonly following: Following; readonly partitions: number }[],
    own: number,
    options: FollowerOptions,
  ) {
    this.#followings = followings
    this.#own = own
    this.#options = options
  }

  /** @param context the own one */
  static async open(
    context: LogContext,
    followings: readonly Following[],
    options: FollowerOptions,
  ): Promise<Followers> {
    const counted = followings.map(async (following) => ({
      following,
      partitions: await partitionsOf(following.context),
    }))
    return new Followers(await Promise.all(counted), await partitionsOf(context), options)
  }

  owned(partition: number): void {
    if (this.#running.has(partition)) return
    const followers = this.#followings.flatMap(({ following, partitions }) => {
      const followed = Array.from({ length: partitions }, (_, number) => number)
      return followed
        .filter((number) => number % this.#own === partition)
        .map((number) => new Follower(number, following, this.#options))
    })
    this.#running.set(partition, followers)
  }

  lost(partition: number): void {
    const followers = this.#running.get(partition) ?? []
    this.#running.delete(partition)
    for (const follower of followers) void this.#close(follower, false)
  }

  /** The process leaves: what its followers know is stored for whoever follows next. */
  async leave(): Promise<void> {
    const followers = this.#all
    this.#running.clear()
    await Promise.all(followers.map((follower) => this.#close(follower, true)))
  }

  /** null while everything is followed, otherwise what is not, and why */
  notReady(): string | null {
    for (const follower of this.#all) {
      const problem = follower.notReady()
      if (problem !== null) return problem
    }
    return null
  }

  /** aggregates that readers watch */
  get size(): number {
    return this.#all.reduce((sum, { size }) => sum + size, 0)
  }

  get #all(): Follower[] {
    return [...this.#running.values()].flat()
  }

  async #close(follower: Follower, remember: boolean): Promise<void> {
    try {
      await follower.close(remember)
    } catch (error) {
      this.#options.notices.warn({ err: error, partition: follower.partition }, 'a follower did not close well')
    }
  }
}
