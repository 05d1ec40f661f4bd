import type { ServerLogin, SignInWish } from '../credentials/server-login.ts'
import { LoginRequiredError } from '../errors/index.ts'
import { findLatchkeyError } from './connect-failure.ts'

/**
 * Does something that may meet a 401 which only a person can cure: signs in, outside of any request and its time
 * limit, and does it once more.
 *
 * @throws what the act throws; every code of a sign-in; `credential_refused` for a fresh token that is refused as well
 */
export async function signedIn<T>(
  login: ServerLogin | undefined,
  act: () => Promise<T>,
  signIn: (login: ServerLogin, wish: SignInWish) => Promise<void>,
): Promise<T> {
  if (!login) return act()
  const since = login.signIns
  try {
    return await act()
  } catch (error) {
    const required = findLatchkeyError(error)
    if (!(required instanceof LoginRequiredError)) throw error
    await signIn(login, { challenge: required.challenge, since })
  }
  try {
    return await act()
  } catch (error) {
    throw findLatchkeyError(error) instanceof LoginRequiredError ? login.refused(error) : error
  }
}
