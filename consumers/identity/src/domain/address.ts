import type { AddressCommand, AddressEvent } from '@omium/schemas'
import { type Decision, decided } from './decision.ts'

/**
 * To whom an e-mail address belongs.
 *
 * 1. The first claim that is decided wins; every later one is accepted without effect, and its sender reads who has it. So two
 *    first sign-ins at the same moment make one user.
 * 2. Only the user that has it can give it up.
 */
export interface AddressState {
  /** undefined: nobody's */
  readonly userId: string | undefined
}

export const evolveAddress = (_state: AddressState | undefined, { type, data }: AddressEvent): AddressState =>
  type === 'AddressClaimed' ? { userId: data.userId } : { userId: undefined }

export const decideAddress = (
  state: AddressState | undefined,
  { type, data }: AddressCommand,
): Decision<AddressEvent> => {
  const owner = state?.userId
  if (type === 'ClaimAddress') return owner === undefined ? decided({ type: 'AddressClaimed', data }) : decided()
  return owner === data.userId ? decided({ type: 'AddressReleased', data }) : decided()
}
