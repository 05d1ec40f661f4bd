import type { SignInWish } from '../credentials/person-login.ts'
import type { ServerLogin } from '../credentials/server-login.ts'
import { InsufficientScopeError, LoginRequiredError } from '../errors/index.ts'
import { findLatchkeyError } from './connect-failure.ts'

export interface Act<T> {
  /** What is done, for the memory of refused step-ups: `tools/call search_issues`. */
  readonly operation: string
  readonly perform: () => Promise<T>
  readonly signIn: (login: ServerLogin, wish: SignInWish) => Promise<void>
}

/**
 * Does something that may meet a 401 or a 403 which only a person can cure: signs in, outside of any request and its
 * time limit, and does it again. One sign-in for a 401; for missing scope a bounded number, each adding to what was
 * asked for before (MCP authorization, Step-Up Authorization Flow). What the act has to do on its way, such as to connect
 * anew, is a part of it and of its bound.
 *
 * @throws what the act throws; every code of a sign-in; `credential_refused` for a fresh token that is refused as
 *   well; `insufficient_scope` when asking again is not possible or did not help
 */
export async function signedIn<T>(
  login: ServerLogin | undefined,
  { operation, perform, signIn }: Act<T>,
): Promise<T> {
  // A grant has done in the request itself all that can be done without a person.
  if (!login || login.byGrant) return perform()
  for (let signInsAfter401 = 0; ; ) {
    const since = login.signIns
    try {
      const result = await perform()
      login.stepUps.succeeded(operation)
      return result
    } catch (error) {
      const known = findLatchkeyError(error)
      if (known instanceof LoginRequiredError) {
        if (signInsAfter401 > 0) throw login.refused(error)
        if (!login.stepUps.allowsSignIn(operation))
          throw login.required(known.challenge, 'signing in did not help this operation before')
        signInsAfter401 += 1
        await signIn(login, { challenge: known.challenge, since })
        login.stepUps.countSignIn(operation, login.signIns)
      } else if (known instanceof InsufficientScopeError && login.stepUps.allowsStepUp(operation)) {
        login.stepUps.countStepUp(operation)
        await stepUp(known, (challenge) => signIn(login, { challenge, since }))
      } else {
        // An error of the operation itself: it was let in.
        if (isAnswer(error)) login.stepUps.succeeded(operation)
        throw error
      }
    }
  }
}

/** Whether a server that did what was asked says that it failed: an error of JSON-RPC, by the name that the SDK gives it. */
function isAnswer(error: unknown): boolean {
  return error instanceof Error && error.name === 'ProtocolError'
}

/** Where nobody may be asked, the missing scope is the news, not the missing person. */
async function stepUp(
  missing: InsufficientScopeError,
  signIn: (challenge: InsufficientScopeError['challenge']) => Promise<void>,
): Promise<void> {
  try {
    await signIn(missing.challenge)
  } catch (error) {
    throw error instanceof LoginRequiredError ? missing : error
  }
}
