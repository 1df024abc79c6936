import { eventsTopic } from '@omium/schemas'
import { Follower, type FollowerOptions } from './follower.ts'

/**
 * The followers of this process. Whoever owns partition p of the checkpoint context follows the partitions of the execution
 * events that are p modulo their number, so that each is followed once; two at once would only do the same work twice.
 */
export class Followers {
  readonly #followers = new Map<number, Follower>()
  readonly #options: Omit<FollowerOptions, 'partition'>
  readonly #counts: { readonly followed: number; readonly owned: number }

  private constructor(
    options: Omit<FollowerOptions, 'partition'>,
    counts: { readonly followed: number; readonly owned: number },
  ) {
    this.#options = options
    this.#counts = counts
  }

  /** @param owned partitions of the checkpoint context */
  static async open(options: Omit<FollowerOptions, 'partition'>, owned: number): Promise<Followers> {
    const { transport, topicPrefix, definition } = options.context
    const followed = await transport.partitionCount(eventsTopic(topicPrefix, definition.name))
    return new Followers(options, { followed, owned })
  }

  /** @param partitions of the checkpoint context that this process owns now */
  follow(partitions: readonly number[]): void {
    for (let partition = 0; partition < this.#counts.followed; partition++) {
      const mine = partitions.includes(partition % this.#counts.owned)
      const follower = this.#followers.get(partition)
      if (mine && !follower) this.#followers.set(partition, new Follower({ ...this.#options, partition }))
      if (!mine && follower) {
        this.#followers.delete(partition)
        void follower.close()
      }
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#followers.values()].map((follower) => follower.close()))
    this.#followers.clear()
  }
}
