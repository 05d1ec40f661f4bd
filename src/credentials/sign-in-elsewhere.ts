import { type ChallengeSummary, SignInCancelledError, SignInTimedOutError } from '../errors/index.ts'
import type { EventListener } from '../events.ts'
import type { TokenSet } from '../flow/token-set.ts'
import { asksForMoreScope } from '../oauth/challenge.ts'
import { coversScope } from '../oauth/scope.ts'
import type { SignInBoard } from '../ports.ts'
import type { Keeper } from './keeper.ts'
import type { MachineParts } from './machine-place.ts'

export interface OwnSignIn {
  readonly server: string
  readonly loginCommand: string
  readonly emit: EventListener
  readonly keeper: Keeper
  readonly challenge: ChallengeSummary | undefined
  readonly explicit: boolean
  readonly force: boolean
  /** Milliseconds the person has. */
  readonly limit: number
  /** `login_required`, with a reason. */
  readonly required: (why: string) => Error
}

/** What a sign-in of this process makes of those of other processes for the same login. */
export function besideOthers(own: OwnSignIn, board: SignInBoard): MachineParts<TokenSet> {
  const { keeper, challenge, explicit, force, limit } = own
  // What the refused request went by; for `login`, whatever there is.
  const known = keeper.held
  return {
    board,
    limit,
    explicit,
    again: force,
    taken: async (ended) => {
      const stored = await keeper.read()
      if (!stored || stored.access_token === known?.access_token) return undefined
      // Whoever asks for a sign-in by name gets one, unless it has just been somebody else's turn.
      if (explicit && !ended) return undefined
      if (!covers(stored, challenge)) return undefined
      own.emit({ type: 'signed_in', server: own.server })
      return stored
    },
    failedElsewhere: (failure, waited) => failedElsewhere(own, failure, waited),
  }
}

/** A login without the scope that a 403 asked for would only bring the next 403. */
function covers({ scope, requested_scope }: TokenSet, challenge: ChallengeSummary | undefined): boolean {
  return !asksForMoreScope(challenge) || coversScope(scope ?? requested_scope, challenge.scope)
}

function failedElsewhere(
  { server, loginCommand, limit, required }: OwnSignIn,
  failure: string,
  waited: boolean,
): Error {
  if (!waited) return required('a sign-in of another process failed less than a minute ago')
  const remedy = `Run: ${loginCommand}`
  switch (failure) {
    case 'sign_in_cancelled':
      return new SignInCancelledError({
        message: `The sign-in to ${server} was cancelled in another process.`,
        remedy,
        server,
      })
    case 'sign_in_timed_out':
      return new SignInTimedOutError({
        message: `Nobody finished the sign-in to ${server} that another process had begun.`,
        remedy,
        server,
        seconds: Math.round(limit / 1000),
      })
    default:
      return required(`a sign-in of another process has just failed: ${failure}`)
  }
}
