import { ADDRESS_REFUSED, type Reach, type Whereabouts } from '../ports.ts'
import { reasonOf } from './exchange.ts'
import type { UrlPolicy } from './url-policy.ts'

/** Performs an act that connects to the host of a URL, as far as it may go. */
export type WithinReach = <T>(url: URL, act: (reach: Reach) => Promise<T>) => Promise<T>

/**
 * As far as the policy says; and into private networks, too, where that is refused but the user's own server turns out to
 * be in one. A DNS answer alone does not show that: whoever names the server may also answer for its name.
 */
export function createWithinReach(policy: UrlPolicy, whereabouts: Whereabouts | undefined): WithinReach {
  let isNeighbour = false
  return async (url, act) => {
    const reach = policy.reach(url)
    if (reach !== 'public' || !policy.widensFor) return act(reach)
    if (isNeighbour) return act('private')
    try {
      return await act(reach)
    } catch (error) {
      const isRefused = error instanceof Error && reasonOf(error.cause) === ADDRESS_REFUSED
      if (!isRefused || !(await whereabouts?.isPrivate(policy.widensFor))) throw error
      isNeighbour = true
      return act('private')
    }
  }
}
