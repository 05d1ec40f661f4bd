import type { ServerLogin, SignInWish } from '../credentials/server-login.ts'
import { LoginRequiredError } from '../errors/index.ts'

export interface SignedInAct<T> {
  readonly login: ServerLogin | undefined
  readonly act: () => Promise<T>
  /** Signs a person in; the act is then done once more. @default `login.signIn` */
  readonly signIn?: (wish: SignInWish) => Promise<void>
  /** Our error inside what the act threw. */
  readonly find: (error: unknown) => Error | undefined
}

/**
 * Does something that may meet a 401 which only a person can cure: signs in, outside of any request and its time
 * limit, and does it once more.
 *
 * @throws what the act throws; every code of a sign-in; `credential_refused` for a fresh token that is refused as well
 */
export async function signedIn<T>({ login, act, signIn, find }: SignedInAct<T>): Promise<T> {
  if (!login) return act()
  const since = login.signIns
  try {
    return await act()
  } catch (error) {
    const required = find(error)
    if (!(required instanceof LoginRequiredError)) throw error
    const wish = { challenge: required.challenge, since }
    await (signIn ? signIn(wish) : login.signIn(wish))
  }
  try {
    return await act()
  } catch (error) {
    throw find(error) instanceof LoginRequiredError ? login.refused(error) : error
  }
}
