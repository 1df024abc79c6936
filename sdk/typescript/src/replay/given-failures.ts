import { type Failure, OmiumError } from '@omium/schemas'

/** failed steps that one `fail` may name */
const mostReruns = 1000

/** The failures of steps that user code was given. */
export class GivenFailures {
  /** which call gave user code an error, to name it when the error ends the run */
  private readonly origins = new WeakMap<object, string>()
  private unanswered: string[] = []

  /** The error for user code. */
  give(path: string, failure: Failure): OmiumError {
    const error = OmiumError.fromFailure(failure)
    this.origins.set(error, path)
    this.unanswered.push(path)
    return error
  }

  /** User code has asked for something, which may rest on every failure that it was given. */
  asked(): void {
    this.unanswered = []
  }

  /** Steps that failed since user code last asked for anything: no record depends on them. */
  get rerun(): string[] {
    return this.unanswered.slice(-mostReruns)
  }

  /** The failure of the run with the step in it whose error ended it. */
  named(error: unknown, failure: Failure): Failure {
    const stepPath = typeof error === 'object' && error !== null ? this.origins.get(error) : undefined
    if (stepPath === undefined) return failure
    const { data } = failure
    const known = typeof data === 'object' && data !== null && !Array.isArray(data) ? data : {}
    return { ...failure, data: { ...known, stepPath } }
  }
}
