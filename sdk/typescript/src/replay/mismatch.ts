import { type JournalEntry, type JsonValue, OmiumError } from '@omium/schemas'

/** What user code asked for, as far as a mismatch needs to show it. */
export interface Asked {
  path: string
  kind: string
  requestHash: string
  input: JsonValue | undefined
}

const excerpt = (input: JsonValue | undefined): string => {
  const text = input === undefined ? 'none' : JSON.stringify(input)
  return text.length > 300 ? `${text.slice(0, 299)}…` : text
}
const recordedText = (entry: JournalEntry): string =>
  `a ${entry.kind} at "${entry.path}" (request ${entry.requestHash}, ${entry.status})`
const askedText = (asked: Asked): string =>
  `a ${asked.kind} at "${asked.path}" (request ${asked.requestHash}, input ${excerpt(asked.input)})`

const fix =
  'The agent code changed, or is not deterministic outside of its steps. Deploy the code that wrote this history, ' +
  'start a new run, or fork this one from the last step before the change. Give changed steps a new name or key, and ' +
  'take time, randomness and I/O from ctx.'

const mismatch = (detail: string, recorded: JournalEntry, asked: Asked | undefined): OmiumError =>
  new OmiumError('replay_mismatch', `${detail} ${fix}`, {
    data: {
      path: recorded.path,
      recorded: { path: recorded.path, kind: recorded.kind, requestHash: recorded.requestHash },
      actual: asked ? { path: asked.path, kind: asked.kind, requestHash: asked.requestHash } : null,
    },
  })

/** The code asks for something else at a recorded path. */
export const otherRequest = (recorded: JournalEntry, asked: Asked): OmiumError =>
  mismatch(
    `Step "${recorded.path}" does not fit the history: recorded is ${recordedText(recorded)}, the code now asks for ${askedText(asked)}.`,
    recorded,
    asked,
  )

/** The history has a result where the code asks for something else. */
export const otherStep = (recorded: JournalEntry, asked: Asked): OmiumError =>
  mismatch(
    `Step "${recorded.path}" does not fit the history: next in the record is ${recordedText(recorded)}, but the code asks for ${askedText(asked)} and not for it.`,
    recorded,
    asked,
  )

/** The code came to its end without asking for something recorded. */
export const neverAsked = (recorded: JournalEntry): OmiumError =>
  mismatch(
    `Step "${recorded.path}" does not fit the history: recorded is ${recordedText(recorded)}, but the code ended without asking for it.`,
    recorded,
    undefined,
  )
